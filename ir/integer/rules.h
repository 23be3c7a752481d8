#pragma once
#include <tuple>

#include "ir/integer/pattern.h"

/// The rules by which index expressions become simpler. x, y stand for expressions, c, d, s, t, m for literals; `/` and `%` floor. A
/// rule holds for all integers for which the left side has a value and the condition is true: tests/ir/integer/rules_test.cpp walks
/// these tables and tries every one, so that a new row needs no test of its own.
namespace tecc::integer {

template <Pattern Before, Pattern After, Pattern If, bool one_way = false>
struct Rule {
  Before before;
  After after;
  If condition;
};

namespace tables {

template <Pattern B, Pattern A, Pattern If>
constexpr Rule<B, A, If> rule(B before, A after, If condition) { return {before, after, condition}; }
template <Pattern B, Pattern A>
constexpr Rule<B, A, Number> rule(B before, A after) { return {before, after, {1}}; }
template <Pattern B>
constexpr Rule<B, Number, Number> rule(B before, std::int64_t after) { return {before, {after}, {1}}; }
template <Pattern B, Pattern If>
constexpr Rule<B, Number, If> rule(B before, std::int64_t after, If condition) { return {before, {after}, condition}; }
/// A rule that holds without its condition, but would undo itself, or change nothing.
template <Pattern B, Pattern A, Pattern If>
constexpr Rule<B, A, If, true> one_way(B before, A after, If condition) { return {before, after, condition}; }

inline constexpr Any<0> x;
inline constexpr Any<1> y;
inline constexpr Constant<0> c;
inline constexpr Constant<1> d;
inline constexpr Constant<2> s;
inline constexpr Constant<3> t;
inline constexpr Constant<4> m;

// clang-format off
/// Used wherever index arithmetic is written (ir/expr.h). They hold for integers that wrap, too. Two literals are computed before.
inline constexpr std::tuple folds{
    rule(c + x,             x + c),
    rule(x + 0,             x),
    rule((x + c) + d,       x + (c + d)),
    one_way(x + c,          x - (0 - c),        c < 0),
    one_way(x - c,          x + (0 - c),        c < 0),
    rule(x - 0,             x),
    rule((x + c) - d,       x + (c - d)),
    rule(x - x,             0),
    rule((x + c) - x,       c),
    rule(x - (x + c),       0 - c),
    rule((x + c) - (x + d), c - d),
    rule(x * 0,             0),
    rule(0 * x,             0),
    rule(x * 1,             x),
    rule(1 * x,             x),
    rule(x / 1,             x),
    rule(x % 1,             0),
    rule(min(x, x),         x),
    rule(max(x, x),         x),
};

/// Used where what is known of the variables is at hand (simplify.h), on values of which none can leave i64.
inline constexpr std::tuple rules{
    // Quotients: what d divides is taken out, what is smaller than a unit is dropped.
    rule(x / d,                                 low(x) / d,                         0 < d && low(x) / d == high(x) / d),
    rule((x * c) / d,                           x * (c / d),                        0 < d && c % d == 0),
    rule((x * c) / d,                           x / (d / c),                        0 < c && 0 < d && d % c == 0),
    one_way((x + c) / d,                        (x + c % d) / d + c / d,            0 < d && c / d != 0),
    rule((x + y) / d,                           x / d + y / d,                      0 < d && multiple(x) % d == 0),
    rule((x + y) / d,                           x / d + y / d,                      0 < d && multiple(y) % d == 0),
    rule((x * c + y) / d,                       x / (d / c),                        0 < c && 0 < d && d % c == 0 && 0 <= low(y) && high(y) < c),
    rule((y + x * c) / d,                       x / (d / c),                        0 < c && 0 < d && d % c == 0 && 0 <= low(y) && high(y) < c),
    rule((x / c) / d,                           x / (c * d),                        0 < c && 0 < d),
    rule((x % c) / d,                           (x / d) % (c / d),                  0 < c && 0 < d && c % d == 0),
    // Remainders.
    rule(x % d,                                 x - low(x) / d * d,                 0 < d && low(x) / d == high(x) / d),
    rule(x % d,                                 0,                                  0 < d && multiple(x) % d == 0),
    one_way((x + c) % d,                        (x + c % d) % d,                    0 < d && c / d != 0),
    rule((x + y) % d,                           y % d,                              0 < d && multiple(x) % d == 0),
    rule((x + y) % d,                           x % d,                              0 < d && multiple(y) % d == 0),
    rule((x * c) % d,                           x % (d / c) * c,                    0 < c && 0 < d && d % c == 0),
    rule((x * c + y) % d,                       x % (d / c) * c + y,                0 < c && 0 < d && d % c == 0 && 0 <= low(y) && high(y) < c),
    rule((y + x * c) % d,                       x % (d / c) * c + y,                0 < c && 0 < d && d % c == 0 && 0 <= low(y) && high(y) < c),
    rule((x % c) % d,                           x % d,                              0 < c && 0 < d && c % d == 0),
    // A digit and what continues it upwards are one digit.
    rule(x / c * c + x % c,                     x),
    rule(x % c + x / c * c,                     x),
    rule(x / c * s + x / d % m * t,             x / d * t,                          0 < d && 0 < m && c == d * m && s == t * m),
    rule(x / c * s + x % c * t,                 x * t,                              0 < c && s == t * c),
    // The smaller and the larger, where ranges tell.
    rule(min(x, y),                             x,                                  high(x) <= low(y)),
    rule(min(x, y),                             y,                                  high(y) <= low(x)),
    rule(max(x, y),                             x,                                  high(y) <= low(x)),
    rule(max(x, y),                             y,                                  high(x) <= low(y)),
    rule(min(min(x, c), d),                     min(x, min(c, d))),
    rule(max(max(x, c), d),                     max(x, max(c, d))),
    // Comparisons: 1 is true.
    rule(x < y,                                 1,                                  high(x) < low(y)),
    rule(x < y,                                 0,                                  high(y) <= low(x)),
    rule(x <= y,                                1,                                  high(x) <= low(y)),
    rule(x <= y,                                0,                                  high(y) < low(x)),
    rule(x == y,                                0,                                  high(x) < low(y) || high(y) < low(x)),
    rule(x != y,                                1,                                  high(x) < low(y) || high(y) < low(x)),
    rule(x == x,                                1),
    rule(x != x,                                0),
    rule(x <= x,                                1),
    rule(x < x,                                 0),
};
// clang-format on

}  // namespace tables

/// What one rule makes of a op b; empty where it does not apply. `at(found)` gives what build() and value() ask.
template <BinOp op, class L, class R, class A, class If, bool one_way>
Expr apply(const Rule<Operation<op, L, R>, A, If, one_way>& r, BinOp is, const Expr& a, const Expr& b, const auto& at) {
  Found found;
  if (is != op || !match(r.before.a, a, found) || !match(r.before.b, b, found)) return {};
  const auto& context = at(found);
  if constexpr (!std::is_same_v<If, Number>)
    if (value(r.condition, context).value_or(0) == 0) return {};
  return build(r.after, context);
}

/// The first rule of a table that applies to a op b; empty: none.
template <class... Rules>
Expr first(const std::tuple<Rules...>& table, BinOp op, const Expr& a, const Expr& b, const auto& at) {
  Expr out;
  std::apply([&](const auto&... rule) { (void)((out = apply(rule, op, a, b, at), static_cast<bool>(out)) || ...); }, table);
  return out;
}

}  // namespace tecc::integer
