#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

// tecc_fuzz: random expressions x random legal schedules x witnesses. Exit status 1 if anything failed.

using namespace tecc;
using namespace tecc::fuzz;

namespace {

std::uint64_t seed_of_run = 1;

/// Code that LLVM made, or tecc, went out of its memory: says which case it was.
void crashed(int signal) {
  const std::string text = fmt::format("\nsignal {} in case {}: tecc_fuzz --seed {} --first {} --count 1 --write-all\n", signal, running_case, seed_of_run, running_case);
  (void)!::write(2, text.data(), text.size());
  std::_Exit(3);
}

/// DIR/00_scheduled.ir and what each pass leaves.
void dump_ir(const std::pair<Case, schedule::Trace>& pair, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto state = schedule::replay(pair.first.workload.naive, pair.second);
  const auto lowered = state ? compiler::lower(state->program, compiler::Limits{}, folder) : Result<loop::Program>(state.error());
  if (!lowered) std::cerr << render(lowered.error()) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"random expressions and schedules against independent witnesses"};
  Settings s;
  s.folder = "fuzz-failures";
  std::vector<std::string> witnesses{"interpreter", "llvm", "simulator"};
  std::string replay_path, dump;
  bool json = false, quiet = false;
  std::uint64_t jobs = 1;
  app.add_option("--seed", s.seed, "the same seed and the same build give the same cases");
  app.add_option("--seconds", s.seconds);
  app.add_option("--first", s.first, "begin with this case");
  app.add_option("--count", s.count, "so many cases at most");
  app.add_option("--witness", witnesses, "interpreter, llvm, simulator")->delimiter(',')->check(CLI::IsMember({"interpreter", "llvm", "simulator"}));
  app.add_option("--folder", s.folder, "failures go there, each a .te and a .schedule");
  app.add_flag("--write-all", s.write_all, "every pair goes there, before it runs");
  app.add_option("--failures", s.failures, "stop after so many");
  app.add_option("--shrink", s.shrink, "seconds to make a failure small");
  app.add_option("--replay", replay_path, "run the pair PATH.te and PATH.schedule again");
  app.add_option("--dump-ir", dump, "of the pair that --replay runs: the program as scheduled and after every pass for a GPU");
  app.add_option("--jobs", jobs, "processes; the cases are the same");
  app.add_flag("--json", json);
  app.add_flag("--quiet", quiet, "no progress");
  CLI11_PARSE(app, argc, argv);
  const auto has = [&](const char* w) { return std::find(witnesses.begin(), witnesses.end(), w) != witnesses.end(); };
  s.witnesses = {has("interpreter"), has("llvm"), has("simulator")};
  seed_of_run = s.seed;
  if (s.count && app.count("--seconds") == 0) s.seconds = 1e9;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) std::signal(signal, crashed);

  if (!replay_path.empty()) {
    const auto pair = read_failure(replay_path);
    if (!pair) {
      std::cerr << render(pair.error()) << "\n";
      return 2;
    }
    if (!dump.empty()) dump_ir(*pair, dump);
    const std::string fault = judge(pair->first, pair->second, s.witnesses).fault;
    std::cout << (fault.empty() ? "agrees" : fault) << "\n";
    return fault.empty() ? 0 : 1;
  }

  std::ostream* const progress = json || quiet ? nullptr : &std::cerr;
  const Report r = jobs > 1 ? fuzz_in_parallel(s, jobs, progress) : fuzz::fuzz(s, progress);
  if (json) {
    nlohmann::json failures = nlohmann::json::array();
    for (const Report::Kept& f : r.failures) failures.push_back({{"name", f.name}, {"fault", f.fault}, {"expression", f.text}, {"schedule", f.schedule}, {"command", f.command}});
    std::cout << nlohmann::json{{"seed", s.seed}, {"cases", r.cases}, {"pairs", r.pairs}, {"agreed", r.agreed}, {"failed", r.failed}, {"steps_per_pair", r.pairs ? static_cast<double>(r.steps) / static_cast<double>(r.pairs) : 0},
                                {"llvm", r.by_llvm}, {"simulator", r.by_simulator}, {"all_witnesses", r.by_all}, {"equal_in_f64_only", r.rounding}, {"expressions", r.kinds}, {"primitives", r.primitives},
                                {"refused_when_lowered_for_gpu", r.refused}, {"failures", failures}}.dump() << "\n";
  } else {
    std::cout << summary(r);
  }
  return r.failed ? 1 : 0;
}
