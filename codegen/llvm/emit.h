#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/base/result.h"
#include "ir/loop/program.h"

/// CPU code through LLVM. LLVM's own headers are included by the sources of this folder only.
///
///   lowered program --emit()--> Module --Jit::make()--> functions in this process (jit.h)
///                                      --object()-----> a relocatable file, assembly, LLVM text (object.h)
namespace tecc::codegen::cpu {

/// What to compile for. Empty words stand for the host.
struct Target {
  std::string triple;    // "x86_64-pc-linux-gnu"
  std::string cpu;       // as -mcpu: "x86-64-v3"; "native": the host
  std::string features;  // "+avx2,+fma"
};
/// The target with every word filled in: what emit() was asked for, and what an artifact states.
Target resolved(const Target& target);
/// What code for the target needs and this machine has not ("avx512f, avx512vl", another triple); "" where it runs here.
std::string missing_here(const Target& target);

/// Every kernel is a function `int32_t NAME(void* const* buffers, const int64_t* dims, int64_t task)`.
///   buffers  the program's inputs, then its outputs, in call order; then the workspace, if the module needs one. A scalar
///            parameter is a pointer to its value, 8- and 16-bit floats as f32
///   dims     runtime dims in the order of Program::dims
///   task     0 .. tasks - 1, in any order and at once; kernels run one after the other
///   returns  0; 1 if memory for a buffer private to a task could not be had
struct Kernel {
  std::string name;
  Expr tasks;  // over runtime dims
};

/// An LLVM module that has not been optimised yet. A handle: object() and Jit::make() work on copies.
class Module {
 public:
  struct Inside;  // the LLVM objects

  std::vector<Kernel> kernels;  // in order of execution
  Expr workspace_bytes;         // over runtime dims; the literal 0: none is needed
  Target target;
  std::shared_ptr<const Inside> inside;
};

/// E0412 for what this back end cannot express; E0441 from LLVM.
Result<Module> emit(const loop::Program& lowered, const Target& target = {});
/// How many runtime dims come before: the place of each in `dims`. For contracts whose dims include fixed ones.
struct Places {
  std::map<VarId, int> dims;  // empty: the order of Program::dims
};
Result<Module> emit(const loop::Program& lowered, const Target& target, const Places& places);

}  // namespace tecc::codegen::cpu
