#pragma once
#include "autotune/measure/wire.h"
#include "codegen/build.h"
#include "runtime/tensor.h"

namespace tecc::autotune {

/// What a workload is measured with. Floats are normal random numbers (constant ones would let a chip run cooler and faster than
/// it will), integers small; an integer tensor that indexes another one without `else` stays inside of it.
struct InputSpec {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;
  bool by_value = false;
  std::int64_t below = 0;  // integers: 0 <= x < below; 0: any small number
};
struct OutputSpec {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;
};
struct TaskSpec {
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  std::map<std::string, std::int64_t> dims;  // runtime dims
  double rtol = 0;
  bool exact_integers = false;  // no float decides about an integer output
  std::uint64_t seed = 0;
};
TaskSpec task_of(const codegen::Workload& workload, const std::map<std::string, std::int64_t>& dims, std::uint64_t seed);
Message to_message(const TaskSpec& task);
TaskSpec task_from(const Message& m);

/// Deterministic in seed, name and position, whatever the number of threads.
Result<HostTensor> random_input(const InputSpec& spec, std::uint64_t seed);
/// Of a parameter passed by value.
double scalar_input(const InputSpec& spec);

}  // namespace tecc::autotune
