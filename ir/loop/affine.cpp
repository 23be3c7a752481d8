#include "ir/loop/affine.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "ir/base/errors.h"
#include "ir/integer/simplify.h"

namespace tecc::loop {
namespace {

constexpr std::int64_t huge = std::int64_t{1} << 56;  // beyond every legal index; sums of a few stay inside i64
std::int64_t clamp(__int128 v) { return static_cast<std::int64_t>(std::clamp<__int128>(v, -huge, huge)); }

/// a += factor * b; false if a coefficient leaves i64.
bool add_times(Affine& a, std::int64_t factor, const Affine& b) {
  const auto add = [&](std::int64_t& to, std::int64_t c) {
    std::int64_t product;
    return !__builtin_mul_overflow(factor, c, &product) && !__builtin_add_overflow(to, product, &to);
  };
  if (!add(a.constant, b.constant)) return false;
  for (const auto& [v, c] : b.terms) {
    auto it = std::find_if(a.terms.begin(), a.terms.end(), [v = v](const auto& t) { return t.first == v; });
    if (it == a.terms.end()) it = a.terms.insert(it, {v, 0});
    if (!add(it->second, c)) return false;
    if (it->second == 0) a.terms.erase(it);
  }
  return true;
}

std::optional<Interval> range_of_var(const Program& p, const Block* b, VarId v) {
  if (const auto dim = p.dims.find(v); dim != p.dims.end()) return Interval{dim->second.min, dim->second.max};
  if (b)
    if (const Iter* i = iter_of(*b, v)) {
      const Interval reach = range_of(p, i->binding);
      return Interval{std::max(reach.low, i->lower), std::min(reach.high, largest(p, i->upper) - 1)};
    }
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n)  // a loop's variable: extents of ragged loops only
    if (p.stmts.has({n}))
      if (const auto* l = p[StmtId{n}].as<Loop>(); l && l->var == v) return range_of(p, StmtId{n});
  return std::nullopt;
}

/// In a block's upper bounds earlier iterations appear: their ranges need no block, `b` may be null then.
std::optional<Interval> range(const Program& p, const Block* b, const Expr& e) {
  return match(
      e, [&](const Literal& l) -> std::optional<Interval> { return Interval{l.integer, l.integer}; },
      [&](const Var& v) -> std::optional<Interval> { return range_of_var(p, b, v.id); },
      [&](const Unary& u) -> std::optional<Interval> {
        const auto a = range(p, b, u.a);
        if (!a || u.op != UnOp::neg) return std::nullopt;
        return Interval{-a->high, -a->low};
      },
      [&](const Binary& x) -> std::optional<Interval> {
        const auto l = range(p, b, x.a), r = range(p, b, x.b);
        if (!l || !r) return std::nullopt;
        const auto out = integer::range_of(x.op, {l->low, l->high}, {r->low, r->high});
        return out ? std::optional(Interval{clamp(out->first), clamp(out->last)}) : std::nullopt;
      },
      [&](const Select& s) -> std::optional<Interval> {
        const auto x = range(p, b, s.then), y = range(p, b, s.otherwise);
        if (!x || !y) return std::nullopt;
        return Interval{std::min(x->low, y->low), std::max(x->high, y->high)};
      },
      [&](const Cast& c) -> std::optional<Interval> {
        return !c.to.is_parameter() && c.to.concrete() == DType::i64 ? range(p, b, c.a) : std::nullopt;
      },
      [&](const Read&) -> std::optional<Interval> { return std::nullopt; },
      [&](const Reduce&) -> std::optional<Interval> { return std::nullopt; });
}

/// True if `extent` is ceildiv(upper, c) or, for c == 1, upper itself.
bool is_ceildiv_of(const Expr& extent, const Expr& upper, std::int64_t c) {
  return same_value(extent, ceil_div(upper, index_literal(c)));
}

}  // namespace

std::int64_t known_divisor(const Program& p, const Expr& e) {
  if (const auto c = constant_of(e)) return std::abs(*c);
  if (const auto* v = e.as<Var>()) {
    const auto dim = p.dims.find(v->id);
    return dim == p.dims.end() ? 1 : dim->second.multiple_of;
  }
  const auto* x = e.as<Binary>();
  return x && integer::transfer_of(x->op) ? integer::multiple_of(x->op, known_divisor(p, x->a), known_divisor(p, x->b)) : 1;
}

