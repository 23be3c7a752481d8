/// decompose_reduction(block, loop): the identity is stored by a block of its own, before `loop` (also called: init split)
///   for k: C += v      ->      C = 0;  for k: C += v
/// Results  the initialising block.
///
/// rfactor(block, loop): the iterations of `loop` get partial results of their own, which a new block then combines
///   for k1: for k0: C += v      ->      for k1: for k0: rf[k1] += v;      for k1: C += rf[k1]
/// Results  the block that combines (the old block now writes the partial results).
///
/// cross_thread_reduce(blocks, at): the loops of the reduction that are bound to threads are combined across the threads, right
/// after the statement under `at` that holds the block; afterwards every thread has the whole. Results none.
///
/// scan(blocks, at): the loops of a prefix scan that are bound to threads, directly inside `at`, are shared in three phases: each thread
/// scans its own elements, the threads' totals are scanned, each thread adds what came before its own. Results none.
///
/// Refuses  E0325 no reduction; E0396 no scan; E0326 the loop does not cut it; E0312 the block writes an output (cache_write first);
///          E0323 the block is not inside `at`; E0345 cross_thread_reduce a second time; E0351 the reduction's
///          identity is stored by another block; E0353 rfactor over a loop whose extent follows other loops; E0320 rfactor where the loops around
///          the reduction cut its other axes into parts that are not known.
#include <fmt/format.h>

#include "schedule/primitive/made_region.h"

namespace tecc::schedule {
namespace {

std::vector<std::string> reduction_loops(const Program& p, BlockId b) {
  std::vector<std::string> names;
  for (LoopId l : loop::loops_around(p, b))
    if (loop::feeds(p, l, p.block(b), IterKind::reduce)) names.push_back(say(p, l));
  return names;
}

std::vector<Expr> axes_of(const Block& b, IterKind kind) {
  std::vector<Expr> out;
  for (const Iter& i : b.iters)
    if (i.kind == kind) out.push_back(var(i.var));
  return out;
}

bool is_sum_like(const Block& b) {
  return b.combiner && b.writes.size() == 1 && std::any_of(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::reduce; });
}

}  // namespace

Check check(const State& state, const DecomposeReduction& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  if (!p.block(id).combiner || loop::is_scan(p.block(id)) || !outermost_reduction_loop(p, id)) return refuse(Code::not_reduction, say_block(p, id));
  if (p.block(id).init == loop::Init::apart) return refuse(Code::initialised_already, say_block(p, id));
  const LoopId first = *outermost_reduction_loop(p, id);
  if (!loop::is_inside(p, id, l) || !loop::is_inside(p, first, l))
    return refuse(Code::not_its_loop, say_block(p, id), say(p, l), "the whole reduction", "a loop at or around '" + say(p, first) + "'");
  // Where each of these iterations computes the block anew, the identity must be stored anew, too.
  std::vector<LoopId> inside = loop::loops_around(p, id);
  inside.erase(inside.begin(), std::find(inside.begin(), inside.end(), l));
  if (l != first && counted_again(p, id, inside)) return refuse(Code::not_its_loop, say_block(p, id), say(p, l), "the one and only run", "'" + say(p, first) + "'");
  for (BlockId r : l == first ? std::vector<BlockId>{} : loop::readers_of(p, p.block(id).writes[0].buffer))
    if (r != id && loop::is_inside(p, r, l)) return refuse(Code::not_its_loop, say_block(p, id), say(p, l), "the one and only run", "'" + say(p, first) + "'");
  return Ok{};
}

Applied apply(const State& state, const DecomposeReduction& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const LoopId l = *loop_of(state, step.loop);
  out.results = {BlockHandle{loop::decompose(p, id, l)}};
  return out;
}

