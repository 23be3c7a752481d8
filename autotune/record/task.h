#pragma once
#include "autotune/record/workload.h"

/// Records as what models learn from and searches are evaluated on.
namespace tecc::autotune {

/// The candidates of one workload on one target, each once.
struct RecordedTask {
  std::string kernel, dims, target, device;  // as in the records; the kernel's name stands for the operator
  std::vector<TimedPoint> candidates;        // by first record; a time is the median of all samples of the last round
  std::size_t stale = 0;                     // further ones, whose schedules do not apply any more
};

/// Replays every schedule, so that the features are those of this version, on all cores. Tasks in the order of their first
/// records. E0530 for records without an expression.
Result<std::vector<RecordedTask>> tasks_of(const std::vector<Record>& records);

}  // namespace tecc::autotune