std::optional<Affine> affine_of(const Expr& e) {
  if (const auto* l = e.as<Literal>()) return Affine{l->integer, {}};
  if (const auto* v = e.as<Var>()) return Affine{0, {{v->id, 1}}};
  const auto times = [](std::int64_t factor, const Affine& b, Affine a = {}) { return add_times(a, factor, b) ? std::optional(std::move(a)) : std::nullopt; };
  if (const auto* u = e.as<Unary>(); u && u->op == UnOp::neg) {
    const auto a = affine_of(u->a);
    return a ? times(-1, *a) : std::nullopt;
  }
  if (const auto* c = e.as<Cast>(); c && e->type == DType::i64 && c->a->type == DType::i64) return affine_of(c->a);
  const auto* x = e.as<Binary>();
  if (!x || (x->op != BinOp::add && x->op != BinOp::sub && x->op != BinOp::mul)) return std::nullopt;
  auto a = affine_of(x->a), b = affine_of(x->b);
  if (!a || !b) return std::nullopt;
  if (x->op == BinOp::mul) {
    if (!b->terms.empty()) std::swap(a, b);
    return b->terms.empty() ? times(b->constant, *a) : std::nullopt;
  }
  return times(x->op == BinOp::add ? 1 : -1, *b, *std::move(a));
}

Interval range_of(const Program& p, LoopId l) {
  const Loop& loop = p.loop(l);
  if (loop.retired) return range_of(p, *loop.retired);
  return {0, std::max<std::int64_t>(largest(p, loop.extent) - 1, 0)};
}

Interval range_of(const Program& p, const Digit& d) {
  const Interval l = range_of(p, d.loop);
  std::int64_t low = floor_div(l.low, d.div), high = floor_div(l.high, d.div);
  if (d.mod && !(low >= 0 && high < d.mod)) low = 0, high = d.mod - 1;
  const auto times = [&](std::int64_t v) { return clamp(static_cast<__int128>(v) * d.stride); };
  return d.stride >= 0 ? Interval{times(low), times(high)} : Interval{times(high), times(low)};
}

Interval range_of(const Program& p, const Binding& b) {
  Interval sum{b.offset, b.offset};
  for (const Digit& d : b.digits) {
    const Interval r = range_of(p, d);
    sum = {clamp(static_cast<__int128>(sum.low) + r.low), clamp(static_cast<__int128>(sum.high) + r.high)};
  }
  return sum;
}

std::optional<Interval> range_of(const Program& p, const Block* b, const Expr& e) { return range(p, b, e); }

std::int64_t largest(const Program& p, const Expr& extent) {
  if (const auto c = constant_of(extent)) return *c;
  // Ragged extents name iterations of a block or loops; both families are resolved without knowing the block.
  const auto r = range(p, nullptr, extent);
  if (r) return r->high;
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n) {
    if (!p.stmts.has({n})) continue;
    if (const auto* b = p[StmtId{n}].as<Block>())
      if (const auto r2 = range(p, b, extent)) return r2->high;
  }
  return huge;
}

