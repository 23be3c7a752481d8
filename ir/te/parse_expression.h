#pragma once
#include <span>
#include <unordered_set>

#include "ir/te/lexer.h"
#include "ir/te/scope.h"

namespace tecc::te {

// Limits of one expression. The tree's depth is what recursion over it costs, and chains of operators make deep trees.
constexpr int deepest_nesting = 256;
constexpr int longest_chain = 1000;
constexpr std::int64_t most_nodes = 100'000;

/// Reads expressions by recursive descent and resolves their names; the kernel's reader (parse.cpp) shares its cursor.
class ExpressionParser {
 public:
  ExpressionParser(std::span<const Token> tokens, Kernel& kernel, Scope& scope)
      : tokens_(tokens), kernel_(kernel), scope_(scope) {}

  /// A body: anything.
  Result<Expr> body();
  /// An integer formula of dims, integers, lets and earlier axes. `where` completes "cannot stand in ...".
  Result<Expr> formula(std::string_view where);
  /// NAME ":" expr { "," NAME ":" expr }; the names stay declared until forget().
  Result<std::vector<Axis>> axes();
  void forget(const std::vector<Axis>& axes);

  // ---- the cursor ----
  const Token& now() const { return tokens_[position_]; }
  const Token& next(std::size_t ahead = 1) const { return tokens_[std::min(position_ + ahead, tokens_.size() - 1)]; }
  bool is(std::string_view mark) const { return now().kind == Token::mark && now().text == mark; }
  bool is_word(std::string_view word) const { return now().kind == Token::name && now().text == word; }
  void advance() { position_ += now().kind != Token::end; }
  bool accept(std::string_view mark) {
    const bool found = is(mark);
    if (found) advance();
    return found;
  }
  Check expect(std::string_view mark);
  Result<Token> name(std::string_view what);  // a NAME token
  Refusal unexpected(std::string_view wanted) const;
  std::size_t position() const { return position_; }
  void set_position(std::size_t position) { position_ = position; }
  /// Stages of the whole kernel, to tell "used before its definition" from "unknown".
  std::unordered_set<std::string_view> later_stages;
  std::string suggestion(std::string_view word) const;
  Result<TypeRef> type();

 private:
  struct Term {
    Expr e;
    int depth;
  };
  Result<Term> expression(int level = 0);
  Result<Term> unary();
  Result<Term> primary();
  Result<Term> number();
  Result<Term> name_alone();
  Result<Term> call();
  Result<Term> read();
  Result<Term> reduction();
  Result<std::vector<Term>> arguments(std::string_view close, int spare = 0);
  Result<Term> node(Expr e, std::initializer_list<int> depths);
  std::optional<TypeRef> type_named(std::string_view name) const;
  template <class F> auto nested(F&& f, int spare = 0) -> decltype(f());

  std::span<const Token> tokens_;
  Kernel& kernel_;
  Scope& scope_;
  std::size_t position_ = 0;
  std::string_view formula_of_;  // not empty: inside a formula, and of what
  int nesting_ = 0;
  std::int64_t nodes_ = 0;
};

}  // namespace tecc::te
