#include <algorithm>

#include "compiler/pass/passes.h"

/// What a kernel does before it touches memory, and the launch itself, takes microseconds: the next kernel's happen while this one runs. Each
/// waits for the end of the one before, so that all of them end in order (CUDA C++ Programming Guide, "Programmatic Dependent Launch").
/// Kernels that have nothing to do with those before them, such as the copies that pad two operands, run beside them and wait last.
/// The first kernel is left as it is: what ran before it belongs to the caller.
namespace tecc::compiler {

using namespace loop;

Result<Program> overlap_kernels(Program p, const Limits& limits) {
  if (!limits.gpu || !limits.has("griddepcontrol")) return p;
  bool concurrent = true;  // all so far
  for (auto k = p.kernels.begin(); k != p.kernels.end(); ++k) {
    if (k == p.kernels.begin()) continue;
    concurrent = concurrent && std::none_of(p.kernels.begin(), k, [&](StmtId other) { return share_writes(p, *k, other); });
    p.stmts.edit(*k, [&](Stmt& s) { std::get<Root>(s.node).start = concurrent ? Root::Start::concurrent : Root::Start::dependent; });
  }
  return p;
}

}  // namespace tecc::compiler
