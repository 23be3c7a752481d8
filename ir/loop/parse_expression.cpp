#include "ir/loop/parse_expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace tecc::loop {
namespace {

struct Operator {
  std::string_view mark;
  BinOp op;
  int level;
};
constexpr int compare_level = 2;
// What recursion over a tree costs is its depth. A stage may have chains of 1000 operators and steps inline stages into each other, so that
// trees are deeper here than in `.te` text; brackets that nest are those of the text alone.
constexpr int deepest_nesting = 512, deepest_tree = 4000;
constexpr Operator operators[] = {{"||", BinOp::logical_or, 0}, {"&&", BinOp::logical_and, 1}, {"<", BinOp::less, 2},  {"<=", BinOp::less_equal, 2}, {"==", BinOp::equal, 2},
                                  {"!=", BinOp::not_equal, 2},  {"+", BinOp::add, 3},          {"-", BinOp::sub, 3},   {"*", BinOp::mul, 4},         {"/", BinOp::div, 4},
                                  {"%", BinOp::mod, 4}};

const Operator* operator_at(const Token& t) {
  for (const Operator& o : operators)
    if (t.kind == Token::mark && o.mark == t.text) return &o;
  return nullptr;
}

std::optional<BinOp> binary_function(std::string_view name) {
  if (name == "min") return BinOp::min;
  if (name == "max") return BinOp::max;
  if (name == "pow") return BinOp::pow;
  return std::nullopt;
}

}  // namespace

Result<Expr> ExpressionReader::read(DType type) {
  TECC_TRY(const Value v, binary(0));
  Expr e = v.open == Openness::none ? v.e : settle(v, type);
  if (e->type != type) return misfit({e, Openness::none, v.from}, type);
  depth_ = v.depth;
  return e;
}

Refusal ExpressionReader::misfit(const Value& v, DType wanted) const {
  Cursor start = in_;  // the text of the value, from its first word to the last one read
  start.go_to(v.from);
  const Token from = start.now(), last = in_.before();
  const std::string text(from.text.data(), static_cast<std::size_t>(last.text.data() + last.text.size() - from.text.data()));
  return at(from.at, refuse(Code::ir_types, text.size() > 60 ? text.substr(0, 57) + "..." : text, std::string(name(v.e->type)), std::string(name(wanted))));
}

Expr ExpressionReader::settle(const Value& v, DType wanted) {
  if (v.open == Openness::none) return v.e;
  const DType type = takes(v.open, wanted) ? wanted : alone(v.open);
  const std::function<Expr(const Expr&)> typed = [&](const Expr& e) -> Expr {  // literals, operators and conditions of selects
    if (const auto* l = e.as<Literal>()) return make(*l, type, e->at);
    if (const auto* u = e.as<Unary>()) return make(Unary{u->op, typed(u->a)}, type, e->at);
    if (const auto* b = e.as<Binary>()) return make(Binary{b->op, typed(b->a), typed(b->b)}, type, e->at);
    if (const auto* s = e.as<Select>()) return make(Select{s->condition, typed(s->then), typed(s->otherwise)}, type, e->at);
    return e;
  };
  return typed(v.e);
}

Check ExpressionReader::agree(Value& a, Value& b) {
  if (a.open != Openness::none && b.open != Openness::none) {
    if (a.open != b.open) a.open = b.open = Openness::decimal;
    return Ok{};
  }
  a.e = settle(a, b.e->type);
  b.e = settle(b, a.e->type);
  a.open = b.open = Openness::none;
  if (a.e->type != b.e->type) return misfit(b, a.e->type);
  return Ok{};
}

Result<ExpressionReader::Value> ExpressionReader::joined(BinOp op, Value a, Value b, CallSite at) {
  if (is_logical(op)) {
    a.e = settle(a, DType::boolean);
    b.e = settle(b, DType::boolean);
    for (const Value* v : {&a, &b})
      if (v->e->type != DType::boolean) return misfit(*v, DType::boolean);
    return Value{make(Binary{op, a.e, b.e}, DType::boolean, at), Openness::none, a.from};
  }
  TECC_CHECK(agree(a, b));
  if (op == BinOp::pow && a.open == Openness::integer) a.open = b.open = Openness::decimal;
  if (compares(op)) {
    if (a.open != Openness::none) a.e = settle(a, alone(a.open)), b.e = settle(b, alone(b.open));
    return Value{make(Binary{op, a.e, b.e}, DType::boolean, at), Openness::none, a.from};
  }
  return Value{make(Binary{op, a.e, b.e}, a.e->type, at), a.open, a.from};
}

