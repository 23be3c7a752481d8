#include "ir/loop/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/loop/affine.h"

namespace tecc::loop {
namespace {

class Verifier {
 public:
  Verifier(const Program& p, Level level) : p_(p), level_(level) {
    for (std::uint32_t n = 0; n < p.stmts.size(); ++n)
      if (p.stmts.has({n}))
        if (const auto* l = p[StmtId{n}].as<Loop>()) loop_of_[l->var] = {n};
  }

  Check run() {
    for (StmtId root : p_.kernels) {
      if (!p_.stmts.has(root) || !p_[root].as<Root>()) return wrong("a kernel is no root");
      if (p_[root].parent != root) return wrong("a root has a parent");
      if (p_[root].children.empty()) return wrong_at(root, fmt::format("kernel '{}' is empty", p_[root].as<Root>()->name));
      TECC_CHECK(tree(root));
    }
    TECC_CHECK(concurrent());
    for (BlockId b : blocks_) TECC_CHECK(block(b));
    for (StmtId root : p_.kernels) TECC_CHECK(apart(root));
    for (TensorId t : p_.outputs)
      if (!writers_.count(t)) return wrong(fmt::format("no block writes the output '{}'", p_[t].name));
    for (const CrossThread& c : p_.cross_threads)
      if (!p_.stmts.has(c.block) || !p_.stmts.has(c.at)) return wrong("a cross_thread_reduce names a row that is gone");
    for (const Channel& c : p_.channels)
      if (!p_.stmts.has(c.loop)) return wrong("a pipeline names a loop that is gone");
    return Ok{};
  }

 private:
  const Program& p_;
  Level level_;
  std::map<VarId, LoopId> loop_of_;
  std::set<StmtId> seen_;
  std::vector<BlockId> blocks_;                     // in program order
  std::map<TensorId, std::vector<BlockId>> writers_;  // in program order
  std::map<TensorId, StmtId> scanned_;                // what a scan across threads leaves in them

  static Refusal wrong(const std::string& what) { return refuse(Code::bug_verify, "?", what); }
  Refusal wrong_at(StmtId s, const std::string& what) const { return at(p_[s].at, wrong(what)); }
  Refusal wrong(BlockId b, const std::string& what) const { return at(p_[b].at, wrong(fmt::format("block '{}' {}", p_.block(b).name, what))); }

  Check tree(StmtId s) {
    if (!seen_.insert(s).second) return wrong("a statement stands in two places");
    const Stmt& row = p_[s];
    for (StmtId c : row.children) {
      if (!p_.stmts.has(c)) return wrong("a child is gone");
      if (p_[c].parent != s) return wrong(fmt::format("parent and child disagree about '{}'", name(c)));
      if (p_[c].as<Root>()) return wrong("a root stands inside a kernel");
    }
    if (const auto* l = row.as<Loop>()) {
      if (l->retired) return wrong_at(s, fmt::format("the retired loop '{}' is live", name(s)));
      if (row.children.empty()) return wrong_at(s, fmt::format("loop '{}' is empty", name(s)));
      TECC_CHECK(extent(s, *l));
    } else if (!row.as<Root>() && !row.children.empty()) {
      return wrong_at(s, fmt::format("'{}' has children", name(s)));
    }
    if (const auto* b = row.as<Block>()) {
      blocks_.push_back(s);
      for (const Write& w : b->writes) writers_[w.buffer].push_back(s);
    }
    if (const auto* c = row.as<Combine>(); c && c->scan) scanned_[c->scan->before] = s;
    for (StmtId c : row.children) TECC_CHECK(tree(c));
    return Ok{};
  }

