/// compute_at(block, loop): compute a producer where it is used, for just the part that one iteration of `loop` reads
///   for i: P[i]                     ->   for i0:
///   for i0: for i1: C uses P[i0*4+i1]      for p in 0..4: P[i0*4+p]
///                                          for i1: C uses P[i0*4+i1]
/// The block's loops are made anew: the varying part of each spatial axis, then its reduction axes.
/// Readers that stand before the loop and are used only inside of it go along, as if they had been moved first.
/// Results  one loop for each axis of the block; absent where it would run once.
/// Keeps    every element that is read, computed before it is read; parts read by several iterations are computed again.
/// Refuses  E0312 the block writes an output; E0310 a reader elsewhere; E0311 no reader inside; E0313 other statements share
///          its loops; E0315 it is a scan whose parts follow each other; E0321 a copy made for the part that it had does not hold more.
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

/// The dimension of the result that an iteration indexes.
std::size_t dim_of(const Block& b, const Iter& i) {
  const std::vector<Expr>& index = b.writes[0].index;
  return static_cast<std::size_t>(std::find_if(index.begin(), index.end(), [&](const Expr& e) { return e.as<Var>() && e.as<Var>()->id == i.var; }) - index.begin());
}

/// True if the block's own loops stand directly under `l`: it was computed there before.
bool is_at(const Program& p, BlockId id, LoopId l) {
  if (!loop::is_inside(p, id, l) || company_of(p, id).value_or(l) != l) return false;
  if (!p.block(id).predicate.empty()) return false;  // rfactor: its reduction is no longer the whole of its axis
  std::vector<LoopId> around = loop::loops_around(p, l);
  around.push_back(l);
  return std::none_of(around.begin(), around.end(), [&](LoopId m) { return loop::feeds(p, m, p.block(id), IterKind::reduce) || loop::feeds(p, m, p.block(id), IterKind::scan); });
}

/// Whether one block may be moved, once `along` stand inside of `l`.
Check may_move(const Program& p, BlockId id, LoopId l, const std::vector<BlockId>& along) {
  const Block& b = p.block(id);
  if (const auto shared = company_of(p, id); shared && !is_at(p, id, l)) {
    for (BlockId other : loop::blocks_under(p, *shared))
      if (other != id) return refuse(Code::not_alone, b.name, say_block(p, other));
  }
  if (loop::is_inside(p, l, loop::root_of(p, id)) && !is_at(p, id, l)) return refuse(Code::no_reader, b.name, say(p, l));
  for (const Write& w : b.writes)
    for (BlockId other : loop::writers_of(p, w.buffer))
      if (other != id) return refuse(Code::not_alone, b.name, say_block(p, other));
  bool read_here = false;
  for (const Write& w : b.writes) {
    if (p[w.buffer].role == loop::Role::output) return refuse(Code::is_output, b.name, p[w.buffer].name);
    for (BlockId reader : loop::readers_of(p, w.buffer)) read_here |= reader != id && (loop::is_inside(p, reader, l) || std::find(along.begin(), along.end(), reader) != along.end());
  }
  if (!read_here) return refuse(Code::no_reader, b.name, say(p, l));
  for (const Write& w : b.writes)
    for (BlockId reader : loop::readers_of(p, w.buffer)) {
      if (reader == id || loop::is_inside(p, reader, l) || std::find(along.begin(), along.end(), reader) != along.end()) continue;
      std::vector<std::string> around;
      for (LoopId m : loop::loops_around(p, l))
        if (loop::is_inside(p, reader, m)) around.push_back(say(p, m));
      return refuse(Code::other_reader, b.name, say_block(p, reader), say(p, l), say_list(around));
    }
  return Ok{};
}

