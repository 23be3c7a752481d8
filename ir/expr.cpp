#include "ir/expr.h"

#include <cmath>

#include "ir/base/errors.h"
#include "ir/integer/simplify.h"

// Trees are as deep as their longest chain of operators (te::parse refuses more than te::longest_chain levels), so plain
// recursion is fine here.
namespace tecc {
Expr index_literal(std::int64_t value) { return make(Literal{value, static_cast<double>(value), false}); }

Expr literal(double value, DType type, CallSite at) {
  const bool integral = std::abs(value) < 9.0e18 && value == std::trunc(value);
  return make(Literal{integral ? static_cast<std::int64_t>(value) : 0, value, is_float(type)}, type, at);
}

Expr var(VarId id, CallSite at) { return make(Var{id}, DType::i64, at); }

std::optional<std::int64_t> constant_of(const Expr& e) {
  const auto* l = e.as<Literal>();
  if (!l || l->decimal || e->type != DType::i64) return std::nullopt;
  return l->integer;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == -1) return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(a));  // the smallest i64 wraps to itself
  const std::int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// ---- index arithmetic -------------------------------------------------------------------------------------------------

Expr operator+(const Expr& a, const Expr& b) { return integer::folded(BinOp::add, a, b); }
Expr operator-(const Expr& a, const Expr& b) { return integer::folded(BinOp::sub, a, b); }
Expr operator*(const Expr& a, const Expr& b) { return integer::folded(BinOp::mul, a, b); }
Expr floor_div(const Expr& a, const Expr& b) { return integer::folded(BinOp::div, a, b); }
Expr floor_mod(const Expr& a, const Expr& b) { return integer::folded(BinOp::mod, a, b); }
Expr index_min(const Expr& a, const Expr& b) { return integer::folded(BinOp::min, a, b); }
Expr index_max(const Expr& a, const Expr& b) { return integer::folded(BinOp::max, a, b); }

Expr ceil_div(const Expr& a, const Expr& b) {
  if (const auto y = constant_of(b); y && *y > 0) return floor_div(a + (*y - 1), b);
  return floor_div(a + (b - 1), b);
}

// ---- walking ----------------------------------------------------------------------------------------------------------

void for_each_child(const Expr& e, const std::function<void(const Expr&)>& f) {
  match(
      e, [](const Literal&) {}, [](const Var&) {}, [&](const Unary& u) { f(u.a); },
      [&](const Binary& b) {
        f(b.a);
        f(b.b);
      },
      [&](const Select& s) {
        f(s.condition);
        f(s.then);
        f(s.otherwise);
      },
      [&](const Cast& c) { f(c.a); },
      [&](const Read& r) {
        for (const Expr& i : r.index) f(i);
        if (r.otherwise) f(r.otherwise);
      },
      [&](const Reduce& r) {
        for (const Axis& axis : r.axes) f(axis.extent);
        f(r.body);
      });
}

void walk(const Expr& e, const std::function<bool(const Expr&)>& f) {
  if (f(e)) for_each_child(e, [&](const Expr& child) { walk(child, f); });
}

namespace {

/// Copies the node when the first child changes: an untouched subtree keeps its handle.
Expr rewrite_children(const Expr& e, const std::function<Expr(const Expr&)>& f) {
  std::optional<ExprNode> copy;
  const auto edit = [&]<class Kind>(const Kind&) -> Kind& {
    if (!copy) copy = *e;
    return std::get<Kind>(copy->kind);
  };
  const auto child = [&]<class Kind>(const Kind& kind, Expr Kind::*field) {
    if (Expr now = f(kind.*field); !(now == kind.*field)) edit(kind).*field = std::move(now);
  };
  match(
      e, [](const Literal&) {}, [](const Var&) {}, [&](const Unary& u) { child(u, &Unary::a); },
      [&](const Binary& b) {
        child(b, &Binary::a);
        child(b, &Binary::b);
      },
      [&](const Select& s) {
        child(s, &Select::condition);
        child(s, &Select::then);
        child(s, &Select::otherwise);
      },
      [&](const Cast& c) { child(c, &Cast::a); },
      [&](const Read& r) {
        for (std::size_t i = 0; i < r.index.size(); ++i)
          if (Expr now = f(r.index[i]); !(now == r.index[i])) edit(r).index[i] = std::move(now);
        if (r.otherwise) child(r, &Read::otherwise);
      },
      [&](const Reduce& r) {
        for (std::size_t i = 0; i < r.axes.size(); ++i)
          if (Expr now = f(r.axes[i].extent); !(now == r.axes[i].extent)) edit(r).axes[i].extent = std::move(now);
        child(r, &Reduce::body);
      });
  return copy ? Expr(std::make_shared<const ExprNode>(*std::move(copy))) : e;
}

}  // namespace

