#pragma once
#include <string>
#include <vector>

#include "autotune/model/model.h"
#include "autotune/search/recorded_space.h"

/// What the benchmarks of searches and models read: records of `tecc survey` and of `tecc tune`, as JSON lines, *.jsonl or
/// *.jsonl.zst.
namespace tecc::benchmarks {

struct Task {
  std::string name;      // of the file, or "kernel dims" where a file holds several
  std::string kernel;    // the operator: models are evaluated on operators that they have not seen
  std::string dims, device;
  std::vector<autotune::RecordedSpace::Entry> entries;
  std::string first;     // program hash of the candidate that `tecc build` takes without records; may not be among the entries
  std::size_t stale = 0; // records whose schedules do not apply any more

  autotune::Model::Task rows() const;  // what was measured
};

/// The tasks of a file or of all such files in a folder, in the order of their names. Features are computed anew from the
/// schedules, on all cores. A candidate's time is the median of its last round. Ends the program where a file cannot be read.
std::vector<Task> load(const std::vector<std::string>& paths);

}  // namespace tecc::benchmarks
