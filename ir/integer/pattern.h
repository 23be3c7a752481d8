#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "ir/expr.h"

/// Patterns of index expressions as values of the C++ type system, so that a table of rules reads as formulas and matches as code
/// written by hand (Halide's IRMatch works so). One pattern has three uses: `match` compares it with an expression, `build` makes an
/// expression of it, `value` computes it with numbers in the place of its variables.
namespace tecc::integer {

template <int N>
struct Any {};  // any expression; the same one wherever it stands in the pattern
template <int N>
struct Constant { static constexpr int number = N; };  // any literal; inside of a pattern `x + c` also stands for x - |c|
struct Number { std::int64_t value; };
template <BinOp op, class A, class B>
struct Operation { A a; B b; };
enum class Ask : std::uint8_t { low, high, multiple };
template <Ask ask, int N>
struct Asked {};  // a number that is known of Any<N>: its range, its divisor

template <class P>
struct Traits { static constexpr bool pattern = false; };
template <int N>
struct Traits<Any<N>> {
  static constexpr bool pattern = true, closed = false;
  static constexpr unsigned any = 1u << N, constants = 0, ranges = 0, multiples = 0;
};
template <int N>
struct Traits<Constant<N>> {
  static constexpr bool pattern = true, closed = true;
  static constexpr unsigned any = 0, constants = 1u << N, ranges = 0, multiples = 0;
};
template <>
struct Traits<Number> {
  static constexpr bool pattern = true, closed = true;
  static constexpr unsigned any = 0, constants = 0, ranges = 0, multiples = 0;
};
template <Ask ask, int N>
struct Traits<Asked<ask, N>> {
  static constexpr bool pattern = true, closed = true;
  static constexpr unsigned any = 0, constants = 0, ranges = ask != Ask::multiple ? 1u << N : 0, multiples = ask == Ask::multiple ? 1u << N : 0;
};
template <BinOp op, class A, class B>
struct Traits<Operation<op, A, B>> {
  using L = Traits<A>;
  using R = Traits<B>;
  static constexpr bool pattern = true, closed = L::closed && R::closed;  // closed: a number once constants and facts are known
  static constexpr unsigned any = L::any | R::any, constants = L::constants | R::constants, ranges = L::ranges | R::ranges, multiples = L::multiples | R::multiples;
};

template <class P>
concept Pattern = Traits<P>::pattern;

// clang-format off
#define TECC_PATTERN(sign, op)                                                                                        \
  template <Pattern A, Pattern B> constexpr Operation<BinOp::op, A, B> operator sign(A a, B b) { return {a, b}; }       \
  template <Pattern A> constexpr Operation<BinOp::op, A, Number> operator sign(A a, std::int64_t b) { return {a, {b}}; } \
  template <Pattern B> constexpr Operation<BinOp::op, Number, B> operator sign(std::int64_t a, B b) { return {{a}, b}; }
TECC_PATTERN(+, add) TECC_PATTERN(-, sub) TECC_PATTERN(*, mul) TECC_PATTERN(/, div) TECC_PATTERN(%, mod) TECC_PATTERN(<, less)
TECC_PATTERN(<=, less_equal) TECC_PATTERN(==, equal) TECC_PATTERN(!=, not_equal) TECC_PATTERN(&&, logical_and) TECC_PATTERN(||, logical_or)
#undef TECC_PATTERN
template <Pattern A, Pattern B> constexpr Operation<BinOp::min, A, B> min(A a, B b) { return {a, b}; }
template <Pattern A, Pattern B> constexpr Operation<BinOp::max, A, B> max(A a, B b) { return {a, b}; }
template <int N> constexpr Asked<Ask::low, N> low(Any<N>) { return {}; }
template <int N> constexpr Asked<Ask::high, N> high(Any<N>) { return {}; }
template <int N> constexpr Asked<Ask::multiple, N> multiple(Any<N>) { return {}; }
// clang-format on

/// a op b of index arithmetic; none where it is not defined or leaves i64. Comparisons and logic give 0 or 1.
std::optional<std::int64_t> compute(BinOp op, std::int64_t a, std::int64_t b);

// ---- numbers ----------------------------------------------------------------------------------------------------------
/// The value of a pattern. `at.any(n)`, `at.constant(n)` and `at.asked(ask, n)` give optional numbers.
template <int N>
std::optional<std::int64_t> value(Any<N>, const auto& at) { return at.any(N); }
template <int N>
std::optional<std::int64_t> value(Constant<N>, const auto& at) { return at.constant(N); }
inline std::optional<std::int64_t> value(Number n, const auto&) { return n.value; }
template <Ask ask, int N>
std::optional<std::int64_t> value(Asked<ask, N>, const auto& at) { return at.asked(ask, N); }
template <BinOp op, class A, class B>
std::optional<std::int64_t> value(const Operation<op, A, B>& p, const auto& at) {
  const auto a = value(p.a, at);
  if (!a) return std::nullopt;
  if constexpr (op == BinOp::logical_and) if (*a == 0) return 0;  // what stands on the right may need what stands on the left
  if constexpr (op == BinOp::logical_or) if (*a != 0) return 1;
  const auto b = value(p.b, at);
  return b ? compute(op, *a, *b) : std::nullopt;
}

// ---- expressions ------------------------------------------------------------------------------------------------------
inline constexpr int most_any = 2, most_constants = 5;

/// What the variables of a pattern stand for; pointers into the expression that was matched.
struct Found {
  const Expr* any_[most_any] = {};
  std::int64_t constant_[most_constants] = {};
  bool has_[most_constants] = {};
};

template <int N>
bool match(Any<N>, const Expr& e, Found& f) {
  if (f.any_[N]) return same_value(*f.any_[N], e);
  f.any_[N] = &e;
  return true;
}
inline bool take(int n, std::int64_t v, Found& f) {
  if (f.has_[n]) return f.constant_[n] == v;
  f.has_[n] = true;
  f.constant_[n] = v;
  return true;
}
template <int N>
bool match(Constant<N>, const Expr& e, Found& f) {
  const auto c = constant_of(e);
  return c && take(N, *c, f);
}
inline bool match(Number n, const Expr& e, Found&) { return constant_of(e) == n.value; }
template <BinOp op, class A, class B>
bool match(const Operation<op, A, B>& p, const Expr& e, Found& f) {
  const auto* x = e.template as<Binary>();
  if (!x || x->a->type != DType::i64) return false;
  if (x->op == op) return match(p.a, x->a, f) && match(p.b, x->b, f);
  if constexpr (op == BinOp::add && requires { B::number; }) {
    const auto c = x->op == BinOp::sub ? constant_of(x->b) : std::nullopt;
    return c && *c != INT64_MIN && match(p.a, x->a, f) && take(B::number, -*c, f);
  }
  return false;
}

/// The expression of a pattern; `at` has what value() needs, and `expression(n)`, `make(op, a, b)`. Empty where a constant leaves i64.
template <class P>
Expr build(const P& p, const auto& at);
template <int N>
Expr build_open(Any<N>, const auto& at) { return at.expression(N); }
template <BinOp op, class A, class B>
Expr build_open(const Operation<op, A, B>& p, const auto& at) {
  const Expr a = build(p.a, at), b = a ? build(p.b, at) : Expr();
  return b ? at.make(op, a, b) : Expr();
}
template <class P>
Expr build(const P& p, const auto& at) {
  if constexpr (Traits<P>::closed) {
    const auto v = value(p, at);
    return v ? index_literal(*v) : Expr();
  } else {
    return build_open(p, at);
  }
}

// ---- words ------------------------------------------------------------------------------------------------------------
template <int N>
std::string text(Any<N>) { return std::string(1, "xy"[N]); }
template <int N>
std::string text(Constant<N>) { return std::string(1, "cdstm"[N]); }
inline std::string text(Number n) { return std::to_string(n.value); }
template <Ask ask, int N>
std::string text(Asked<ask, N>) { return (ask == Ask::low ? "low(" : ask == Ask::high ? "high(" : "multiple(") + text(Any<N>{}) + ")"; }
template <BinOp op, class A, class B>
std::string text(const Operation<op, A, B>& p) { return "(" + text(p.a) + " " + std::string(symbol(op)) + " " + text(p.b) + ")"; }

}  // namespace tecc::integer