  Check concurrent() {
    for (std::size_t n = 0; n < p_.kernels.size(); ++n) {
      const StmtId root = p_.kernels[n];
      if (p_[root].as<Root>()->start != Root::Start::concurrent) continue;
      if (n == 0) return wrong_at(root, "the first kernel runs beside those before it, and there are none");
      for (std::size_t m = 0; m < n; ++m) {
        const StmtId other = p_.kernels[m];
        const std::string pair = fmt::format("kernel {} runs beside kernel {}", n, m);  // as in their names
        if (m > 0 && p_[other].as<Root>()->start != Root::Start::concurrent) return wrong_at(root, pair + ", which awaits others");
        if (share_writes(p_, root, other)) return wrong_at(root, pair + ", with which it shares what one of them writes");
      }
    }
    return Ok{};
  }

  /// What lies in the same bytes of shared memory is used one after the other: a block of threads comes to the one when it is done with the
  /// other, and never back. But for `reuse`, which says what it does.
  Check apart(StmtId root) {
    if (level_ < Level::threaded) return Ok{};
    std::map<TensorId, std::vector<BlockId>> users;
    for (BlockId id : blocks_under(p_, root)) {
      std::vector<TensorId> used = read_buffers(p_.block(id));
      for (const Write& w : p_.block(id).writes) used.push_back(w.buffer);
      for (TensorId t : used)
        if (p_[t].scope == Scope::shared && p_[t].storage) users[p_[t].reuses.value_or(t)].push_back(id);
    }
    for (const auto& [a, uses] : users)
      for (const auto& [b, others] : users)
        if (a < b && overlap(a, b) && !one_after_the_other(uses, others)) return wrong_at(root, fmt::format("'{}' and '{}' share bytes of shared memory while both are in use", p_[a].name, p_[b].name));
    return Ok{};
  }
  bool overlap(TensorId a, TensorId b) const {
    const auto end = [&](TensorId t) {
      const Storage& st = *p_[t].storage;
      std::int64_t bytes = st.elements * p_[t].slots * bytes_of(p_[t].type);
      for (LoopId l : st.owners) bytes *= constant_extent(p_, l).value_or(1);
      return st.offset_bytes + bytes;
    };
    return p_[a].storage && p_[b].storage && p_[a].storage->offset_bytes < end(b) && p_[b].storage->offset_bytes < end(a);
  }
  bool one_after_the_other(const std::vector<BlockId>& a, const std::vector<BlockId>& b) const {
    StmtId all = a[0];
    for (const auto* list : {&a, &b})
      for (BlockId s : *list) all = common_ancestor(p_, all, s);
    if (p_[all].as<Block>()) return false;
    for (StmtId s = all; !p_[s].as<Root>(); s = p_[s].parent) {
      const Loop& l = p_.loop(s);
      const bool grid = l.group == Group::block || l.group == Group::cluster;
      if (l.persistent || (!grid && range_of(p_, s).high > 0)) return false;
    }
    const auto reach = [&](const std::vector<BlockId>& list) {
      std::pair<std::size_t, std::size_t> out{SIZE_MAX, 0};
      for (BlockId s : list) {
        const std::size_t n = position_in_parent(p_, child_towards(p_, all, s));
        out = {std::min(out.first, n), std::max(out.second, n)};
      }
      return out;
    };
    const auto x = reach(a), y = reach(b);
    return x.second < y.first || y.second < x.first;
  }

  std::string name(StmtId s) const {
    if (p_[s].as<Loop>()) return loop_name(p_, s);
    const auto* b = p_[s].as<Block>();
    return b ? b->name : "a statement";
  }

  /// The loop is around `s`, or is retired and follows from such.
  bool reaches(LoopId l, StmtId s) const {
    if (!p_.stmts.has(l) || !p_[l].as<Loop>()) return false;
    const auto& retired = p_.loop(l).retired;
    if (!retired) return l != s && seen_.count(l) && is_inside(p_, s, l);
    return std::all_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return reaches(d.loop, s); });
  }

