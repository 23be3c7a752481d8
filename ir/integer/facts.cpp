#include "ir/integer/facts.h"

#include <algorithm>
#include <initializer_list>
#include <numeric>

namespace tecc::integer {
namespace {

Range ends(std::initializer_list<__int128> corners) { return {std::min(corners), std::max(corners)}; }

/// Floor division of what fits i64 by what is positive: the library's 128-bit division costs ten times as much.
__int128 quotient(__int128 x, __int128 y) { return floor_div(static_cast<std::int64_t>(x), static_cast<std::int64_t>(y)); }

std::int64_t common(std::int64_t a, std::int64_t b) { return std::gcd(a, b); }

// clang-format off
constexpr Transfer table[] = {
    {BinOp::add, [](const Range& x, const Range& y) -> std::optional<Range> { return Range{x.first + y.first, x.last + y.last}; }, common},
    {BinOp::sub, [](const Range& x, const Range& y) -> std::optional<Range> { return Range{x.first - y.last, x.last - y.first}; }, common},
    {BinOp::mul, [](const Range& x, const Range& y) -> std::optional<Range> { return ends({x.first * y.first, x.first * y.last, x.last * y.first, x.last * y.last}); },
     [](std::int64_t a, std::int64_t b) { std::int64_t ab; return __builtin_mul_overflow(a, b, &ab) ? std::max(a, b) : ab; }},
    {BinOp::min, [](const Range& x, const Range& y) -> std::optional<Range> { return Range{std::min(x.first, y.first), std::min(x.last, y.last)}; }, common},
    {BinOp::max, [](const Range& x, const Range& y) -> std::optional<Range> { return Range{std::max(x.first, y.first), std::max(x.last, y.last)}; }, common},
    {BinOp::div, [](const Range& x, const Range& y) -> std::optional<Range> {
       if (y.first <= 0) return std::nullopt;
       return ends({quotient(x.first, y.first), quotient(x.first, y.last), quotient(x.last, y.first), quotient(x.last, y.last)});
     }, [](std::int64_t a, std::int64_t) -> std::int64_t { return a == 0 ? 0 : 1; }},
    {BinOp::mod, [](const Range& x, const Range& y) -> std::optional<Range> {
       if (y.first <= 0) return std::nullopt;
       if (y.first == y.last && quotient(x.first, y.first) == quotient(x.last, y.first)) {  // one round: x minus a constant
         const __int128 start = quotient(x.first, y.first) * y.first;
         return Range{x.first - start, x.last - start};
       }
       if (x.first >= 0) return Range{x.last < y.first ? x.first : 0, std::min(x.last, y.last - 1)};
       return Range{0, y.last - 1};
     }, common},
};
// clang-format on

}  // namespace

std::span<const Transfer> transfers() { return table; }

const Transfer* transfer_of(BinOp op) {
  const auto* row = std::find_if(std::begin(table), std::end(table), [&](const Transfer& t) { return t.op == op; });
  return row == std::end(table) ? nullptr : row;
}

std::optional<Range> range_of(BinOp op, const Range& x, const Range& y) {
  const Transfer* t = transfer_of(op);
  return t ? t->range(x, y) : std::nullopt;
}
Range negated(const Range& x) { return {-x.last, -x.first}; }
Range hull(const Range& x, const Range& y) { return {std::min(x.first, y.first), std::max(x.last, y.last)}; }

std::int64_t multiple_of(BinOp op, std::int64_t a, std::int64_t b) {
  const Transfer* t = transfer_of(op);
  return t ? t->multiple(a, b) : 1;
}

std::optional<Fact> fact_of(const Expr& e, const Known& known) {
  if (e->type != DType::i64) return std::nullopt;
  if (const auto c = constant_of(e)) return Fact{{*c, *c}, *c == INT64_MIN ? 1 : std::abs(*c)};
  if (const auto* v = e.as<Var>()) return known(v->id).value_or(Fact{});
  std::optional<Fact> out;
  if (const auto* u = e.as<Unary>(); u && u->op == UnOp::neg) {
    if (const auto a = fact_of(u->a, known)) out = Fact{negated(a->range), a->multiple};
  } else if (const auto* s = e.as<Select>()) {
    const auto x = fact_of(s->then, known), y = fact_of(s->otherwise, known);
    if (x && y) out = Fact{hull(x->range, y->range), common(x->multiple, y->multiple)};
  } else if (const auto* b = e.as<Binary>()) {
    const auto x = fact_of(b->a, known), y = x ? fact_of(b->b, known) : std::nullopt;
    const auto range = x && y ? range_of(b->op, x->range, y->range) : std::nullopt;
    if (range) out = Fact{*range, multiple_of(b->op, x->multiple, y->multiple)};
  }
  return out && out->range.fits() ? out : std::nullopt;
}

}  // namespace tecc::integer
