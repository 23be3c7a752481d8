#include "ir/integer/rules.h"

#include <fmt/format.h>

#include <bit>

#include "ir/integer/simplify.h"
#include "tests/support/catch.h"

// Every row of every table of ir/integer against all numbers of a small domain: a new row is tested by standing there.

using namespace tecc;
using namespace tecc::integer;

namespace {

/// Numbers, and facts that hold for them, in the place of a pattern's variables.
struct Numbers {
  std::int64_t any_[most_any] = {}, constant_[most_constants] = {};
  Fact fact_[most_any] = {};

  std::optional<std::int64_t> any(int n) const { return any_[n]; }
  std::optional<std::int64_t> constant(int n) const { return constant_[n]; }
  std::optional<std::int64_t> asked(Ask ask, int n) const {
    const Fact& f = fact_[n];
    return ask == Ask::multiple ? f.multiple : static_cast<std::int64_t>(ask == Ask::low ? f.range.first : f.range.last);
  }
};

/// What a rule names: bits of Any, of Constant, of Any whose range or divisor its condition or right side asks for.
struct Named {
  unsigned any, constants, ranges, multiples;
};
template <class B, class A, class If, bool one_way>
constexpr Named named(const Rule<B, A, If, one_way>&) {
  using X = Traits<B>;
  using Y = Traits<A>;
  using Z = Traits<If>;
  static_assert((Y::any & ~X::any) == 0 && ((Y::constants | Z::constants) & ~X::constants) == 0, "a rule makes something of nothing");
  return {X::any, X::constants, Y::ranges | Z::ranges, Y::multiples | Z::multiples};
}

template <class F>
void each_constants(const Named& named, Numbers& at, int n, const F& f) {
  if (n == most_constants) return f();
  if (!(named.constants >> n & 1)) return each_constants(named, at, n + 1, f);
  const int count = std::popcount(named.constants);
  const std::int64_t low = count > 2 ? -2 : -5, high = count > 2 ? 6 : 9;
  for (at.constant_[n] = low; at.constant_[n] <= high; ++at.constant_[n]) each_constants(named, at, n + 1, f);
}

template <class F>
void each_any(const Named& named, Numbers& at, int n, const F& f) {
  if (n == most_any) return f();
  if (!(named.any >> n & 1)) return each_any(named, at, n + 1, f);
  const std::int64_t most = 7;
  for (const std::int64_t divisor : {1, 2, 3, 4, 6}) {
    if (divisor > 1 && !(named.multiples >> n & 1)) break;
    for (at.any_[n] = -most; at.any_[n] <= most; ++at.any_[n]) {
      if (at.any_[n] % divisor) continue;
      const auto with = [&](std::int64_t first, std::int64_t last) {
        at.fact_[n] = {{first, last}, divisor};
        each_any(named, at, n + 1, f);
      };
      if (!(named.ranges >> n & 1)) with(-most, most);
      else
        for (std::int64_t first = -3; first <= at.any_[n]; ++first)
          for (std::int64_t last = at.any_[n]; last <= 5; ++last) with(first, last);
    }
  }
}

template <class B, class A, class If, bool one_way>
constexpr bool is_one_way(const Rule<B, A, If, one_way>&) { return one_way; }
template <class B, class A, class If, bool one_way>
std::string words(const Rule<B, A, If, one_way>& r) { return fmt::format("{} -> {} if {}", text(r.before), text(r.after), text(r.condition)); }

template <class... R, class F>
void each_rule(const std::tuple<R...>& table, const F& f) { std::apply([&](const auto&... rule) { (f(rule), ...); }, table); }

const Names letters{[](VarId v) { return std::string(1, static_cast<char>('i' + v.n)); }, [](TensorId) { return "T"; }};

/// The value of an index expression; none where it is not defined.
std::optional<std::int64_t> evaluate(const Expr& e, const std::vector<std::int64_t>& at) {
  if (const auto* l = e.as<Literal>()) return l->integer;
  if (const auto* v = e.as<Var>()) return at[v->id.n];
  if (const auto* s = e.as<Select>()) {
    const auto c = evaluate(s->condition, at);
    return c ? evaluate(*c ? s->then : s->otherwise, at) : c;
  }
  const auto& b = *e.as<Binary>();
  const auto x = evaluate(b.a, at), y = evaluate(b.b, at);
  return x && y ? compute(b.op, *x, *y) : std::nullopt;
}

/// A pattern as an expression of the variables 0, 1 that nothing has touched, and what a rule sees of it.
struct Written : Numbers {
  Expr expression_[most_any] = {var(VarId{0}), var(VarId{1})};
  const Expr& expression(int n) const { return expression_[n]; }
  Expr make(BinOp op, const Expr& a, const Expr& b) const { return tecc::make(Binary{op, a, b}); }
};
template <class Row>
bool applies(const Row& rule, const Expr& e, const Known& known) {
  const auto& b = *e.as<Binary>();
  return static_cast<bool>(apply(rule, b.op, b.a, b.b, [&](const Found& found) {
    Written w;
    for (int n = 0; n < most_constants; ++n) w.constant_[n] = found.constant_[n];
    for (int n = 0; n < most_any; ++n)
      if (found.any_[n]) {
        w.expression_[n] = *found.any_[n];
        if (const auto f = fact_of(*found.any_[n], known)) w.fact_[n] = *f;
      }
    return w;
  }));
}

/// Each row of the table is the first one that applies to some expression.
template <class... R>
void check_reached(const std::tuple<R...>& table, const auto& earlier) {
  each_rule(table, [&](const auto& rule) {
    bool reached = false;
    const Named n = named(rule);
    Written at;
    const Known known = [&](VarId v) { return std::optional(at.fact_[v.n]); };
    const Fact facts[] = {{{-5, 9}, 1}, {{0, 2}, 1}, {{-8, 8}, 4}, {{5, 6}, 1}};
    each_constants(n, at, 0, [&] {
      for (const Fact& f : facts)
        for (const Fact& g : facts) {
          if (reached) return;
          at.fact_[0] = f, at.fact_[1] = g;
          if (value(rule.condition, at).value_or(0) == 0) continue;
          const Expr e = build(rule.before, at);
          bool before = e.as<Binary>()->a.template as<Literal>() && e.as<Binary>()->b.template as<Literal>(), found = false;
          each_rule(earlier, [&](const auto& other) { before |= applies(other, e, known); });
          each_rule(table, [&](const auto& other) {
            if constexpr (std::is_same_v<decltype(other), decltype(rule)>) found |= static_cast<const void*>(&other) == &rule;
            if (!found) before |= applies(other, e, known);
          });
          reached |= !before && applies(rule, e, known);
        }
    });
    INFO(words(rule));
    CHECK(reached);
  });
}

}  // namespace

