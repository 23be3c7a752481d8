#pragma once
#include <string_view>
#include <vector>

#include "ir/base/errors.h"

namespace tecc::te {

/// One word of `.te` text. A mark is an operator or a bracket; its text is compared, there is no list of kinds.
struct Token {
  enum Kind : std::uint8_t { name, integer, decimal, mark, end } kind;
  std::string_view text;  // points into the Source
  CallSite at;
};

/// The whole text as tokens, an `end` last. Newlines and `#` comments are white space.
/// E0101 for a character that starts no token, E0102 for a malformed number.
Result<std::vector<Token>> tokens_of(const Source& source);

/// kernel let else true false and the dtypes; functions and reducers are ordinary names.
bool is_reserved(std::string_view word);

}  // namespace tecc::te