Binding normal(const Program& p, Binding b, Zeros zeros) {
  std::vector<Digit>& d = b.digits;
  for (Digit& x : d)
    if (const Interval l = range_of(p, x.loop); x.mod && l.low >= 0 && floor_div(l.high, x.div) < x.mod) x.mod = 0;
  const auto order = [](const Digit& x, const Digit& y) {
    if (x.loop != y.loop) return x.loop < y.loop;
    return x.div != y.div ? x.div > y.div : x.mod > y.mod;
  };
  std::sort(d.begin(), d.end(), order);
  std::vector<Digit> out;
  for (const Digit& x : d) {
    if (!out.empty() && out.back().loop == x.loop) {
      Digit& y = out.back();
      if (y.div == x.div && y.mod == x.mod) {
        y.stride += x.stride;
        continue;
      }
      if (x.mod && y.div == x.div * x.mod && y.stride == x.stride * x.mod) {  // y continues x upwards
        y = {x.loop, x.div, y.mod ? y.mod * x.mod : 0, x.stride};
        continue;
      }
    }
    out.push_back(x);
  }
  std::erase_if(out, [&](const Digit& x) {
    if (x.stride == 0) return true;
    const bool whole_loop = x.div == 1 && x.mod == 0 && !p.loop(x.loop).retired;
    return !(zeros == Zeros::stay && whole_loop) && range_of(p, Digit{x.loop, x.div, x.mod, 1}) == Interval{0, 0};
  });
  std::sort(out.begin(), out.end(), [](const Digit& x, const Digit& y) {
    if (x.stride != y.stride) return x.stride > y.stride;
    return x.loop != y.loop ? x.loop < y.loop : x.div > y.div;
  });
  b.digits = std::move(out);
  return b;
}

Binding add(const Program& p, const Binding& a, const Binding& b, std::int64_t factor) {
  Binding sum = a;
  sum.offset += factor * b.offset;
  for (Digit d : b.digits) {
    d.stride *= factor;
    sum.digits.push_back(d);
  }
  return normal(p, std::move(sum));
}

std::optional<Binding> binding_of(const Block& b, const Affine& a) {
  Binding sum{{}, a.constant};
  for (const auto& [v, c] : a.terms) {
    const Iter* i = iter_of(b, v);
    if (!i) return std::nullopt;
    sum.offset += c * i->binding.offset;
    for (Digit d : i->binding.digits) {
      d.stride *= c;
      sum.digits.push_back(d);
    }
  }
  return sum;
}

namespace {

/// x / by, where the digits of x are multiples of `by` or add up to less; nullopt if they carry.
std::optional<Binding> quotient(const Program& p, const Binding& x, std::int64_t by) {
  Binding out{{}, floor_div(x.offset, by)};
  std::int64_t rest = floor_mod(x.offset, by);
  for (Digit d : normal(p, x).digits) {
    const Interval values = range_of(p, Digit{d.loop, d.div, d.mod, 1});
    const bool reaches = d.stride < 0 || values.low < 0 || d.stride * values.high >= by;
    if (d.stride % by && reaches) {  // a digit of two: what stays below, and multiples
      if (d.stride < 0 || values.low < 0 || by % d.stride || d.mod % (by / d.stride)) return std::nullopt;
      const std::int64_t below = by / d.stride;
      rest += d.stride * (below - 1);
      out.digits.push_back({d.loop, d.div * below, d.mod / below, 1});
    } else if (d.stride % by) {
      rest += d.stride * values.high;
    } else {
      d.stride /= by;
      out.digits.push_back(d);
    }
  }
  return rest < by ? std::optional(out) : std::nullopt;
}

}  // namespace

std::optional<Binding> binding_of(const Program& p, const Block& b, const Expr& e) {
  if (const auto affine = affine_of(e)) return binding_of(b, *affine);
  const auto* x = e.as<Binary>();
  const auto by = x && x->op == BinOp::div ? constant_of(x->b) : std::nullopt;
  const auto whole = by && *by > 0 ? binding_of(p, b, x->a) : std::nullopt;
  return whole ? quotient(p, *whole, *by) : std::nullopt;
}

