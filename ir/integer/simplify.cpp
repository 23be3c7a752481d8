#include "ir/integer/simplify.h"

#include "ir/integer/rules.h"

namespace tecc::integer {
namespace {

constexpr std::int64_t reach = std::int64_t{1} << 60;  // what a rule makes on the way is at most one divisor above what was there

/// What a rule sees of an expression that it matched.
template <class Make>
struct Context {
  const Found& found;
  const Known* known;  // null: nothing is asked for
  const Make& make_;

  std::optional<std::int64_t> any(int) const { return std::nullopt; }
  std::optional<std::int64_t> constant(int n) const { return found.constant_[n]; }
  std::optional<std::int64_t> asked(Ask ask, int n) const {
    const auto f = known ? fact_of(*found.any_[n], *known) : std::nullopt;
    if (!f) return std::nullopt;
    return ask == Ask::multiple ? f->multiple : static_cast<std::int64_t>(ask == Ask::low ? f->range.first : f->range.last);
  }
  const Expr& expression(int n) const { return *found.any_[n]; }
  Expr make(BinOp op, const Expr& a, const Expr& b) const { return make_(op, a, b); }
};

bool is_comparison(BinOp op) { return op == BinOp::less || op == BinOp::less_equal || op == BinOp::equal || op == BinOp::not_equal; }
Expr truth(bool holds) { return make(Literal{holds, static_cast<double>(holds), false}, DType::boolean); }

/// The value of two literals, or what a table makes of a op b; empty: neither.
template <class Table, class Make>
Expr by(const Table& table, BinOp op, const Expr& a, const Expr& b, const Known* known, const Make& make) {
  return first(table, op, a, b, [&](const Found& f) { return Context<Make>{f, known, make}; });
}

class Simplifier {
 public:
  explicit Simplifier(const Known& known) : known_(known) {}

  Expr operator()(const Expr& e) const {
    if (const auto* s = e.as<Select>(); s && s->condition.as<Literal>()) return s->condition.as<Literal>()->integer ? s->then : s->otherwise;
    const auto* b = e.as<Binary>();
    if (!b) return e;
    if (b->op == BinOp::logical_and || b->op == BinOp::logical_or) return logic(*b, e);
    if (b->a->type != DType::i64 || !(e->type == DType::i64 || is_comparison(b->op)) || !follows(b->a) || !follows(b->b)) return e;
    const Expr out = make(b->op, b->a, b->b);
    const auto* same = out.as<Binary>();
    if (same && same->op == b->op && same->a == b->a && same->b == b->b) return e;
    return out->at.file ? out : Expr(std::make_shared<const ExprNode>(ExprNode{out->kind, out->type, e->at}));
  }

 private:
  bool follows(const Expr& e) const {
    const auto f = fact_of(e, known_);
    return f && f->range.first >= -reach && f->range.last <= reach;
  }
  Expr make(BinOp op, const Expr& a, const Expr& b) const {
    const auto again = [this](BinOp o, const Expr& l, const Expr& r) { return make(o, l, r); };
    if (is_comparison(op)) {
      const auto x = constant_of(a), y = constant_of(b);
      if (x && y) return truth(*compute(op, *x, *y) != 0);
      const Expr out = by(tables::rules, op, a, b, &known_, again);
      return out ? truth(constant_of(out) != 0) : tecc::make(Binary{op, a, b}, DType::boolean);
    }
    Expr plain = folded(op, a, b);
    const auto* node = plain.as<Binary>();
    if (!node || !(node->a == a && node->b == b && node->op == op)) return plain;
    const Expr out = by(tables::rules, op, a, b, &known_, again);
    return out ? out : plain;
  }
  /// A literal operand decides, or leaves the other one.
  static Expr logic(const Binary& b, const Expr& e) {
    const bool decides = b.op == BinOp::logical_or;
    for (const auto& [one, other] : {std::pair(b.a, b.b), std::pair(b.b, b.a)})
      if (const auto* l = one.as<Literal>()) return (l->integer != 0) == decides ? one : other;
    return e;
  }

  const Known& known_;
};

}  // namespace

std::optional<std::int64_t> compute(BinOp op, std::int64_t a, std::int64_t b) {
  std::int64_t r;
  switch (op) {
    case BinOp::add: return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case BinOp::sub: return __builtin_sub_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case BinOp::mul: return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional(r);
    case BinOp::div: return b == 0 || (a == INT64_MIN && b == -1) ? std::nullopt : std::optional(floor_div(a, b));
    case BinOp::mod: return b == 0 ? std::nullopt : std::optional(floor_mod(a, b));
    case BinOp::min: return std::min(a, b);
    case BinOp::max: return std::max(a, b);
    case BinOp::less: return a < b;
    case BinOp::less_equal: return a <= b;
    case BinOp::equal: return a == b;
    case BinOp::not_equal: return a != b;
    case BinOp::logical_and: return a && b;
    case BinOp::logical_or: return a || b;
    case BinOp::pow: return std::nullopt;
  }
  return std::nullopt;
}

Expr folded(BinOp op, const Expr& a, const Expr& b) {
  const auto x = constant_of(a), y = constant_of(b);
  if (x && y) {
    const auto v = compute(op, *x, *y);
    return v ? index_literal(*v) : make(Binary{op, a, b});
  }
  const auto again = [](BinOp o, const Expr& l, const Expr& r) { return folded(o, l, r); };
  const Expr out = by(tables::folds, op, a, b, nullptr, again);
  return out ? out : make(Binary{op, a, b});
}

Expr simplify(const Expr& e, const Known& known) { return rewrite(e, Simplifier(known)); }

}  // namespace tecc::integer
