#include <fmt/format.h>

#include <algorithm>

#include "ir/te/parse_expression.h"

namespace tecc::te {
namespace {

/// Reads one kernel. Shapes may use dims and integers that the header introduces further right, so its bare extents and
/// the names after `;` are collected before anything is resolved.
class KernelParser {
 public:
  KernelParser(std::span<const Token> tokens, std::size_t position) : scope_(kernel_), in_(tokens, kernel_, scope_) {
    in_.set_position(position);
  }

  Result<Kernel> run() {
    TECC_CHECK(header());
    TECC_CHECK(in_.expect("{"));
    collect_stages();
    while (!in_.accept("}")) TECC_CHECK(in_.is_word("let") ? let() : stage());
    for (std::size_t i = 0; i < outputs_.size(); ++i) TECC_CHECK(output(i));
    return std::move(kernel_);
  }
  std::size_t position() const { return in_.position(); }

 private:
  Check header() {
    if (!in_.is_word("kernel")) return in_.unexpected("'kernel'");
    in_.advance();
    kernel_.at = in_.now().at;
    TECC_TRY(const Token name, in_.name("the name of the kernel"));
    if (is_reserved(name.text)) return at(name.at, refuse(Code::reserved_word, std::string(name.text), "a kernel"));
    kernel_.name = name.text;
    if (in_.accept("<")) {
      do {
        TECC_TRY(const Token t, in_.name("the name of a type parameter"));
        const int index = static_cast<int>(kernel_.type_parameters.size());
        if (index >= most_type_parameters)
          return at(t.at, refuse(Code::too_many, "type parameters", most_type_parameters));
        TECC_CHECK(scope_.declare(t.text, TypeParameter{index}, "a type parameter", t.at));
        kernel_.type_parameters.emplace_back(t.text);
      } while (in_.accept(","));
      TECC_CHECK(in_.expect(">"));
    }
    TECC_CHECK(in_.expect("("));
    TECC_CHECK(collect_dims());
    if (!in_.is(")") && !in_.is(";")) do
        TECC_CHECK(parameter());
      while (in_.accept(","));
    if (in_.accept(";")) do {  // declared by collect_dims()
        if (auto word = in_.name("the name of an integer parameter"); !word) return word.error();
      } while (in_.accept(","));
    if (!in_.accept(")")) return in_.unexpected(kernel_.inputs.empty() ? "a parameter or ')'" : "',', ';' or ')'");
    TECC_CHECK(in_.expect("->"));
    TECC_CHECK(in_.expect("("));
    do {
      TECC_TRY(const Token t, in_.name("the name of an output"));
      const auto same = [&](const Token& o) { return o.text == t.text; };
      if (std::any_of(outputs_.begin(), outputs_.end(), same))
        return at(t.at, refuse(Code::output_twice, std::string(t.text)));
      outputs_.push_back(t);
    } while (in_.accept(","));
    return in_.expect(")");
  }

  /// Declares integer parameters and dims: in the header, a bare name between `[`, `,` and `]` is a whole extent.
  Check collect_dims() {
    std::vector<Token> bare, integers;
    int round = 1, square = 0;
    bool after_semicolon = false;
    for (std::size_t n = 0; in_.next(n).kind != Token::end; ++n) {
      const Token& t = in_.next(n);
      const auto mark = [](const Token& x, std::string_view m) { return x.kind == Token::mark && x.text == m; };
      if (mark(t, "(")) ++round;
      if (mark(t, ")") && --round == 0) break;
      if (mark(t, "{")) break;
      if (mark(t, "[")) ++square;
      if (mark(t, "]")) --square;
      if (mark(t, ";")) after_semicolon = true;
      if (t.kind != Token::name || round != 1 || n == 0) continue;
      const Token &before = in_.next(n - 1), &after = in_.next(n + 1);
      if (after_semicolon) {
        if ((mark(before, ";") || mark(before, ",")) && (mark(after, ",") || mark(after, ")"))) integers.push_back(t);
      } else if (square == 1 && (mark(before, "[") || mark(before, ",")) && (mark(after, ",") || mark(after, "]"))) {
        bare.push_back(t);
      }
    }
    for (const Token& t : integers) {
      const VarId id = scope_.add_variable(t.text, VarKind::integer, t.at);
      TECC_CHECK(scope_.declare(t.text, id, "an integer parameter", t.at));
      kernel_.integers.push_back(id);
    }
    for (const Token& t : bare) {
      if (const auto old = scope_.find(t.text))
        if (const auto* v = std::get_if<VarId>(&*old); v) continue;  // repeated: an equality
      const VarId id = scope_.add_variable(t.text, VarKind::dim, t.at);
      TECC_CHECK(scope_.declare(t.text, id, "a dim", t.at));
      kernel_.dims.push_back(id);
    }
    return Ok{};
  }

