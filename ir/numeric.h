#pragma once
#include <cstdint>

#include "ir/type.h"

namespace tecc {

/// Rounds to nearest even to the given float type and back. fp8 saturates to its largest finite value (infinities too);
/// NaN stays NaN. f16 and bf16 overflow to infinity. tf32: nearest, ties to even. f64 is the identity.
double round_to(double value, DType type);

/// The bit pattern of a value of `type` (integers: two's complement, truncated to the width), and back. `decode` of an
/// integer type gives its value; i64 beyond 2^53 loses bits, use the integer path of the caller for those.
std::uint64_t encode(double value, DType type);
double decode(std::uint64_t bits, DType type);

/// Float to integer: truncates, saturates; NaN gives 0. `type` is an integer type or bool (value != 0).
std::int64_t to_integer(double value, DType type);
/// Wraps an integer in its type.
std::int64_t wrap(std::int64_t value, DType type);

}  // namespace tecc
