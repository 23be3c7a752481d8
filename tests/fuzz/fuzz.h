#pragma once
#include <iosfwd>

#include "tests/fuzz/shrink.h"

/// One run of the fuzzer: random expressions x random legal schedules x witnesses.
namespace tecc::fuzz {

struct Settings {
  std::uint64_t seed = 1, first = 0;  // case `first` on
  std::uint64_t step = 1;             // .. every so many
  double seconds = 10;
  std::uint64_t count = 0;            // cases at most; 0: by time alone
  Witnesses witnesses;
  std::string folder;                 // where failures go; "": nowhere
  bool write_all = false;             // every pair before it runs: for one that crashes
  std::size_t failures = 20;          // enough
  double shrink = 20;                 // seconds a failure
};
struct Report {
  std::uint64_t cases = 0, pairs = 0, agreed = 0, steps = 0;  // pairs: of cases that could be made
  std::uint64_t by_llvm = 0, by_simulator = 0, by_all = 0, rounding = 0;
  std::map<std::string, std::uint64_t> kinds, primitives, refused;  // refused: by lowering for a GPU
  std::map<std::string, double> seconds;  // by kind of expression
  struct Kept {
    std::string name, fault, text, schedule, command;
  };
  std::vector<Kept> failures;
  std::uint64_t failed = 0;  // the kept ones and more of their kinds
};
Report fuzz(const Settings& settings, std::ostream* progress = nullptr);
/// The same cases, by `jobs` processes.
Report fuzz_in_parallel(const Settings& settings, std::uint64_t jobs, std::ostream* progress = nullptr);
std::string summary(const Report& r);

/// The case that is running, for a handler of signals.
extern volatile std::uint64_t running_case;

}  // namespace tecc::fuzz
