/// cache_read([readers], tensor, scope, at): the readers read a copy, made under `at` for just the part that one iteration of
/// it reads (also called: stage_mem, prefetch)
///   for k0: .. A[i, k0*8+k1] ..     ->   for k0:
///                                          for x, y: as[x, k0*8+y] = A[x, k0*8+y]
///                                          .. as[i, k0*8+k1] ..
/// Results  the buffer of the copy and the copying block, whose loops are the tensor's dimensions.
/// Keeps    every value; outside of the tensor the copy holds the fill of the reads (`else v`); in global memory, which has no
///          room outside of the tensor, the reads keep it.
/// Refuses  E0322 a block does not read the tensor; E0323 a reader is not inside `at`; E0324 reads with different fills;
///          E0321 the tensor is not complete at that place; E0355 a copy with a rim cannot be copied to global memory.
#include "schedule/primitive/cache_factor.h"

namespace tecc::schedule {
namespace {

/// The iteration that writes dimension `d` of a copy, whose domain may be larger than the tensor.
const Iter* defined_by(const Program& p, TensorId tensor, std::size_t d) {
  const std::vector<BlockId> writers = loop::writers_of(p, tensor);
  if (writers.size() != 1) return nullptr;
  const Block& b = p.block(writers[0]);
  const auto* v = b.combiner ? nullptr : b.writes[0].index[d].as<Var>();
  const Iter* i = v ? iter_of(b, v->id) : nullptr;
  return i && constant_of(i->upper) ? i : nullptr;
}

/// The loop that alone counts through a region, where its extent follows other loops: a part of a triangle.
std::optional<LoopId> ragged_loop(const Program& p, const Region& r) {
  for (const Digit& d : r.varying) {
    bool follows = false;
    walk(p.loop(d.loop).extent, [&](const Expr& e) {
      if (const auto* v = e.as<Var>()) follows |= loop::loop_of_var(p, v->id).has_value();
      return true;
    });
    if (follows) return d.loop;
  }
  return std::nullopt;
}
/// True if the copy of `want`, made under `l`, runs no further than the loop `made` that fills it.
bool runs_along(const Program& p, const Region& want, LoopId made, LoopId l) {
  if (want.varying.empty()) return want.exact && want.span == 1;
  if (want.varying.size() != 1 || want.varying[0].div != 1 || want.varying[0].mod != 0 || p.loop(want.varying[0].loop).retired) return false;
  const auto fixed = fixed_around(p, l);
  return same_value(loop::relaxed(p, p.loop(want.varying[0].loop).extent, [&](LoopId x) { return !fixed(x); }), p.loop(made).extent);
}

/// True if a copy of what `reader` reads under `l` would also read elements of a tensor that is computed part by part, and not this one:
/// the copy is made for the box around all that the loops can reach, also beyond the reader's domain.
bool copies_too_much(const Program& p, BlockId reader, TensorId tensor, LoopId l) {
  const Block& b = p.block(reader);
  // A predicate (of rfactor) leaves out iterations whose indices nobody else keeps apart.
  const bool within = b.predicate.empty() && std::all_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) { return loop::stays_below(p, b, i); });
  const std::vector<Region> copied = read_region(p, reader, tensor, fixed_around(p, l));
  for (BlockId w : loop::writers_of(p, tensor)) {
    if (loop::root_of(p, w) != loop::root_of(p, reader)) continue;
    const StmtId meet = loop::common_ancestor(p, w, l);
    for (const Write& made : p.block(w).writes)
      for (std::size_t d = 0; made.buffer == tensor && d < copied.size(); ++d) {
        const std::int64_t extent = loop::largest(p, p[tensor].shape[d]);
        const Region have = loop::region_of(p, p.block(w), made.index[d], fixed_around(p, meet));
        const Region want = copied[d];
        if (const auto ragged = ragged_loop(p, have)) {
          if (!within || !runs_along(p, want, *ragged, l)) return true;
          continue;
        }
        if (!have.whole && have.fixed.digits.empty() && have.fixed.offset <= 0 && have.fixed.offset + have.span >= extent) continue;
        if (want.whole) return true;  // an index that is no sum of digits: all of the dimension would be copied
        if (within) continue;
        // The varying part of the copy moves along with loops below the meeting point; those count as varying here.
        Binding fixed = want.fixed;
        std::int64_t high = want.span;
        std::erase_if(fixed.digits, [&](const loop::Digit& x) {
          if (std::find(have.fixed.digits.begin(), have.fixed.digits.end(), x) != have.fixed.digits.end()) return false;
          high += loop::range_of(p, x).high;
          return true;
        });
        const bool inside = !have.whole && !want.whole && fixed.digits == have.fixed.digits && fixed.offset >= have.fixed.offset &&
                            fixed.offset + high <= have.fixed.offset + have.span;
        if (!inside) return true;
      }
  }
  return false;
}

}  // namespace