Result<ExpressionReader::Value> ExpressionReader::binary(int level) {
  if (++nesting_ > deepest_nesting) return at(in_.now().at, refuse(Code::nesting_too_deep, deepest_nesting));
  TECC_TRY(Value left, unary());
  std::string_view compared;
  for (const Operator* o; (o = operator_at(in_.now())) && o->level >= level;) {
    const CallSite place = in_.now().at;
    if (o->level == compare_level) {
      if (!compared.empty()) return at(place, refuse(Code::comparison_chain, std::string(compared), std::string(o->mark)));
      compared = o->mark;
    }
    in_.advance();
    TECC_TRY(Value right, binary(o->level + 1));
    const int depth = std::max(left.depth, right.depth) + 1;
    if (depth > deepest_tree) return at(place, refuse(Code::chain_too_long, deepest_tree));
    TECC_TRY(left, joined(o->op, std::move(left), std::move(right), place));
    left.depth = depth;
  }
  --nesting_;
  return left;
}

Result<ExpressionReader::Value> ExpressionReader::unary() {
  if (!in_.is("-") && !in_.is("!")) return primary();
  const std::size_t from = in_.position();
  const CallSite place = in_.now().at;
  const bool minus = in_.is("-");
  if (minus && in_.next().kind == Token::integer && in_.next().text == "9223372036854775808") {  // the smallest i64
    in_.advance(), in_.advance();
    return Value{make(Literal{INT64_MIN, -9223372036854775808.0, false}, DType::i64, place), Openness::integer, from};
  }
  in_.advance();
  const bool at_number = in_.now().kind == Token::integer || in_.now().kind == Token::decimal || ((in_.is("inf") || in_.is("nan")) && !names_.variable(in_.now().text));
  if (++nesting_ > deepest_nesting) return at(place, refuse(Code::nesting_too_deep, deepest_nesting));
  TECC_TRY(Value a, unary());
  --nesting_;
  a.from = from;
  ++a.depth;
  if (!minus) {
    const Expr truth = settle(a, DType::boolean);
    if (truth->type != DType::boolean) return misfit({truth, Openness::none, from + 1}, DType::boolean);
    return Value{make(Unary{UnOp::logical_not, truth}, DType::boolean, place), Openness::none, from, a.depth};
  }
  if (const auto* l = a.e.as<Literal>(); l && at_number) a.e = make(Literal{-l->integer, -l->real, l->decimal}, a.e->type, a.e->at);  // -5 is one literal
  else a.e = make(Unary{UnOp::neg, a.e}, a.e->type, place);
  return a;
}

Result<ExpressionReader::Value> ExpressionReader::primary() {
  const Token t = in_.now();
  if (t.kind == Token::integer || t.kind == Token::decimal) return number();
  const std::size_t from = in_.position();
  if (in_.accept("(")) {
    TECC_TRY(Value inner, binary(0));
    TECC_CHECK(in_.expect(")"));
    inner.from = from;
    return inner;
  }
  if (t.kind != Token::name) return in_.unexpected("an expression");
  if (in_.is("true") || in_.is("false")) {
    in_.advance();
    return Value{make(Literal{t.text == "true", t.text == "true" ? 1.0 : 0.0, false}, DType::boolean, t.at), Openness::none, from};
  }
  if (Cursor::is(in_.next(), "[")) return element();
  if (Cursor::is(in_.next(), "(")) return call();
  if ((t.text == "inf" || t.text == "nan") && !names_.variable(t.text)) return number();
  return variable();
}

Result<ExpressionReader::Value> ExpressionReader::number() {
  const Token t = in_.now();
  Value out{{}, Openness::integer, in_.position()};
  Literal l;
  if (t.kind == Token::integer) {
    TECC_TRY(l.integer, in_.integer("a number"));
    l.real = static_cast<double>(l.integer);
  } else {
    l.decimal = true;
    out.open = Openness::decimal;
    if (t.text == "inf") l.real = std::numeric_limits<double>::infinity();
    else if (t.text == "nan") l.real = std::numeric_limits<double>::quiet_NaN();
    else if (std::from_chars(t.text.data(), t.text.data() + t.text.size(), l.real).ec != std::errc())
      return at(t.at, refuse(Code::number_too_large, std::string(t.text.substr(0, 40)), "a decimal number lies between about 4.9e-324 and 1.8e308"));
    if (std::abs(l.real) < 9.0e18 && l.real == std::trunc(l.real)) l.integer = static_cast<std::int64_t>(l.real);
    in_.advance();
  }
  DType type = alone(out.open);
  if (in_.is(":") && in_.next().kind == Token::name && parse_type(in_.next().text)) {  // 1:f32
    type = *parse_type(in_.next().text);
    if (!takes(out.open, type)) return at(in_.next().at, refuse(Code::ir_types, std::string(t.text), std::string(name(alone(out.open))), std::string(name(type))));
    in_.advance(), in_.advance();
    out.open = Openness::none;
  }
  out.e = make(l, type, t.at);
  return out;
}