namespace {

/// The digits of an iteration around the one of loop `l`: those below its stride, and those above, counted in units.
struct Around {
  std::int64_t stride = 1, unit = 0;  // unit 0: there are none above
  Binding low, high;
};
/// nullopt if the others do not line up with it.
std::optional<Around> around_digit(const Program& p, const Binding& binding, LoopId l) {
  Around out;
  for (const Digit& d : binding.digits)
    if (d.loop == l) out.stride = d.stride;
  const std::int64_t run = out.stride * (loop::range_of(p, l).high + 1);
  for (const Digit& d : binding.digits) {
    if (d.loop == l) continue;
    const bool above = d.stride >= out.stride && loop::range_of(p, Digit{d.loop, d.div, d.mod, 1}).high > 0;
    (above ? out.high : out.low).digits.push_back(d);
    if (above) out.unit = out.unit ? std::min(out.unit, d.stride) : d.stride;
  }
  for (Digit& d : out.high.digits) {
    if (d.stride % out.unit) return std::nullopt;
    d.stride /= out.unit;
  }
  const bool fits = out.stride > 0 && binding.offset == 0 && loop::range_of(p, out.low).high < out.stride && (!out.unit || run <= out.unit);
  return fits ? std::optional(out) : std::nullopt;
}

}  // namespace

Check check(const State& state, const Rfactor& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  const Block& b = p.block(id);
  if (!is_sum_like(b)) return refuse(Code::not_reduction, b.name);
  if (b.init == loop::Init::apart) return refuse(Code::initialised_already, b.name);
  bool plain = false;  // the loop is a digit of one reduce iteration, not hidden in a retired loop
  for (const Iter& i : b.iters)
    for (const Digit& d : i.binding.digits) plain |= i.kind == IterKind::reduce && d.loop == l && d.div == 1 && d.mod == 0;
  for (const Iter& i : b.iters)
    if (i.kind == IterKind::reduce && loop::depends_on(p, i.binding, l)) plain &= around_digit(p, i.binding, l).has_value();
  if (!loop::is_inside(p, id, l) || !plain || loop::feeds(p, l, b, IterKind::spatial))
    return refuse(Code::not_its_loop, b.name, say(p, l), "the reduction", say_list(reduction_loops(p, id)));
  bool follows = false;  // the extent names another loop
  walk(p.loop(l).extent, [&](const Expr& e) {
    if (const auto* v = e.as<Var>()) follows |= loop::loop_of_var(p, v->id).has_value();
    return true;
  });
  if (follows) return refuse(Code::ragged_factor, say(p, l), print(p.loop(l).extent, loop::names_of(p)));
  const LoopId first = *outermost_reduction_loop(p, id);
  if (loop::blocks_under(p, first).size() != 1) return refuse(Code::not_alone, b.name, say_block(p, loop::blocks_under(p, first)[0]));
  const StmtId home = p[first].parent;  // where the parts are combined: of what its iteration made
  if (p[home].as<Loop>() && !made_region(p, b, axes_of(b, IterKind::spatial), fixed_around(p, home)))
    return refuse(Code::repeats, b.name, say(p, home), "the part that it writes is not known");
  return Ok{};
}