Binding expand(const Program& p, const Binding& b, LoopId l) {
  Binding out{{}, b.offset};
  for (const Digit& d : b.digits) {
    if (d.loop != l) {
      out.digits.push_back(d);
      continue;
    }
    // (sum_j w_j * x_j / div % mod) * stride, where x_j are digits with distinct values: every term must be a multiple of
    // div, or together with the smaller ones stay below it; the same for mod.
    std::vector<Digit> made;
    bool lines_up = p.loop(l).retired->offset == 0;
    std::int64_t small = 0;  // largest sum of the terms that the division drops
    for (const Digit& part : p.loop(l).retired->digits) {
      const std::int64_t w = part.stride;
      if (w <= 0) lines_up = false;
      if (!lines_up) break;
      if (w % d.div == 0) {
        const std::int64_t unit = w / d.div;
        if (d.mod == 0) made.push_back({part.loop, part.div, part.mod, unit * d.stride});
        else if (unit % d.mod == 0) continue;
        else if (d.mod % unit == 0) {
          const std::int64_t m = d.mod / unit;
          if (part.mod == 0 || part.mod % m == 0) made.push_back({part.loop, part.div, m, unit * d.stride});
          else lines_up = false;
        } else lines_up = false;
        continue;
      }
      const std::int64_t reach = range_of(p, Digit{part.loop, part.div, part.mod, 1}).high;
      if (w * reach < d.div) {
        small += w * reach;
      } else if (d.div % w == 0) {  // the division cuts this digit
        const std::int64_t cut = d.div / w;
        if (part.mod && part.mod % cut != 0) lines_up = false;
        std::int64_t m = part.mod ? part.mod / cut : 0;
        if (d.mod && (m == 0 || m > d.mod)) m = (m == 0 || m % d.mod == 0) ? d.mod : (lines_up = false, 0);
        made.push_back({part.loop, part.div * cut, m, d.stride});
        small += w * std::min(cut - 1, reach);
      } else {
        lines_up = false;
      }
    }
    if (lines_up && small < d.div) out.digits.insert(out.digits.end(), made.begin(), made.end());
    else out.digits.push_back(d);
  }
  return normal(p, std::move(out), Zeros::stay);
}

void retire(Program& p, LoopId old, Binding digits, StmtId top) {
  p.stmts.edit(old, [&](Stmt& s) {
    std::get<Loop>(s.node).retired = std::move(digits);
    s.children.clear();
  });
  for (BlockId b : blocks_under(p, top)) {
    bool names_it = false;
    for (const Iter& i : p.block(b).iters) names_it |= depends_on(p, i.binding, old);
    if (!names_it) continue;
    Stmt row = p[b];
    for (Iter& i : std::get<Block>(row.node).iters) i.binding = expand(p, i.binding, old);
    p.stmts.set(b, std::move(row));
  }
}

std::optional<LoopId> loop_of_var(const Program& p, VarId v) {
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n)
    if (p.stmts.has({n}))
      if (const auto* l = p[StmtId{n}].as<Loop>(); l && l->var == v) return StmtId{n};
  return std::nullopt;
}

namespace {

/// True if the expression never falls when a variable grows.
bool grows_with(const Expr& e, VarId v) {
  if (!uses(e, v)) return true;
  if (e.as<Var>()) return true;
  const auto* x = e.as<Binary>();
  if (!x) return false;
  const auto c = constant_of(x->b);
  switch (x->op) {
    case BinOp::add:
    case BinOp::min:
    case BinOp::max: return grows_with(x->a, v) && grows_with(x->b, v);
    case BinOp::sub: return grows_with(x->a, v) && !uses(x->b, v);
    case BinOp::mul: return (c && *c >= 0 && grows_with(x->a, v)) || (constant_of(x->a) && *constant_of(x->a) >= 0 && grows_with(x->b, v));
    case BinOp::div: return c && *c > 0 && grows_with(x->a, v);
    default: return false;
  }
}

/// Sums in order, and what the rules on integers make of the rest.
Expr tidy(const Program& p, const Expr& e) {
  const auto known = [&](VarId v) -> std::optional<integer::Fact> {
    const auto r = range_of_var(p, nullptr, v);
    return r ? std::optional(integer::Fact{{r->low, r->high}, known_divisor(p, var(v))}) : std::nullopt;
  };
  const Expr sums = rewrite(e, [&](const Expr& x) {
    const auto a = x->type == DType::i64 ? affine_of(x) : std::nullopt;
    if (!a) return x;
    Expr terms;
    for (const auto& [v, c] : a->terms) terms = terms ? terms + var(v) * c : var(v) * c;
    return terms ? terms + a->constant : index_literal(a->constant);
  });
  return integer::simplify(sums, known);
}

}  // namespace

