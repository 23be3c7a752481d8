#pragma once
#include <map>
#include <string>
#include <vector>

#include "codegen/artifact.h"
#include "codegen/llvm/emit.h"
#include "codegen/target.h"
#include "ir/te/kernel.h"
#include "schedule/step.h"

namespace tecc::codegen {

/// An expression ready for building: parsed, bound, lifted, and its naive program.
struct Workload {
  te::Kernel kernel;
  te::Bound bound;
  te::Lifted lifted;
  loop::Program naive;
  std::string hash;  // canonical, of the lifted expression
};
Result<Workload> make_workload(const te::Kernel& kernel, const te::Bindings& bindings);

/// What build() leaves: the contract and the files beside it, by name; nothing is on disk yet.
struct Built {
  Contract contract;
  std::map<std::string, std::string> files;
  std::vector<cpu::Module> modules;  // one a CPU plan, for running in this process
};
struct Emit {
  bool cubin = true, ptx = true, cuda = false, header = true, json = true, object = true, ir = false;
};
/// One way to run the workload on one target.
struct Plan {
  Target target;
  schedule::Trace schedule;
  std::optional<Source> from{};  // instead of the schedule: a file that --dump-ir wrote, perhaps edited
};
/// The plan's program as an emitter takes it: scheduled and lowered, or lowered from the stage that it goes on from. E03xx, E04xx.
Result<loop::Program> lowered(const Workload& workload, const Plan& plan, const std::string& dump = {}, std::vector<compiler::Spent>* spent = nullptr);
/// The text to go on from (Plan::from) in front of the pass that has a bug with this plan; nullopt where no pass has one.
std::optional<std::string> reproducer(const Workload& workload, const Plan& plan);
/// Lowers, emits and compiles each plan into one artifact. With `dump` not empty every stage is written there, the CUDA text with its
/// contract as the last line; of several plans in a folder each. E03xx, E04xx; E0606 without NVRTC when images are wanted.
/// `spent`, if given, gets a row for the schedule, each pass, the text and what compiles it.
Result<Built> build(const Workload& workload, const std::vector<Plan>& plans, const Emit& emit, const std::string& dump = {}, std::vector<compiler::Spent>* spent = nullptr);

/// Where intermediate tensors lie in the workspace of a lowered program: an offset for each, and the bytes in all (formulas).
struct Workspace {
  std::map<TensorId, std::string> offsets;
  std::string bytes = "0";
  std::int64_t constant_bytes = 0;  // when no dim is a runtime argument
};
Workspace plan_workspace(const loop::Program& p);

/// An index expression over runtime dims as a contract formula.
std::string formula_of(const loop::Program& p, const Expr& e);

/// Floating-point operations of the expression, a multiplication and an addition counted as two; the largest runtime dims.
double flops_of(const loop::Program& p);

/// Relative and absolute tolerance for results of this workload: by the type of the outputs and the longest reduction.
Numerics numerics_of(const Workload& workload);

}  // namespace tecc::codegen
