#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "ir/base/files.h"
#include "python_free_cli/options.h"

namespace tecc::cli {
namespace {

struct Options : Input, ScheduleFrom {
  std::string out_dir = ".", emit = "cubin,ptx,obj,header,json", dump_ir;  // of these what the target has
  bool time_passes = false;
};

/// A table on stderr: what building took, a row a step.
void print_times(const std::vector<compiler::Spent>& spent) {
  double all = 0;
  for (const compiler::Spent& s : spent) {
    std::cerr << fmt::format("{:>10.3f} ms  {}\n", s.ms, s.step);
    all += s.ms;
  }
  std::cerr << fmt::format("{:>10.3f} ms  in all\n", all);
}

/// After a bug of tecc: leaves the program in front of the pass that has it, and says how to go on from there.
void leave_reproducer(const Options& o, const Loaded& loaded, const std::vector<codegen::Plan>& plans) {
  std::optional<std::string> text;
  const codegen::Plan* broken = nullptr;
  for (const codegen::Plan& p : plans)
    if (!text && (text = codegen::reproducer(loaded.workload, p))) broken = &p;
  const std::string name = loaded.workload.kernel.name + ".reproducer.ir", file = (std::filesystem::path(o.out_dir) / name).string();
  if (!text || !write_files(o.out_dir, {{name, *text}})) return;
  std::string command = "tecc build " + (o.text.empty() ? o.path : "-e '" + o.text + "'");
  const std::string arch = broken->target.kind == codegen::Target::Kind::cuda ? broken->target.arch : "";
  for (const auto& [option, value] : {std::pair("--kernel", o.kernel), {"--dims", o.dims}, {"--types", o.types}, {"--align", o.align}, {"--arch", o.arch.ends_with(".json") ? o.arch : arch}, {"--target", arch.empty() ? "llvm" : ""}})
    if (!value.empty()) command += fmt::format(" {} '{}'", option, value);
  std::cerr << fmt::format("the program in front of the pass is in {}; to run the pass again:\n  {} --compile-from={}\n", file, command, file);
}

std::optional<codegen::Emit> parse_emit(const std::string& list, const Input& in) {
  codegen::Emit e{false, false, false, false, false, false, false};
  std::stringstream items(list);
  for (std::string item; std::getline(items, item, ',');) {
    if (item == "cubin") e.cubin = true;
    else if (item == "ptx") e.ptx = true;
    else if (item == "cuda") e.cuda = true;
    else if (item == "header") e.header = true;
    else if (item == "json") e.json = true;
    else if (item == "obj") e.object = true;
    else if (item == "ir") e.ir = true;
    else return fail(refuse(Code::unknown_emit, item), in), std::nullopt;
  }
  return e;
}

int run(const Options& o) {
  std::vector<compiler::Spent> spent;
  const auto timed = [&](const char* step, auto f) {
    const auto begin = std::chrono::steady_clock::now();
    auto out = f();
    spent.push_back({step, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count()});
    return out;
  };
  const auto loaded = timed("read, bind, lift", [&] { return load(o); });
  if (!loaded) return 1;
  const auto targets = targets_of(o);
  if (!targets) return 1;
  const auto emit = parse_emit(o.emit, o);
  if (!emit) return 1;
  std::vector<codegen::Plan> plans;
  for (const codegen::Target& t : *targets) {
    auto plan = timed("choose or read the schedule", [&] { return plan_for(o, o, *loaded, t); });
    if (!plan) return 1;
    plans.push_back(*std::move(plan));
  }
  if (!o.compile_from.empty() && plans.size() > 1) return fail(refuse(Code::no_stage, o.compile_from, "it is for one of several architectures; legal: -arch= with that one"), o);
  const auto made = [&] {
    try {
      return codegen::build(loaded->workload, plans, *emit, o.dump_ir, &spent);
    } catch (const std::logic_error&) {  // an invariant; main() prints it
      leave_reproducer(o, *loaded, plans);
      throw;
    }
  };
  const auto built = made();
  if (o.time_passes) print_times(spent);
  if (!built) {
    if (number(built.error().code).starts_with('B')) leave_reproducer(o, *loaded, plans);
    return fail(built.error(), o, *loaded, plans[0]);
  }
  std::vector<OutFile> files;
  for (const auto& [name, bytes] : built->files) files.push_back({name, bytes});
  if (Check done = write_files(o.out_dir, files); !done) return fail(done.error(), o);
  if (o.json) {
    nlohmann::ordered_json j;
    j["out_dir"] = o.out_dir;
    j["hash"] = loaded->workload.hash;
    for (const auto& f : files) j["files"].push_back(f.name);
    fmt::print("{}\n", j.dump(2));
  } else {
    for (const auto& f : files) fmt::print("{}\n", (std::filesystem::path(o.out_dir) / f.name).string());
  }
  return 0;
}

}  // namespace

std::function<int()> add_build(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_input(app, *o);
  app.add_option("--out-dir,-o", o->out_dir, "where the artifact goes");
  app.add_option("--emit", o->emit, "of cubin,ptx,obj,header,json (without it: these, as the target has them), cuda,ir");
  add_schedule(app, *o);
  app.add_option("--dump-ir", o->dump_ir, "write the program after every pass, and the CUDA text");
  app.add_flag("--time-passes", o->time_passes, "print how long each step took");
  return [o] { return run(*o); };
}

}  // namespace tecc::cli