TEST_CASE("rules on integers: both sides of each row have the same value wherever the condition holds, and it is needed") {
  const auto check = [](const auto& rule) {
    const Named n = named(rule);
    Numbers at;
    std::int64_t held = 0, wrong = 0, needed = 0;
    each_constants(n, at, 0, [&] {
      each_any(n, at, 0, [&] {
        const auto before = value(rule.before, at);
        if (!before) return;
        const bool same = before == value(rule.after, at);
        if (value(rule.condition, at).value_or(0)) ++held, wrong += !same;
        else needed += !same;
      });
    });
    INFO(words(rule) << ": holds for " << held << " assignments");
    CHECK(held > 0);
    CHECK(wrong == 0);
    if constexpr (!std::is_same_v<std::decay_t<decltype(rule.condition)>, Number>) CHECK((needed == 0) == is_one_way(rule));
  };
  each_rule(tables::folds, check);
  each_rule(tables::rules, check);
}

TEST_CASE("rules on integers: each row is the first one that applies to some expression") {
  check_reached(tables::folds, std::tuple{});
  check_reached(tables::rules, tables::folds);
}

TEST_CASE("rules on integers: each row of ranges and divisors, on all small ranges and divisors") {
  for (const Transfer& row : transfers()) {
    INFO(symbol(row.op));
    std::int64_t outside = 0, known = 0, blurred = 0, undivided = 0;
    const std::int64_t low = -4, high = 6;
    for (std::int64_t a = low; a <= high; ++a)
      for (std::int64_t b = a; b <= high; ++b)
        for (std::int64_t c = low; c <= high; ++c)
          for (std::int64_t d = c; d <= high; ++d) {
            const auto r = row.range({a, b}, {c, d});
            if (!r) continue;
            ++known;
            blurred += a == b && c == d && r->first != r->last;
            for (std::int64_t x = a; x <= b; ++x)
              for (std::int64_t y = c; y <= d; ++y) {
                const auto v = compute(row.op, x, y);
                outside += !v || *v < r->first || *v > r->last;
              }
          }
    for (std::int64_t a = 0; a <= 8; ++a)
      for (std::int64_t b = 0; b <= 8; ++b) {
        const std::int64_t m = row.multiple(a, b);
        for (std::int64_t p = -3; p <= 3; ++p)
          for (std::int64_t q = -3; q <= 3; ++q)
            if (const auto v = compute(row.op, a * p, b * q)) undivided += m ? *v % m != 0 : *v != 0;
      }
    CHECK(known > 0);
    CHECK(outside == 0);
    CHECK(blurred == 0);  // constants stay constants
    CHECK(undivided == 0);
  }
  const std::int64_t large = std::int64_t{1} << 40;
  CHECK(multiple_of(BinOp::mul, large, large) == large);
}

