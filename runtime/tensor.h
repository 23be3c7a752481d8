#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/result.h"
#include "ir/type.h"

namespace tecc {

/// An array in host memory: row-major, dense, values as encode() of ir/numeric.h lays them out (bool: one byte, 0 or 1).
struct HostTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<unsigned char> bytes;

  std::int64_t count() const { return static_cast<std::int64_t>(bytes.size()) / bytes_of(dtype); }
  /// The element at a row-major position. Floats exactly; i64 beyond 2^53 only through integer().
  double value(std::int64_t at) const;
  std::int64_t integer(std::int64_t at) const;  // of an integer or bool tensor
  /// Rounds or saturates to the dtype (round_to, to_integer).
  void set(std::int64_t at, double value);
  void set_integer(std::int64_t at, std::int64_t value);  // of an integer or bool tensor; wraps
};

/// Zeros. E0612 when the size does not fit memory or 64 bits; `name` is for the message.
Result<HostTensor> make_tensor(DType dtype, std::vector<std::int64_t> shape, const std::string& name);
/// Element-wise as a cast of the language: floats round to nearest even (fp8 saturates), float to integer truncates and
/// saturates, integers wrap, integers convert exactly where they can.
Result<HostTensor> convert(const HostTensor& from, DType to, const std::string& name);
/// "[3, 4]"
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace tecc
