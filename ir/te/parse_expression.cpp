#include "ir/te/parse_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ir/base/nearest.h"

namespace tecc::te {
namespace {

struct Operator {
  std::string_view mark;
  BinOp op;
  int level;
  bool swapped = false;  // a > b is b < a
};
constexpr Operator operators[] = {
    {"||", BinOp::logical_or, 0}, {"&&", BinOp::logical_and, 1}, {"<", BinOp::less, 2},
    {"<=", BinOp::less_equal, 2}, {">", BinOp::less, 2, true},   {">=", BinOp::less_equal, 2, true},
    {"==", BinOp::equal, 2},      {"!=", BinOp::not_equal, 2},   {"+", BinOp::add, 3},
    {"-", BinOp::sub, 3},         {"*", BinOp::mul, 4},          {"/", BinOp::div, 4},
    {"%", BinOp::mod, 4},
};
constexpr int compare_level = 2;

const Operator* operator_at(const Token& t) {
  if (t.kind != Token::mark) return nullptr;
  for (const Operator& o : operators)
    if (o.mark == t.text) return &o;
  return nullptr;
}

std::optional<BinOp> binary_function(std::string_view name) {
  if (name == "min") return BinOp::min;
  if (name == "max") return BinOp::max;
  if (name == "pow") return BinOp::pow;
  return std::nullopt;
}

std::vector<std::string> function_names() {
  std::vector<std::string> out = {"select", "min", "max", "pow"};
  for (int op = static_cast<int>(UnOp::abs); op <= static_cast<int>(UnOp::square); ++op)
    out.emplace_back(symbol(static_cast<UnOp>(op)));
  return out;
}

bool is_function(std::string_view name) {
  return name == "select" || binary_function(name) || parse_function(name) || parse_reducer(name);
}

}  // namespace

// ---- the cursor -------------------------------------------------------------------------------------------------------

Refusal ExpressionParser::unexpected(std::string_view wanted) const {
  const std::string found =
      now().kind == Token::end ? "the end of the text" : fmt::format("'{}'", now().text.substr(0, 40));
  return at(now().at, refuse(Code::expected, std::string(wanted), found));
}

Check ExpressionParser::expect(std::string_view mark) {
  if (!accept(mark)) return unexpected(fmt::format("'{}'", mark));
  return Ok{};
}

Result<Token> ExpressionParser::name(std::string_view what) {
  if (now().kind != Token::name) return unexpected(what);
  const Token t = now();
  advance();
  return t;
}

std::string ExpressionParser::suggestion(std::string_view word) const {
  std::vector<std::string> known = scope_.visible();
  return did_you_mean(word, known);
}

std::optional<TypeRef> ExpressionParser::type_named(std::string_view name) const {
  if (const auto meaning = scope_.find(name)) {
    const auto* parameter = std::get_if<TypeParameter>(&*meaning);
    return parameter ? std::optional(TypeRef::parameter(parameter->index)) : std::nullopt;
  }
  const auto type = parse_type(name);
  return type ? std::optional(TypeRef(*type)) : std::nullopt;
}

Result<TypeRef> ExpressionParser::type() {
  const CallSite at = now().at;
  TECC_TRY(const Token word, name("a type"));
  const auto type = type_named(word.text);
  if (type && *type != TypeRef(DType::tf32)) return *type;
  std::vector<std::string> known = kernel_.type_parameters;
  for (const TypeInfo& t : all_types())
    if (t.type != DType::tf32) known.emplace_back(t.name);
  const std::string advice =
      type ? "; tf32 is a cast: declare f32 and write tf32(x)"
           : did_you_mean(word.text, known) +
                 fmt::format("; to leave it open, write 'kernel {}<{}>(...)'", kernel_.name, word.text);
  return tecc::at(at, refuse(Code::type_unknown, std::string(word.text), advice));
}

// ---- expressions ------------------------------------------------------------------------------------------------------

template <class F> auto ExpressionParser::nested(F&& f, int spare) -> decltype(f()) {
  if (++nesting_ > deepest_nesting + spare) return at(now().at, refuse(Code::nesting_too_deep, deepest_nesting));
  auto result = f();
  --nesting_;
  return result;
}

Result<ExpressionParser::Term> ExpressionParser::node(Expr e, std::initializer_list<int> depths) {
  int deepest = 0;
  for (const int d : depths) deepest = std::max(deepest, d);
  if (++nodes_ > most_nodes) return at(e->at, refuse(Code::expression_too_large, most_nodes));
  if (deepest >= longest_chain) return at(e->at, refuse(Code::chain_too_long, longest_chain));
  return Term{std::move(e), deepest + 1};
}

Result<Expr> ExpressionParser::body() {
  nodes_ = nesting_ = 0;
  TECC_TRY(Term t, expression());
  return std::move(t.e);
}

Result<Expr> ExpressionParser::formula(std::string_view where) {
  const std::string_view outer = formula_of_;
  formula_of_ = where;
  TECC_TRY(Term t, expression());
  formula_of_ = outer;
  return std::move(t.e);
}

/// Precedence climbing: operators of `level` and above. One frame a bracket, not one a level of the grammar.
Result<ExpressionParser::Term> ExpressionParser::expression(int level) {
  TECC_TRY(Term left, unary());
  std::string_view compared;  // the comparison before, which another may not follow
  for (const Operator* o; (o = operator_at(now())) && o->level >= level;) {
    const CallSite at = now().at;
    if (o->level == compare_level) {
      if (!compared.empty())
        return tecc::at(at, refuse(Code::comparison_chain, std::string(compared), std::string(o->mark)));
      compared = o->mark;
    }
    advance();
    TECC_TRY(Term right, expression(o->level + 1));
    const int a = left.depth, b = right.depth;
    if (o->swapped) std::swap(left, right);
    TECC_TRY(left, node(make(Binary{o->op, left.e, right.e}, DType::i64, at), {a, b}));
  }
  return left;
}

Result<ExpressionParser::Term> ExpressionParser::unary() {
  if (!is("-") && !is("!")) return primary();
  const CallSite at = now().at;
  const UnOp op = is("-") ? UnOp::neg : UnOp::logical_not;
  advance();
  if (op == UnOp::neg && now().kind == Token::integer && now().text == "9223372036854775808") {  // the smallest i64
    advance();
    return node(make(Literal{INT64_MIN, -9223372036854775808.0, false}, DType::i64, at), {});
  }
  const bool at_number = now().kind == Token::integer || now().kind == Token::decimal;
  TECC_TRY(const Term inner, nested([&] { return unary(); }));
  if (const auto* l = inner.e.as<Literal>(); l && op == UnOp::neg && at_number)  // -5 is one literal
    return Term{make(Literal{-l->integer, -l->real, l->decimal}, inner.e->type, at), inner.depth};
  return node(make(Unary{op, inner.e}, DType::i64, at), {inner.depth});
}

Result<ExpressionParser::Term> ExpressionParser::primary() {
  if (now().kind == Token::integer || now().kind == Token::decimal) return number();
  if (accept("(")) {
    TECC_TRY(const Term inner, nested([&] { return expression(); }));
    TECC_CHECK(expect(")"));
    return inner;
  }
  if (now().kind != Token::name) return unexpected("an expression");
  const CallSite at = now().at;
  if (is_word("true") || is_word("false")) {
    const std::int64_t value = is_word("true");
    advance();
    return node(make(Literal{value, static_cast<double>(value), false}, DType::boolean, at), {});
  }
  const bool bracket = next().kind == Token::mark && next().text == "[";
  if (bracket && next(2).kind == Token::name && next(3).kind == Token::mark && next(3).text == ":") return reduction();
  if (bracket) return read();
  if (next().kind == Token::mark && next().text == "(") return call();
  return name_alone();
}

Result<ExpressionParser::Term> ExpressionParser::number() {
  const Token t = now();
  advance();
  Literal value;
  const char* const first = t.text.data();
  const char* const last = first + t.text.size();
  if (t.kind == Token::integer) {
    if (std::from_chars(first, last, value.integer).ec != std::errc())
      return at(t.at, refuse(Code::number_too_large, std::string(t.text.substr(0, 40)),
                             "an integer is at most 9223372036854775807"));
    value.real = static_cast<double>(value.integer);
    return node(make(value, DType::i64, t.at), {});
  }
  value.decimal = true;
  // from_chars, unlike strtod, does not depend on the locale; out of range is too large or too small to tell from 0.
  if (std::from_chars(first, last, value.real).ec != std::errc()) {
    const bool tiny = t.text.find("e-") != std::string_view::npos || t.text.find("E-") != std::string_view::npos ||
                      t.text.find_first_not_of("0.") != 0;
    if (!tiny)
      return at(t.at, refuse(Code::number_too_large, std::string(t.text.substr(0, 40)),
                             "a decimal number is at most about 1.8e308"));
    value.real = 0;
  }
  return node(make(value, DType::f32, t.at), {});
}

Result<ExpressionParser::Term> ExpressionParser::name_alone() {
  const Token t = now();
  const std::string word(t.text);
  const auto meaning = scope_.find(word);
  if (!meaning) {
    if (later_stages.count(word)) return at(t.at, refuse(Code::stage_before_definition, word));
    if (parse_type(word))
      return at(t.at, refuse(Code::not_a_value, word, "a type", fmt::format("to cast, write {}(x)", word)));
    if (is_reserved(word)) return unexpected("an expression");
    if (is_function(word))
      return at(t.at, refuse(Code::not_a_value, word, "a function", fmt::format("to call it, write {}(...)", word)));
    return at(t.at, refuse(Code::name_unknown, word, suggestion(word)));
  }
  advance();
  if (const auto* v = std::get_if<VarId>(&*meaning)) return node(make(Var{*v}, DType::i64, t.at), {});
  if (std::holds_alternative<TypeParameter>(*meaning))
    return at(t.at, refuse(Code::not_a_value, word, "a type parameter", fmt::format("to cast, write {}(x)", word)));
  const TensorId id = std::get<TensorId>(*meaning);
  if (!kernel_[id].by_value)
    return at(t.at, refuse(Code::not_a_value, word, scope_.describe(*meaning),
                           fmt::format("to read it, write {}[...]", word)));
  if (!formula_of_.empty())
    return at(t.at,
              refuse(Code::not_in_extent, fmt::format("the scalar parameter '{}'", word), std::string(formula_of_)));
  return node(make(Read{id, {}, {}}, DType::i64, t.at), {});
}

Result<std::vector<ExpressionParser::Term>> ExpressionParser::arguments(std::string_view close, int spare) {
  std::vector<Term> out;
  if (accept(close)) return out;
  do {
    TECC_TRY(Term t, nested([&] { return expression(); }, spare));
    out.push_back(std::move(t));
  } while (accept(","));
  if (!accept(close)) return unexpected(fmt::format("',' or '{}'", close));
  return out;
}

Result<ExpressionParser::Term> ExpressionParser::call() {
  const Token t = now();
  const std::string word(t.text);
  const auto type = type_named(word);
  if (!type && !is_function(word)) {
    if (const auto meaning = scope_.find(word); meaning && std::holds_alternative<TensorId>(*meaning))
      return at(t.at, refuse(Code::not_a_value, word, scope_.describe(*meaning) + ", not a function,",
                             fmt::format("indices stand in brackets, {}[...]", word)));
    return at(t.at, refuse(Code::function_unknown, word, did_you_mean(word, function_names())));
  }
  if (!type && parse_reducer(word) && !binary_function(word))
    return at(t.at, refuse(Code::not_a_value, word, "a reducer",
                           fmt::format("axes stand before its body, {}[k: K](...)", word)));
  if (type && !formula_of_.empty())
    return at(t.at, refuse(Code::not_in_extent, fmt::format("the cast '{}(...)'", word), std::string(formula_of_)));
  advance();
  advance();
  TECC_TRY(const std::vector<Term> a, arguments(")"));
  const std::size_t wanted = type ? 1 : word == "select" ? 3 : binary_function(word) ? 2 : 1;
  if (a.size() != wanted) return at(t.at, refuse(Code::argument_count, word, wanted, a.size()));
  if (type) return node(make(Cast{*type, a[0].e}, DType::i64, t.at), {a[0].depth});
  if (wanted == 3)
    return node(make(Select{a[0].e, a[1].e, a[2].e}, DType::i64, t.at), {a[0].depth, a[1].depth, a[2].depth});
  if (const auto op = binary_function(word))
    return node(make(Binary{*op, a[0].e, a[1].e}, DType::i64, t.at), {a[0].depth, a[1].depth});
  return node(make(Unary{*parse_function(word), a[0].e}, DType::i64, t.at), {a[0].depth});
}

Result<ExpressionParser::Term> ExpressionParser::read() {
  const Token t = now();
  const std::string word(t.text);
  const auto meaning = scope_.find(word);
  if (!meaning) {
    if (later_stages.count(word)) return at(t.at, refuse(Code::stage_before_definition, word));
    if (parse_reducer(word))
      return at(t.at, refuse(Code::not_a_value, word, "a reducer",
                             fmt::format("write its axes with extents, {}[k: K](...)", word)));
    if (is_reserved(word)) return unexpected("an expression");
    return at(t.at, refuse(Code::name_unknown, word, suggestion(word)));
  }
  if (!std::holds_alternative<TensorId>(*meaning))
    return at(t.at, refuse(Code::not_a_value, word, scope_.describe(*meaning) + " without elements",
                           "only tensors and stages are read with brackets"));
  if (!formula_of_.empty())
    return at(t.at, refuse(Code::not_in_extent, fmt::format("the read '{}[...]'", word), std::string(formula_of_)));
  const TensorId id = std::get<TensorId>(*meaning);
  advance();
  advance();
  TECC_TRY(const std::vector<Term> index, arguments("]", 1));  // a read may stand at the deepest level
  const Tensor& tensor = kernel_[id];
  if (index.size() != tensor.shape.size() || tensor.by_value) {
    std::string form = word;
    if (!tensor.by_value) {
      form += "[";
      for (std::size_t d = 0; d < tensor.shape.size(); ++d) form += d ? ", _" : "_";
      form += "]";
    }
    return at(t.at, refuse(Code::index_count, word, tensor.shape.size(), index.size(), form));
  }
  Read out{id, {}, {}};
  int depth = 0;
  for (const Term& i : index) {
    out.index.push_back(i.e);
    depth = std::max(depth, i.depth);
  }
  if (is_word("else")) {
    advance();
    TECC_TRY(const Term otherwise, nested([&] { return unary(); }));
    out.otherwise = otherwise.e;
    depth = std::max(depth, otherwise.depth);
  }
  return node(make(std::move(out), DType::i64, t.at), {depth});
}

Result<ExpressionParser::Term> ExpressionParser::reduction() {
  const Token t = now();
  const std::string word(t.text);
  const auto reducer = parse_reducer(word);
  if (!reducer) {
    std::vector<std::string> reducers;
    for (int r = 0; r <= static_cast<int>(Reducer::mean); ++r) reducers.emplace_back(symbol(static_cast<Reducer>(r)));
    return at(t.at,
              refuse(Code::function_unknown, word,
                     did_you_mean(word, reducers) + "; reducers are sum prod min max any all argmax argmin mean"));
  }
  if (!formula_of_.empty())
    return at(t.at,
              refuse(Code::not_in_extent, fmt::format("the reduction '{}[...]'", word), std::string(formula_of_)));
  advance();
  advance();
  TECC_TRY(std::vector<Axis> bound, axes());
  TECC_CHECK(expect("]"));
  if ((*reducer == Reducer::argmax || *reducer == Reducer::argmin) && bound.size() != 1)
    return at(t.at, refuse(Code::argmax_axes, word, bound.size()));
  TECC_CHECK(expect("("));
  TECC_TRY(const std::vector<Term> a, arguments(")"));
  if (a.size() != 1) return at(t.at, refuse(Code::argument_count, word, 1, a.size()));
  forget(bound);
  return node(make(Reduce{*reducer, std::move(bound), a[0].e}, DType::i64, t.at), {a[0].depth});
}

Result<std::vector<Axis>> ExpressionParser::axes() {
  std::vector<Axis> out;
  do {
    const CallSite at = now().at;
    TECC_TRY(const Token word, name("the name of an axis"));
    TECC_CHECK(expect(":"));
    TECC_TRY(const Expr extent, nested([&] { return formula("the extent of an axis"); }));
    const VarId id = scope_.add_variable(word.text, VarKind::axis, at);
    TECC_CHECK(scope_.declare(word.text, id, "an axis", at));
    out.push_back({id, extent, at});
  } while (accept(","));
  return out;
}

void ExpressionParser::forget(const std::vector<Axis>& axes) {
  for (const Axis& a : axes) scope_.forget(kernel_[a.var].name);
}

}  // namespace tecc::te
