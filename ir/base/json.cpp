#include "ir/base/json.h"

#include <algorithm>

namespace tecc {
namespace {

/// Brackets outside of strings, at the deepest place.
int depth_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t n = 0; n < text.size() && deepest <= deepest_json; ++n) {
    const char c = text[n];
    if (c == '"') in_string = !in_string;
    else if (in_string) n += c == '\\';
    else if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    else if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

}  // namespace

Result<nlohmann::ordered_json> parse_json(std::string_view text) {
  if (depth_of(text) > deepest_json) return refuse(Code::json_text, fmt::format("brackets nested more than {} deep", deepest_json));
  try {
    return nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::json::exception& e) {  // its text starts with "[json.exception....] "
    const std::string_view what = e.what();
    return refuse(Code::json_text, std::string(what.substr(what.find("] ") == std::string_view::npos ? 0 : what.find("] ") + 2)));
  }
}

}  // namespace tecc
