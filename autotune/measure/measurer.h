#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "autotune/record/record.h"
#include "codegen/build.h"

/// Finding out how fast a candidate is, and that it is right.
namespace tecc::autotune {

// How candidates are timed, the same for every device.
constexpr double give_up_ratio = 3.0;   // a first run this much slower than the best is not repeated: noise is far smaller
constexpr int most_runs = 20, least_runs = 5;
constexpr int final_rounds = 20;        // finalists are timed so many times in turns

class Measurer {
 public:
  virtual ~Measurer() = default;
  /// For readers: "NVIDIA H100 80GB HBM3".
  virtual std::string device() const = 0;
  /// Where candidates are measured, in the order of the options; none where there is nothing to tell apart.
  struct Unit {
    int ordinal = 0;
    std::string uuid;
    std::int64_t measured = 0;  // candidates, finalists not counted
    std::string lost;           // why it was dropped; empty: it is there
  };
  virtual std::vector<Unit> units() const { return {}; }
  /// Compiles, checks and times each; `done(n, outcome)` is called from this thread as soon as n is known, in any order. A candidate
  /// whose first run is much slower than `best_us` has that one sample. Returns early when `stop()` says so, with what was being timed.
  /// A refusal means that nothing can be measured at all: E0523 E0528 E0535 E06xx.
  virtual Check measure(std::span<const schedule::Trace> candidates, std::optional<double> best_us,
                        const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>& stop) = 0;
  /// Like measure(), for candidates that are thought of while others compile: `next` is asked whenever a compiler is about to be
  /// idle, until it has none. Outcomes come as they are ready; `n` counts what next() gave. All three are called from this thread.
  virtual Check stream(const std::function<std::optional<schedule::Trace>()>& next, const std::function<void(std::size_t, Outcome)>& done,
                       const std::function<bool()>& stop);
  /// Times candidates that were measured before, all on one device, interleaved and in an order shuffled by `seed` in every round, since
  /// the state of the chip (power, temperature) drifts. One outcome each.
  virtual Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t seed) = 0;
};

struct MeasureOptions {
  std::vector<int> devices = {0};      // CUDA ordinals, of one kind; the first that still lives times the finalists
  std::uint64_t seed = 0;              // of the inputs
  std::int64_t candidate_limit_ms = 10'000;  // of checking and timing one candidate, then SIGKILL
  std::int64_t compile_limit_ms = 20'000;    // of one candidate; a batch is not over before its slowest one
  std::int64_t prepare_limit_ms = 300'000;   // of the inputs and the reference
  int compile_threads = 0;             // 0: thread_count()
  double sampling_ms = 60;             // time given to the repetitions of one candidate
  int verify_every = 1;                // compare every so manyth candidate with the reference: 1 all of them
  std::vector<std::string> runner;     // command; empty: this program's __runner
};

/// Sizes to measure at: fixed dims, and for runtime dims the largest value that is not above 4096.
std::map<std::string, std::int64_t> measuring_dims(const codegen::Workload& workload);

/// For the target's kind. E0527 where this machine has no device for it, E0528 without a reference, E0534 for unlike devices.
Result<std::unique_ptr<Measurer>> make_measurer(const codegen::Workload& workload, const codegen::Target& target,
                                                const MeasureOptions& options);
Result<std::unique_ptr<Measurer>> make_cuda_measurer(const codegen::Workload& workload, const codegen::Target& target,
                                                     const MeasureOptions& options);
Result<std::unique_ptr<Measurer>> make_cpu_measurer(const codegen::Workload& workload, const codegen::Target& target,
                                                    const MeasureOptions& options);

}  // namespace tecc::autotune
