#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tecc {

/// Element types. tf32 is the type of an f32 value rounded to 10 mantissa bits; it is never a storage type.
enum class DType : std::uint8_t { boolean, i8, u8, i16, i32, i64, f16, bf16, f32, f64, e4m3, e5m2, tf32 };

struct TypeInfo {
  DType type;
  std::string_view name;  // as written in `.te` text
  std::uint8_t bytes;
  bool is_float, is_signed;
  std::uint8_t mantissa_bits, exponent_bits;  // floats: stored fraction bits and exponent bits
};

std::span<const TypeInfo> all_types();
const TypeInfo& info(DType type);
std::optional<DType> parse_type(std::string_view name);
inline std::string_view name(DType type) { return info(type).name; }
inline std::int64_t bytes_of(DType type) { return info(type).bytes; }
inline bool is_float(DType type) { return info(type).is_float; }
inline bool is_integer(DType type) { return !info(type).is_float && type != DType::boolean; }
/// f16, bf16, e4m3, e5m2: arithmetic is the f32 operation, then the cast.
inline bool is_narrow_float(DType type) { return is_float(type) && bytes_of(type) < 4; }

}  // namespace tecc
