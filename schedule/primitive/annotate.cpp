/// reverse(loop): the loop runs from its last iteration to its first.
/// partition(loop): iterations in which every guard holds are printed apart, without guards (also called: loop peeling, index set splitting).
/// bind(loops, block | thread | ...), parallel(loops), vectorize(loops), unroll(loops): how the iterations of a loop run.
/// Results  none.
/// Keeps    every instance, once; iterations of parallel and bound loops in any order.
/// Refuses  E0315 the loop carries a scan, or a reduction (bound to threads both may be, when cross_thread_reduce or scan
///          follows; a reduction may be unrolled); E0321 bind: an extent that follows other loops would read what is not complete;
///          E0329 vectorize: the extent is no small constant.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

Check independent(const Program& p, LoopId l, bool reduction_allowed, const std::string& how, bool scan_allowed = false) {
  for (BlockId b : loop::blocks_under(p, l)) {
    if (!scan_allowed && loop::feeds(p, l, p.block(b), IterKind::scan))
      return refuse(Code::carries, say(p, l), "a scan", say_block(p, b), how);
    if (!reduction_allowed && loop::feeds(p, l, p.block(b), IterKind::reduce))
      return refuse(Code::carries, say(p, l), "the reduction", say_block(p, b), how + "; rfactor first");
  }
  return Ok{};
}

template <class Change>
Applied change_loops(const State& state, const std::vector<Ref>& refs, Change change) {
  Applied out{state.program, {}};
  for (LoopId l : *loops_of(state, refs))
    out.program.stmts.edit(l, [&](Stmt& s) { change(std::get<Loop>(s.node)); });
  return out;
}

/// The inner loop of a raster that has the loop between its two, where only ranks of a cluster may stand.
std::optional<LoopId> raster_around(const Program& p, LoopId l) {
  if (p.loop(l).group != Group::cluster) return std::nullopt;
  StmtId below = l;
  while (p[below].as<Loop>() && p.loop(LoopId{below}).group == Group::cluster && p[below].children.size() == 1) below = p[below].children[0];
  const auto* inner = p[below].as<Loop>();
  return inner && inner->raster && loop::is_inside(p, l, inner->raster->outer) ? std::optional(LoopId{below}) : std::nullopt;
}

}  // namespace

Check check(const State& state, const Bind& step) {
  TECC_TRY(const std::vector<LoopId> loops, loops_of(state, step.loops));
  for (LoopId l : loops) {
    TECC_CHECK(independent(state.program, l, step.group == Group::thread || step.group == Group::warp, "bound", step.group == Group::thread));
    TECC_CHECK(check_widened(state.program, l, [](LoopId) { return true; }));
    if (const auto within = raster_around(state.program, l); within && step.group != Group::cluster) return refuse(Code::rastered, say(state.program, l), say(state.program, *within));
  }
  return Ok{};
}
Applied apply(const State& state, const Bind& step) {
  Applied out = change_loops(state, step.loops, [&](Loop& l) {
    l.group = step.group;
    l.persistent &= step.group == Group::block;
  });
  Program& p = out.program;
  for (LoopId l : *loops_of(state, step.loops)) {  // a grid is rectangular: no extent follows another loop
    const Expr extent = loop::relaxed(p, p.loop(l).extent, [](LoopId) { return true; });
    if (extent != p.loop(l).extent) p.stmts.edit(l, [&](Stmt& s) { std::get<Loop>(s.node).extent = extent; });
  }
  return out;
}

Check check(const State& state, const Parallel& step) {
  TECC_TRY(const std::vector<LoopId> loops, loops_of(state, step.loops));
  for (LoopId l : loops) TECC_CHECK(independent(state.program, l, false, "parallel"));
  return Ok{};
}
Applied apply(const State& state, const Parallel& step) {
  return change_loops(state, step.loops, [](Loop& l) { l.kind = LoopKind::parallel; });
}

Check check(const State& state, const Vectorize& step) {
  TECC_TRY(const std::vector<LoopId> loops, loops_of(state, step.loops));
  const Program& p = state.program;
  for (LoopId l : loops) {
    const auto extent = loop::constant_extent(p, l);
    const bool innermost = std::all_of(p[l].children.begin(), p[l].children.end(), [&](StmtId c) { return p[c].as<Block>() != nullptr; });
    if (!extent || *extent > 64 || !innermost)
      return refuse(Code::vector_extent, say(p, l), print(p.loop(l).extent, loop::names_of(p)));
    TECC_CHECK(independent(p, l, false, "vectorized"));
  }
  return Ok{};
}
Applied apply(const State& state, const Vectorize& step) {
  return change_loops(state, step.loops, [](Loop& l) { l.kind = LoopKind::vectorized; });
}

Check check(const State& state, const Unroll& step) {
  TECC_CHECK(loops_of(state, step.loops));
  return Ok{};
}
Applied apply(const State& state, const Unroll& step) {
  return change_loops(state, step.loops, [](Loop& l) { l.kind = LoopKind::unrolled; });
}

Check check(const State& state, const Reverse& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  for (BlockId b : loop::blocks_under(state.program, l))
    if (loop::feeds(state.program, l, state.program.block(b), IterKind::scan))
      return refuse(Code::carries, say(state.program, l), "a scan", say_block(state.program, b), "reversed");
  return Ok{};
}
Applied apply(const State& state, const Reverse& step) {
  return change_loops(state, {step.loop}, [](Loop& l) { l.reversed = !l.reversed; });
}

Check check(const State& state, const Partition& step) {
  TECC_CHECK(loop_of(state, step.loop));
  return Ok{};
}
Applied apply(const State& state, const Partition& step) {
  return change_loops(state, {step.loop}, [](Loop& l) { l.partitioned = true; });
}

}  // namespace tecc::schedule
