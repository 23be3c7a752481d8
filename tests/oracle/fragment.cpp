#include "ir/loop/affine.h"
#include "tests/oracle/nests.h"

namespace tecc::oracle {

std::string outside_of_fragment(const loop::Program& p) {
  for (loop::BlockId id : loop::all_blocks(p)) {
    const loop::Block& b = p.block(id);
    for (loop::LoopId l : loop::loops_around(p, id)) {
      const auto extent = loop::constant_extent(p, l);
      if (!extent) return "an extent that is no constant";
      if (*extent < 2) return "a loop that runs once";
    }
    for (loop::LoopId l : loop::loops_around(p, id))
      if (loop::feeds(p, l, b, loop::IterKind::scan) && loop::feeds(p, l, b, loop::IterKind::spatial)) return "a loop that carries a scan and another axis";
    for (const loop::Iter& i : b.iters)
      if (!constant_of(i.upper)) return "an extent that is no constant";
    for (const loop::Write& w : b.writes) {
      for (const Expr& e : w.index)
        if (!loop::affine_of(e)) return "an index that is not affine";
      bool affine = true;
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<Read>())
          for (const Expr& i : r->index) affine &= loop::affine_of(i).has_value();
        return affine;
      });
      if (!affine) return "an index that is not affine";
    }
  }
  return "";
}

}  // namespace tecc::oracle
