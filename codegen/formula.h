#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

/// Values of the names in contract formulas: dims and `sm_count`.
using Env = std::map<std::string, std::int64_t, std::less<>>;

/// A formula of the launch contract: integer literals, names, + - * / % (both floor), ceildiv(a,b), min(a,b), max(a,b).
/// Kept in postfix order: evaluating and printing as C are each one loop over `ops()` with a stack.
class Formula {
 public:
  enum class Kind : std::uint8_t { literal, name, negate, add, sub, mul, div, mod, ceildiv, min, max };
  struct Op {
    Kind kind;
    std::int64_t value = 0;  // of a literal
    std::string name;        // of a name
  };

  /// E0613 when the text is not a formula.
  static Result<Formula> parse(std::string_view text);
  /// Exact in 64 bits: E0614 on overflow, division by zero or a name without value.
  Result<std::int64_t> evaluate(const Env& env) const;

  const std::string& text() const { return text_; }
  const std::vector<Op>& ops() const { return ops_; }
  /// The names it reads, each once, in order of first use.
  std::vector<std::string> names() const;

 private:
  std::string text_;
  std::vector<Op> ops_;
};

/// parse and evaluate in one call.
Result<std::int64_t> evaluate(std::string_view formula, const Env& env);

}  // namespace tecc
