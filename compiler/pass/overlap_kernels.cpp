#include "compiler/pass/passes.h"

/// What a kernel does before it touches memory, and the launch itself, takes microseconds: the next kernel's happen while this one runs. Each
/// waits for the end of the one before, so that all of them end in order (CUDA C++ Programming Guide, "Programmatic Dependent Launch").
/// The first kernel is left as it is: what ran before it belongs to the caller.
namespace tecc::compiler {

using namespace loop;

Result<Program> overlap_kernels(Program p, const Limits& limits) {
  if (!limits.gpu || !limits.has("griddepcontrol")) return p;
  for (std::size_t n = 1; n < p.kernels.size(); ++n)
    p.stmts.edit(p.kernels[n], [](Stmt& s) { std::get<Root>(s.node).dependent = true; });
  return p;
}

}  // namespace tecc::compiler