Expr rewrite(const Expr& e, const std::function<Expr(const Expr&)>& f) {
  return f(rewrite_children(e, [&](const Expr& child) { return rewrite(child, f); }));
}

Expr substitute(const Expr& e, const std::function<Expr(VarId)>& value) {
  return rewrite(e, [&](const Expr& node) {
    if (const auto* v = node.as<Var>())
      if (Expr now = value(v->id)) return now;
    return node;
  });
}

Expr substitute_folded(const Expr& e, const std::function<Expr(VarId)>& value) {
  return rewrite(e, [&](const Expr& node) {
    if (const auto* v = node.as<Var>())
      if (Expr now = value(v->id)) return now;
    const auto* b = node.as<Binary>();
    if (!b || node->type != DType::i64 || !integer::transfer_of(b->op)) return node;
    const Expr out = integer::folded(b->op, b->a, b->b);
    return out->at.file ? out : Expr(std::make_shared<const ExprNode>(ExprNode{out->kind, out->type, node->at}));
  });
}

bool uses(const Expr& e, VarId v) {
  bool found = false;
  walk(e, [&](const Expr& node) {
    if (const auto* x = node.as<Var>()) found = found || x->id == v;
    return !found;
  });
  return found;
}

bool same_value(const Expr& a, const Expr& b) {
  if (a == b) return true;
  if (!a || !b || a->kind.index() != b->kind.index() || a->type != b->type) return false;
  const auto all = [](const std::vector<Expr>& x, const std::vector<Expr>& y) {
    if (x.size() != y.size()) return false;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!same_value(x[i], y[i])) return false;
    return true;
  };
  const auto peer = [&]<class Kind>(const Kind&) -> const Kind& { return *b.as<Kind>(); };
  return match(
      a,
      [&](const Literal& x) {
        const Literal& y = peer(x);
        if (x.decimal || y.decimal) return x.real == y.real || (std::isnan(x.real) && std::isnan(y.real));
        return x.integer == y.integer;
      },
      [&](const Var& x) { return x.id == peer(x).id; },
      [&](const Unary& x) { return x.op == peer(x).op && same_value(x.a, peer(x).a); },
      [&](const Binary& x) { return x.op == peer(x).op && same_value(x.a, peer(x).a) && same_value(x.b, peer(x).b); },
      [&](const Select& x) {
        const Select& y = peer(x);
        return same_value(x.condition, y.condition) && same_value(x.then, y.then) &&
               same_value(x.otherwise, y.otherwise);
      },
      [&](const Cast& x) { return x.to == peer(x).to && same_value(x.a, peer(x).a); },
      [&](const Read& x) {
        const Read& y = peer(x);
        return x.tensor == y.tensor && all(x.index, y.index) && same_value(x.otherwise, y.otherwise);
      },
      [&](const Reduce& x) {
        const Reduce& y = peer(x);
        if (x.op != y.op || x.axes.size() != y.axes.size()) return false;
        for (std::size_t i = 0; i < x.axes.size(); ++i)
          if (x.axes[i].var != y.axes[i].var || !same_value(x.axes[i].extent, y.axes[i].extent)) return false;
        return same_value(x.body, y.body);
      });
}

std::int64_t count_nodes(const Expr& e, std::int64_t limit) {
  std::int64_t n = 0;
  walk(e, [&](const Expr&) { return ++n <= limit; });
  return n;
}

}  // namespace tecc
