#include "ir/numeric.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace tecc;

namespace {

constexpr DType narrow_types[] = {DType::f16, DType::bf16, DType::e4m3, DType::e5m2};

int width(DType type) { return static_cast<int>(8 * bytes_of(type)); }

/// The value of a bit pattern from the format's definition, written without decode().
double from_definition(std::uint32_t bits, int exponent_bits, int mantissa_bits, bool e4m3) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1),
                      exponent = bits >> mantissa_bits & ((1u << exponent_bits) - 1);
  const double sign = bits >> (mantissa_bits + exponent_bits) & 1 ? -1 : 1;
  const bool top = exponent == (1u << exponent_bits) - 1;
  if (e4m3 ? top && mantissa == 7 : top && mantissa) return std::numeric_limits<double>::quiet_NaN();
  if (top && !e4m3) return sign * std::numeric_limits<double>::infinity();
  const double fraction = mantissa / std::pow(2.0, mantissa_bits);
  return exponent == 0 ? sign * fraction * std::pow(2.0, 1 - bias)
                       : sign * (1 + fraction) * std::pow(2.0, static_cast<int>(exponent) - bias);
}

}  // namespace

TEST_CASE("numeric: all bit patterns of 8- and 16-bit floats") {
  for (const DType type : narrow_types) {
    const TypeInfo& t = info(type);
    for (std::uint32_t bits = 0; bits < 1u << width(type); ++bits) {
      const double want = from_definition(bits, t.exponent_bits, t.mantissa_bits, type == DType::e4m3),
                   v = decode(bits, type);
      if (std::isnan(want)) {
        if (!std::isnan(v) || !std::isnan(decode(encode(v, type), type))) FAIL(t.name << " " << bits);
      } else if (std::bit_cast<std::uint64_t>(v) != std::bit_cast<std::uint64_t>(want)) {
        FAIL(t.name << " " << bits << " is " << v << ", not " << want);
      } else if (encode(v, type) != bits && !(std::isinf(v) && type == DType::e5m2)) {  // fp8 saturates infinities
        FAIL(t.name << " " << bits << " encodes to " << encode(v, type));
      }
    }
  }
}

TEST_CASE("numeric: rounding is to the nearest value, ties to even") {
  for (const DType type : narrow_types) {
    std::vector<double> finite;  // ascending, by bit pattern from 0
    for (std::uint32_t bits = 0; bits < 1u << (width(type) - 1); ++bits)
      if (const double v = decode(bits, type); std::isfinite(v)) finite.push_back(v);
    std::mt19937_64 rng(7);
    const auto check = [&](double x) {
      // The nearest by search; equally near: the even bit pattern. Half a step beyond the largest is where overflow begins.
      const auto above = std::lower_bound(finite.begin(), finite.end(), x);
      double want;
      if (above == finite.end()) {
        const double step = finite.back() - finite[finite.size() - 2];
        const bool saturates = width(type) == 8;
        want = saturates || x < finite.back() + step / 2 ? finite.back() : std::numeric_limits<double>::infinity();
      } else if (above == finite.begin()) {
        want = 0;
      } else {
        const double up = *above - x, down = x - above[-1];
        want = up < down || (up == down && (above - finite.begin()) % 2 == 0) ? *above : above[-1];
      }
      if (round_to(x, type) != want || round_to(-x, type) != -want)
        FAIL(name(type) << " rounds " << x << " to " << round_to(x, type) << ", not " << want);
      if (decode(encode(x, type), type) != want) FAIL(name(type) << " encodes " << x << " wrongly");
    };
    for (std::size_t n = 0; n + 1 < finite.size(); ++n) {
      const double middle = (finite[n] + finite[n + 1]) / 2;
      for (const double x : {finite[n], middle, std::nextafter(middle, 0), std::nextafter(middle, 1e300)}) check(x);
    }
    for (int n = 0; n < 20000; ++n)
      check(std::ldexp(1 + static_cast<double>(rng() >> 11) * 0x1p-53, static_cast<int>(rng() % 300) - 150));
    check(finite.back() * 1.01);
    check(finite.back() * 4);
  }
}

TEST_CASE("numeric: saturation, NaN and integers") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(round_to(infinity, DType::e4m3) == 448);
  CHECK(round_to(-infinity, DType::e5m2) == -57344);
  CHECK(round_to(infinity, DType::f16) == infinity);
  CHECK(std::isnan(round_to(NAN, DType::e4m3)));
  CHECK(to_integer(NAN, DType::i32) == 0);
  CHECK(to_integer(1e20, DType::i64) == INT64_MAX);
  CHECK(to_integer(-1e20, DType::i64) == INT64_MIN);
  CHECK(to_integer(-1.9, DType::u8) == 0);
  CHECK(to_integer(-1.9, DType::i8) == -1);
  CHECK(wrap(200, DType::i8) == -56);
  CHECK(wrap(-1, DType::u8) == 255);
  CHECK(round_to(1 + 0x1p-11, DType::tf32) == 1);
  CHECK(round_to(1 + 0x1.8p-11, DType::tf32) == 1 + 0x1p-10);
}
