#pragma once
#include <fmt/format.h>

#include <concepts>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/base/result.h"

/// JSON from outside. The library recurses where it copies and prints, and turns numbers into integers that they are not.
namespace tecc {

constexpr int deepest_json = 64;  // brackets within brackets; artifacts and records have less than 10

/// E0630 with the library's words; keys stay in the order of the text.
Result<nlohmann::ordered_json> parse_json(std::string_view text);

/// The value as a T that is exactly it: 2.5, 1e300 and 18446744073709551615 are no std::int64_t. Throws the library's type_error.
template <class T>
T exactly(const nlohmann::ordered_json& j) {
  if constexpr (std::integral<T> && !std::same_as<T, bool>) {
    const bool fits = j.is_number_unsigned() ? std::in_range<T>(j.get<std::uint64_t>()) : j.is_number_integer() && std::in_range<T>(j.get<std::int64_t>());
    if (!fits) throw nlohmann::ordered_json::type_error::create(302, fmt::format("{} is no whole number of {} bits", j.dump(), 8 * sizeof(T)), nullptr);
  }
  return j.get<T>();
}
template <std::integral T>
std::vector<T> all_exactly(const nlohmann::ordered_json& list) {
  std::vector<T> out;
  for (const auto& j : list) out.push_back(exactly<T>(j));
  return out;
}

}  // namespace tecc
