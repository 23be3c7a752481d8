#pragma once
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

/// A text that errors point into: a `.te` or `.schedule` file, or the argument of `-e`.
struct Source {
  const char* name;  // interned; what the user calls it
  std::string text;
  /// A text that a C++ program printed: the lines that made its parts, in order of the text. Errors then show the C++ line, and
  /// the printed text below it.
  struct Origin {
    CallSite in_text, at;
  };
  std::vector<Origin> origins = {};
  std::map<std::string, std::string> files = {};  // the texts of those lines' files, where they could be read
};
/// What the user wrote at a place of the text: a line of the C++ program for a text that one printed, else the place itself.
CallSite written_at(CallSite place, const Source& source);

/// "E0303" (or "B0901" for our own bugs).
std::string number(Code code);
/// The name of the row, as in Code.
std::string_view name(Code code);
/// One sentence with the arguments filled in, without place and number.
std::string message(const Refusal& why);
/// Of a text of several.
inline std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }
/// "gemm.te:3:7: error E0102: ...": with the line and a caret when `source` holds the place.
std::string render(const Refusal& why, const Source& source);
/// The long text behind `tecc explain E0303`.
std::optional<std::string> explanation(std::string_view number);

/// Our own conditions. Exactly bool, so that a literal or a pointer cannot be the condition. Throws std::logic_error
/// naming the place: reaching it is our bug, never the user's mistake.
void invariant_failed(std::string_view what, CallSite site);
inline void invariant(std::same_as<bool> auto holds, std::string_view what, CallSite site = here()) {
  if (!holds) [[unlikely]] invariant_failed(what, site);
}

}  // namespace tecc
