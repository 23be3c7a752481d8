#include <fmt/format.h>

#include <algorithm>

#include "ir/loop/affine.h"
#include "ir/simulate/compiler.h"

/// The code of each role.
namespace tecc::simulator {

bool Compiler::has_role(StmtId s) const {
  if (role_ == Stmt::every_role) return true;
  if (p_[s].children.empty()) return p_[s].role == role_ || p_[s].role == Stmt::every_role;
  return std::any_of(p_[s].children.begin(), p_[s].children.end(), [&](StmtId c) { return has_role(c); });
}

Check Compiler::statements(StmtId parent, RoleCode& r, std::size_t first) {
  for (std::size_t n = first; n < p_[parent].children.size(); ++n)
    if (has_role(p_[parent].children[n])) TECC_CHECK(statement(p_[parent].children[n], r));
  return Ok{};
}

Check Compiler::statement(StmtId s, RoleCode& r) {
  const std::size_t begin = r.code.size();
  const std::optional<LoopId> around = skewed_;
  TECC_CHECK(printed(s, r));
  if (const auto* y = p_[s].as<Sync>(); y && y->op == Sync::Op::commit_copies) return Ok{};  // in every round
  for (std::size_t n = begin; around && n < r.code.size(); ++n)
    if (r.code[n].stmt == s || n == begin) {
      r.code[n].skewed = around;
      r.code[n].runs = stages_of(s);
    }
  return Ok{};
}

std::uint32_t Compiler::stages_of(StmtId s) const {
  if (!has_role(s)) return 0;
  if (p_[s].children.empty()) return 1u << p_[s].stage;
  std::uint32_t bits = 0;
  for (StmtId c : p_[s].children) bits |= stages_of(c);
  return bits;
}

Check Compiler::printed(StmtId s, RoleCode& r) {
  if (const auto top = tops_.find(s); top != tops_.end()) {
    TECC_TRY(const std::size_t n, compiled(top->second));
    r.code.push_back({Op::Kind::tile, top->second, n});
    return Ok{};
  }
  const Stmt& row = p_[s];
  if (const auto* l = row.as<Loop>()) {
    const bool threads = is_thread_group(l->group) && !takes_in_turn(p_, r.role, s);
    const std::size_t begin = r.code.size();
    const bool lags = l->stages && (stages_of(s) & (stages_of(s) - 1));  // statements of several stages
    if (lags && (skewed_ || k_.loops[s.n].follows_threads || l->stages > 31)) return unknown(s, "skewed loops in each other");
    r.code.push_back({threads ? Op::Kind::threads : Op::Kind::loop, s});
    if (lags) skewed_ = s;
    TECC_CHECK(statements(s, r, 0));
    if (lags) skewed_.reset();
    r.code.push_back({threads ? Op::Kind::end_threads : Op::Kind::next, s, begin});
    r.code[begin].other = r.code.size();
    if (lags) {
      r.code[begin].stages = r.code.back().stages = l->stages;
      k_.most_stages = std::max(k_.most_stages, l->stages);
    }
  } else if (row.as<Block>()) {
    TECC_TRY(const std::size_t n, compiled(s));
    r.code.push_back({Op::Kind::block, s, n});
  } else if (row.as<Barrier>()) {
    r.code.push_back({Op::Kind::barrier, s});
  } else if (row.as<Combine>()) {
    r.code.push_back({Op::Kind::combine, s});
  } else if (const auto* y = row.as<Sync>()) {
    if (y->op <= Sync::Op::arrive_empty && (y->channel >= k_.channels.size() || !k_.channels[y->channel].live))
      return wrong(s, fmt::format("an operation on channel c{}, which has no barriers in this kernel", y->channel));
    r.code.push_back({Op::Kind::sync, s});
  } else {
    return wrong(s, "an event of a channel that was not lowered to operations on barriers");
  }
  return Ok{};
}

Result<std::size_t> Compiler::compiled(BlockId id) {
  if (const auto found = compiled_.find(id); found != compiled_.end()) return found->second;
  const Block& b = p_.block(id);
  Statement st;
  st.id = id;
  st.block = &b;
  st.stage = p_[id].stage;
  st.via = via_of(b);
  k_.most_iters = std::max(k_.most_iters, b.iters.size());
  for (const Iter& i : b.iters) {
    st.iters.push_back(digits(i.binding, &b));
    st.uppers.push_back(node(i.upper, &b));
    if (i.kind == IterKind::scan) st.scan = &i - b.iters.data();
  }
  for (const Expr& e : b.guards) st.guards.push_back(node(e, &b));
  for (const Expr& e : b.predicate) st.predicate.push_back(node(e, &b));
  for (const Write& w : b.writes) st.writes.push_back({place(id, w.buffer, w.index), node(w.value, &b, id)});
  if (b.combiner) st.identity = node(identity_of(*b.combiner, p_[b.writes[0].buffer].type), &b);
  if (b.combiner && b.init == Init::fused && !st.scan) {
    if (st.via != Via::wgmma) return wrong(id, fmt::format("block '{}' initialises itself, which only wgmma can", b.name));
    for (LoopId l : loops_around(p_, id))
      if (feeds(p_, l, b, IterKind::reduce)) st.reduce_loops.push_back(l);
  }
  std::vector<LoopId> around = loops_around(p_, id);
  std::erase_if(around, [&](LoopId l) { return takes_in_turn(p_, role_, l); });
  const bool only_warpgroups = std::all_of(around.begin(), around.end(), [&](LoopId l) { return !is_thread_group(p_.loop(l).group) || p_.loop(l).group == Group::warpgroup; });
  const bool in_warpgroup = std::any_of(around.begin(), around.end(), [&](LoopId l) { return p_.loop(l).group == Group::warpgroup; });
  if (only_warpgroups && !k_.buffers[b.writes[0].buffer.n].is_private) st.who = in_warpgroup ? Statement::Who::one_of_warpgroup : Statement::Who::one;
  if (is_bulk(st.via) && st.who == Statement::Who::all) return wrong(id, fmt::format("the bulk copy '{}' is issued by many threads", b.name));
  if (is_whole(st.via)) {
    for (const auto& [top, block] : tops_)
      if (block == id)
        for (LoopId l : around)
          if (is_inside(p_, l, top)) st.tile.push_back(l);
    std::int64_t size = 1;  // an instruction's tile, or a copy's, is done as one step
    for (LoopId l : st.tile) {
      const auto extent = constant_extent(p_, l);
      if (!extent) return wrong(id, fmt::format("loop '{}' of the tile of '{}' has no constant extent", name(l), b.name));
      if (__builtin_mul_overflow(size, std::max<std::int64_t>(*extent, 1), &size) || size > (1 << 24)) return wrong(id, fmt::format("the tile of '{}' has over {} elements", b.name, 1 << 24));
    }
    for (LoopId l : st.tile) st.in_atom.push_back(b.tile->atom != StmtId{} && p_.stmts.has(b.tile->atom) && is_inside(p_, l, b.tile->atom));
  }
  if (k_.cluster > 1 && st.via == Via::bulk_tensor && p_[b.writes[0].buffer].scope == Scope::shared) TECC_CHECK(share(id, st));
  TECC_CHECK(form(id, st));
  k_.statements.push_back(std::move(st));
  return compiled_[id] = k_.statements.size() - 1;
}

Check Compiler::share(BlockId id, Statement& st) {
  const Block& b = *st.block;
  for (const RankLoop& r : k_.ranks)
    if (std::none_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) { return depends_on(p_, i.binding, r.loop); })) st.sharers.push_back(r);
  const std::int64_t blocks = blocks_of(st.sharers);
  if (blocks == 1) return st.sharers.clear(), Ok{};
  if (const auto channel = p_[b.writes[0].buffer].channel) k_.sharings[*channel].push_back(st.sharers);
  const auto rows_of = [&](std::size_t d) {
    std::int64_t rows = 0;
    if (const auto* v = b.writes[0].index[d].as<Var>())
      for (std::size_t l = 0; l < st.tile.size(); ++l)
        if (st.in_atom[l] && depends_on(p_, iter_of(b, v->id)->binding, st.tile[l])) rows = std::max<std::int64_t>(rows, 1) * *constant_extent(p_, st.tile[l]);
    return rows;
  };
  for (std::size_t d = b.writes[0].index.size() - 1; d-- > 0;)
    if (const std::int64_t rows = rows_of(d)) {
      if (rows % blocks) return wrong(id, fmt::format("{} blocks of a cluster cannot share out the {} rows of '{}'", blocks, rows, b.name));
      st.shared_dim = d;
      st.shared_rows = rows / blocks;
      return Ok{};
    }
  return wrong(id, fmt::format("{} blocks of a cluster bring '{}', which has no rows to share out", blocks, b.name));
}

