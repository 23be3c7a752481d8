#include "ir/te/elaborate.h"

#include <fmt/format.h>

#include <cmath>

#include "ir/integer/simplify.h"
#include "ir/numeric.h"

namespace tecc::te {
namespace {

bool wants_float(UnOp op) {
  return op != UnOp::neg && op != UnOp::logical_not && op != UnOp::abs && op != UnOp::square;
}

std::string type_text(DType type) { return std::string(name(type)); }

Expr at_place(const Expr& e, const Expr& place) {
  return Expr(std::make_shared<const ExprNode>(ExprNode{e->kind, e->type, place->at}));
}

/// Operators that exist for integers and are exact on index values.
std::optional<std::int64_t> exact(BinOp op, std::int64_t a, std::int64_t b) {
  std::int64_t out;
  switch (op) {
    case BinOp::add:
      return __builtin_add_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case BinOp::sub:
      return __builtin_sub_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case BinOp::mul:
      return __builtin_mul_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case BinOp::div:
      return a == INT64_MIN && b == -1 ? std::nullopt : std::optional(floor_div(a, b));
    case BinOp::mod:
      return floor_mod(a, b);
    case BinOp::min:
      return std::min(a, b);
    case BinOp::max:
      return std::max(a, b);
    case BinOp::less:
      return a < b;
    case BinOp::less_equal:
      return a <= b;
    case BinOp::equal:
      return a == b;
    case BinOp::not_equal:
      return a != b;
    default:
      return std::nullopt;
  }
}

Expr truth_literal(bool value) { return make(Literal{value, static_cast<double>(value), false}, DType::boolean); }

}  // namespace

std::string Elaborator::text(const Expr& e) const {
  constexpr std::size_t widest = 60;
  if (count_nodes(e, 40) > 40) return "...";
  std::string out = print(e, names_);
  return out.size() > widest ? out.substr(0, widest - 3) + "..." : out;
}

Result<Expr> Elaborator::body(const Expr& e) {
  TECC_TRY(const Typed t, typed(e));
  return settled_alone(t, e);
}

Result<Expr> Elaborator::formula(const Expr& e, std::string_view what) {
  TECC_TRY(const Typed t, typed(e));
  if (t.kind == Class::decimal_literal || t.e->type == DType::boolean)
    return at(e->at, refuse(Code::integer_needed, std::string(what), text(e),
                            t.e->type == DType::boolean ? "bool" : "a decimal",
                            t.e->type == DType::boolean ? "write select(..., 1, 0)" : "write an integer"));
  return settle(t, DType::i64, e);
}

Result<Elaborator::Typed> Elaborator::typed(const Expr& e) {
  return match(
      e,
      [&](const Literal& l) -> Result<Typed> {
        if (e->type == DType::boolean) return Typed{e, Class::value};
        return Typed{e, l.decimal ? Class::decimal_literal : Class::integer_literal};
      },
      [&](const Var& v) -> Result<Typed> {
        if (const auto it = values_.find(v.id); it != values_.end())
          return Typed{at_place(it->second, e), Class::index};
        return Typed{var(v.id, e->at), Class::index};
      },
      [&](const Unary& u) { return unary(u, e); }, [&](const Binary& b) { return binary(b, e); },
      [&](const Select& s) { return select(s, e); }, [&](const Cast& c) { return cast(c, e); },
      [&](const Read& r) { return read(r, e); }, [&](const Reduce& r) { return reduce(r, e); });
}

// ---- literals ---------------------------------------------------------------------------------------------------------

Result<Expr> Elaborator::settle(const Typed& t, DType type, const Expr& where) {
  if (!open(t)) return t.e;
  const auto refused = [&](const Expr& place, std::string literal, std::string remedy) {
    return at(place->at, refuse(Code::literal_misfit, std::move(literal), type_text(type), std::move(remedy)));
  };
  if (type == DType::boolean) return refused(where, text(t.e), "compare it, for example x != 0");
  if (t.kind == Class::decimal_literal && !is_float(type))
    return refused(where, text(t.e), "cast the other operand to a float type, f32(x)");
  // The tree holds nothing but literals, operators and the conditions of selects, which have types already.
  return match(
      t.e,
      [&](const Literal& l) -> Result<Expr> {
        if (is_integer(type) && wrap(l.integer, type) != l.integer)
          return refused(t.e->at.file ? t.e : where, fmt::format("{}", l.integer),
                         "cast the other operand to a wider type, i64(x)");
        return make(l, type, t.e->at);
      },
      [&](const Unary& u) -> Result<Expr> {
        TECC_TRY(const Expr a, settle({u.a, t.kind}, type, where));
        return make(Unary{u.op, a}, type, t.e->at);
      },
      [&](const Binary& b) -> Result<Expr> {
        TECC_TRY(const Expr x, settle({b.a, t.kind}, type, where));
        TECC_TRY(const Expr y, settle({b.b, t.kind}, type, where));
        return make(Binary{b.op, x, y}, type, t.e->at);
      },
      [&](const Select& s) -> Result<Expr> {
        TECC_TRY(const Expr x, settle({s.then, t.kind}, type, where));
        TECC_TRY(const Expr y, settle({s.otherwise, t.kind}, type, where));
        return make(Select{s.condition, x, y}, type, t.e->at);
      },
      [&](const auto&) -> Result<Expr> { return t.e; });
}

Result<Expr> Elaborator::settled_alone(const Typed& t, const Expr& where) {
  return settle(t, t.kind == Class::decimal_literal ? DType::f32 : DType::i64, where);
}

// ---- operators --------------------------------------------------------------------------------------------------------

Result<Expr> Elaborator::truth(const Expr& e, std::string_view who) {
  TECC_TRY(const Typed t, typed(e));
  TECC_TRY(Expr out, settled_alone(t, e));
  if (out->type != DType::boolean)
    return at(e->at, refuse(Code::truth_needed, std::string(who), text(e), type_text(out->type)));
  return out;
}

Result<Elaborator::Typed> Elaborator::unary(const Unary& u, const Expr& e) {
  if (u.op == UnOp::logical_not) {
    TECC_TRY(const Expr a, truth(u.a, "'!'"));
    return Typed{make(Unary{u.op, a}, DType::boolean, e->at), Class::value};
  }
  TECC_TRY(Typed a, typed(u.a));
  const std::string word(symbol(u.op));
  if (a.e->type == DType::boolean)
    return at(e->at, refuse(Code::number_needed, word, text(u.a), fmt::format("i32({})", text(u.a))));
  if (wants_float(u.op)) {
    if (!open(a) && !is_float(a.e->type))
      return at(e->at, refuse(Code::float_needed, word, text(u.a),
                              a.kind == Class::index ? "an integer" : type_text(a.e->type),
                              fmt::format("write {}(f32({}))", word, text(u.a))));
    if (open(a)) a.kind = Class::decimal_literal;
  } else if (const auto* l = a.e.as<Literal>(); l && (a.kind == Class::index || a.kind == Class::integer_literal)) {
    const auto v = u.op == UnOp::square                  ? exact(BinOp::mul, l->integer, l->integer)
                   : u.op == UnOp::neg || l->integer < 0 ? exact(BinOp::sub, 0, l->integer)
                                                         : std::optional(l->integer);
    if (!v) return at(e->at, refuse(Code::index_overflow, text(e), ""));
    return Typed{at_place(index_literal(*v), e), a.kind};
  }
  return Typed{make(Unary{u.op, a.e}, a.e->type, e->at), a.kind};
}

Result<Elaborator::Typed> Elaborator::binary(const Binary& b, const Expr& e) {
  if (b.op == BinOp::logical_and || b.op == BinOp::logical_or) return logical(b, e);
  TECC_TRY(Typed x, typed(b.a));
  TECC_TRY(Typed y, typed(b.b));
  const bool divides = b.op == BinOp::div || b.op == BinOp::mod;
  // Integer literals divide as integers: 1 / 2 is 0, whatever stands beside it.
  if (divides && x.kind == Class::integer_literal && y.kind == Class::integer_literal) x.kind = y.kind = Class::index;
  TECC_CHECK(agree(x, y, e, b.a, b.b));
  return arithmetic(b.op, std::move(x), std::move(y), e);
}

Result<Elaborator::Typed> Elaborator::logical(const Binary& b, const Expr& e) {
  const std::string who = fmt::format("'{}'", symbol(b.op));
  TECC_TRY(const Expr x, truth(b.a, who));
  TECC_TRY(const Expr y, truth(b.b, who));
  return Typed{make(Binary{b.op, x, y}, DType::boolean, e->at), Class::value};
}

Check Elaborator::agree(Typed& a, Typed& b, const Expr& e, const Expr& left, const Expr& right) {
  if (open(a) && open(b)) {
    if (a.kind != b.kind) a.kind = b.kind = Class::decimal_literal;
    return Ok{};
  }
  const std::string word = text(e);
  for (auto [x, y, xe, ye] : {std::tuple(&a, &b, &left, &right), std::tuple(&b, &a, &right, &left)}) {
    if (y->kind == Class::index &&
        (x->kind == Class::decimal_literal || (x->kind == Class::value && is_float(x->e->type)))) {
      const auto* quotient = ye->as<Binary>();  // of two literals: meant as a constant
      if (const auto* l = y->e.as<Literal>(); l && quotient && quotient->a.as<Literal>() && quotient->b.as<Literal>())
        return at((*ye)->at, refuse(Code::literal_division, text(*ye), l->integer,
                                    type_text(x->kind == Class::value ? x->e->type : DType::f32)));
      const std::string type = x->kind == Class::value ? type_text(x->e->type) : "f32";
      return at(e->at, refuse(Code::index_with_float, word, text(*ye),
                              x->kind == Class::value ? fmt::format("'{}' of type {}", text(*xe), type)
                                                      : fmt::format("the decimal {}", text(*xe)),
                              fmt::format("{}({})", type, text(*ye))));
    }
    if (open(*x)) {
      TECC_TRY(x->e, settle(*x, y->e->type, *xe));
      x->kind = y->kind;
      return Ok{};
    }
    if (x->kind == Class::index && y->kind == Class::value && is_integer(y->e->type)) {
      if (y->e->type != DType::i64) y->e = make(Cast{DType::i64, y->e}, DType::i64, y->e->at);
      x->kind = Class::value;
      return Ok{};
    }
  }
  const DType x = a.e->type, y = b.e->type;
  if (x == y) return Ok{};
  // Propose the cast that loses nothing, if there is one.
  const bool cast_left = is_float(y) != is_float(x) ? is_float(y) : bytes_of(x) < bytes_of(y);
  std::string remedy = fmt::format("write {}({})", name(cast_left ? y : x), text(cast_left ? left : right));
  if (is_narrow_float(x) && is_narrow_float(y))
    remedy = fmt::format("write f32({}) and f32({})", text(left), text(right));
  return at(e->at, refuse(Code::type_mismatch, word, type_text(x), type_text(y), remedy));
}

Result<Expr> Elaborator::fold(BinOp op, const Expr& a, const Expr& b, const Expr& e) const {
  const auto x = constant_of(a), y = constant_of(b);
  if ((op == BinOp::div || op == BinOp::mod) && y == 0)
    return at(e->at, refuse(Code::zero_division, text(e), "", "the divisor must not be 0"));
  if (x && y) {
    const auto value = exact(op, *x, *y);
    if (!value) return at(e->at, refuse(Code::index_overflow, text(e), fmt::format(" ({} {} {})", *x, symbol(op), *y)));
    if (op == BinOp::less || op == BinOp::less_equal || op == BinOp::equal || op == BinOp::not_equal)
      return truth_literal(*value);
    return at_place(index_literal(*value), e);
  }
  if (!integer::transfer_of(op)) return make(Binary{op, a, b}, DType::boolean, e->at);
  const Expr out = integer::folded(op, a, b);
  return out->at.file ? out : at_place(out, e);
}

Result<Elaborator::Typed> Elaborator::arithmetic(BinOp op, Typed a, const Typed& b, const Expr& e) {
  const std::string word(symbol(op));
  const auto* source = e.as<Binary>();
  const bool compares = op == BinOp::less || op == BinOp::less_equal || op == BinOp::equal || op == BinOp::not_equal;
  if (a.e->type == DType::boolean) {
    if (op == BinOp::equal || op == BinOp::not_equal)
      return Typed{make(Binary{op, a.e, b.e}, DType::boolean, e->at), Class::value};
    return at(e->at, refuse(Code::number_needed, word, text(source->a), fmt::format("i32({})", text(source->a))));
  }
  if (op == BinOp::pow) {
    if (!open(a) && !is_float(a.e->type))
      return at(e->at, refuse(Code::float_needed, word, text(source->a),
                              a.kind == Class::index ? "an integer" : type_text(a.e->type),
                              fmt::format("write pow(f32({}), ...)", text(source->a))));
    if (open(a)) a.kind = Class::decimal_literal;
    return Typed{make(Binary{op, a.e, b.e}, a.e->type, e->at), a.kind};
  }
  if (a.kind == Class::index) {
    TECC_TRY(const Expr out, fold(op, a.e, b.e, e));
    return Typed{out, compares ? Class::value : Class::index};
  }
  if (a.kind == Class::integer_literal && a.e.as<Literal>() && b.e.as<Literal>()) {
    TECC_TRY(const Expr out, fold(op, a.e, b.e, e));
    return Typed{out, compares ? Class::value : Class::integer_literal};
  }
  if (compares) {
    TECC_TRY(const Expr x, settled_alone(a, e));
    TECC_TRY(const Expr y, settled_alone(b, e));
    return Typed{make(Binary{op, x, y}, DType::boolean, e->at), Class::value};
  }
  if (op == BinOp::mod && (a.kind == Class::decimal_literal || is_float(a.e->type)))
    return at(e->at, refuse(Code::no_remainder, a.kind == Class::value ? type_text(a.e->type) : "decimals"));
  if ((op == BinOp::div || op == BinOp::mod) && a.kind == Class::value && is_integer(a.e->type))
    if (const auto* l = b.e.as<Literal>(); l && l->integer == 0)
      return at(e->at, refuse(Code::zero_division, text(e), "", "the divisor must not be 0"));
  return Typed{make(Binary{op, a.e, b.e}, a.e->type, e->at), a.kind};
}

Result<Elaborator::Typed> Elaborator::select(const Select& s, const Expr& e) {
  TECC_TRY(const Expr condition, truth(s.condition, "the condition of 'select'"));
  TECC_TRY(Typed x, typed(s.then));
  TECC_TRY(Typed y, typed(s.otherwise));
  TECC_CHECK(agree(x, y, e, s.then, s.otherwise));
  if (x.kind == Class::index)
    if (const auto* l = condition.as<Literal>()) return Typed{l->integer ? x.e : y.e, Class::index};
  return Typed{make(Select{condition, x.e, y.e}, x.e->type, e->at), x.kind};
}

Result<Elaborator::Typed> Elaborator::cast(const Cast& c, const Expr& e) {
  const DType to = type_of(c.to);
  TECC_TRY(Typed a, typed(c.a));
  if (const auto* l = a.e.as<Literal>();
      l && (a.kind == Class::index || a.kind == Class::integer_literal) && to != DType::boolean) {
    const DType type = to == DType::tf32 ? DType::f32 : to;  // f32(N) of a fixed dim is a constant
    if (is_integer(to))
      return Typed{make(Literal{wrap(l->integer, to), static_cast<double>(wrap(l->integer, to)), false}, to, e->at),
                   Class::value};
    a.e = make(*l, type, e->at);
  } else if (open(a) && to != DType::boolean && (is_float(to) || a.kind == Class::integer_literal)) {
    const DType type = to == DType::tf32 ? DType::f32 : to;
    if (is_float(type)) {  // the literal is a literal of the cast's type
      TECC_TRY(a.e, settle(a, type, c.a));
    } else {
      TECC_TRY(a.e, settled_alone(a, c.a));
    }
  } else {
    TECC_TRY(a.e, settled_alone(a, c.a));
  }
  if (to == DType::tf32) {  // an f32 value, rounded
    const Expr wide = a.e->type == DType::f32 ? a.e : make(Cast{DType::f32, a.e}, DType::f32, e->at);
    return Typed{make(Cast{DType::tf32, wide}, DType::f32, e->at), Class::value};
  }
  if (a.e->type == to) return Typed{a.e, Class::value};
  return Typed{make(Cast{to, a.e}, to, e->at), Class::value};
}

Result<Elaborator::Typed> Elaborator::read(const Read& r, const Expr& e) {
  const Tensor& tensor = bound_[r.tensor];
  Read out{r.tensor, {}, {}};
  for (const Expr& i : r.index) {
    TECC_TRY(const Typed t, typed(i));
    if (t.kind == Class::decimal_literal || (t.kind == Class::value && !is_integer(t.e->type)))
      return at(i->at, refuse(Code::integer_needed, fmt::format("an index of '{}'", tensor.name), text(i),
                              t.kind == Class::value ? type_text(t.e->type) : "a decimal",
                              t.e->type == DType::boolean ? fmt::format("write i64({})", text(i))
                                                          : fmt::format("write i64(floor({}))", text(i))));
    TECC_TRY(Expr index, settle(t, DType::i64, i));
    if (index->type != DType::i64) index = make(Cast{DType::i64, index}, DType::i64, i->at);
    out.index.push_back(std::move(index));
  }
  const DType type = tensor.type.concrete();
  if (r.otherwise) {
    TECC_TRY(const Typed t, typed(r.otherwise));
    TECC_TRY(out.otherwise, settle(t, type, r.otherwise));
    if (out.otherwise->type != type)
      return at(r.otherwise->at,
                refuse(Code::else_type, tensor.name, text(r.otherwise),
                       t.kind == Class::index ? "an integer" : type_text(out.otherwise->type), type_text(type)));
  }
  return Typed{make(std::move(out), type, e->at), Class::value};
}

Result<Elaborator::Typed> Elaborator::reduce(const Reduce& r, const Expr& e) {
  const std::string word(symbol(r.op));
  Reduce out{r.op, r.axes, {}};
  for (Axis& a : out.axes) {
    TECC_TRY(a.extent, formula(a.extent, fmt::format("the extent of axis '{}'", names_.var(a.var))));
  }
  const bool logical = r.op == Reducer::any || r.op == Reducer::all;
  if (logical) {
    TECC_TRY(out.body, truth(r.body, fmt::format("'{}'", word)));
  } else {
    TECC_TRY(out.body, body(r.body));
    if (out.body->type == DType::boolean)
      return at(e->at, refuse(Code::number_needed, word, text(r.body), fmt::format("i32({})", text(r.body))));
    if (r.op == Reducer::mean && !is_float(out.body->type))
      return at(e->at, refuse(Code::float_needed, word, text(r.body), type_text(out.body->type),
                              fmt::format("write f32({})", text(r.body))));
  }
  const bool indexes = r.op == Reducer::argmax || r.op == Reducer::argmin;
  const DType type = indexes ? DType::i64 : out.body->type;
  return Typed{make(std::move(out), type, e->at), Class::value};
}

}  // namespace tecc::te