  Check parameter() {
    TECC_TRY(const Token name, in_.name("the name of a parameter"));
    TECC_CHECK(in_.expect(":"));
    Tensor t{std::string(name.text), {}, {}, true, name.at};
    TECC_TRY(t.type, in_.type());
    if (in_.accept("[")) {
      t.by_value = false;
      if (!in_.is("]")) do {
          TECC_TRY(Expr extent, in_.formula("a shape"));
          t.shape.push_back(std::move(extent));
        } while (in_.accept(","));
      if (!in_.accept("]")) return in_.unexpected("',' or ']'");
    }
    const TensorId id = scope_.add_tensor(std::move(t));
    kernel_.inputs.push_back(id);
    return scope_.declare(name.text, id, "a parameter", name.at);
  }

  Check let() {
    in_.advance();
    TECC_TRY(const Token name, in_.name("the name of the let"));
    TECC_CHECK(in_.expect("="));
    TECC_TRY(const Expr value, in_.formula("a let"));
    const VarId id = scope_.add_variable(name.text, VarKind::let, name.at, value);
    TECC_CHECK(scope_.declare(name.text, id, "a let", name.at));
    return ends();
  }

  Check stage() {
    TECC_TRY(const Token name, in_.name("a stage 'name[axes] = ...', 'let' or '}'"));
    TECC_CHECK(scope_.declare(name.text, TypeParameter{0}, "a stage", name.at));  // taken for its own axes
    scope_.forget(name.text);
    TECC_CHECK(in_.expect("["));
    Stage s;
    s.at = name.at;
    if (!in_.is("]")) {
      TECC_TRY(s.axes, in_.axes());
    }
    if (!in_.accept("]")) return in_.unexpected(s.axes.empty() ? "an axis or ']'" : "',' or ']'");
    for (const Axis& a : s.axes)
      if (kernel_[a.var].name == name.text)
        return at(a.at, refuse(Code::name_taken, std::string(name.text), "a stage"));
    TECC_CHECK(in_.expect("="));
    TECC_TRY(s.body, in_.body());
    in_.forget(s.axes);
    Tensor t{std::string(name.text), {}, {}, false, name.at};
    for (const Axis& a : s.axes) t.shape.push_back(a.extent);
    s.tensor = scope_.add_tensor(std::move(t));
    TECC_CHECK(scope_.declare(name.text, s.tensor, "a stage", name.at));
    kernel_.stages.push_back(std::move(s));
    return ends();
  }

  /// After a let or stage only `let`, `NAME [` or `}` may follow: anything else is a broken expression.
  Check ends() {
    if (in_.is("}") || in_.is_word("let")) return Ok{};
    const Token& after = in_.next();
    if (in_.now().kind == Token::name && !is_reserved(in_.now().text) && after.kind == Token::mark && after.text == "[")
      return Ok{};
    return in_.unexpected("an operator, the next stage or '}'");
  }

  /// Names before a bracket that closes before `=`, outside other brackets: stages, here or further down.
  void collect_stages() {
    int braces = 1, depth = 0;
    const Token* candidate = nullptr;
    for (std::size_t n = 0; braces > 0 && in_.next(n).kind != Token::end; ++n) {
      const Token &t = in_.next(n), &after = in_.next(n + 1);
      if (t.kind != Token::mark) continue;
      braces += (t.text == "{") - (t.text == "}");
      if (t.text == "[" && depth == 0 && n > 0) candidate = &in_.next(n - 1);
      depth += (t.text == "[" || t.text == "(") - (t.text == "]" || t.text == ")");
      if (depth == 0 && t.text == "]" && candidate && after.kind == Token::mark && after.text == "=")
        in_.later_stages.insert(candidate->text);
    }
  }

  Check output(std::size_t n) {
    const Token& t = outputs_[n];
    for (const Stage& s : kernel_.stages)
      if (kernel_[s.tensor].name == t.text) {
        kernel_.outputs.push_back(s.tensor);
        return Ok{};
      }
    return at(t.at, refuse(Code::output_undefined, std::string(t.text)));
  }

  static constexpr int most_type_parameters = 128;  // TypeRef holds a byte
  Kernel kernel_;
  Scope scope_;
  ExpressionParser in_;
  std::vector<Token> outputs_;
};

}  // namespace

Result<std::vector<Kernel>> parse(const Source& source) {
  TECC_TRY(const std::vector<Token> tokens, tokens_of(source));
  std::vector<Kernel> kernels;
  std::size_t position = 0;
  while (tokens[position].kind != Token::end) {
    KernelParser parser(tokens, position);
    TECC_TRY(Kernel kernel, parser.run());
    for (const Kernel& other : kernels)
      if (other.name == kernel.name) return at(kernel.at, refuse(Code::name_taken, kernel.name, "a kernel"));
    position = parser.position();
    kernels.push_back(std::move(kernel));
  }
  if (kernels.empty()) return at(CallSite{source.name, 1, 1}, refuse(Code::no_kernel));
  return kernels;
}

}  // namespace tecc::te
