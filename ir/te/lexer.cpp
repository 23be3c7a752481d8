#include "ir/te/lexer.h"

#include <algorithm>

#include "ir/type.h"

namespace tecc::te {
namespace {

// Own predicates: those of <cctype> depend on the locale and on the sign of char.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

constexpr std::string_view two_character_marks[] = {"<=", ">=", "==", "!=", "&&", "||", "->"};
constexpr std::string_view one_character_marks = "()[]{}<>=+-*/%!,:;";

class Lexer {
 public:
  explicit Lexer(const Source& source) : source_(source), text_(source.text) {}

  Result<std::vector<Token>> run() {
    std::vector<Token> out;
    for (;;) {
      skip_space();
      if (done()) break;
      const CallSite at = place(position_);
      const char c = text_[position_];
      std::size_t length = 0;
      Token::Kind kind = Token::mark;
      if (is_letter(c)) {
        kind = Token::name;
        while (position_ + length < text_.size() && (is_letter(peek(length)) || is_digit(peek(length)))) ++length;
      } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
        length = number_length(kind);
        if (is_letter(peek(length)) || peek(length) == '.')
          return tecc::at(at, refuse(Code::number_malformed, std::string(word_at(length))));
      } else {
        length = mark_length();
        if (length == 0) return tecc::at(at, refuse(Code::character_unknown, shown_character(), advice()));
      }
      out.push_back({kind, text_.substr(position_, length), at});
      position_ += length;
    }
    out.push_back({Token::end, {}, place(position_)});
    return out;
  }

 private:
  bool done() const { return position_ >= text_.size(); }
  char peek(std::size_t ahead) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0'; }
  CallSite place(std::size_t position) const {
    return {source_.name, line_, static_cast<std::uint32_t>(position - line_start_ + 1)};
  }

  void skip_space() {
    while (!done()) {
      if (text_[position_] == '#') {
        while (!done() && text_[position_] != '\n') ++position_;
      } else if (!is_space(text_[position_])) {
        return;
      } else if (text_[position_++] == '\n') {
        ++line_;
        line_start_ = position_;
      }
    }
  }

  std::size_t number_length(Token::Kind& kind) const {
    std::size_t n = 0;
    const auto digits = [&] {
      while (is_digit(peek(n))) ++n;
    };
    kind = Token::integer;
    digits();
    if (peek(n) == '.') {
      kind = Token::decimal;
      ++n;
      digits();
    }
    if (peek(n) == 'e' || peek(n) == 'E') {
      const std::size_t sign = peek(n + 1) == '+' || peek(n + 1) == '-' ? 2 : 1;
      if (is_digit(peek(n + sign))) {
        kind = Token::decimal;
        n += sign;
        digits();
      }
    }
    return n;
  }

  std::size_t mark_length() const {
    const std::string_view two = text_.substr(position_, 2);
    if (std::find(std::begin(two_character_marks), std::end(two_character_marks), two) != std::end(two_character_marks))
      return 2;
    return one_character_marks.find(text_[position_]) != std::string_view::npos ? 1 : 0;
  }

  /// The malformed number with all that hangs on it, shortened.
  std::string_view word_at(std::size_t n) const {
    while (is_letter(peek(n)) || is_digit(peek(n)) || peek(n) == '.') ++n;
    return text_.substr(position_, std::min<std::size_t>(n, 40));
  }

  std::string shown_character() const {
    const auto c = static_cast<unsigned char>(text_[position_]);
    if (c >= 0x21 && c < 0x7f) return std::string(1, static_cast<char>(c));
    constexpr char hex[] = "0123456789abcdef";
    return {'\\', 'x', hex[c >> 4], hex[c & 15]};
  }
  std::string advice() const {
    switch (text_[position_]) {
      case '&':
        return "write '&&'";
      case '|':
        return "write '||'";
      case '.':
        return "a number has a digit before or after its point";
      default:
        return "names and operators are plain ASCII";
    }
  }

  const Source& source_;
  std::string_view text_;
  std::size_t position_ = 0, line_start_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace

Result<std::vector<Token>> tokens_of(const Source& source) { return Lexer(source).run(); }

bool is_reserved(std::string_view word) {
  constexpr std::string_view words[] = {"kernel", "let", "else", "true", "false"};
  if (std::find(std::begin(words), std::end(words), word) != std::end(words)) return true;
  const auto type = parse_type(word);
  return type && *type != DType::tf32;  // tf32 is a cast, not a dtype
}

}  // namespace tecc::te
