#include "ir/type.h"

#include "ir/base/errors.h"

namespace tecc {
namespace {
// clang-format off
constexpr TypeInfo types[] = {
    {DType::boolean, "bool", 1, false, false, 0,  0},
    {DType::i8,      "i8",   1, false, true,  0,  0},
    {DType::u8,      "u8",   1, false, false, 0,  0},
    {DType::i16,     "i16",  2, false, true,  0,  0},
    {DType::i32,     "i32",  4, false, true,  0,  0},
    {DType::i64,     "i64",  8, false, true,  0,  0},
    {DType::f16,     "f16",  2, true,  true,  10, 5},
    {DType::bf16,    "bf16", 2, true,  true,  7,  8},
    {DType::f32,     "f32",  4, true,  true,  23, 8},
    {DType::f64,     "f64",  8, true,  true,  52, 11},
    {DType::e4m3,    "e4m3", 1, true,  true,  3,  4},
    {DType::e5m2,    "e5m2", 1, true,  true,  2,  5},
    {DType::tf32,    "tf32", 4, true,  true,  10, 8},
};
// clang-format on
}  // namespace

std::span<const TypeInfo> all_types() { return types; }

const TypeInfo& info(DType type) { return types[static_cast<int>(type)]; }

std::optional<DType> parse_type(std::string_view name) {
  for (const TypeInfo& t : types)
    if (t.name == name) return t.type;
  return std::nullopt;
}

}  // namespace tecc
