#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

Result<Program> insert_guards(Program p, const Limits&) {
  for (BlockId id : all_blocks(p)) {
    std::vector<Expr> guards = guards_of(p, p.block(id));
    p.stmts.edit(id, [&](Stmt& s) { std::get<Block>(s.node).guards = std::move(guards); });
  }
  return p;
}

}  // namespace tecc::compiler
