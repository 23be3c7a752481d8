#include "ir/loop/literals.h"

namespace tecc::loop {

Expr OddLiterals::mark(const Expr& e, std::optional<DType> want) { return settle(visit(e), want); }

/// Literals in `x` get `type`, or what they have alone; those that have another one get a node of their own, which is noted.
Expr OddLiterals::settle(const Read& x, std::optional<DType> type) {
  if (x.open == Openness::none) return x.e;
  const DType found = type && takes(x.open, *type) ? *type : alone(x.open);
  if (x.e->type == found) return x.e;
  return rewrite(x.e, [&](const Expr& e) {
    const auto* l = e.as<Literal>();
    if (!l || e->type == DType::boolean || e->type == found || odd_.count(&*e)) return e;
    Expr own = make(*l, e->type, e->at);
    odd_.insert(&*own);
    kept_.push_back(own);
    return own;
  });
}

OddLiterals::Read OddLiterals::visit(const Expr& e) {
  const auto node = [&](auto kind) { return Expr(std::make_shared<const ExprNode>(ExprNode{std::move(kind), e->type, e->at})); };
  return match(
      e,
      [&](const Literal& l) -> Read { return {e, e->type == DType::boolean ? Openness::none : l.decimal ? Openness::decimal : Openness::integer}; },
      [&](const Var&) -> Read { return {e, Openness::none}; },
      [&](const Unary& u) -> Read {
        Read a = visit(u.a);
        if (wants_float(u.op) && a.open == Openness::integer) a.open = Openness::decimal;
        return {node(Unary{u.op, a.e}), a.open};
      },
      [&](const Binary& b) -> Read {
        Read x = visit(b.a), y = visit(b.b);
        if (is_logical(b.op)) return {node(Binary{b.op, settle(x, {}), settle(y, {})}), Openness::none};
        Openness open = Openness::none;
        if (x.open != Openness::none && y.open != Openness::none) {
          open = x.open == y.open ? x.open : Openness::decimal;
          x.open = y.open = open;
          if (b.op == BinOp::pow && open == Openness::integer) open = x.open = y.open = Openness::decimal;
          if (compares(b.op)) return {node(Binary{b.op, settle(x, {}), settle(y, {})}), Openness::none};
        } else {
          x.e = settle(x, y.e->type);
          y.e = settle(y, x.e->type);
        }
        return {node(Binary{b.op, x.e, y.e}), open};
      },
      [&](const Select& s) -> Read {
        Read x = visit(s.then), y = visit(s.otherwise);
        const Expr condition = mark(s.condition, {});
        Openness open = Openness::none;
        if (x.open != Openness::none && y.open != Openness::none) {
          open = x.open == y.open ? x.open : Openness::decimal;
        } else {
          x.e = settle(x, y.e->type);
          y.e = settle(y, x.e->type);
        }
        return {node(Select{condition, x.e, y.e}), open};
      },
      [&](const Cast& c) -> Read { return {node(Cast{c.to, mark(c.a, {})}), Openness::none}; },
      [&](const tecc::Read& r) -> Read {
        tecc::Read out{r.tensor, {}, {}};
        for (const Expr& i : r.index) out.index.push_back(mark(i, DType::i64));
        if (r.otherwise) out.otherwise = mark(r.otherwise, e->type);
        return {node(std::move(out)), Openness::none};
      },
      [&](const Reduce&) -> Read { return {e, Openness::none}; });
}

}  // namespace tecc::loop