/// The blocks to move, in order: readers that stand before the loop, and are used only inside of it, go along.
Result<std::vector<BlockId>> moves(const Program& p, BlockId id, LoopId l, int depth = 0) {
  std::vector<BlockId> out;
  if (depth < 16)
    for (const Write& w : p.block(id).writes)
      for (BlockId reader : loop::readers_of(p, w.buffer)) {
        if (reader == id || loop::is_inside(p, reader, l) || std::find(out.begin(), out.end(), reader) != out.end()) continue;
        const auto& iters = p.block(reader).iters;
        if (std::any_of(iters.begin(), iters.end(), [](const Iter& i) { return i.kind == IterKind::scan; })) continue;
        if (const auto more = moves(p, reader, l, depth + 1))
          for (BlockId b : *more)
            if (std::find(out.begin(), out.end(), b) == out.end()) out.push_back(b);
      }
  TECC_CHECK(may_move(p, id, l, out));
  out.push_back(id);
  return out;
}

/// A block that was computed under `l` before may read what was made there for just the part that it had: it gets no more than that.
Check stays_within(const Program& p, BlockId id, LoopId l) {
  const Block& b = p.block(id);
  if (!is_at(p, id, l)) return Ok{};
  const auto fixed = fixed_around(p, l);
  const std::vector<Region> regions = required(p, id, l);
  for (TensorId t : loop::read_buffers(b))
    for (BlockId w : loop::writers_of(p, t)) {
      if (w == id || loop::root_of(p, w) != loop::root_of(p, id)) continue;
      for (const Iter& i : b.iters) {
        if (i.kind != IterKind::spatial) continue;
        const Region& want = regions[dim_of(b, i)];
        const Region have = loop::region_of(p, b, var(i.var), fixed);
        const bool all = !have.whole && have.fixed.digits.empty() && have.fixed.offset <= i.lower && have.fixed.offset + have.span >= loop::largest(p, i.upper);
        const bool inside = !have.whole && !want.whole && have.fixed.digits == want.fixed.digits && have.fixed.offset <= want.fixed.offset && want.fixed.offset + want.span <= have.fixed.offset + have.span;
        if (!all && !inside) return refuse(Code::too_early, b.name, p[t].name);
      }
    }
  return Ok{};
}

/// Moves one block; returns its new loops.
std::vector<std::optional<LoopId>> move(Program& p, BlockId id, LoopId l) {
  const std::vector<Region> regions = required(p, id, l);
  const Stmt row = p[id];
  const Block& b = *row.as<Block>();
  std::size_t position = p[l].children.size();
  loop::detach(p, id);
  position = std::min(position, p[l].children.size());
  for (const Write& w : b.writes)
    for (BlockId reader : loop::readers_of(p, w.buffer))
      if (reader != id) position = std::min(position, loop::position_in_parent(p, loop::child_towards(p, l, reader)));

  std::vector<RegionAxis> axes;
  for (std::size_t d = 0; d < b.iters.size(); ++d) {
    Region r;
    if (b.iters[d].kind != IterKind::reduce) r = regions[dim_of(b, b.iters[d])];
    if (b.iters[d].kind == IterKind::reduce || b.iters[d].kind == IterKind::scan) r = Region{{}, {}, 1, false, true};
    axes.push_back(own_axis(p, b, d, std::move(r)));
  }
  return move_into_nest(p, id, row, l, position, axes);
}

}  // namespace

Check check(const State& state, const ComputeAt& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  TECC_TRY(const std::vector<BlockId> all, moves(p, id, l));
  for (BlockId b : all) TECC_CHECK(stays_within(p, b, l));
  if (all.size() > 1) return Ok{};
  const Block& b = p.block(id);
  const std::vector<Region> regions = required(p, id, l);
  for (const loop::Iter& i : b.iters)
    if (const Region* r = i.kind == IterKind::scan ? &regions[dim_of(b, i)] : nullptr; r && !r->whole && !r->fixed.digits.empty())
      return refuse(Code::carries, say(p, l), "a scan", b.name, "the place of a part of it; legal: a loop outside of the scan");
  return Ok{};
}

Applied apply(const State& state, const ComputeAt& step) {
  Applied out{state.program, {}};
  const BlockId id = *block_of(state, step.block);
  const LoopId l = *loop_of(state, step.loop);
  for (BlockId b : *moves(out.program, id, l)) out.results = loop_handles(move(out.program, b, l));
  return out;
}

}  // namespace tecc::schedule
