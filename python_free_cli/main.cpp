#include <fmt/format.h>

#include <cstring>
#include <iostream>

#include "python_free_cli/options.h"

namespace {

using namespace tecc::cli;

constexpr Command commands[] = {
    {"build", "make an artifact: kernels, contract, C header", add_build},
    {"check", "parse, bind and prove bounds; print the expression and its naive nest", add_check},
    {"devices", "what this machine can run on", add_devices},
    {"explain", "explain an error number, or what an artifact costs and what bounds it", add_explain},
    {"model", "train a cost model from records", add_model},
    {"run", "run an expression or an artifact on this machine", add_run},
    {"plan", "place the buffers of a program or of a CSV of lifetimes in one arena", add_plan},
    {"records", "what tuning found out: list, export, import, merge, prune", add_records},
    {"survey", "measure a sample of a search space, as records: to evaluate searches and to train models", add_survey},
    {"tune", "search for the fastest schedule, measured on the device", add_tune},
    {"__runner", "", add_runner},  // measures candidates for tune in a process of its own
};

/// nvcc's spelling (-arch=sm_90a) beside the usual one.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> out;
  for (int n = argc; n-- > 1;) {  // CLI11 takes them in reverse
    std::string a = argv[n];
    for (const char* one : {"-arch", "-mcpu"})
      if (a == one || a.rfind(std::string(one) + "=", 0) == 0) a = "-" + a;
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"tecc: tensor expressions to tuned kernels", "tecc"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "tecc 0.1.0");
  int code = 0;
  std::vector<std::pair<CLI::App*, std::function<int()>>> chosen;
  for (const Command& c : commands) {
    CLI::App* sub = app.add_subcommand(c.name, c.help);
    if (!*c.help) sub->group("");  // hidden
    chosen.emplace_back(sub, c.add(*sub));
  }
  try {
    app.parse(arguments(argc, argv));
    for (auto& [sub, run] : chosen)
      if (sub->parsed()) code = run();
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return 2;
  } catch (const std::logic_error& e) {
    std::cerr << "error B0901: internal error: " << e.what() << "\n";
    return 1;
  } catch (const std::bad_alloc&) {
    std::cerr << "error E0612: out of memory\n";
    return 1;
  }
  return code;
}