  Check extent(LoopId id, const Loop& l) {
    if (l.extent->type != DType::i64) return wrong_at(id, fmt::format("the extent of '{}' is no index", name(id)));
    bool known = true;
    walk(l.extent, [&](const Expr& e) {
      if (const auto* v = e.as<Var>()) {
        const auto loop = loop_of_.find(v->id);
        known &= p_.dims.count(v->id) || (loop != loop_of_.end() && reaches(loop->second, id));
      }
      known &= !e.as<Read>() && !e.as<Reduce>();
      return known;
    });
    if (!known) return wrong_at(id, fmt::format("the extent of loop '{}' names something that is not around it", name(id)));
    return Ok{};
  }

  // ---- blocks ---------------------------------------------------------------------------------------------------------
  Check block(BlockId id) {
    const Block& b = p_.block(id);
    std::set<VarId> vars;
    for (const Iter& i : b.iters) {
      for (const Digit& d : i.binding.digits) {
        if (d.div < 1 || d.mod < 0) return wrong(id, "has a digit with a division by nothing");
        if (!reaches(d.loop, id)) return wrong(id, fmt::format("binds '{}' to a loop that is not around it", p_.vars[i.var].name));
      }
      TECC_CHECK(expression(id, i.upper, vars));  // earlier iterations only
      if (!vars.insert(i.var).second) return wrong(id, "has an iteration variable twice");
    }
    if (b.writes.empty()) return wrong(id, "writes nothing");
    const bool pair = b.combiner == Reducer::argmax || b.combiner == Reducer::argmin;
    if (b.combiner && b.writes.size() != (pair ? 2u : 1u)) return wrong(id, "combines into the wrong number of buffers");
    for (const Write& w : b.writes) TECC_CHECK(write(id, b, w, vars));
    for (const Expr& e : b.predicate) TECC_CHECK(condition(id, e, vars));
    for (const Expr& e : b.guards) TECC_CHECK(condition(id, e, vars));
    TECC_CHECK(init(id, b));
    TECC_CHECK(parallel(id, b));
    for (TensorId t : read_buffers(b)) TECC_CHECK(produced(id, t));
    return Ok{};
  }

  Check write(BlockId id, const Block& b, const Write& w, const std::set<VarId>& vars) {
    if (!p_.buffers.has(w.buffer)) return wrong(id, "writes a buffer that is gone");
    const Buffer& buffer = p_[w.buffer];
    if (buffer.role == Role::input) return wrong(id, fmt::format("writes the input '{}'", buffer.name));
    if (w.index.size() != buffer.shape.size()) return wrong(id, fmt::format("writes '{}' with another rank", buffer.name));
    if (w.value->type != buffer.type) return wrong(id, fmt::format("writes {} to '{}', which holds {}", tecc::name(w.value->type), buffer.name, tecc::name(buffer.type)));
    for (const Expr& i : w.index) {
      TECC_CHECK(expression(id, i, vars));
      for (const Iter& iter : b.iters)
        if (iter.kind == IterKind::reduce && uses(i, iter.var)) return wrong(id, fmt::format("writes '{}' where its reduction runs", buffer.name));
    }
    TECC_CHECK(expression(id, w.value, vars));
    return storage(id, w.buffer);
  }

  Check condition(BlockId id, const Expr& e, const std::set<VarId>& vars) {
    if (e->type != DType::boolean) return wrong(id, "has a condition that is no truth value");
    return expression(id, e, vars);
  }

  Check expression(BlockId id, const Expr& e, const std::set<VarId>& vars) {
    std::string what;
    walk(e, [&](const Expr& x) {
      if (const auto* v = x.as<Var>(); v && !vars.count(v->id) && !p_.dims.count(v->id))
        what = fmt::format("names '{}', which is neither its iteration nor a dim", p_.vars.has(v->id) ? p_.vars[v->id].name : "?");
      if (x.as<Reduce>()) what = "has a reduction in its body";
      if (const auto* r = x.as<Read>()) {
        if (!p_.buffers.has(r->tensor)) what = "reads a buffer that is gone";
        else if (r->index.size() != p_[r->tensor].shape.size()) what = fmt::format("reads '{}' with another rank", p_[r->tensor].name);
        else if (x->type != p_[r->tensor].type) what = fmt::format("reads '{}' as another type", p_[r->tensor].name);
        else if (r->otherwise && r->otherwise->type != x->type) what = fmt::format("reads '{}' with a fill of another type", p_[r->tensor].name);
      }
      return what.empty();
    });
    if (!what.empty()) return wrong(id, what);
    return Ok{};
  }

