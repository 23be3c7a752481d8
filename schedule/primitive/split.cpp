/// split(loop, [f1, .., fn], tail): cut a loop in n + 1 (also called: divide, strip-mine)
///   for i in 0..E:      ->   for i0 in 0..ceildiv(E, f1*..*fn):
///     S(i)                     for i1 in 0..f1: ..
///                                S(i0*f1.. + i1..)           # instances with i >= E do not exist: the block's guard
/// Results  n + 1 loops, outermost first.
/// Keeps    every instance of S, once, in the same order.
/// Refuses  E0305 a factor < 1; E0306 tail=exact and the product does not divide E; E0307 the same for a symbolic E; E0342 the
///          product of the factors exceeds 64 bits; E0352 the loop counts inside of another one and the factors leave a rest.
/// Source   Ragan-Kelley et al., PLDI 2013, "domain order".
#include <fmt/format.h>

#include <numeric>

#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The smallest value of a binding once loop `l` has run past its extent: 0 where that says nothing.
std::int64_t beyond(const Program& p, const Binding& b, LoopId l, std::int64_t extent) {
  std::int64_t low = b.offset;
  for (const Digit& d : b.digits) {
    const auto& retired = p.loop(d.loop).retired;
    std::int64_t value = 0;
    if (d.loop == l) value = extent;
    else if (retired && loop::depends_on(p, *retired, l)) value = beyond(p, *retired, l, extent);
    if (d.mod == 0 && value > 0) low += value / d.div * d.stride;
  }
  return low;
}

/// True if the block may run for more than its part: it copies or computes elements of their own, from tensors that are complete, and nobody
/// else writes them: a sum that has begun must not be set to zero again.
bool may_repeat(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  if (b.combiner || std::any_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return loop::writers_of(p, w.buffer).size() > 1; })) return false;
  for (TensorId t : loop::read_buffers(b))
    for (BlockId w : loop::writers_of(p, t))
      if (loop::root_of(p, w) == loop::root_of(p, id)) return false;
  return true;
}

/// The block that surplus iterations of `l` would run again. Iterations that the block's domain cuts off do no harm: those of a
/// loop that is the slowest digit of an axis. A loop of symbolic extent is such a digit, or (when it runs once at most) none; but where its
/// extent follows loops around it, only an upper bound that follows them, too, cuts it there.
std::optional<BlockId> repeated_by_surplus(const Program& p, LoopId l) {
  const auto extent = loop::constant_extent(p, l);
  const auto names = [](const Expr& e, auto&& whose) {
    bool found = false;
    walk(e, [&](const Expr& x) {
      if (const auto* v = x.as<Var>()) found |= whose(v->id);
      return true;
    });
    return found;
  };
  const bool follows = names(p.loop(l).extent, [&](VarId v) { return loop::loop_of_var(p, v).has_value(); });
  for (BlockId id : loop::blocks_under(p, l)) {
    const Block& b = p.block(id);
    const bool cut = std::any_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) {
      if (!extent) return loop::depends_on(p, i.binding, l) && (!follows || names(i.upper, [&](VarId v) { return loop::iter_of(b, v) != nullptr; }));
      return beyond(p, i.binding, l, *extent) >= loop::largest(p, i.upper);
    });
    if (!cut && !may_repeat(p, id)) return id;
  }
  return std::nullopt;
}

}  // namespace

Check check(const State& state, const Split& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  if (const auto other = loop::raster_partner(p, l)) return refuse(Code::rastered, say(p, l), say(p, *other));
  std::int64_t product = 1;
  for (const std::int64_t f : step.factors)
    if (f < 1) return refuse(Code::factor_below_one, say(p, l), f);
    else if (__builtin_mul_overflow(product, f, &product)) return refuse(Code::factors_overflow, say(p, l));
  if (step.factors.empty()) return refuse(Code::missing_argument, "split", "factors");
  const auto extent = loop::constant_extent(p, l);
  if (step.tail == Tail::exact) {
    if (!extent) return refuse(Code::tail_open, say(p, l), product, print(p.loop(l).extent, loop::names_of(p)));
    if (*extent % product) {
      std::string divisors;
      for (std::int64_t d = 1; d <= std::min<std::int64_t>(*extent, 64); ++d)
        if (*extent % d == 0) divisors += (divisors.empty() ? "" : ", ") + std::to_string(d);
      return refuse(Code::tail_left, say(p, l), product, *extent, divisors);
    }
  }
  if (product > 1 && (!extent || *extent % product))
    if (const auto again = repeated_by_surplus(p, l))
      return refuse(Code::tail_repeats, say(p, l), product, print(p.loop(l).extent, loop::names_of(p)), say_block(p, *again));
  return Ok{};
}

Applied apply(const State& state, const Split& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const LoopId old = *loop_of(state, step.loop);
  const Stmt row = p[old];
  const Loop& loop = *row.as<Loop>();
  const std::string name = p.vars[loop.var].name;
  const std::int64_t product = std::accumulate(step.factors.begin(), step.factors.end(), std::int64_t{1}, std::multiplies<>());

  const StmtId parent = row.parent;
  const std::size_t position = loop::position_in_parent(p, old);
  Binding digits;
  StmtId inner = parent;
  std::int64_t stride = product;
  StmtId top{};
  for (std::size_t n = 0; n <= step.factors.size(); ++n) {
    const Expr extent = n == 0 ? ceil_div(loop.extent, index_literal(product)) : index_literal(step.factors[n - 1]);
    if (n > 0) stride /= step.factors[n - 1];
    const LoopId l = loop::add_loop(p, inner, n == 0 ? position : 0, fmt::format("{}{}", name, n), extent, row.at);
    p.stmts.edit(l, [&](Stmt& s) {
      std::get<Loop>(s.node).kind = loop.kind;
      std::get<Loop>(s.node).group = loop.group;
    });
    if (n == 0) top = l;
    digits.digits.push_back({l, 1, 0, stride});
    out.results.push_back(LoopHandle{l});
    inner = l;
  }
  p.stmts.edit(parent, [&](Stmt& s) { std::erase(s.children, old); });
  p.stmts.edit(inner, [&](Stmt& s) { s.children = row.children; });
  for (StmtId c : row.children) p.stmts.edit(c, [&](Stmt& s) { s.parent = inner; });
  retire(p, old, loop::normal(p, digits, loop::Zeros::stay), top);
  return out;
}

}  // namespace tecc::schedule
