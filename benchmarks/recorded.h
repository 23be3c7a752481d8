#pragma once
#include <string>
#include <vector>

#include "autotune/model/model.h"
#include "autotune/record/task.h"

/// What the benchmarks of searches and models read: records of `tecc survey` and of `tecc records export`, *.jsonl or *.jsonl.zst.
namespace tecc::benchmarks {

struct Task : autotune::RecordedTask {
  std::string name;   // of the file; "kernel dims" where a file holds several tasks
  std::string family; // the kernel's name up to the first '_': gemm, gemm_tf32 and gemm_bias_gelu are one
  std::string first;  // program hash of the candidate that `tecc build` takes without records; it may not be recorded
};

/// The tasks of files, and of all such files in folders in the order of their names. Ends the program where one cannot be read.
std::vector<Task> load(const std::vector<std::string>& paths);

}  // namespace tecc::benchmarks
