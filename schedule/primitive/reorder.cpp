/// reorder(l1, .., ln): the named loops of one chain change places, l1 becomes the outermost (also called: interchange)
/// Results  none.
/// Keeps    every instance, once; reductions may be re-associated.
/// A loop whose extent follows one that is now inside of it (a triangle) runs to the largest extent; what does not exist is
/// left out by the blocks' guards.
/// Refuses  E0341 the loops are not on one chain without other statements; E0315 the loops of a scan would change their order, or a loop that
///          begins a sum anew in each iteration would come inside of it.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The loops' places on their chain, outermost first.
std::vector<LoopId> chain_order(const Program& p, std::vector<LoopId> loops) {
  std::sort(loops.begin(), loops.end(), [&](LoopId a, LoopId b) { return a != b && loop::is_inside(p, b, a); });
  return loops;
}

}  // namespace

Check check(const State& state, const Reorder& step) {
  TECC_TRY(const std::vector<LoopId> loops, loops_of(state, step.loops));
  const Program& p = state.program;
  if (loops.size() < 2) return Ok{};
  for (LoopId l : loops)
    if (const auto other = loop::raster_partner(p, l)) return refuse(Code::rastered, say(p, l), say(p, *other));
  for (LoopId l : loops)
    for (LoopId m : loops)
      if (!loop::is_inside(p, l, m) && !loop::is_inside(p, m, l)) return refuse(Code::gap_in_order, say(p, l));
  const std::vector<LoopId> places = chain_order(p, loops);
  for (LoopId l = places.back(); l != places.front(); l = p[l].parent)
    if (p[p[l].parent].children.size() != 1) return refuse(Code::gap_in_order, say(p, l));
  // The order in which all loops of the chain will stand.
  std::vector<LoopId> before, after;
  for (LoopId l = places.back();; l = p[l].parent) {
    before.insert(before.begin(), l);
    if (l == places.front()) break;
  }
  after = before;
  for (std::size_t n = 0, k = 0; n < after.size(); ++n)
    if (std::find(loops.begin(), loops.end(), after[n]) != loops.end()) after[n] = loops[k++];
  for (std::size_t outer = 0; outer < after.size(); ++outer)
    for (std::size_t inner = outer + 1; inner < after.size(); ++inner) {
      const LoopId x = after[outer], y = after[inner];
      if (std::find(before.begin(), before.end(), x) < std::find(before.begin(), before.end(), y)) continue;
      // x moved outside of y
      TECC_CHECK(check_widened(p, x, [&](LoopId l) { return l == y; }));
      for (BlockId b : loop::blocks_under(p, places.back()))
        if (loop::feeds(p, x, p.block(b), IterKind::scan) && loop::feeds(p, y, p.block(b), IterKind::scan))
          return refuse(Code::carries, say(p, x), "a scan", say_block(p, b), "moved outside of another of its loops; legal: to keep their order");
    }
  for (BlockId id : loop::blocks_under(p, places.back())) {
    const auto reduces = [&](LoopId l) { return loop::feeds(p, l, p.block(id), IterKind::reduce); };
    const auto was = std::find_if(before.begin(), before.end(), reduces), is = std::find_if(after.begin(), after.end(), reduces);
    if (was == before.end() || outermost_reduction_loop(p, id) != *was || is - after.begin() >= was - before.begin()) continue;  // no loop comes inside
    std::vector<LoopId> inside(is, after.end());
    for (LoopId l : loop::loops_around(p, id))
      if (l != places.back() && loop::is_inside(p, l, places.back())) inside.push_back(l);
    if (const auto again = counted_again(p, id, inside))
      return refuse(Code::carries, say(p, *again), "one run after the other", say_block(p, id), "part of the reduction; legal: to leave the loops of the reduction inside of it");
  }
  return Ok{};
}

Applied apply(const State& state, const Reorder& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const std::vector<LoopId> loops = *loops_of(state, step.loops);
  if (loops.size() < 2) return out;
  const std::vector<LoopId> places = chain_order(p, loops);
  std::vector<StmtId> chain;  // from the innermost place to the outermost
  for (LoopId l = places.back();; l = p[l].parent) {
    chain.insert(chain.begin(), l);
    if (l == places.front()) break;
  }
  const StmtId above = p[places.front()].parent;
  const std::vector<StmtId> below = p[places.back()].children;
  const std::size_t position = loop::position_in_parent(p, places.front());
  for (std::size_t n = 0, k = 0; n < chain.size(); ++n)
    if (std::find(loops.begin(), loops.end(), chain[n]) != loops.end()) chain[n] = loops[k++];
  p.stmts.edit(above, [&](Stmt& s) { s.children[position] = chain.front(); });
  for (std::size_t n = 0; n < chain.size(); ++n)
    p.stmts.edit(chain[n], [&](Stmt& s) {
      s.parent = n == 0 ? above : chain[n - 1];
      s.children = n + 1 == chain.size() ? below : std::vector<StmtId>{chain[n + 1]};
    });
  for (StmtId c : below) p.stmts.edit(c, [&](Stmt& s) { s.parent = chain.back(); });
  for (std::size_t n = 0; n < chain.size(); ++n) {
    const auto inside = [&](LoopId l) { return std::find(chain.begin() + static_cast<std::ptrdiff_t>(n), chain.end(), l) != chain.end(); };
    const Expr extent = loop::relaxed(p, p.loop(chain[n]).extent, inside);
    if (extent != p.loop(chain[n]).extent) p.stmts.edit(chain[n], [&](Stmt& s) { std::get<Loop>(s.node).extent = extent; });
  }
  return out;
}

}  // namespace tecc::schedule
