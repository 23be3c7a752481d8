#pragma once
#include <functional>

#include "autotune/measure/measurer.h"
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
  std::vector<Cluster> failures;  // measured and failed, most frequent first
  std::vector<Cluster> refused;   // refused before measuring
  std::int64_t refused_of = 0;    // points looked at
  bool stopped = false;
};

/// Searches, measures and records until a limit is reached or `stop()`; every verdict is in the database before the next
/// candidate begins. E0540 nothing could be measured, E0542 no legal schedule; those of Measurer and Database.
Result<Tuned> tune(const codegen::Workload& workload, const codegen::Target& target, Measurer& measurer, Database& records,
                   const TuneOptions& options, const std::function<void(const Progress&)>& progress,
                   const std::function<bool()>& stop);

/// The schedule of the best record, replayed here; nothing when there is none. E0511.
Result<std::optional<schedule::Trace>> recorded(const codegen::Workload& workload, const codegen::Target& target, const Database& records);

}  // namespace tecc::autotune