Applied apply(const State& state, const Rfactor& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const LoopId l = *loop_of(state, step.loop);
  const Block old = p.block(id);
  const LoopId first = *outermost_reduction_loop(p, id);
  const StmtId home = p[first].parent;
  const Write target = old.writes[0];
  const std::string name = p.vars[p.loop(l).var].name;

  Buffer partial;
  partial.name = p[target.buffer].name + ".rf";
  partial.type = p[target.buffer].type;
  partial.shape = p[target.buffer].shape;
  partial.shape.insert(partial.shape.begin(), p.loop(l).extent);
  const TensorId rf = p.buffers.add(partial);

  // The old block: the loop becomes a spatial iteration, its digit leaves the reduce iteration.
  Block b = old;
  b.name = partial.name;
  Iter factor{loop::add_var(p, name), IterKind::spatial, 0, p.loop(l).extent, {{Digit{l}}, 0}};
  std::map<VarId, Expr> shifted;
  std::vector<Iter> slower;
  for (Iter& i : b.iters) {
    if (i.kind != IterKind::reduce || !loop::depends_on(p, i.binding, l)) continue;
    const Around around = *around_digit(p, i.binding, l);
    shifted[i.var] = var(i.var) + var(factor.var) * around.stride;
    const auto upper = constant_of(i.upper), parts = constant_of(factor.upper);
    if (around.unit) {  // the other digits as two iterations without holes
      Iter high{loop::add_var(p, p.vars[i.var].name + "_"), IterKind::reduce, 0, ceil_div(i.upper, index_literal(around.unit)), around.high};
      shifted[i.var] = shifted[i.var] + var(high.var) * around.unit;
      slower.push_back(std::move(high));
    }
    if (around.unit || !upper || !parts || *upper != *parts * around.stride) b.predicate.push_back(make(Binary{BinOp::less, shifted[i.var], i.upper}, DType::boolean));
    i.upper = index_literal(around.stride);
    i.binding = around.low;
  }
  const auto shift = [&](const Expr& e) {
    return substitute(e, [&](VarId v) { return shifted.count(v) ? shifted[v] : Expr(); });
  };
  b.writes[0].value = shift(b.writes[0].value);
  for (std::size_t n = 0; n < old.predicate.size(); ++n) b.predicate[n] = shift(b.predicate[n]);
  b.writes[0].buffer = rf;
  b.writes[0].index.insert(b.writes[0].index.begin(), var(factor.var));
  b.iters.push_back(factor);  // behind the others: handles name axes by number
  b.axes.push_back(l);
  for (Iter& i : slower) {
    b.iters.push_back(std::move(i));
    b.axes.push_back({});
  }

  // The new block combines: the old spatial axes as one iteration of `home` sees them, and the factor as its reduction.
  Block sum;
  sum.name = old.name;
  sum.combiner = old.combiner;
  const auto fixed = fixed_around(p, home);
  std::vector<RegionAxis> axes;
  std::map<VarId, Expr> mine;
  for (const Iter& i : old.iters) {
    if (i.kind != IterKind::spatial) continue;
    Iter copy = i;
    copy.var = loop::add_var(p, p.vars[i.var].name);
    mine[i.var] = var(copy.var);
    axes.push_back({p.vars[i.var].name, loop::region_of(p, old, var(i.var), fixed), i.upper});
    sum.iters.push_back(copy);
  }
  const auto as_mine = [&](const Expr& e) {
    return substitute(e, [&](VarId v) { return mine.count(v) ? mine[v] : Expr(); });
  };
  for (Iter& i : sum.iters) i.upper = as_mine(i.upper);
  Iter over{loop::add_var(p, name), IterKind::reduce, 0, p.loop(l).extent, {}};
  axes.push_back({name, Region{{}, {}, 1, false, true}, p.loop(l).extent});
  sum.iters.push_back(over);
  std::vector<Expr> index;
  for (const Expr& e : target.index) index.push_back(as_mine(e));
  std::vector<Expr> rf_index = index;
  rf_index.insert(rf_index.begin(), var(over.var));
  sum.writes = {{target.buffer, index, make(tecc::Read{rf, rf_index, Expr()}, partial.type)}};

  p.stmts.edit(id, [&](Stmt& s) { s.node = std::move(b); });
  const std::size_t position = loop::position_in_parent(p, first) + 1;
  const RegionNest nest = make_nest(p, home, position, axes, p[id].at);
  for (std::size_t n = 0; n < sum.iters.size(); ++n) {
    sum.iters[n].binding = nest.bindings[n];
    sum.axes.push_back(nest.loops[n].value_or(StmtId{}));
  }
  const BlockId made = loop::add_stmt(p, nest.innermost, nest.innermost == home ? position : 0, Stmt{{}, {}, std::move(sum), p[id].at});
  out.results = {BlockHandle{made}};
  return out;
}

