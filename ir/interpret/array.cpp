#include "ir/interpret/array.h"

#include <fmt/format.h>

#include <cstring>

namespace tecc {

Array::Array(DType element, std::vector<std::int64_t> extents) : type(element), shape(std::move(extents)) {
  data.resize(static_cast<std::size_t>(size() * bytes_of(type)));
}

std::int64_t Array::size() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

std::uint64_t Array::bits(std::int64_t n) const {
  std::uint64_t out = 0;
  const auto bytes = static_cast<std::size_t>(bytes_of(type));
  std::memcpy(&out, data.data() + static_cast<std::size_t>(n) * bytes, bytes);
  return out;
}

void Array::set_bits(std::int64_t n, std::uint64_t bits) {
  const auto bytes = static_cast<std::size_t>(bytes_of(type));
  std::memcpy(data.data() + static_cast<std::size_t>(n) * bytes, &bits, bytes);
}

double Array::get(std::int64_t n) const { return decode(bits(n), type); }

void Array::set(std::int64_t n, double value) {
  if (is_float(type)) set_bits(n, encode(value, type));
  else set_integer(n, to_integer(value, type));
}

std::int64_t Array::get_integer(std::int64_t n) const {
  if (is_float(type)) return to_integer(get(n), DType::i64);
  return type == DType::boolean ? (bits(n) & 0xff) != 0 : wrap(static_cast<std::int64_t>(bits(n)), type);
}

void Array::set_integer(std::int64_t n, std::int64_t value) {
  if (is_float(type)) set(n, static_cast<double>(value));
  else set_bits(n, static_cast<std::uint64_t>(wrap(value, type)));
}

std::string describe(DType type, const std::vector<std::int64_t>& shape) {
  return shape.empty() ? std::string(name(type)) : fmt::format("{}[{}]", name(type), fmt::join(shape, ", "));
}

}  // namespace tecc
