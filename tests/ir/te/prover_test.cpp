#include "ir/te/prover.h"

#include "ir/integer/pattern.h"
#include "tests/support/catch.h"

// What is proved of small formulas against all their values.

using namespace tecc;
using integer::compute;

namespace {

struct Point { std::int64_t i, j, n; };

std::optional<std::int64_t> evaluate(const Expr& e, const Point& at) {
  if (const auto c = constant_of(e)) return c;
  if (const auto* v = e.as<Var>()) return v->id.n == 0 ? at.i : v->id.n == 1 ? at.j : at.n;
  const auto& b = *e.as<Binary>();
  const auto x = evaluate(b.a, at), y = evaluate(b.b, at);
  return x && y ? compute(b.op, *x, *y) : std::nullopt;
}

}  // namespace

TEST_CASE("prover: what it proves of formulas of two operators is true, and bounds of plain ones are found") {
  // n in 4, 8, 12; i below n; j below 3.
  const VarId i{0}, j{1}, n{2};
  te::Prover prover({{n, te::DimRange{4, 12, 4}}});
  prover.enter({i, var(n), {}});
  prover.enter({j, index_literal(3), {}});
  std::vector<Point> points;
  for (const std::int64_t n : {4, 8, 12})
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < 3; ++j) points.push_back({i, j, n});
  const std::vector<Expr> leaves = {var(i), var(j), var(n), index_literal(-1), index_literal(3), index_literal(4)};
  const BinOp ops[] = {BinOp::add, BinOp::sub, BinOp::mul, BinOp::div, BinOp::mod, BinOp::min, BinOp::max};
  std::int64_t formulas = 0, false_bounds = 0, exact = 0, outside = 0;
  for (const BinOp inner : ops)
    for (const Expr& a : leaves)
      for (const Expr& b : leaves)
        for (const BinOp outer : ops)
          for (const Expr& c : leaves) {
            const Expr e = make(Binary{outer, make(Binary{inner, a, b}), c});
            std::int64_t least = INT64_MAX, most = INT64_MIN;
            bool defined = true;
            for (const Point& p : points) {
              const auto v = evaluate(e, p);
              if (!(defined &= v.has_value())) break;
              least = std::min(least, *v), most = std::max(most, *v);
            }
            if (!defined) continue;
            ++formulas;
            const auto range = prover.range(e);
            outside += range && (range->first > least || range->last < most);
            false_bounds += prover.at_least(e, least + 1) + prover.at_least(index_literal(most - 1), e);
            exact += prover.at_least(e, least) && prover.at_least(index_literal(most), e);
          }
  INFO(formulas << " formulas, both bounds of " << exact << " proved");
  CHECK(false_bounds == 0);
  CHECK(outside == 0);
  CHECK(exact > formulas / 2);
}

TEST_CASE("prover: a condition that holds, and one that does not") {
  const VarId i{0};
  const Expr x = var(i), middle = make(Binary{BinOp::less, x, index_literal(5)}, DType::boolean);
  te::Prover prover({});
  prover.enter({i, index_literal(10), {}});
  const auto mark = prover.mark();
  prover.assume(middle, true);
  CHECK(prover.at_least(index_literal(4), x));
  prover.back(mark);
  CHECK(!prover.at_least(index_literal(4), x));
  prover.assume(middle, false);
  CHECK(prover.at_least(x, 5));
  CHECK(!prover.at_least(x, 6));
}