Check Compiler::form(BlockId id, Statement& st) {
  const Block& b = p_.block(id);
  if (is_bulk(st.via) || st.via == Via::cp_async) {
    const auto* read = b.writes[0].value.as<tecc::Read>();
    if (!read || b.combiner || b.writes.size() != 1) return wrong(id, fmt::format("'{}' copies by {} but computes what it writes", b.name, is_bulk(st.via) ? "bulk" : "cp.async"));
    const Scope from = p_[read->tensor].scope, to = p_[b.writes[0].buffer].scope;
    if (!(from == Scope::global && to == Scope::shared) && !(is_bulk(st.via) && from == Scope::shared && to == Scope::global))
      return wrong(id, fmt::format("'{}' copies by {} between memories that are not global and shared", b.name, is_bulk(st.via) ? "bulk" : "cp.async"));
    if (is_bulk(st.via) && !b.predicate.empty()) return wrong(id, fmt::format("'{}' copies by bulk under a condition", b.name));
    if (is_bulk(st.via) && to == Scope::shared) {
      const auto& channel = p_[b.writes[0].buffer].channel;
      if (!channel || !k_.channels[*channel].live) return wrong(id, fmt::format("nothing waits for the bulk copy '{}': '{}' passes through no channel with barriers", b.name, p_[b.writes[0].buffer].name));
      if (read->otherwise) {
        const auto* fill = read->otherwise.as<Literal>();
        if (!fill || fill->real != 0 || fill->integer != 0) return wrong(id, fmt::format("'{}' fills with another value than zero, bulk copies do not", b.name));
      }
    }
  }
  if (st.via != Via::wgmma && st.via != Via::mma_sync) return Ok{};
  const auto product = product_of(b);
  if (!product) return wrong(id, fmt::format("'{}' is no sum of products", b.name));
  if (!k_.buffers[b.writes[0].buffer.n].is_private) return wrong(id, fmt::format("'{}' sums up outside of registers", b.name));
  ProductPlan plan;
  const auto* product_node = b.writes[0].value.as<Binary>();
  const Expr sides[2] = {product_node->a, product_node->b};
  const int first = b.tile->swap ? 1 : 0;
  for (int side = 0; side < 2; ++side) {
    const Product::Factor& f = product->factor[side == 0 ? first : 1 - first];
    plan.value[side] = node(sides[side == 0 ? first : 1 - first], &b, id);
    plan.factor[side] = k_.nodes[k_.nodes[plan.value[side]].a].index;
    if (st.via == Via::wgmma && side == 1 && k_.buffers[f.read->tensor.n].is_private) return wrong(id, fmt::format("wgmma reads '{}' from registers; its columns lie in shared memory", p_[f.read->tensor].name));
    if (p_[f.read->tensor].scope == Scope::global) return wrong(id, fmt::format("a matrix instruction reads '{}' from global memory", p_[f.read->tensor].name));
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      const bool here = std::any_of(f.read->index.begin(), f.read->index.end(), [&](const Expr& e) { return uses(e, b.iters[n].var); });
      if (here && b.iters[n].kind == IterKind::spatial) plan.iters[side].push_back(n);
    }
  }
  for (std::size_t n = 0; n < b.iters.size(); ++n)
    if (b.iters[n].kind == IterKind::reduce) plan.depth.push_back(n);
  plan.separable = true;
  for (LoopId l : st.tile) {
    const bool reduces = feeds(p_, l, b, IterKind::reduce);
    plan.separable &= !(reduces && (feeds(p_, l, b, IterKind::spatial) || is_thread_group(p_.loop(l).group)));
    if (!is_thread_group(p_.loop(l).group)) (reduces ? plan.reduce_loops : plan.spatial_loops).push_back(l);
  }
  st.product = std::move(plan);
  return Ok{};
}

}  // namespace tecc::simulator
