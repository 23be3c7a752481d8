#pragma once
#include <functional>

#include "autotune/measure/measurer.h"
#include "autotune/measure/steadiness.h"
#include "autotune/search/search.h"

namespace tecc::autotune {

struct SurveyOptions {
  int points = 1200;              // to measure or to see fail, those of `earlier` included
  std::optional<double> seconds;  // stop when they are over
  std::uint64_t seed = 0;
  double random_share = 0.5;      // of the points; the rest come of an evolutionary search that learns from both kinds
  int retimed = 32;               // the fastest are timed again, side by side, since the fastest of many were lucky as well
};

struct Surveyed {
  int measured = 0, failed = 0;
  std::optional<double> best_us;
  Steadiness steadiness;
  bool complete = false;  // there is no point that was not measured
  double seconds = 0;
};

/// Measures a sample of a workload's space: random points, which say what the space is like, and good ones, which say what can
/// be reached in it. That is what searches are evaluated on without a device (benchmarks/) and what models are trained with.
/// Unlike tune() it compiles ahead of what it learns, so that all cores and the device are busy; two surveys differ in the points
/// that they draw. `earlier`: records of an interrupted survey. `keep` gets each record as soon as it is known. E0542 and
/// those of Measurer, or what `keep` refuses with.
Result<Surveyed> survey(const codegen::Workload& workload, const codegen::Target& target, Measurer& measurer,
                        const std::vector<Record>& earlier, const SurveyOptions& options,
                        const std::function<Check(const Record&)>& keep, const std::function<void(const Surveyed&)>& progress,
                        const std::function<bool()>& stop);

}  // namespace tecc::autotune
