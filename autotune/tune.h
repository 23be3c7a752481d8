#pragma once
#include <functional>

#include "autotune/measure/measurer.h"
#include "autotune/measure/steadiness.h"
#include "autotune/model/model.h"
#include "autotune/record/database.h"
#include "autotune/search/search.h"

namespace tecc::autotune {

struct TuneOptions {
  int trials = 128;               // candidates to try, those that earlier runs with this seed recorded included
  std::optional<double> seconds;  // stop when they are over
  std::uint64_t seed = 0;
  Mode mode = Mode::evolutionary;
  int batch = 16;
  int plateau = 0;  // stop after so many trials without a better one; 0: never
  double enough = 0;  // stop when the roofline's time over the best one is at least this; 0: never
  int finalists = 8;
  std::shared_ptr<const Model> model;  // ranks before anything was measured, and is trained further; may be empty
};

struct Progress {
  int trials = 0, of = 0, failed = 0, resumed = 0;
  std::optional<double> best_us;
  double seconds = 0;  // since the start
  bool finals = false;
};

struct Tuned {
  std::optional<double> untuned_us;  // of the candidate that would be built without tuning
  double tuned_us = 0;
  schedule::Trace best;
  int trials = 0, resumed = 0, failed = 0;
  double seconds = 0;
  Conditions best_on;             // where and how the best one was timed
  Steadiness steadiness;
  std::vector<Cause> failures;    // measured and failed, most frequent first
  std::vector<Cause> refused;     // refused before measuring
  std::int64_t refused_of = 0;    // points looked at
  bool stopped = false;
};

/// One search, batch by batch. What it is given must outlive it. Errors: E0540 nothing could be measured, E0542 no legal schedule (both
/// of end); those of Measurer and Database.
class Tuning {
 public:
  Tuning(const codegen::Workload& workload, const codegen::Target& target, Measurer& measurer, Database& records, const TuneOptions& options,
         const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop);
  Tuning(Tuning&&) noexcept;
  ~Tuning();

  /// Takes over what earlier runs recorded; before the first step.
  Check begin();
  /// Measures up to `most` candidates, a batch at the most; false when there is nothing left to do: limits of the options, `stop()`, or all
  /// points measured. Every verdict is in the database as soon as it is known.
  Result<bool> step(int most);
  /// The finalists side by side, and the result.
  Result<Tuned> end();

  const Progress& progress() const;
  double bound_us() const;  // the roofline's time

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Steps until a limit is reached, and ends.
Result<Tuned> tune(const codegen::Workload& workload, const codegen::Target& target, Measurer& measurer, Database& records,
                   const TuneOptions& options, const std::function<void(const Progress&)>& progress,
                   const std::function<bool()>& stop);

/// The schedule of the best record, replayed here; nothing when there is none. E0511.
Result<std::optional<schedule::Trace>> recorded(const codegen::Workload& workload, const codegen::Target& target, const Database& records);

}  // namespace tecc::autotune
