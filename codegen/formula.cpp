#include "codegen/formula.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace tecc {
namespace {

using Kind = Formula::Kind;
using Wide = __int128;  // one operation on two i64 never overflows it, so a single range check at the end suffices

constexpr int deepest = 256;  // as in `.te` text: nested deeper is refused, so that parsing cannot exhaust the stack

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<std::vector<Formula::Op>> parse() {
    if (!sum()) return std::nullopt;
    skip();
    if (at_ != text_.size()) return fail("a stray '" + std::string(1, text_[at_]) + "'"), std::nullopt;
    return std::move(ops_);
  }
  const std::string& why() const { return why_; }

 private:
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    return false;
  }
  bool expect(char c) { return take(c) || fail(std::string("'") + c + "' is missing"); }
  bool emit(Kind kind) {
    ops_.push_back({kind, 0, {}});
    return true;
  }

  bool sum() {
    if (!term()) return false;
    for (;;) {
      const Kind kind = peek() == '+' ? Kind::add : Kind::sub;
      if (!take('+') && !take('-')) return true;
      if (!term()) return false;
      emit(kind);
    }
  }
  bool term() {
    if (!unary()) return false;
    for (;;) {
      const char c = peek();
      if (c != '*' && c != '/' && c != '%') return true;
      ++at_;
      if (!unary()) return false;
      emit(c == '*' ? Kind::mul : c == '/' ? Kind::div : Kind::mod);
    }
  }
  bool unary() {
    if (++depth_ > deepest) return fail("nested deeper than 256");
    const bool ok = take('-') ? unary() && emit(Kind::negate) : primary();
    --depth_;
    return ok;
  }
  bool primary() {
    const char c = peek();
    if (take('(')) return sum() && expect(')');
    if (std::isdigit(static_cast<unsigned char>(c))) return number();
    if (std::isalpha(static_cast<unsigned char>(c)) || c == '_') return name();
    return fail(c ? "a number, name or '(' must stand before '" + std::string(1, c) + "'" : "it ends too early");
  }
  bool number() {
    std::int64_t value = 0;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc{}) return fail("a number does not fit 64 bits");
    at_ = static_cast<std::size_t>(stop - text_.data());
    ops_.push_back({Kind::literal, value, {}});
    return true;
  }
  bool name() {
    const std::size_t first = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    const std::string word(text_.substr(first, at_ - first));
    if (!take('(')) return ops_.push_back({Kind::name, 0, word}), true;
    const Kind kind = word == "ceildiv" ? Kind::ceildiv : word == "min" ? Kind::min : Kind::max;
    if (kind == Kind::max && word != "max") return fail("there is no function '" + word + "'");
    return sum() && expect(',') && sum() && expect(')') && emit(kind);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::vector<Formula::Op> ops_;
  std::string why_;
};

std::optional<Wide> apply(Kind kind, Wide a, Wide b) {
  const auto floordiv = [](Wide x, Wide y) { return x / y - ((x % y != 0) && ((x < 0) != (y < 0))); };
  switch (kind) {
    case Kind::add:
      return a + b;
    case Kind::sub:
      return a - b;
    case Kind::mul:
      return a * b;
    case Kind::min:
      return std::min(a, b);
    case Kind::max:
      return std::max(a, b);
    case Kind::div:
      return b == 0 ? std::nullopt : std::optional(floordiv(a, b));
    case Kind::mod:
      return b == 0 ? std::nullopt : std::optional(a - floordiv(a, b) * b);
    case Kind::ceildiv:
      return b == 0 ? std::nullopt : std::optional(-floordiv(-a, b));
    case Kind::literal:
    case Kind::name:
    case Kind::negate:
      break;
  }
  return std::nullopt;
}

}  // namespace

Result<Formula> Formula::parse(std::string_view text) {
  Parser parser(text);
  std::optional<std::vector<Op>> ops = parser.parse();
  if (!ops) return refuse(Code::formula_bad, std::string(text), parser.why());
  Formula f;
  f.text_ = text;
  f.ops_ = *std::move(ops);
  return f;
}

Result<std::int64_t> Formula::evaluate(const Env& env) const {
  std::vector<Wide> stack;
  const auto no_value = [&](std::string why) { return refuse(Code::formula_value, text_, std::move(why)); };
  for (const Op& op : ops_) {
    if (op.kind == Kind::literal) {
      stack.push_back(op.value);
      continue;
    }
    if (op.kind == Kind::name) {
      const auto found = env.find(op.name);
      if (found == env.end()) return no_value("'" + op.name + "' has no value");
      stack.push_back(found->second);
      continue;
    }
    const Wide b = stack.back();
    if (op.kind == Kind::negate) {
      stack.back() = -b;
    } else {
      stack.pop_back();
      const std::optional<Wide> value = apply(op.kind, stack.back(), b);
      if (!value) return no_value("it divides by zero");
      stack.back() = *value;
    }
    if (stack.back() > std::numeric_limits<std::int64_t>::max() ||
        stack.back() < std::numeric_limits<std::int64_t>::min())
      return no_value("it does not fit 64 bits");
  }
  return static_cast<std::int64_t>(stack.back());
}

std::vector<std::string> Formula::names() const {
  std::vector<std::string> out;
  for (const Op& op : ops_)
    if (op.kind == Kind::name && std::find(out.begin(), out.end(), op.name) == out.end()) out.push_back(op.name);
  return out;
}

Result<std::int64_t> evaluate(std::string_view formula, const Env& env) {
  TECC_TRY(const Formula parsed, Formula::parse(formula));
  return parsed.evaluate(env);
}

}  // namespace tecc
