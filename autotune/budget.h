#pragma once
#include <span>

#include "autotune/tune.h"

/// Several searches under one budget of trials and seconds.
namespace tecc::autotune {

/// How one of them stands.
struct Standing {
  std::vector<double> best_us;  // after each of its batches of this run; infinity where nothing ran yet
  double bound_us = 0;          // nothing is faster
  double seconds = 0;           // its batches took
  bool done = false;            // nothing is left to try
};

/// The search whose next batch should spare the most time a second spent: what its last batches spared, averaged with what one may hope
/// for: best / batches, less after batches that found nothing, and not below the bound (after Zheng et al., "Ansor", OSDI 2020, section 6.2,
/// with seconds instead of trials).
/// First each gets a batch. nullopt when all are done.
std::optional<std::size_t> next_search(std::span<const Standing> standings);

struct BudgetTask {
  const codegen::Workload& workload;
  Measurer& measurer;
};
/// tune() for each, a batch at a time. `options.trials` is the mean: so many for each, all together; `options.seconds` is for all.
/// `progress` hears of which task. The first error ends everything; what was measured is recorded.
Result<std::vector<Tuned>> tune_all(std::span<const BudgetTask> tasks, const codegen::Target& target, Database& records, const TuneOptions& options,
                                    const std::function<void(std::size_t, const Progress&)>& progress, const std::function<bool()>& stop);

}  // namespace tecc::autotune