Check check(const State& state, const CacheRead& step) {
  if (step.tensor.base == Ref::Base::factor) return check_factor(state, step);
  TECC_TRY(const std::vector<BlockId> readers, blocks_of(state, step.readers));
  TECC_TRY(const TensorId tensor, buffer_of(state, step.tensor));
  TECC_TRY(const LoopId l, loop_of(state, step.at));
  const Program& p = state.program;
  if (readers.empty()) return refuse(Code::missing_argument, "cache_read", "readers");
  std::optional<Expr> fill;
  for (BlockId r : readers) {
    const Block& b = p.block(r);
    if (!loop::reads(b, tensor)) {
      std::vector<std::string> names;
      for (TensorId t : loop::read_buffers(b)) names.push_back(p[t].name);
      return refuse(Code::not_reader, b.name, p[tensor].name, say_list(names));
    }
    if (!loop::is_inside(p, r, l)) {
      std::vector<std::string> names;
      for (LoopId m : loop::loops_around(p, r)) names.push_back(say(p, m));
      return refuse(Code::not_inside, b.name, say(p, l), say_list(names));
    }
    bool differs = false;
    for_each_read(b, tensor, [&](const tecc::Read& read) {
      if (!fill) fill = read.otherwise;
      else if (static_cast<bool>(*fill) != static_cast<bool>(read.otherwise) || (*fill && !same_value(*fill, read.otherwise))) differs = true;
    });
    if (differs) return refuse(Code::fill_differs, p[tensor].name);
  }
  for (BlockId w : loop::writers_of(p, tensor))
    if (step.scope == Scope::global && has_rim(p, w)) return refuse(Code::copy_with_rim, p[tensor].name);
  for (BlockId w : loop::writers_of(p, tensor))
    if (loop::is_inside(p, w, l)) {
      for (BlockId r : readers)
        if (loop::child_towards(p, l, w) == loop::child_towards(p, l, r)) return refuse(Code::too_early, say_block(p, r), p[tensor].name);
    }
  for (BlockId r : readers)
    if (copies_too_much(p, r, tensor, l)) return refuse(Code::too_early, "a copy for " + say_block(p, r), p[tensor].name);
  return Ok{};
}

Applied apply(const State& state, const CacheRead& step) {
  if (step.tensor.base == Ref::Base::factor) return apply_factor(state, step);
  Applied out{state.program, {}};
  Program& p = out.program;
  const std::vector<BlockId> readers = *blocks_of(state, step.readers);
  const TensorId tensor = *buffer_of(state, step.tensor);
  const LoopId l = *loop_of(state, step.at);
  const auto fixed = fixed_around(p, l);

  std::vector<Region> regions;
  std::size_t position = p[l].children.size();
  Expr fill;
  std::vector<loop::Interval> reach;  // of the indices of reads with a fill: the copy holds what lies outside, too
  for (BlockId r : readers) {
    const std::vector<Region> one = read_region(p, r, tensor, fixed);
    if (regions.empty()) regions = one;
    else
      for (std::size_t d = 0; d < one.size(); ++d) regions[d] = hull(p, regions[d], one[d]);
    position = std::min(position, loop::position_in_parent(p, loop::child_towards(p, l, r)));
    for_each_read(p.block(r), tensor, [&](const tecc::Read& read) {
      fill = read.otherwise;
      for (std::size_t d = 0; d < read.index.size(); ++d) {
        const std::int64_t extent = loop::largest(p, p[tensor].shape[d]);
        const auto range = fill ? loop::range_of(p, &p.block(r), read.index[d]) : std::nullopt;
        const loop::Interval wide = range ? loop::Interval{std::min<std::int64_t>(range->low, 0), std::max(range->high, extent - 1)}
                                          : loop::Interval{0, extent - 1};
        if (reach.size() <= d) reach.push_back(wide);
        else reach[d] = {std::min(reach[d].low, wide.low), std::max(reach[d].high, wide.high)};
      }
    });
  }

  Copy copy = make_copy(p, tensor, step.scope == Scope::shared ? "shared" : step.scope == Scope::reg ? "register" : "local", step.scope, regions);
  const TensorId buffer = copy.buffer;
  for (std::size_t d = 0; d < copy.axes.size(); ++d) {
    Iter& i = copy.block.iters[d];
    if (const Iter* defined = defined_by(p, tensor, d)) {  // a copy of a copy that holds a fill holds it, too
      i.lower = defined->lower;
      i.upper = defined->upper;
    }
    if (fill && step.scope != Scope::global && (reach[d].low < 0 || reach[d].high >= loop::largest(p, p[tensor].shape[d]))) {
      i.lower = reach[d].low;
      i.upper = index_literal(reach[d].high + 1);
    }
    copy.axes[d].extent = i.upper;
    copy.axes[d].lower = i.lower;
  }
  if (const std::vector<BlockId> writers = loop::writers_of(p, tensor); writers.size() == 1 && !fill) follow_ragged(p.block(writers[0]), tensor, copy);
  const Expr element = make(tecc::Read{tensor, copy.index, fill}, p[tensor].type);
  const BlockId id = place_copy(p, std::move(copy), buffer, element, l, position);

  for (BlockId r : readers)
    p.stmts.edit(r, [&](Stmt& s) {
      rewrite_block(std::get<Block>(s.node), [&](const Expr& e) {
        const auto* read = e.as<tecc::Read>();
        return read && read->tensor == tensor ? make(tecc::Read{buffer, read->index, step.scope == Scope::global ? read->otherwise : Expr()}, e->type, e->at) : e;
      });
    });
  out.results = {BufferHandle{buffer}, BlockHandle{id}};
  return out;
}

}  // namespace tecc::schedule
