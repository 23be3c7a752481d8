#include "codegen/cuda/reference_text.h"

#include <fmt/format.h>

namespace tecc::codegen::cuda {
namespace {

// Bits to f64 and the roundings of casts, by the shape of the format: nothing of the compiler's own prelude.
constexpr const char* text = R"cuda(
__device__ double decode(unsigned bits, int mantissa, int exponent_bits, bool ieee) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const unsigned exponent = bits >> mantissa & top, fraction = bits & ((1u << mantissa) - 1);
  const double sign = bits >> (mantissa + exponent_bits) & 1 ? -1.0 : 1.0;
  if (ieee && exponent == top) return fraction ? nan("") : sign / 0.0;
  if (!ieee && exponent == top && fraction == (1u << mantissa) - 1) return nan("");
  if (exponent == 0) return sign * ldexp((double)fraction, 1 - bias - mantissa);
  return sign * ldexp((double)(fraction | 1u << mantissa), (int)exponent - bias - mantissa);
}
__device__ double rounded(double x, int mantissa, int least, double largest, bool saturate) {
  if (x != x || x == 0) return x;
  if (isinf(x)) return saturate ? copysign(largest, x) : x;
  int exponent;
  frexp(x, &exponent);
  const int quantum = max(exponent - 1 - mantissa, least);
  const double r = ldexp(rint(ldexp(x, -quantum)), quantum);
  return fabs(r) > largest ? (saturate ? copysign(largest, x) : copysign(1.0 / 0.0, x)) : r;
}
__device__ long long truncated(double x, double lowest, double highest) {
  if (x != x) return 0;
  if (x <= lowest) return (long long)lowest;
  if (x >= highest) return highest >= 9223372036854775807.0 ? 9223372036854775807ll : (long long)highest;
  return (long long)x;
}
__device__ long long floor_div(long long a, long long b) {
  if (b == 0) return 0;
  if (b == -1) return (long long)(0ull - (unsigned long long)a);
  const long long q = a / b;
  return q - (a % b != 0 && (a < 0) != (b < 0));
}
__device__ long long floor_mod(long long a, long long b) {
  return b == 0 ? 0 : (long long)((unsigned long long)a - (unsigned long long)floor_div(a, b) * (unsigned long long)b);
}
__device__ double smaller(double a, double b) { return a != a ? a : b != b ? b : a < b ? a : b; }
__device__ double larger(double a, double b) { return a != a ? a : b != b ? b : a > b ? a : b; }
__device__ long long smaller(long long a, long long b) { return a < b ? a : b; }
__device__ long long larger(long long a, long long b) { return a > b ? a : b; }
)cuda";

// clang-format off
struct MemoryText { DType type; const char* text; };
constexpr MemoryText memory[] = {
    {DType::boolean, "unsigned char"}, {DType::i8, "signed char"}, {DType::u8, "unsigned char"}, {DType::i16, "short"}, {DType::i32, "int"},
    {DType::i64, "long long"}, {DType::f16, "unsigned short"}, {DType::bf16, "unsigned short"}, {DType::f32, "float"}, {DType::f64, "double"},
    {DType::e4m3, "unsigned char"}, {DType::e5m2, "unsigned char"}, {DType::tf32, "float"},
};
// clang-format on

}  // namespace

const char* reference_helpers() { return text; }

std::string memory_text(DType t) {
  for (const MemoryText& m : memory)
    if (m.type == t) return m.text;
  return "void";
}

std::string decoded_text(const std::string& element, DType t) {
  if (bytes_of(t) >= 4) return element;
  return fmt::format("decode({}, {}, {}, {})", element, info(t).mantissa_bits, info(t).exponent_bits, t != DType::e4m3);
}

}  // namespace tecc::codegen::cuda
