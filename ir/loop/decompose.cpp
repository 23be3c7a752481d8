#include <algorithm>
#include <limits>

#include "ir/loop/affine.h"
#include "ir/loop/program.h"

namespace tecc::loop {
namespace {

/// -inf or the smallest value; the other end for min.
Expr extreme(DType type, bool smallest) {
  if (is_float(type)) {
    const bool has_infinity = type != DType::e4m3;
    const double end = has_infinity ? std::numeric_limits<double>::infinity() : 448.0;
    return literal(smallest ? -end : end, type);
  }
  if (type == DType::boolean) return make(Literal{smallest ? 0 : 1, 0, false}, type);
  if (type == DType::u8) return make(Literal{smallest ? 0 : 255, 0, false}, type);
  const int bits = static_cast<int>(8 * bytes_of(type));
  const std::int64_t low = bits == 64 ? std::numeric_limits<std::int64_t>::min() : -(std::int64_t{1} << (bits - 1));
  return make(Literal{smallest ? low : -(low + 1), 0, false}, type);
}

}  // namespace

Expr identity_of(Reducer op, DType type) {
  switch (op) {
    case Reducer::sum:
    case Reducer::mean: return is_float(type) ? literal(0, type) : make(Literal{0, 0, false}, type);
    case Reducer::prod: return is_float(type) ? literal(1, type) : make(Literal{1, 0, false}, type);
    case Reducer::max:
    case Reducer::argmax: return extreme(type, true);
    case Reducer::min:
    case Reducer::argmin: return extreme(type, false);
    case Reducer::any: return make(Literal{0, 0, false}, DType::boolean);
    case Reducer::all: return make(Literal{1, 0, false}, DType::boolean);
  }
  return {};
}

BlockId decompose(Program& p, BlockId id, LoopId before) {
  const Block b = p.block(id);
  Block init;
  init.name = b.name + ".init";
  std::map<VarId, Expr> mine;
  for (const Iter& i : b.iters) {
    if (i.kind != IterKind::spatial) continue;
    Iter copy = i;
    copy.var = add_var(p, p.vars[i.var].name);
    mine[i.var] = var(copy.var);
    init.iters.push_back(std::move(copy));
  }
  const auto as_mine = [&](const Expr& e) {
    return substitute(e, [&](VarId v) {
      const auto found = mine.find(v);
      return found == mine.end() ? Expr() : found->second;
    });
  };
  for (Iter& i : init.iters) i.upper = as_mine(i.upper);

  // The spatial loops between `before` and the block, made anew in the same order, so that threads own what they own there.
  std::vector<LoopId> inside = loops_around(p, id);
  inside.erase(inside.begin(), std::find(inside.begin(), inside.end(), before));
  std::erase_if(inside, [&](LoopId l) { return !feeds(p, l, b, IterKind::spatial); });
  StmtId parent = p[before].parent;
  std::size_t position = position_in_parent(p, before);
  std::map<LoopId, LoopId> copies;
  std::map<VarId, Expr> copied_vars;
  for (LoopId l : inside) {
    const Loop old = p.loop(l);
    const LoopId made = add_loop(p, parent, position, p.vars[old.var].name, old.extent, p[l].at);
    copied_vars[old.var] = var(p.loop(made).var);
    p.stmts.edit(made, [&](Stmt& s) {
      Loop& loop = std::get<Loop>(s.node);
      loop.kind = old.kind;
      loop.group = old.group;
    });
    copies[l] = made;
    parent = made;
    position = 0;
  }
  // Retired loops that follow from a copied one are copied, too. They may follow from each other in any order: the rows come
  // first, what they name afterwards.
  const auto named = [&](LoopId l) {
    const auto by_extent = [&](LoopId c) {
      bool found = false;
      walk(p.loop(c).extent, [&](const Expr& e) {
        const auto* v = e.as<Var>();
        const auto from = v ? loop_of_var(p, v->id) : std::nullopt;
        found |= from && (*from == l || depends_on(p, Binding{{Digit{*from}}}, l));
        return !found;
      });
      return found;
    };
    return std::any_of(init.iters.begin(), init.iters.end(), [&](const Iter& i) { return depends_on(p, i.binding, l); }) ||
           std::any_of(inside.begin(), inside.end(), by_extent);
  };
  for (std::uint32_t n = 0, size = p.stmts.size(); n < size; ++n) {
    const LoopId l{n};
    if (!p.stmts.has(l) || !p[l].as<Loop>() || !p.loop(l).retired) continue;
    const bool follows = std::any_of(inside.begin(), inside.end(), [&](LoopId c) { return depends_on(p, *p.loop(l).retired, c); });
    if (!follows || !named(l)) continue;
    Stmt copy = p[l];
    const VarId old = std::get<Loop>(copy.node).var;
    std::get<Loop>(copy.node).var = add_var(p, p.vars[old].name);
    copied_vars[old] = var(std::get<Loop>(copy.node).var);
    copies[l] = p.stmts.add(std::move(copy));
  }
  const auto replace = [&](Binding& binding) {
    for (Digit& d : binding.digits)
      if (const auto found = copies.find(d.loop); found != copies.end()) d.loop = found->second;
  };
  for (const auto& [old, made] : copies)
    p.stmts.edit(made, [&](Stmt& s) {
      Loop& loop = std::get<Loop>(s.node);
      if (loop.retired) replace(*loop.retired);
      loop.extent = substitute(loop.extent, [&](VarId v) {
        const auto found = copied_vars.find(v);
        return found == copied_vars.end() ? Expr() : found->second;
      });
    });
  for (Iter& i : init.iters) replace(i.binding);
  for (const Write& w : b.writes) {
    Write start{w.buffer, {}, identity_of(*b.combiner, p[w.buffer].type)};
    if (b.writes.size() == 2 && &w == &b.writes[1]) start.value = index_literal(-1);
    for (const Expr& e : w.index) start.index.push_back(as_mine(e));
    init.writes.push_back(std::move(start));
  }
  for (const Iter& i : init.iters) {
    const bool own = i.binding.digits.size() == 1 && std::any_of(copies.begin(), copies.end(), [&](const auto& c) { return c.second == i.binding.digits[0].loop; });
    init.axes.push_back(own ? i.binding.digits[0].loop : StmtId{});
  }
  const BlockId made = add_stmt(p, parent, position, Stmt{{}, {}, std::move(init), p[id].at});
  p.stmts.edit(id, [](Stmt& s) { std::get<Block>(s.node).init = Init::apart; });
  return made;
}

}  // namespace tecc::loop