Result<ExpressionReader::Value> ExpressionReader::variable() {
  const Token t = in_.now();
  const auto v = names_.variable(t.text);
  if (!v) {
    const auto tensor = names_.tensor(t.text);
    if (tensor) return at(t.at, refuse(Code::ir_rank, std::string(t.text), names_.rank(*tensor), "is read with", "no indices"));
    return at(t.at, refuse(Code::ir_name_unknown, "variable", std::string(t.text), suggestion(t.text, names_.variables())));
  }
  in_.advance();
  return Value{var(*v, t.at), Openness::none, in_.position() - 1};
}

Result<ExpressionReader::Value> ExpressionReader::element() {
  const std::size_t from = in_.position();
  const Token t = in_.now();
  const auto tensor = names_.tensor(t.text);
  if (!tensor) return at(t.at, refuse(Code::ir_name_unknown, "buffer", std::string(t.text), suggestion(t.text, names_.tensors())));
  in_.advance(), in_.advance();
  tecc::Read out{*tensor, {}, {}};
  int depth = 0;
  if (++nesting_ > deepest_nesting) return at(t.at, refuse(Code::nesting_too_deep, deepest_nesting));
  if (!in_.is("]")) do {
      TECC_TRY(Expr i, read(DType::i64));
      out.index.push_back(std::move(i));
      depth = std::max(depth, depth_);
    } while (in_.accept(","));
  TECC_CHECK(in_.expect("]"));
  --nesting_;
  if (out.index.size() != names_.rank(*tensor))
    return at(t.at, refuse(Code::ir_rank, std::string(t.text), names_.rank(*tensor), "is read with", std::to_string(out.index.size())));
  const DType type = names_.type(*tensor);
  if (in_.accept("else")) {
    if (++nesting_ > deepest_nesting) return at(in_.now().at, refuse(Code::nesting_too_deep, deepest_nesting));
    TECC_TRY(const Value fill, unary());
    --nesting_;
    depth = std::max(depth, fill.depth);
    out.otherwise = settle(fill, type);
    if (out.otherwise->type != type) return misfit({out.otherwise, Openness::none, fill.from}, type);
  }
  return Value{make(std::move(out), type, t.at), Openness::none, from, depth + 1};
}

Result<std::vector<ExpressionReader::Value>> ExpressionReader::arguments() {
  std::vector<Value> out;
  if (!in_.is(")")) do {
      TECC_TRY(Value v, binary(0));
      out.push_back(std::move(v));
    } while (in_.accept(","));
  TECC_CHECK(in_.expect(")"));
  return out;
}

Result<ExpressionReader::Value> ExpressionReader::call() {
  const std::size_t from = in_.position();
  const Token t = in_.now();
  const auto type = parse_type(t.text);
  const auto two = binary_function(t.text);
  const auto one = parse_function(t.text);
  if (!type && !two && !one && t.text != "select") return at(t.at, refuse(Code::function_unknown, std::string(t.text), ""));
  in_.advance(), in_.advance();
  TECC_TRY(std::vector<Value> a, arguments());
  const std::size_t wanted = type || one ? 1 : two ? 2 : 3;
  if (a.size() != wanted) return at(t.at, refuse(Code::argument_count, std::string(t.text), wanted, a.size()));
  Value& x = a[0];
  int depth = 1;
  for (const Value& v : a) depth = std::max(depth, v.depth + 1);
  if (type) {
    const Expr inner = x.open == Openness::none ? x.e : settle(x, alone(x.open));
    return Value{make(Cast{*type, inner}, *type == DType::tf32 ? DType::f32 : *type, t.at), Openness::none, from, depth};
  }
  if (two) {
    TECC_TRY(Value out, joined(*two, std::move(a[0]), std::move(a[1]), t.at));
    out.from = from;
    out.depth = depth;
    return out;
  }
  if (one) {
    if (wants_float(*one) && x.open == Openness::integer) x.open = Openness::decimal;
    if (wants_float(*one) && x.open == Openness::none && !is_float(x.e->type)) return misfit(x, DType::f32);
    return Value{make(Unary{*one, x.e}, x.e->type, t.at), x.open, from, depth};
  }
  const Expr condition = settle(x, DType::boolean);
  if (condition->type != DType::boolean) return misfit({condition, Openness::none, x.from}, DType::boolean);
  TECC_CHECK(agree(a[1], a[2]));
  return Value{make(Select{condition, a[1].e, a[2].e}, a[1].e->type, t.at), a[1].open, from, depth};
}

}  // namespace tecc::loop
