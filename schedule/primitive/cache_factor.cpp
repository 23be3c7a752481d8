/// cache_read([reader], n, scope, at): the n-th factor of the reader's product is computed into a buffer, for just the part that one
/// iteration of `at` needs; the reader multiplies what is there
///   for j0: for j1: o += f32(T(e[j0*8+j1])) * v    ->   for j0: for j1: p[j0*8+j1] = T(e[j0*8+j1])
///                                                       for j1: o += f32(p[j0*8+j1]) * v
/// Results  the buffer and the computing block, whose loops are the reader's axes that the factor uses.
/// Keeps    every value: a cast to a wider type stays with the reader.
/// Refuses  E0368 no such factor; E0323 the reader is not inside `at`; E0327 global memory.
#include "schedule/primitive/cache_factor.h"

namespace tecc::schedule {
namespace {

const Binary* product_in(const Block& b) {
  const auto* x = b.writes.size() == 1 ? b.writes[0].value.as<Binary>() : nullptr;
  return x && x->op == BinOp::mul ? x : nullptr;
}

/// What is stored: a factor f32(x) of a narrower x keeps its cast in the reader.
Expr stored(const Expr& factor) {
  const auto* c = factor.as<Cast>();
  return c && is_float(factor->type) && is_float(c->a->type) && bytes_of(c->a->type) < bytes_of(factor->type) ? c->a : factor;
}

}  // namespace

Check check_factor(const State& state, const CacheRead& step) {
  TECC_TRY(const std::vector<BlockId> readers, blocks_of(state, step.readers));
  TECC_TRY(const LoopId l, loop_of(state, step.at));
  const Program& p = state.program;
  if (readers.size() != 1) return refuse(Code::missing_argument, "cache_read", "readers: one block, whose factor it is");
  const Block& b = p.block(readers[0]);
  if (!product_in(b)) return refuse(Code::no_factor, b.name, step.tensor.index);
  if (step.scope == Scope::global) return refuse(Code::scope_global, fmt_factor(b, step.tensor.index), "a factor");
  if (!loop::is_inside(p, readers[0], l)) {
    std::vector<std::string> names;
    for (LoopId m : loop::loops_around(p, readers[0])) names.push_back(say(p, m));
    return refuse(Code::not_inside, b.name, say(p, l), say_list(names));
  }
  return Ok{};
}

Applied apply_factor(const State& state, const CacheRead& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId reader = (*blocks_of(state, step.readers))[0];
  const LoopId l = *loop_of(state, step.at);
  const Block old = p.block(reader);
  const Binary& product = *product_in(old);
  const Expr factor = step.tensor.index == 0 ? product.a : product.b, value = stored(factor);

  Buffer buffer;
  buffer.name = fmt_factor(old, step.tensor.index);
  buffer.type = value->type;
  buffer.scope = step.scope;
  Block b;
  b.name = buffer.name;
  std::vector<RegionAxis> axes;
  std::vector<Expr> index, here;
  std::map<VarId, Expr> mine;
  for (const Iter& i : old.iters) {
    if (!uses(value, i.var)) continue;
    Iter own{loop::add_var(p, p.vars[i.var].name), IterKind::spatial, i.lower, substitute(i.upper, [&](VarId v) { const auto found = mine.find(v); return found == mine.end() ? Expr() : found->second; }), {}};
    Expr extent = i.upper;
    for (const Iter& other : old.iters)
      if (uses(extent, other.var)) extent = index_literal(loop::largest(p, extent));
    buffer.shape.push_back(extent);
    axes.push_back({p.vars[i.var].name, loop::region_of(p, old, var(i.var), fixed_around(p, l)), extent});
    mine[i.var] = var(own.var);
    index.push_back(var(own.var));
    here.push_back(var(i.var));
    b.iters.push_back(std::move(own));
  }
  const TensorId made = p.buffers.add(buffer);
  b.writes = {{made, index, substitute(value, [&](VarId v) { const auto found = mine.find(v); return found == mine.end() ? Expr() : found->second; })}};
  const std::size_t position = loop::position_in_parent(p, loop::child_towards(p, l, reader));
  const RegionNest nest = make_nest(p, l, position, axes, p[l].at);
  for (std::size_t d = 0; d < b.iters.size(); ++d) {
    b.iters[d].binding = nest.bindings[d];
    b.axes.push_back(nest.loops[d].value_or(StmtId{}));
  }
  const BlockId id = loop::add_stmt(p, nest.innermost, nest.innermost == l ? position : 0, Stmt{{}, {}, std::move(b), p[reader].at});
  p.stmts.edit(reader, [&](Stmt& s) {
    Write& w = std::get<Block>(s.node).writes[0];
    Expr read = make(tecc::Read{made, here, Expr()}, value->type, factor->at);
    if (value != factor) read = make(Cast{factor->type, read}, factor->type, factor->at);
    const Expr a = step.tensor.index == 0 ? read : product.a, c = step.tensor.index == 0 ? product.b : read;
    w.value = make(Binary{BinOp::mul, a, c}, w.value->type, w.value->at);
  });
  out.results = {BufferHandle{made}, BlockHandle{id}};
  return out;
}

}  // namespace tecc::schedule
