#include "ir/interpret/scalar.h"

#include <algorithm>
#include <cmath>

#include "ir/numeric.h"

namespace tecc::interpreter {
namespace {

/// f32 and f64 round once; narrower floats are the f32 operation, then the cast.
Scalar real(double v, DType type) {
  if (type == DType::f64) return {.real = v};
  const double once = static_cast<float>(v);
  return {.real = type == DType::f32 ? once : round_to(once, type)};
}
Scalar integer(std::int64_t v) { return {.integer = v}; }

double extremum(double a, double b, bool largest) {
  if (std::isnan(a) || std::isnan(b)) return std::nan("");
  return largest ? std::max(a, b) : std::min(a, b);
}

}  // namespace

Scalar constant(const Literal& l, DType type) {
  if (!is_float(type)) return integer(type == DType::boolean ? l.integer != 0 : l.integer);
  return {.real = round_to(l.decimal || l.real != 0 ? l.real : static_cast<double>(l.integer), type)};
}

Scalar unary(UnOp op, Scalar a, DType operand, DType result) {
  if (!is_float(operand)) {
    const auto wrapping = [](std::int64_t x, auto f) { return static_cast<std::int64_t>(f(static_cast<std::uint64_t>(x))); };
    switch (op) {
      case UnOp::neg: return integer(wrap(wrapping(a.integer, [](std::uint64_t x) { return 0 - x; }), result));
      case UnOp::logical_not: return integer(!a.integer);
      case UnOp::abs: return integer(a.integer < 0 ? wrap(wrapping(a.integer, [](std::uint64_t x) { return 0 - x; }), result) : a.integer);
      case UnOp::square: return integer(wrap(wrapping(a.integer, [](std::uint64_t x) { return x * x; }), result));
      default: return a;
    }
  }
  const double x = a.real;
  switch (op) {
    case UnOp::neg: return real(-x, result);
    case UnOp::logical_not: return integer(x == 0);
    case UnOp::abs: return real(std::abs(x), result);
    case UnOp::exp: return real(std::exp(x), result);
    case UnOp::log: return real(std::log(x), result);
    case UnOp::sqrt: return real(std::sqrt(x), result);
    case UnOp::rsqrt: return real(1 / std::sqrt(x), result);
    case UnOp::tanh: return real(std::tanh(x), result);
    case UnOp::erf: return real(std::erf(x), result);
    case UnOp::sin: return real(std::sin(x), result);
    case UnOp::cos: return real(std::cos(x), result);
    case UnOp::sigmoid: return real(1 / (1 + std::exp(-x)), result);
    case UnOp::floor: return real(std::floor(x), result);
    case UnOp::ceil: return real(std::ceil(x), result);
    case UnOp::round: return real(std::nearbyint(x), result);
    case UnOp::square: return real(x * x, result);
  }
  return a;
}

Scalar binary(BinOp op, Scalar a, Scalar b, DType operand, DType result) {
  if (is_float(operand)) {
    const double x = a.real, y = b.real;
    switch (op) {
      case BinOp::add: return real(x + y, result);
      case BinOp::sub: return real(x - y, result);
      case BinOp::mul: return real(x * y, result);
      case BinOp::div: return real(x / y, result);
      case BinOp::mod: return real(x - std::floor(x / y) * y, result);
      case BinOp::min: return real(extremum(x, y, false), result);
      case BinOp::max: return real(extremum(x, y, true), result);
      case BinOp::pow: return real(std::pow(x, y), result);
      case BinOp::less: return integer(x < y);
      case BinOp::less_equal: return integer(x <= y);
      case BinOp::equal: return integer(x == y);
      case BinOp::not_equal: return integer(x != y);
      case BinOp::logical_and:
      case BinOp::logical_or: break;
    }
    return a;
  }
  const std::int64_t x = a.integer, y = b.integer;
  const auto u = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
  const auto wrapped = [&](std::uint64_t v) { return integer(wrap(static_cast<std::int64_t>(v), result)); };
  const std::int64_t divisor = y == 0 || y == -1 ? 1 : y;
  switch (op) {
    case BinOp::add: return wrapped(u(x) + u(y));
    case BinOp::sub: return wrapped(u(x) - u(y));
    case BinOp::mul: return wrapped(u(x) * u(y));
    case BinOp::div: return y == -1 ? wrapped(0 - u(x)) : integer(wrap(floor_div(x, divisor), result));
    case BinOp::mod: return integer(wrap(floor_mod(x, divisor), result));
    case BinOp::min: return integer(std::min(x, y));
    case BinOp::max: return integer(std::max(x, y));
    case BinOp::less: return integer(x < y);
    case BinOp::less_equal: return integer(x <= y);
    case BinOp::equal: return integer(x == y);
    case BinOp::not_equal: return integer(x != y);
    case BinOp::logical_and: return integer(x && y);
    case BinOp::logical_or: return integer(x || y);
    case BinOp::pow: return integer(to_integer(std::pow(static_cast<double>(x), static_cast<double>(y)), result));
  }
  return a;
}

Scalar cast(Scalar a, DType from, DType to) {
  if (is_float(from)) return is_float(to) ? Scalar{.real = round_to(a.real, to)} : integer(to_integer(a.real, to));
  if (!is_float(to)) return integer(wrap(a.integer, to));
  if (to == DType::f32) return {.real = static_cast<float>(a.integer)};  // one rounding
  return {.real = round_to(static_cast<double>(a.integer), to)};
}

Scalar combine(Reducer op, DType type, Scalar sum, Scalar element) {
  switch (op) {
    case Reducer::sum:
    case Reducer::mean: return binary(BinOp::add, sum, element, type, type);
    case Reducer::prod: return binary(BinOp::mul, sum, element, type, type);
    case Reducer::min:
    case Reducer::argmin: return binary(BinOp::min, sum, element, type, type);
    case Reducer::max:
    case Reducer::argmax: return binary(BinOp::max, sum, element, type, type);
    case Reducer::any: return integer(sum.integer || element.integer);
    case Reducer::all: return integer(sum.integer && element.integer);
  }
  return sum;
}

Best better(Reducer op, DType type, Best old, Best now) {
  if (old.position < 0) return now;
  if (now.position < 0) return old;
  const bool largest = op == Reducer::argmax;
  bool tie, second;
  if (is_float(type)) {
    const bool old_nan = std::isnan(old.value.real), now_nan = std::isnan(now.value.real);
    tie = (old_nan && now_nan) || old.value.real == now.value.real;
    second = now_nan || (!old_nan && (largest ? now.value.real > old.value.real : now.value.real < old.value.real));
  } else {
    tie = old.value.integer == now.value.integer;
    second = largest ? now.value.integer > old.value.integer : now.value.integer < old.value.integer;
  }
  return (tie ? now.position < old.position : second) ? now : old;
}

}  // namespace tecc::interpreter
