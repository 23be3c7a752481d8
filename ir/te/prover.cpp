#include "ir/te/prover.h"

#include <algorithm>
#include <set>

namespace tecc::te {
namespace {

constexpr std::size_t most_splits = 6;  // 64 cases

void add_fact(std::vector<Affine>& facts, std::int64_t a, const Affine& x, std::int64_t b, const Affine& y,
              std::int64_t plus) {
  auto f = combine(a, x, b, y);
  if (f && !__builtin_add_overflow(f->constant, plus, &f->constant)) facts.push_back(*std::move(f));
}
void add_equal(std::vector<Affine>& facts, const Affine& x, const Affine& y) {
  add_fact(facts, 1, x, -1, y, 0);
  add_fact(facts, -1, x, 1, y, 0);
}

}  // namespace

Prover::Prover(const std::map<VarId, DimRange>& runtime) {
  for (const auto& [v, r] : runtime) {
    entered_.emplace_back(v, Range{r.min, r.max});
    // A multiple of 8 is 8 times a variable everywhere: as a fact beside the dim, elimination could lose it.
    Affine x = affine_variable(v.n);
    x.terms[0].second = r.multiple_of;
    defined_.emplace_back(var(v), x);
    add_fact(facts_, 1, x, 0, {}, -r.min);
    add_fact(facts_, -1, x, 0, {}, r.max);
  }
}

void Prover::enter(const Axis& axis) {
  const auto extent = range(axis.extent);
  entered_.emplace_back(axis.var, Range{0, extent ? std::max<__int128>(extent->last - 1, 0) : INT64_MAX});
  const Affine x = affine_variable(axis.var.n);
  facts_.push_back(x);
  if (const auto n = form(axis.extent)) add_fact(facts_, 1, *n, -1, x, -1);
}

void Prover::back(const Mark& m) {
  facts_.resize(m.facts);
  defined_.erase(defined_.begin() + static_cast<std::ptrdiff_t>(m.defined), defined_.end());
  splits_.erase(splits_.begin() + static_cast<std::ptrdiff_t>(m.splits), splits_.end());
  entered_.erase(entered_.begin() + static_cast<std::ptrdiff_t>(m.entered), entered_.end());
  std::erase_if(products_, [&](const auto& p) { return p.second >= m.fresh; });
}

void Prover::assume(const Expr& condition, bool holds) { facts_of(condition, holds, facts_); }

void Prover::facts_of(const Expr& c, bool holds, std::vector<Affine>& out) {
  if (const auto* u = c.as<Unary>(); u && u->op == UnOp::logical_not) return facts_of(u->a, !holds, out);
  const auto* b = c.as<Binary>();
  if (!b) return;
  if (b->op == (holds ? BinOp::logical_and : BinOp::logical_or)) {
    facts_of(b->a, holds, out);
    return facts_of(b->b, holds, out);
  }
  const bool compares =
      b->op == BinOp::less || b->op == BinOp::less_equal || b->op == (holds ? BinOp::equal : BinOp::not_equal);
  if (!compares || b->a->type != DType::i64) return;
  const auto x = form(b->a), y = form(b->b);
  if (!x || !y) return;
  if (b->op == BinOp::equal || b->op == BinOp::not_equal) return add_equal(out, *x, *y);
  const std::int64_t strict = b->op == BinOp::less;
  if (holds) add_fact(out, 1, *y, -1, *x, -strict);  // x < y: y - x - 1 >= 0
  else add_fact(out, 1, *x, -1, *y, strict - 1);     // x >= y
}

// ---- affine forms -----------------------------------------------------------------------------------------------------

std::optional<Affine> Prover::form(const Expr& e) {
  for (const auto& [known, affine] : defined_)
    if (same_value(known, e)) return affine;
  auto out = new_form(e);
  if (out && !e.as<Literal>() && !e.as<Var>()) defined_.emplace_back(e, *out);
  return out;
}

std::optional<Affine> Prover::new_form(const Expr& e) {
  if (const auto c = constant_of(e)) return Affine{{}, *c};
  if (const auto* v = e.as<Var>()) return affine_variable(v->id.n);
  if (e->type != DType::i64) return std::nullopt;
  if (const auto* u = e.as<Unary>()) {
    const auto a = form(u->a);
    if (!a) return std::nullopt;
    if (u->op == UnOp::neg) return combine(-1, *a, 0, {});
    if (u->op == UnOp::square) return product(*a, *a, true);
    return std::nullopt;
  }
  if (const auto* s = e.as<Select>()) {
    const auto x = form(s->then), y = form(s->otherwise);
    if (!x || !y) return std::nullopt;
    Affine t = affine_variable(fresh_);
    Split split{fresh_++, {}};
    facts_of(s->condition, true, split.cases[0]);
    facts_of(s->condition, false, split.cases[1]);
    add_equal(split.cases[0], t, *x);
    add_equal(split.cases[1], t, *y);
    splits_.push_back(std::move(split));
    return t;
  }
  const auto* b = e.as<Binary>();
  if (!b) return std::nullopt;
  const auto x = form(b->a), y = form(b->b);
  if (!x || !y) return std::nullopt;
  switch (b->op) {
    case BinOp::add:
      return combine(1, *x, 1, *y);
    case BinOp::sub:
      return combine(1, *x, -1, *y);
    case BinOp::mul:
      return product(*x, *y, true);
    case BinOp::div:
      return y->is_constant() && y->constant > 0 ? quotient(*x, y->constant) : std::nullopt;
    case BinOp::mod: {
      if (!y->is_constant() || y->constant <= 0) return std::nullopt;
      const auto q = quotient(*x, y->constant);
      return q ? combine(1, *x, -y->constant, *q) : std::nullopt;
    }
    case BinOp::min:
    case BinOp::max: {
      Affine t = affine_variable(fresh_);
      Split split{fresh_++, {}};
      const std::int64_t sign = b->op == BinOp::min ? 1 : -1;
      add_equal(split.cases[0], t, *x);
      add_fact(split.cases[0], sign, *y, -sign, *x, 0);
      add_equal(split.cases[1], t, *y);
      add_fact(split.cases[1], sign, *x, -sign, *y, 0);
      splits_.push_back(std::move(split));
      return t;
    }
    default:
      return std::nullopt;
  }
}

std::optional<Affine> Prover::quotient(const Affine& a, std::int64_t divisor) {
  Affine whole, rest;  // a = divisor * whole + rest
  for (const auto& [v, c] : a.terms)
    (c % divisor == 0 ? whole : rest).terms.emplace_back(v, c % divisor == 0 ? c / divisor : c);
  whole.constant = floor_div(a.constant, divisor);
  rest.constant = floor_mod(a.constant, divisor);
  if (rest.is_constant()) return whole;
  const Affine q = affine_variable(fresh_++);
  add_fact(facts_, 1, rest, -divisor, q, 0);            // divisor * q <= rest
  add_fact(facts_, divisor, q, -1, rest, divisor - 1);  // rest <= divisor * q + divisor - 1
  return combine(1, whole, 1, q);
}

std::optional<Affine> Prover::product(const Affine& a, const Affine& b, bool with_facts) {
  if (a.is_constant()) return combine(a.constant, b, 0, {});
  if (b.is_constant()) return combine(b.constant, a, 0, {});
  std::optional<Affine> sum = combine(b.constant, Affine{a.terms, 0}, a.constant, b);  // a.terms*b0 + a0*b
  for (const auto& [x, c] : a.terms)
    for (const auto& [y, d] : b.terms) {
      std::int64_t cd;
      if (!sum || __builtin_mul_overflow(c, d, &cd)) return std::nullopt;
      sum = combine(1, *sum, cd, affine_variable(product_variable(std::min(x, y), std::max(x, y), with_facts)));
    }
  return sum;
}

/// x * y as a variable of its own. What is known of x, times y >= 0, is known of the product (and the other way round).
std::uint32_t Prover::product_variable(std::uint32_t x, std::uint32_t y, bool with_facts) {
  const auto [it, made] = products_.emplace(std::pair(x, y), fresh_);
  if (!made) return it->second;
  const std::uint32_t out = fresh_++;
  if (!with_facts) return out;
  const auto never_negative = [&](std::uint32_t v) {
    for (const auto& [id, r] : entered_)
      if (id.n == v) return r.first >= 0;
    return false;
  };
  const std::vector<Affine> known = facts_;
  for (const auto& [one, other] : {std::pair(x, y), std::pair(y, x)})
    if (never_negative(other))
      for (const Affine& f : known)
        if (f.coefficient(one) != 0 && f.terms.size() <= 4)
          if (auto g = product(f, affine_variable(other), false)) facts_.push_back(*std::move(g));
  return out;
}

// ---- proofs -----------------------------------------------------------------------------------------------------------

bool Prover::at_least(const Expr& a, const Expr& b) {
  const Mark before = mark();
  const auto x = form(a), y = form(b);
  bool proved = false;
  if (x && y) {
    std::vector<Affine> goal;
    add_fact(goal, 1, *y, -1, *x, -1);  // the opposite: b - a - 1 >= 0
    if (!goal.empty()) {
      std::vector<const Split*> splits;
      std::vector<Affine> facts = linked_facts(goal[0], splits);
      proved = splits.size() <= most_splits && refuted(std::move(facts), splits);
    }
  }
  back(before);
  return proved;
}

/// The facts and case distinctions that share variables, directly or through others, with the goal; the goal included.
std::vector<Affine> Prover::linked_facts(const Affine& goal, std::vector<const Split*>& splits) const {
  std::set<std::uint32_t> linked;
  const auto link = [&](const Affine& f) {
    for (const auto& term : f.terms) linked.insert(term.first);
  };
  const auto touches = [&](const Affine& f) {
    return std::any_of(f.terms.begin(), f.terms.end(), [&](const auto& term) { return linked.count(term.first) > 0; });
  };
  link(goal);
  for (std::size_t before = 0; before != linked.size();) {
    before = linked.size();
    for (const Affine& f : facts_)
      if (touches(f)) link(f);
    for (const Split& s : splits_)
      if (linked.count(s.variable))
        for (const auto& one : s.cases)
          for (const Affine& f : one) link(f);
  }
  std::vector<Affine> out = {goal};
  for (const Affine& f : facts_)
    if (touches(f)) out.push_back(f);
  for (const Split& s : splits_)
    if (linked.count(s.variable)) splits.push_back(&s);
  return out;
}

bool Prover::refuted(std::vector<Affine> facts, std::span<const Split* const> splits) {
  if (splits.empty()) return contradictory(std::move(facts));
  for (const auto& one : splits.front()->cases) {
    std::vector<Affine> with = facts;
    with.insert(with.end(), one.begin(), one.end());
    if (!refuted(std::move(with), splits.subspan(1))) return false;
  }
  return true;
}

// ---- intervals --------------------------------------------------------------------------------------------------------

std::optional<Range> Prover::range(const Expr& e) const {
  const auto checked = [](Range r) { return r.fits() ? std::optional(r) : std::nullopt; };
  if (const auto c = constant_of(e)) return Range{*c, *c};
  if (const auto* v = e.as<Var>()) {
    for (auto it = entered_.rbegin(); it != entered_.rend(); ++it)
      if (it->first == v->id) return it->second;
    return integer::any_integer;
  }
  if (const auto* s = e.as<Select>()) {
    const auto a = range(s->then), b = range(s->otherwise);
    if (!a || !b) return std::nullopt;
    return integer::hull(*a, *b);
  }
  if (const auto* u = e.as<Unary>()) {
    const auto a = range(u->a);
    if (!a) return std::nullopt;
    const __int128 largest = std::max(a->first < 0 ? -a->first : a->first, a->last < 0 ? -a->last : a->last);
    if (u->op == UnOp::neg) return checked(integer::negated(*a));
    if (u->op == UnOp::abs) return checked({0, largest});
    if (u->op == UnOp::square) return largest > INT64_MAX ? std::nullopt : checked({0, largest * largest});
  }
  const auto* b = e.as<Binary>();
  if (!b) return integer::any_integer;
  const auto x = range(b->a), y = range(b->b);
  if (!x || !y) return std::nullopt;
  const auto r = integer::range_of(b->op, *x, *y);
  return r ? checked(*r) : integer::any_integer;
}

}  // namespace tecc::te
