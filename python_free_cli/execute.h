#pragma once
#include <optional>

#include "autotune/measure/inputs.h"
#include "ir/interpret/array.h"
#include "python_free_cli/options.h"
#include "runtime/bind.h"
#include "runtime/cpu/launch.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/time.h"

/// What `tecc run` does on every device, for an expression as for an artifact.
namespace tecc::cli {

struct RunOptions : Input, ScheduleFrom {
  std::vector<std::string> in, out, set;
  std::uint64_t seed = 0;
  bool verify = false, bench = false, interpret = false, simulate = false;
};

/// What a run needs, on whatever machine.
struct Data {
  std::vector<HostTensor> inputs;  // in call order, scalars of rank 0
  std::map<std::string, HostTensor> outputs;
  Binding binding;  // dims and scalars; whoever runs it adds the buffers
};
/// Files of --in, values of --set, the rest random; outputs hold 0xff, so that what nobody writes shows.
Result<Data> prepare(const autotune::TaskSpec& task, const RunOptions& o);

/// Of each timed run, on whatever device; empty without --bench.
using Times = cuda::Timed;
Result<Times> run_cpu(const Contract& contract, const std::string& folder, const CpuCall::Lookup& lookup, const autotune::TaskSpec& task, Data& data, const RunOptions& o);
Result<Times> run_cuda(cuda::Artifact& artifact, const cuda::Device& device, const autotune::TaskSpec& task, Data& data, const RunOptions& o);
/// The reference interpreter itself, in the precision of the types.
Check run_interpreter(const codegen::Workload& w, Data& data);
/// A lowered GPU program, run on the CPU as a GPU would (ir/simulate); the seed draws the order of its warps. Returns what it saw run.
Result<std::string> run_simulator(const loop::Program& threaded, Data& data, const RunOptions& o);
/// Beside the reference interpreter with sums in f64, as candidates are compared while tuning. E0524.
Check verify_outputs(const codegen::Workload& w, const autotune::TaskSpec& task, const Data& data);

/// A runtime dim that was not given runs at the smallest allowed value of at least 100, or its largest.
std::int64_t usual(std::int64_t min, std::int64_t max, std::int64_t multiple_of);
/// The expression that lies beside a contract, bound as the contract says. Integers after `;` are not in contracts: `given`.
Result<codegen::Workload> expression_of(const Contract& c, const std::string& folder, const std::map<std::string, te::DimRange>& given);

/// Writes the files of --out.
Check save(const RunOptions& o, const Data& data);
/// Of the run, not of the largest dims.
double flops_at(loop::Program p, const autotune::TaskSpec& task);
/// What the user sees; `flops` where they are known. Returns the exit code 0.
int report(const RunOptions& o, const Data& data, Times times, const std::string& where, std::optional<double> flops);

}  // namespace tecc::cli