std::optional<BlockId> used_outside(const Program& p, BlockId sum, LoopId at) {
  if (loop::is_scan(p.block(sum))) return std::nullopt;
  const auto combiner = p.block(sum).combiner;
  const bool positions = combiner == Reducer::argmax || combiner == Reducer::argmin;  // of many rows, beside the values of one iteration
  if (combiner != Reducer::sum && combiner != Reducer::prod && !positions) return std::nullopt;
  for (const Write& w : p.block(sum).writes)
    for (const auto& users : {loop::readers_of(p, w.buffer), loop::writers_of(p, w.buffer)})
      for (BlockId b : users)
        if (loop::root_of(p, b) == loop::root_of(p, sum) && !loop::is_inside(p, b, at)) return b;
  return std::nullopt;
}

namespace {

Check not_combined(const Program& p, BlockId id) {
  for (const loop::CrossThread& c : p.cross_threads)
    if (c.block == id) return refuse(Code::combined_already, p.block(id).name);
  return Ok{};
}

/// Notes the blocks for lowering; what a thread makes of them is its own.
Applied combined_at(const State& state, const std::vector<Ref>& blocks, const Ref& at) {
  Applied out{state.program, {}};
  for (BlockId id : *blocks_of(state, blocks)) {
    out.program.cross_threads.push_back({id, *loop_of(state, at)});
    for (const Write& w : state.program.block(id).writes)
      if (state.program[w.buffer].role == loop::Role::workspace)
        out.program.buffers.edit(w.buffer, [](Buffer& b) { if (b.scope != Scope::reg) b.scope = Scope::local; });
  }
  return out;
}

}  // namespace

Check check(const State& state, const CrossThreadReduce& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  TECC_TRY(const LoopId l, loop_of(state, step.at));
  const Program& p = state.program;
  for (BlockId id : blocks) {
    const Block& b = p.block(id);
    TECC_CHECK(not_combined(p, id));
    if (!b.combiner || is_scan(b) || !outermost_reduction_loop(p, id)) return refuse(Code::not_reduction, b.name);
    if (!loop::is_inside(p, id, l) || loop::feeds(p, l, b, IterKind::reduce)) {
      std::vector<std::string> names;
      for (LoopId m : loop::loops_around(p, *outermost_reduction_loop(p, id))) names.push_back(say(p, m));
      return refuse(Code::not_inside, b.name, say(p, l), say_list(names));
    }
    if (const auto other = used_outside(p, id, l)) {
      std::vector<std::string> names;
      for (LoopId m : loop::loops_around(p, id))
        if (!loop::feeds(p, m, b, IterKind::reduce) && loop::is_inside(p, *other, m)) names.push_back(say(p, m));
      return refuse(Code::not_inside, say_block(p, *other), say(p, l), say_list(names));
    }
    for (const Write& w : b.writes)
      if (p[w.buffer].role == loop::Role::output) return refuse(Code::is_output, b.name, p[w.buffer].name);
  }
  return Ok{};
}

Applied apply(const State& state, const CrossThreadReduce& step) { return combined_at(state, step.blocks, step.at); }

Check check(const State& state, const Scan& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  TECC_TRY(const LoopId l, loop_of(state, step.at));
  const Program& p = state.program;
  for (BlockId id : blocks) {
    TECC_CHECK(not_combined(p, id));
    if (!loop::is_scan(p.block(id))) return refuse(Code::not_scan, p.block(id).name);
    if (!loop::is_inside(p, id, l)) {
      std::vector<std::string> names;
      for (LoopId m : loop::loops_around(p, id)) names.push_back(say(p, m));
      return refuse(Code::not_inside, p.block(id).name, say(p, l), say_list(names));
    }
  }
  return Ok{};
}

Applied apply(const State& state, const Scan& step) { return combined_at(state, step.blocks, step.at); }

}  // namespace tecc::schedule
