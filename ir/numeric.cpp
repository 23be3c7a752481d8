#include "ir/numeric.h"

#include <bit>
#include <cmath>
#include <limits>

namespace tecc {
namespace {

struct Format {
  int mantissa, bias, exponent_bits;
  bool has_infinity;  // e4m3 has none: its top exponent holds numbers, only S.1111.111 is NaN
  double largest;
};

Format format_of(DType type) {
  switch (type) {
    case DType::f16: return {10, 15, 5, true, 65504.0};
    case DType::bf16: return {7, 127, 8, true, 3.3895313892515355e38};
    case DType::e4m3: return {3, 7, 4, false, 448.0};
    case DType::e5m2: return {2, 15, 5, true, 57344.0};
    case DType::tf32: return {10, 127, 8, true, 3.4011621342146535e38};
    default: return {23, 127, 8, true, std::numeric_limits<float>::max()};
  }
}

}  // namespace

double round_to(double value, DType type) {
  if (type == DType::f64 || std::isnan(value)) return value;
  if (type == DType::f32) return static_cast<float>(value);
  const Format f = format_of(type);
  const bool saturates = type == DType::e4m3 || type == DType::e5m2;
  if (std::isinf(value)) return saturates ? std::copysign(f.largest, value) : value;
  if (value == 0) return value;
  int exponent;
  std::frexp(value, &exponent);  // |value| in [2^(exponent-1), 2^exponent)
  const int lowest = 1 - f.bias;
  const int quantum = std::max(exponent - 1, lowest) - f.mantissa;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -quantum)), quantum);
  if (std::abs(rounded) > f.largest)
    return std::copysign(saturates ? f.largest : std::numeric_limits<double>::infinity(), value);
  return rounded;
}

std::uint64_t encode(double value, DType type) {
  switch (type) {
    case DType::boolean: return value != 0;
    case DType::f64: return std::bit_cast<std::uint64_t>(value);
    case DType::f32: return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    case DType::tf32: return std::bit_cast<std::uint32_t>(static_cast<float>(round_to(value, type)));
    default: break;
  }
  if (!is_float(type)) return static_cast<std::uint64_t>(static_cast<std::int64_t>(value)) & ((1ull << (8 * bytes_of(type))) - 1);
  const Format f = format_of(type);
  const std::uint64_t sign = std::signbit(value) ? 1ull << (f.mantissa + f.exponent_bits) : 0;
  const std::uint64_t top = (1ull << f.exponent_bits) - 1;
  if (std::isnan(value))
    return type == DType::e4m3 ? sign | 0x7f : sign | top << f.mantissa | 1ull << (f.mantissa - 1);
  const double r = std::abs(round_to(value, type));
  if (std::isinf(r)) return sign | top << f.mantissa;
  if (r == 0) return sign;
  int exponent;
  std::frexp(r, &exponent);
  const int e = std::max(exponent - 1, 1 - f.bias);
  const auto scaled = static_cast<std::uint64_t>(std::ldexp(r, f.mantissa - e));  // in [0, 2^(mantissa+1))
  const std::uint64_t biased = scaled >> f.mantissa ? static_cast<std::uint64_t>(e + f.bias) : 0;
  return sign | biased << f.mantissa | (scaled & ((1ull << f.mantissa) - 1));
}

double decode(std::uint64_t bits, DType type) {
  switch (type) {
    case DType::boolean: return (bits & 0xff) != 0;
    case DType::i8: return static_cast<std::int8_t>(bits);
    case DType::u8: return static_cast<std::uint8_t>(bits);
    case DType::i16: return static_cast<std::int16_t>(bits);
    case DType::i32: return static_cast<std::int32_t>(bits);
    case DType::i64: return static_cast<double>(static_cast<std::int64_t>(bits));
    case DType::f64: return std::bit_cast<double>(bits);
    case DType::f32:
    case DType::tf32: return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    default: break;
  }
  const Format f = format_of(type);
  const std::uint64_t fraction = bits & ((1ull << f.mantissa) - 1);
  const std::uint64_t top = (1ull << f.exponent_bits) - 1, biased = bits >> f.mantissa & top;
  const bool negative = bits >> (f.mantissa + f.exponent_bits) & 1;
  double r;
  if (type == DType::e4m3 && (bits & 0x7f) == 0x7f) r = std::numeric_limits<double>::quiet_NaN();
  else if (f.has_infinity && biased == top)
    r = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  else if (biased == 0) r = std::ldexp(static_cast<double>(fraction), 1 - f.bias - f.mantissa);
  else r = std::ldexp(static_cast<double>(fraction | 1ull << f.mantissa), static_cast<int>(biased) - f.bias - f.mantissa);
  return negative ? -r : r;
}

std::int64_t wrap(std::int64_t value, DType type) {
  switch (type) {
    case DType::boolean: return value != 0;
    case DType::i8: return static_cast<std::int8_t>(value);
    case DType::u8: return static_cast<std::uint8_t>(value);
    case DType::i16: return static_cast<std::int16_t>(value);
    case DType::i32: return static_cast<std::int32_t>(value);
    default: return value;
  }
}

std::int64_t to_integer(double value, DType type) {
  if (type == DType::boolean) return value != 0;
  if (std::isnan(value)) return 0;
  double low = 0, high = 255;
  if (type != DType::u8) {
    const int bits = static_cast<int>(8 * bytes_of(type));
    low = -std::ldexp(1.0, bits - 1);
    high = -low - 1;  // for i64 this rounds to 2^63, hence >= below
  }
  if (value <= low) return static_cast<std::int64_t>(low);
  if (value >= high) return type == DType::i64 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(high);
  return static_cast<std::int64_t>(value);
}

}  // namespace tecc