Expr relaxed(const Program& p, const Expr& extent, const std::function<bool(LoopId)>& eliminate) {
  if (constant_of(extent)) return extent;
  // Retired loops that contain an eliminated one are written as what they were made of.
  Expr e = extent;
  for (int depth = 0; depth < 8; ++depth) {
    const Expr next = substitute(e, [&](VarId v) -> Expr {
      const auto l = loop_of_var(p, v);
      if (!l || !p.loop(*l).retired) return Expr();
      bool contains = false;
      for (const Digit& d : p.loop(*l).retired->digits) contains |= p.loop(d.loop).retired || eliminate(d.loop);
      if (!contains) return Expr();
      Expr sum = index_literal(p.loop(*l).retired->offset);
      for (const Digit& d : p.loop(*l).retired->digits) {
        Expr term = floor_div(var(p.loop(d.loop).var), index_literal(d.div));
        if (d.mod) term = floor_mod(term, index_literal(d.mod));
        sum = sum + term * d.stride;
      }
      return sum;
    });
    if (next == e) break;
    e = next;
  }
  // The largest value of a monotone expression is at one of the ends.
  std::vector<LoopId> gone;
  walk(e, [&](const Expr& x) {
    if (const auto* v = x.as<Var>())
      if (const auto l = loop_of_var(p, v->id); l && eliminate(*l) && std::find(gone.begin(), gone.end(), *l) == gone.end()) gone.push_back(*l);
    return true;
  });
  for (LoopId l : gone) {
    const auto at = [&](const Expr& value) { return substitute(e, [&](VarId v) { return v == p.loop(l).var ? value : Expr(); }); };
    const Expr low = at(index_literal(0)), high = at(index_literal(range_of(p, l).high));
    const auto a = constant_of(low), b = constant_of(high);
    if (a && b) e = index_literal(std::max(*a, *b));
    else if (grows_with(e, p.loop(l).var)) e = high;
    else e = index_max(low, high);
  }
  e = tidy(p, e);
  const std::int64_t most = largest(p, extent);
  const auto reach = range_of(p, nullptr, e);
  return most < huge && !constant_of(e) && !gone.empty() && !(reach && reach->high <= most) ? index_min(e, index_literal(most)) : e;
}

bool stays_above(const Program& p, const Iter& i) { return range_of(p, i.binding).low >= i.lower; }

bool stays_below(const Program& p, const Block& b, const Iter& i) {
  const Interval reach = range_of(p, i.binding);
  if (const auto upper = constant_of(i.upper)) return reach.high < *upper;
  if (i.binding.offset == 0 && !i.binding.digits.empty()) {
    // The slowest digit counts to ceildiv(upper, c), the others stay below c: the value is below upper if c divides it.
    const Digit& top = i.binding.digits.front();
    Interval rest{0, 0};
    for (std::size_t n = 1; n < i.binding.digits.size(); ++n) {
      const Interval r = range_of(p, i.binding.digits[n]);
      rest = {rest.low + r.low, rest.high + r.high};
    }
    const Loop& loop = p.loop(top.loop);
    const bool plain = top.div == 1 && top.mod == 0 && !loop.retired && rest.low >= 0 && rest.high < top.stride;
    if (plain && is_ceildiv_of(loop.extent, i.upper, top.stride) && known_divisor(p, i.upper) % top.stride == 0) return true;
    // A ragged axis right under the loops it follows: the loop's extent is the same expression over loop variables.
    if (plain && top.stride == 1) {
      const Expr over_loops = substitute(i.upper, [&](VarId v) -> Expr {
        const Iter* outer = iter_of(b, v);
        if (!outer || outer->binding.offset || outer->binding.digits.size() != 1) return Expr();
        const Digit& d = outer->binding.digits[0];
        return d.div == 1 && d.mod == 0 && d.stride == 1 ? var(p.loop(d.loop).var) : Expr();
      });
      if (same_value(over_loops, loop.extent)) return true;
    }
  }
  const auto upper = range(p, &b, i.upper);
  return upper && reach.high < upper->low;
}