  Check storage(BlockId id, TensorId t) {
    const Buffer& b = p_[t];
    if (level_ < Level::placed || b.scope == Scope::global || b.role != Role::workspace) return Ok{};
    if (!b.storage) return wrong(id, fmt::format("uses '{}', which has no storage", b.name));
    const Storage& st = *b.storage;
    const std::size_t rank = b.shape.size();
    if (st.dims.size() != rank)
      return wrong(id, fmt::format("uses '{}', whose storage has another rank", b.name));
    if (!is_inside(p_, id, st.at)) return wrong(id, fmt::format("uses '{}' outside of its storage", b.name));
    for (const Storage::Dimension& d : st.dims)
      if (d.cuts.empty() || d.extent() < 1) return wrong(id, fmt::format("uses '{}', whose storage is empty", b.name));
    return Ok{};
  }

  /// Who starts a reduction.
  Check init(BlockId id, const Block& b) {
    if (!b.combiner) return Ok{};
    if (b.init == Init::fused && !is_scan(b) && !overwrites(b) && level_ >= Level::decomposed) return wrong(id, "still initialises itself");
    if (b.init == Init::apart)
      for (const Write& w : b.writes) {
        const auto& all = writers_.at(w.buffer);
        if (all.front() == id) return wrong(id, fmt::format("finds nothing in '{}' to start from", p_[w.buffer].name));
      }
    return Ok{};
  }

  Check parallel(BlockId id, const Block& b) {
    const bool across = std::any_of(p_.cross_threads.begin(), p_.cross_threads.end(), [&](const CrossThread& c) { return c.block == id; });
    for (LoopId l : loops_around(p_, id)) {
      const Loop& loop = p_.loop(l);
      const bool free = loop.kind == LoopKind::parallel || loop.kind == LoopKind::vectorized || loop.group != Group::none;
      if (!free) continue;
      // Loops bound to threads: check_groups refuses what cross_thread_reduce or scan does not cover, with the user's words.
      if (feeds(p_, l, b, IterKind::scan) && loop.group != Group::thread) return wrong(id, fmt::format("has its scan run in parallel by '{}'", name(l)));
      if (feeds(p_, l, b, IterKind::reduce) && !across && loop.group == Group::none)
        return wrong(id, fmt::format("has its reduction run in parallel by '{}'", name(l)));
    }
    return Ok{};
  }

  Check produced(BlockId id, TensorId t) {
    TECC_CHECK(storage(id, t));
    if (p_[t].role == Role::input) return Ok{};
    if (const auto scan = scanned_.find(t); scan != scanned_.end() && compare_order(p_, scan->second, id) < 0) return Ok{};
    const auto all = writers_.find(t);
    if (all == writers_.end()) return wrong(id, fmt::format("reads '{}', which no block writes", p_[t].name));
    // Copies that a pipeline runs ahead stand after their readers, in program order, too.
    const bool before = std::any_of(all->second.begin(), all->second.end(), [&](BlockId w) { return w == id || p_.block(w).ahead || (p_.block(id).ahead && p_.block(id).ahead->by < 0) || compare_order(p_, w, id) < 0; });
    if (!before) return wrong(id, fmt::format("reads '{}' before any block writes it", p_[t].name));
    return Ok{};
  }
};

}  // namespace

Check verify(const Program& p, Level level) { return Verifier(p, level).run(); }

}  // namespace tecc::loop