TEST_CASE("rules on integers: formulas of two operators keep their values, and are simplified once") {
  // i in 0..3, j in -2..2, n in 4, 8, 12.
  const Fact facts[] = {{{0, 3}, 1}, {{-2, 2}, 1}, {{4, 12}, 4}};
  const Known known = [&](VarId v) { return std::optional(facts[v.n]); };
  std::vector<std::vector<std::int64_t>> points;
  for (std::int64_t i = 0; i <= 3; ++i)
    for (std::int64_t j = -2; j <= 2; ++j)
      for (const std::int64_t n : {4, 8, 12}) points.push_back({i, j, n});
  const std::vector<Expr> leaves = {var(VarId{0}), var(VarId{1}), var(VarId{2}), index_literal(-1), index_literal(2), index_literal(3), index_literal(4)};
  const BinOp ops[] = {BinOp::add, BinOp::sub, BinOp::mul, BinOp::div, BinOp::mod, BinOp::min, BinOp::max, BinOp::less, BinOp::less_equal, BinOp::equal, BinOp::not_equal};
  std::int64_t formulas = 0, simpler = 0, wrong = 0, twice = 0, outside = 0;
  std::string first;
  const auto check = [&](BinOp op, const Expr& a, const Expr& b) {
    const bool truth = !transfer_of(op);
    const Expr e = make(Binary{op, a, b}, truth ? DType::boolean : DType::i64), s = simplify(e, known);
    const auto fact = fact_of(e, known);
    ++formulas;
    simpler += !same_value(e, s);
    twice += !same_value(s, simplify(s, known));
    for (const auto& at : points) {
      const auto v = evaluate(e, at);
      if (!v) continue;
      if (evaluate(s, at) != v && wrong++ == 0) first = print(e, letters) + " -> " + print(s, letters);
      if (fact) outside += *v < fact->range.first || *v > fact->range.last || (fact->multiple ? *v % fact->multiple != 0 : *v != 0);
    }
  };
  for (const BinOp inner : ops)
    if (transfer_of(inner))
      for (const Expr& a : leaves)
        for (const Expr& b : leaves)
          for (const BinOp outer : ops)
            for (const Expr& c : leaves) {
              const Expr one = make(Binary{inner, a, b});
              check(outer, one, c);
              check(outer, c, one);
            }
  INFO(formulas << " formulas, " << simpler << " became simpler; the first wrong one: " << first);
  CHECK(wrong == 0);
  CHECK(twice == 0);
  CHECK(outside == 0);
  CHECK(simpler > formulas / 4);
}

TEST_CASE("simplify: indices in print") {
  // i < 4, j < 8, k any, n a multiple of 8.
  const Known known = [](VarId v) -> std::optional<Fact> {
    if (v.n == 0) return Fact{{0, 3}};
    if (v.n == 1) return Fact{{0, 7}};
    if (v.n == 3) return Fact{{8, 1 << 20}, 8};
    return Fact{{0, 1 << 20}};
  };
  const Expr i = var(VarId{0}), j = var(VarId{1}), k = var(VarId{2}), n = var(VarId{3});
  const auto literal = [](std::int64_t v) { return index_literal(v); };
  const Expr read = make(Read{TensorId{0}, {}, {}});
  const std::pair<Expr, std::string> rows[] = {
      {floor_div(k * 8 + j, literal(8)), "k"},
      {floor_mod(k * 8 + j, literal(8)), "j"},
      {floor_mod(k * 8 + j, literal(16)), "k % 2 * 8 + j"},
      {floor_div(k * 8 + j + 19, literal(8)), "(k * 8 + j + 3) / 8 + 2"},
      {floor_div(k * 24 + j * 2, literal(12)), "k * 2 + j / 6"},
      {floor_div(floor_div(k, literal(3)), literal(5)), "k / 15"},
      {floor_div(k, literal(6)) * 6 + floor_mod(k, literal(6)), "k"},
      {ceil_div(n, literal(8)), "l / 8"},
      {floor_mod(n + i, literal(8)), "i"},
      {make(Select{make(Binary{BinOp::less, i, literal(4)}, DType::boolean), j, literal(0)}), "j"},
      {make(Select{make(Binary{BinOp::logical_and, make(Binary{BinOp::less, i, literal(4)}, DType::boolean), make(Binary{BinOp::less, k, literal(4)}, DType::boolean)}, DType::boolean), j, i}),
       "select(k < 4, j, i)"},
      {floor_div(make(Binary{BinOp::mul, read, literal(8)}), literal(8)), "T[] * 8 / 8"},  // elements wrap
      {floor_div(make(Binary{BinOp::mul, k, literal(INT64_MAX)}), literal(INT64_MAX)), "k * 9223372036854775807 / 9223372036854775807"},  // would overflow
  };
  for (const auto& [e, want] : rows) CHECK(print(simplify(e, known), letters) == want);
}
