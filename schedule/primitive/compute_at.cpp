/// compute_at(block, loop): compute a producer where it is used, for just the part that one iteration of `loop` reads
///   for i: P[i]                     ->   for i0:
///   for i0: for i1: C uses P[i0*4+i1]      for p in 0..4: P[i0*4+p]
///                                          for i1: C uses P[i0*4+i1]
/// The block's loops are made anew: the varying part of each spatial axis, then its reduction axes.
/// Results  one loop for each axis of the block; absent where it would run once.
/// Keeps    every element that is read, computed before it is read; parts read by several iterations are computed again.
/// Refuses  E0312 the block writes an output; E0310 a reader elsewhere; E0311 no reader inside; E0313 other statements share
///          its loops; E0315 it is a scan whose parts follow each other.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The part of the block's own axes that the readers under `loop` need: one region a spatial iteration, in order.
std::vector<Region> required(const Program& p, BlockId id, LoopId l) {
  const Block& b = p.block(id);
  const auto fixed = fixed_around(p, l);
  std::vector<Region> regions;
  for (const Write& w : b.writes)
    for (BlockId reader : loop::readers_of(p, w.buffer)) {
      if (reader == id) continue;
      std::vector<Region> one = read_region(p, reader, w.buffer, fixed);
      if (regions.empty()) regions = std::move(one);
      else
        for (std::size_t d = 0; d < regions.size(); ++d) regions[d] = hull(p, regions[d], one[d]);
    }
  return regions;
}

}  // namespace

Check check(const State& state, const ComputeAt& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  const Block& b = p.block(id);
  if (const auto shared = company_of(p, id)) {
    for (BlockId other : loop::blocks_under(p, *shared))
      if (other != id) return refuse(Code::not_alone, b.name, say_block(p, other));
  }
  if (loop::is_inside(p, l, loop::root_of(p, id))) return refuse(Code::no_reader, b.name, say(p, l));
  bool read_here = false;
  for (const Write& w : b.writes) {
    if (p[w.buffer].role == loop::Role::output) return refuse(Code::is_output, b.name, p[w.buffer].name);
    for (BlockId reader : loop::readers_of(p, w.buffer)) {
      if (loop::is_inside(p, reader, l)) read_here = true;
      else if (reader != id) {
        std::vector<std::string> around;
        for (LoopId m : loop::loops_around(p, l))
          if (loop::is_inside(p, reader, m)) around.push_back(say(p, m));
        return refuse(Code::other_reader, b.name, say_block(p, reader), say(p, l), say_list(around));
      }
    }
  }
  if (!read_here) return refuse(Code::no_reader, b.name, say(p, l));
  const std::vector<Region> regions = required(p, id, l);
  for (std::size_t d = 0; d < regions.size(); ++d)
    if (b.iters[d].kind == IterKind::scan && !regions[d].whole && !regions[d].fixed.digits.empty())
      return refuse(Code::carries, say(p, l), "a scan", b.name, "the place of a part of it; legal: a loop outside of the scan");
  return Ok{};
}

Applied apply(const State& state, const ComputeAt& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const LoopId l = *loop_of(state, step.loop);
  const std::vector<Region> regions = required(p, id, l);

  Stmt row = p[id];
  Block& b = std::get<Block>(row.node);
  std::size_t position = p[l].children.size();
  for (const Write& w : b.writes)
    for (BlockId reader : loop::readers_of(p, w.buffer))
      if (reader != id) position = std::min(position, loop::position_in_parent(p, loop::child_towards(p, l, reader)));
  loop::detach(p, id);

  std::vector<RegionAxis> axes;
  for (std::size_t d = 0, s = 0; d < b.iters.size(); ++d) {
    Region r;
    if (b.iters[d].kind != IterKind::reduce) r = regions[s++];
    if (b.iters[d].kind == IterKind::reduce || b.iters[d].kind == IterKind::scan) r = Region{{}, {}, 1, false, true};
    axes.push_back({p.vars[b.iters[d].var].name, r, b.iters[d].upper});
  }
  // The whole of a ragged axis: its extent over loops follows the earlier axes' loops, here by its largest value and a guard.
  for (RegionAxis& a : axes)
    for (const Iter& i : b.iters)
      if (uses(a.extent, i.var)) a.extent = index_literal(loop::largest(p, a.extent));
  const RegionNest nest = make_nest(p, l, position, axes, row.at);
  for (std::size_t d = 0; d < b.iters.size(); ++d) {
    b.iters[d].binding = nest.bindings[d];
    b.axes[d] = nest.loops[d].value_or(StmtId{});
  }
  p.stmts.set(id, row);
  loop::insert_child(p, nest.innermost, nest.innermost == l ? position : 0, id);
  out.results = loop_handles(nest.loops);
  return out;
}

}  // namespace tecc::schedule
