#include "runtime/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <new>

#include "ir/numeric.h"

namespace tecc {
namespace {

// The host is little endian (x86-64, aarch64): the low bytes of a pattern are its storage.
std::uint64_t load(const unsigned char* from, std::int64_t bytes) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, from, static_cast<std::size_t>(bytes));
  return bits;
}

std::int64_t sign_extended(std::uint64_t bits, DType type) {
  return type == DType::i64 ? static_cast<std::int64_t>(bits) : wrap(static_cast<std::int64_t>(bits), type);
}

}  // namespace

double HostTensor::value(std::int64_t at) const {
  const std::int64_t width = bytes_of(dtype);
  return decode(load(bytes.data() + at * width, width), dtype);
}

std::int64_t HostTensor::integer(std::int64_t at) const {
  const std::int64_t width = bytes_of(dtype);
  return sign_extended(load(bytes.data() + at * width, width), dtype);
}

void HostTensor::set(std::int64_t at, double value) {
  if (!is_float(dtype)) return set_integer(at, to_integer(value, dtype));
  const std::uint64_t bits = encode(round_to(value, dtype), dtype);
  std::memcpy(bytes.data() + at * bytes_of(dtype), &bits, static_cast<std::size_t>(bytes_of(dtype)));
}

void HostTensor::set_integer(std::int64_t at, std::int64_t value) {
  if (dtype == DType::boolean) value = value != 0;
  std::memcpy(bytes.data() + at * bytes_of(dtype), &value, static_cast<std::size_t>(bytes_of(dtype)));
}

Result<HostTensor> make_tensor(DType dtype, std::vector<std::int64_t> shape, const std::string& name) {
  std::int64_t size = bytes_of(dtype);
  for (const std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(size, extent, &size))
      return refuse(Code::out_of_memory, fmt::format("{} x {}", shape_text(shape), bytes_of(dtype)), name);
  constexpr std::int64_t beyond_any_machine = std::int64_t{1} << 46;  // address spaces have 47 bits
  if (size > beyond_any_machine) return refuse(Code::out_of_memory, size, name);
  try {
    return HostTensor{dtype, std::move(shape), std::vector<unsigned char>(static_cast<std::size_t>(size))};
  } catch (const std::bad_alloc&) {
    return refuse(Code::out_of_memory, size, name);
  }
}

Result<HostTensor> convert(const HostTensor& from, DType to, const std::string& name) {
  if (from.dtype == to) return from;
  TECC_TRY(HostTensor out, make_tensor(to, from.shape, name));
  const bool integers = !is_float(from.dtype) && !is_float(to);
  for (std::int64_t i = 0; i < from.count(); ++i)
    if (integers) out.set_integer(i, from.integer(i));
    else if (is_float(from.dtype)) out.set(i, from.value(i));
    else out.set(i, static_cast<double>(from.integer(i)));
  return out;
}

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace tecc
