#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

Result<Program> decompose_reductions(Program p, const Limits& limits) {
  for (BlockId id : all_blocks(p)) {
    const Block& b = p.block(id);
    if (!b.combiner || b.init == Init::apart || (limits.gpu && overwrites(b))) continue;
    StmtId before = id;
    if (is_scan(b)) continue;  // a scan starts itself: its first element has no predecessor
    for (LoopId l : loops_around(p, id))
      if (feeds(p, l, b, IterKind::reduce)) {
        before = l;
        break;
      }
    if (b.tile && b.tile->instruction && is_inside(p, before, b.tile->top)) before = b.tile->top;  // a tile is one statement
    const BlockId made = decompose(p, id, before);
    p.stmts.edit(made, [&](Stmt& s) {
      s.role = p[id].role;
      s.stage = p[id].stage;
      if (p.block(id).tile && p.block(id).tile->instruction) std::get<Block>(s.node).tile = Tile{made, Via::plain, false, made};  // an instruction adds to all of its sums
    });
  }
  return p;
}

}  // namespace tecc::compiler
