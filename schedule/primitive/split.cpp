/// split(loop, [f1, .., fn], tail): cut a loop in n + 1 (also called: divide, strip-mine)
///   for i in 0..E:      ->   for i0 in 0..ceildiv(E, f1*..*fn):
///     S(i)                     for i1 in 0..f1: ..
///                                S(i0*f1.. + i1..)           # instances with i >= E do not exist: the block's guard
/// Results  n + 1 loops, outermost first.
/// Keeps    every instance of S, once, in the same order.
/// Refuses  E0305 a factor < 1; E0306 tail=exact and the product does not divide E; E0307 the same for a symbolic E; E0342 the
///          product of the factors exceeds 64 bits.
/// Source   Ragan-Kelley et al., PLDI 2013, "domain order".
#include <fmt/format.h>

#include <numeric>

#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const Split& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  std::int64_t product = 1;
  for (const std::int64_t f : step.factors)
    if (f < 1) return refuse(Code::factor_below_one, say(p, l), f);
    else if (__builtin_mul_overflow(product, f, &product)) return refuse(Code::factors_overflow, say(p, l));
  if (step.factors.empty()) return refuse(Code::missing_argument, "split", "factors");
  if (step.tail == Tail::exact) {
    const auto extent = loop::constant_extent(p, l);
    if (!extent) return refuse(Code::tail_open, say(p, l), product, print(p.loop(l).extent, loop::names_of(p)));
    if (*extent % product) {
      std::string divisors;
      for (std::int64_t d = 1; d <= std::min<std::int64_t>(*extent, 64); ++d)
        if (*extent % d == 0) divisors += (divisors.empty() ? "" : ", ") + std::to_string(d);
      return refuse(Code::tail_left, say(p, l), product, *extent, divisors);
    }
  }
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
  retire(p, old, loop::normal(p, digits), top);
  return out;
}

}  // namespace tecc::schedule
