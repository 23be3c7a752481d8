#include <fmt/format.h>

#include <charconv>

#include "ir/te/kernel.h"

namespace tecc::te {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

bool is_name(std::string_view s) {
  if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
  return s.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
         std::string_view::npos;
}

std::optional<std::int64_t> integer(std::string_view s) {
  std::int64_t value;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return value;
}

/// 4096, 1..65536 or 1..65536:8
std::optional<DimRange> range(std::string_view s) {
  std::string_view divisor = "1";
  if (const auto colon = s.find(':'); colon != s.npos) {
    divisor = s.substr(colon + 1);
    s = s.substr(0, colon);
  }
  const auto dots = s.find("..");
  const auto min = integer(s.substr(0, dots)), max = dots == s.npos ? min : integer(s.substr(dots + 2));
  const auto multiple = integer(divisor);
  if (!min || !max || !multiple || *multiple < 1) return std::nullopt;
  return DimRange{*min, *max, *multiple};
}

/// name=value,... with each pair given to `take`, which refuses by returning false.
template <class F> Check each_pair(const std::string& text, Code code, F&& take) {
  std::string_view rest = text;
  if (trimmed(rest).empty()) return Ok{};
  for (;;) {
    const auto comma = rest.find(',');
    const std::string_view pair = trimmed(rest.substr(0, comma));
    const auto equals = pair.find('=');
    if (equals == pair.npos || !is_name(trimmed(pair.substr(0, equals))) ||
        !take(std::string(trimmed(pair.substr(0, equals))), trimmed(pair.substr(equals + 1))))
      return refuse(code, std::string(pair));
    if (comma == rest.npos) return Ok{};
    rest = rest.substr(comma + 1);
  }
}

}  // namespace

Result<std::map<std::string, DimRange>> parse_dims(const std::string& text) {
  std::map<std::string, DimRange> out;
  TECC_CHECK(each_pair(text, Code::dims_text, [&](const std::string& name, std::string_view value) {
    const auto r = range(value);
    return r && out.emplace(name, *r).second;
  }));
  return out;
}

Result<std::map<std::string, DType>> parse_type_bindings(const std::string& text) {
  std::map<std::string, DType> out;
  TECC_CHECK(each_pair(text, Code::types_text, [&](const std::string& name, std::string_view value) {
    const auto t = parse_type(value);
    return t && *t != DType::tf32 && out.emplace(name, *t).second;
  }));
  return out;
}

Result<std::map<std::string, std::int64_t>> parse_alignments(const std::string& text) {
  std::map<std::string, std::int64_t> out;
  TECC_CHECK(each_pair(text, Code::alignments_text, [&](const std::string& name, std::string_view value) {
    const auto bytes = integer(value);
    return bytes && out.emplace(name, *bytes).second;
  }));
  return out;
}

}  // namespace tecc::te
