/// fuse(outer, inner): two directly nested loops become one (also called: collapse, join)
///   for a in 0..A:          ->   for f in 0..A*B:
///     for b in 0..B: S(a,b)        S(f / B, f % B)
/// Results  the fused loop.
/// Keeps    every instance, once, in the same order.
/// Refuses  E0308 something else stands between the loops; E0309 B is no constant; E0315 `inner` runs through a sum that each iteration of
///          `outer` begins anew.
#include <fmt/format.h>

#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const Fuse& step) {
  TECC_TRY(const LoopId a, loop_of(state, step.outer));
  TECC_TRY(const LoopId b, loop_of(state, step.inner));
  const Program& p = state.program;
  if (a == b) return refuse(Code::named_twice, say(p, a));
  for (LoopId l : {a, b})
    if (const auto other = loop::raster_partner(p, l)) return refuse(Code::rastered, say(p, l), say(p, *other));
  if (p[b].parent != a || p[a].children.size() != 1) return refuse(Code::not_nested, say(p, a), say(p, b));
  if (!loop::constant_extent(p, b)) return refuse(Code::ragged_fuse, say(p, b), print(p.loop(b).extent, loop::names_of(p)));
  for (BlockId id : loop::blocks_under(p, b)) {
    if (outermost_reduction_loop(p, id) != b) continue;
    std::vector<LoopId> inside = loop::loops_around(p, id);
    inside.erase(inside.begin(), std::find(inside.begin(), inside.end(), a));
    if (const auto again = counted_again(p, id, inside))
      return refuse(Code::carries, say(p, *again), "one run after the other", say_block(p, id), "part of the reduction; legal: to leave the loops of the reduction inside of it");
  }
  return Ok{};
}

Applied apply(const State& state, const Fuse& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const LoopId a = *loop_of(state, step.outer), b = *loop_of(state, step.inner);
  const Stmt outer = p[a], inner = p[b];
  const std::int64_t extent_b = *loop::constant_extent(p, b);
  const std::string name = p.vars[outer.as<Loop>()->var].name + "_" + p.vars[inner.as<Loop>()->var].name;
  const std::size_t position = loop::position_in_parent(p, a);
  const LoopId f = loop::add_loop(p, outer.parent, position, name, outer.as<Loop>()->extent * extent_b, outer.at);
  p.stmts.edit(outer.parent, [&](Stmt& s) { std::erase(s.children, a); });
  p.stmts.edit(f, [&](Stmt& s) { s.children = inner.children; });
  for (StmtId c : inner.children) p.stmts.edit(c, [&](Stmt& s) { s.parent = f; });
  retire(p, a, {{{f, extent_b, 0, 1}}, 0}, f);
  retire(p, b, {{{f, 1, extent_b, 1}}, 0}, f);
  out.results = {LoopHandle{f}};
  return out;
}

}  // namespace tecc::schedule