std::vector<Expr> guards_of(const Program& p, const Block& b) {
  std::vector<Expr> out = b.predicate;
  for (const Iter& i : b.iters) {
    if (b.ahead && b.ahead->by > 0 && depends_on(p, i.binding, b.ahead->loop)) {  // further than ranges know
      out.push_back(make(Binary{BinOp::less, var(i.var), i.upper}, DType::boolean));
      continue;
    }
    if (!stays_above(p, i)) out.push_back(make(Binary{BinOp::less_equal, index_literal(i.lower), var(i.var)}, DType::boolean));
    if (!stays_below(p, b, i)) out.push_back(make(Binary{BinOp::less, var(i.var), i.upper}, DType::boolean));
  }
  return out;
}

Region region_of(const Program& p, const Block& b, const Expr& e, const std::function<bool(LoopId)>& fixed) {
  const auto unknown = [] {
    Region r;
    r.whole = true;
    r.exact = false;
    return r;
  };
  const std::function<int(LoopId)> state = [&](LoopId l) -> int {  // 1 fixed, 0 varying, -1 some of each
    if (!p.loop(l).retired) return fixed(l);
    int all = -2;
    for (const Digit& d : p.loop(l).retired->digits) {
      const int one = state(d.loop);
      all = all == -2 || all == one ? one : -1;
    }
    return all == -2 ? 1 : all;
  };
  const auto a = affine_of(e);
  if (!a) {
    const auto* x = e.as<Binary>();
    const auto by = x ? constant_of(x->b) : std::nullopt;
    if (!x || x->op != BinOp::div || !by || *by <= 0) return unknown();
    Region r = region_of(p, b, x->a, fixed);  // (multiples of by + the rest of what is fixed + varying) / by
    if (r.whole) return unknown();
    Binding multiples, rest{{}, r.fixed.offset};
    for (Digit d : r.fixed.digits) {
      if (d.stride % *by) {
        rest.digits.push_back(d);
        continue;
      }
      d.stride /= *by;
      multiples.digits.push_back(d);
    }
    // s * x + less than s, where s divides by: the quotient is a digit of x.
    const auto leads = std::max_element(rest.digits.begin(), rest.digits.end(), [](const Digit& a, const Digit& c) { return a.stride < c.stride; });
    if (leads != rest.digits.end() && leads->stride > 0 && *by % leads->stride == 0) {
      const Digit d = *leads;
      const std::int64_t steps = *by / d.stride;
      Binding others = rest;
      others.digits.erase(others.digits.begin() + (leads - rest.digits.begin()));
      const Interval less = range_of(p, others);
      if (less.low >= 0 && less.high + r.span - 1 < d.stride && d.mod % steps == 0) {
        multiples.digits.push_back({d.loop, d.div * steps, d.mod / steps, 1});
        return {multiples, {}, 1, true, false};
      }
    }
    const Interval reach = range_of(p, rest);
    multiples.offset = floor_div(reach.low, *by);
    const std::int64_t span = floor_div(clamp(static_cast<__int128>(reach.high) + r.span - 1), *by) - multiples.offset + 1;
    std::vector<Digit> kept;
    bool exact = r.exact && rest.digits.empty() && rest.offset % *by == 0;
    for (const Digit& d : r.varying) {
      if (d.stride % *by == 0) kept.push_back({d.loop, d.div, d.mod, d.stride / *by});
      else exact = false;  // several iterations share an element
    }
    if (!exact) kept.clear();
    return {multiples, kept, span, exact || span == 1, false};
  }
  const auto whole = binding_of(b, *a);
  if (!whole) return unknown();
  const Binding n = normal(p, *whole);
  Region r;
  r.fixed.offset = n.offset;
  for (const Digit& d : n.digits) {
    const int s = state(d.loop);
    if (s < 0) return unknown();
    if (s == 1) {
      r.fixed.digits.push_back(d);
      continue;
    }
    const Interval reach = range_of(p, d);
    r.fixed.offset += reach.low;
    r.span = clamp(static_cast<__int128>(r.span) + (reach.high - reach.low));
    if (d.stride < 0) r.exact = false;
    r.varying.push_back(d);
  }
  std::int64_t below = 0;  // largest value of the faster digits
  for (auto d = r.varying.rbegin(); d != r.varying.rend(); ++d) {
    if (d->stride <= below) r.exact = false;
    below += range_of(p, *d).high;
  }
  if (!r.exact) r.varying.clear();
  return r;
}

}  // namespace tecc::loop
