#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/numeric.h"

namespace tecc {

/// A dense row-major tensor in host memory, little endian, in its declared dtype.
struct Array {
  DType type = DType::f32;
  std::vector<std::int64_t> shape;  // empty: one element
  std::vector<std::byte> data;

  Array() = default;
  Array(DType element, std::vector<std::int64_t> extents);  // zeros

  std::int64_t size() const;  // elements
  std::uint64_t bits(std::int64_t n) const;
  void set_bits(std::int64_t n, std::uint64_t bits);
  /// The value of element n; set() rounds to nearest even (fp8 saturates) and truncates for integer types.
  double get(std::int64_t n) const;
  void set(std::int64_t n, double value);
  /// Integers and bool without the detour over double.
  std::int64_t get_integer(std::int64_t n) const;
  void set_integer(std::int64_t n, std::int64_t value);
};

/// "f32[4, 8]", "i64" for a rank of 0.
std::string describe(DType type, const std::vector<std::int64_t>& shape);

}  // namespace tecc
