#include "ir/loop/tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ir/base/nearest.h"

namespace tecc::loop {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

constexpr std::string_view two_character_marks[] = {"..", "->", "<=", ">=", "==", "!=", "&&", "||"};
constexpr std::string_view one_character_marks = "()[]{}<>=+-*/%!,:;@";

}  // namespace

Result<std::vector<Token>> tokens_of(const Source& source) {
  const std::string_view text = source.text;
  std::vector<Token> out;
  std::uint32_t line = 1;
  std::size_t start = 0, n = 0;  // of the line; of the word
  const auto at = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  while (n < text.size()) {
    if (text[n] == '#') {
      while (n < text.size() && text[n] != '\n') ++n;
    } else if (text[n] == '\n') {
      start = ++n;
      ++line;
    } else if (text[n] == ' ' || text[n] == '\t' || text[n] == '\r') {
      ++n;
    } else {
      std::size_t end = n;
      Token::Kind kind = Token::mark;
      const CallSite place{source.name, line, static_cast<std::uint32_t>(n - start + 1)};
      if (is_letter(text[n])) {
        kind = Token::name;
        while (is_letter(at(end)) || is_digit(at(end)) || (at(end) == '.' && (is_letter(at(end + 1)) || is_digit(at(end + 1))))) ++end;
      } else if (is_digit(text[n])) {
        kind = Token::integer;
        const auto digits = [&] { while (is_digit(at(end))) ++end; };
        digits();
        if (at(end) == '.' && is_digit(at(end + 1))) kind = Token::decimal, ++end, digits();
        if (at(end) == 'e' && (is_digit(at(end + 1)) || ((at(end + 1) == '-' || at(end + 1) == '+') && is_digit(at(end + 2))))) {
          kind = Token::decimal;
          end += 2;
          digits();
        }
      } else {
        const std::string_view two = text.substr(n, 2);
        const bool wide = std::find(std::begin(two_character_marks), std::end(two_character_marks), two) != std::end(two_character_marks);
        if (!wide && one_character_marks.find(text[n]) == std::string_view::npos) {
          const auto c = static_cast<unsigned char>(text[n]);
          return tecc::at(place, refuse(Code::character_unknown, c >= 0x21 && c < 0x7f ? std::string(1, text[n]) : fmt::format("\\x{:02x}", c), "names and operators are plain ASCII"));
        }
        end += wide ? 2 : 1;
      }
      out.push_back({kind, text.substr(n, end - n), place});
      n = end;
    }
  }
  out.push_back({Token::end, {}, {source.name, line, static_cast<std::uint32_t>(n - start + 1)}});
  return out;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t most = 6;
  if (std::string near = did_you_mean(word, known); !near.empty()) return near;
  if (known.empty()) return "; none is defined";
  std::string out = "; known: ";
  for (std::size_t n = 0; n < known.size() && n < most; ++n) out += (n ? ", " : "") + known[n];
  return out + (known.size() > most ? ", .." : "");
}

Refusal Cursor::unexpected(std::string_view wanted) const {
  const std::string found = now().kind == Token::end ? "the end of the text" : fmt::format("'{}'", now().text.substr(0, 40));
  return at(now().at, refuse(Code::expected, std::string(wanted), found));
}

Check Cursor::expect(std::string_view text) {
  if (!accept(text)) return unexpected(fmt::format("'{}'", text));
  return Ok{};
}

Result<Token> Cursor::name(std::string_view what) {
  if (now().kind != Token::name) return unexpected(what);
  advance();
  return before();
}

Result<std::int64_t> Cursor::integer(std::string_view what) {
  const bool negative = is("-");
  const Token& t = negative ? next() : now();
  if (t.kind != Token::integer) return unexpected(what);
  std::uint64_t value = 0;
  const std::uint64_t most = (std::uint64_t{1} << 63) - (negative ? 0 : 1);
  if (std::from_chars(t.text.data(), t.text.data() + t.text.size(), value).ec != std::errc() || value > most)
    return at(t.at, refuse(Code::number_too_large, std::string(t.text.substr(0, 40)), "an integer is at most 9223372036854775807"));
  if (negative) advance();
  advance();
  return static_cast<std::int64_t>(negative ? 0 - value : value);
}

}  // namespace tecc::loop
