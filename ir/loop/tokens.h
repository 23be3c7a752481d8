#pragma once
#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "ir/te/lexer.h"

/// Words of the loop IR's text and a cursor over them. As in `.te` text, but names go on over points (C.sum) and numbers end before two.
namespace tecc::loop {

using te::Token;

/// E0101 a character that starts no word; E0103 an integer beyond i64.
Result<std::vector<Token>> tokens_of(const Source& source);

/// What to write instead of an unknown word: the nearest known one, or a few of them.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

class Cursor {
 public:
  explicit Cursor(std::span<const Token> tokens) : tokens_(tokens) {}

  const Token& now() const { return tokens_[position_]; }
  const Token& next(std::size_t ahead = 1) const { return tokens_[std::min(position_ + ahead, tokens_.size() - 1)]; }
  const Token& before() const { return tokens_[position_ - 1]; }
  std::size_t position() const { return position_; }
  void go_to(std::size_t position) { position_ = position; }
  void advance() { position_ += now().kind != Token::end; }

  static bool is(const Token& t, std::string_view text) { return (t.kind == Token::mark || t.kind == Token::name) && t.text == text; }
  bool is(std::string_view text) const { return is(now(), text); }
  bool accept(std::string_view text) {
    const bool found = is(text);
    if (found) advance();
    return found;
  }
  Refusal unexpected(std::string_view wanted) const;
  Check expect(std::string_view text);
  Result<Token> name(std::string_view what);
  Result<std::int64_t> integer(std::string_view what);  // with a sign

 private:
  std::span<const Token> tokens_;
  std::size_t position_ = 0;
};

}  // namespace tecc::loop
