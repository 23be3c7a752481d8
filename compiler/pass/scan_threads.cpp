#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

/// A scan that threads share, and the loops that matter to it:
///   for j0 (at):  for jt (threads):  for jv (inner):  y[j] = y[j-1] (+) x[j]
struct Shared {
  BlockId block;
  LoopId at;                    // the loop directly around the threads' loops
  std::vector<LoopId> threads;  // outermost first
  std::vector<LoopId> inner;    // a thread's own run of elements
  StmtId first;                 // at, or the outermost loop of the scan around it: before it nothing has been added up
};

Result<Shared> shared_scan(const Program& p, const CrossThread& c) {
  const Block& b = p.block(c.block);
  const auto wrong = [&](std::string why) { return refuse(Code::scan_form, b.name, std::move(why)); };
  Shared out{c.block, c.at, {}, {}, c.at};
  for (LoopId l : loops_around(p, c.at))
    if (feeds(p, l, b, IterKind::scan)) {
      out.first = l;
      break;
    }
  if (!feeds(p, c.at, b, IterKind::scan)) out.first = child_towards(p, c.at, c.block);
  for (LoopId l : loops_around(p, c.block)) {
    if (l == c.at || !is_inside(p, l, c.at)) continue;
    if (p[l].children.size() != 1) return wrong(fmt::format("loop '{}' holds other statements; legal: its threads and their elements alone", loop_name(p, l)));
    const bool thread = is_thread_group(p.loop(l).group), scans = feeds(p, l, b, IterKind::scan);
    if (!scans || (thread && !out.inner.empty()) || (!thread && out.threads.empty()))
      return wrong(fmt::format("loop '{}' stands between; legal: inside of '{}' loops bound to threads, then loops of one thread's elements", loop_name(p, l), loop_name(p, c.at)));
    (thread ? out.threads : out.inner).push_back(l);
  }
  for (const Iter& i : b.iters)
    for (const Digit& d : i.binding.digits)
      if (p.loop(d.loop).retired)
        for (LoopId l : out.threads)
          if (depends_on(p, *p.loop(d.loop).retired, l)) return wrong(fmt::format("it counts by loop '{}', which is gone; legal: splits that line up", loop_name(p, d.loop)));
  for (LoopId l : loops_around(p, c.block))  // what threads carry on is set back before the scan's outermost loop, not at the beginning of a row
    if (feeds(p, l, b, IterKind::scan) && feeds(p, l, b, IterKind::spatial)) return wrong(fmt::format("loop '{}' runs through several rows; legal: loops of the scan alone", loop_name(p, l)));
  if (!thread_loops(p, c.at).empty()) return wrong(fmt::format("loop '{}' runs inside of other threads; legal: rows bound to blocks", loop_name(p, c.at)));
  return out;
}

/// A scalar of each thread.
TensorId scalar(Program& p, const std::string& name, DType type) {
  Buffer b;
  b.name = name;
  b.type = type;
  b.scope = Scope::local;
  return p.buffers.add(std::move(b));
}

Stmt statement(const Program& p, BlockId like, std::variant<Root, Loop, Block, Barrier, Combine, Event, Sync> node) {
  Stmt s{{}, {}, std::move(node), p[like].at};
  s.role = p[like].role;
  s.stage = p[like].stage;
  return s;
}

/// Three phases. Each thread adds up its own elements; the threads' totals are scanned; each thread adds what came before its own:
///   carry = 0
///   for j0: { for jt: { total = 0; for jv: { total (+)= x[j]; y[j] = total }}
///             scan the totals: before, carry
///             for jt: for jv: y[j] (+)= before }
void share(Program& p, const Shared& s, const Limits& limits) {
  const Block scan = p.block(s.block);
  const Reducer op = *scan.combiner;
  const DType type = p[scan.writes[0].buffer].type;
  const TensorId total = scalar(p, scan.name + ".total", type), before = scalar(p, scan.name + ".before", type), carry = scalar(p, scan.name + ".carry", type);

  // The totals, and the running value of each element.
  const auto as_kind = [&](Block b, IterKind kind) {  // with variables of its own
    std::map<VarId, Expr> mine;
    for (Iter& i : b.iters) {
      const VarId old = i.var;
      i.var = add_var(p, p.vars[old].name);
      mine[old] = var(i.var);
      if (i.kind == IterKind::scan) i.kind = kind;
    }
    const auto renamed = [&](const Expr& e) { return substitute(e, [&](VarId v) { return mine.count(v) ? mine[v] : Expr(); }); };
    for (Iter& i : b.iters) i.upper = renamed(i.upper);
    for (Expr& e : b.predicate) e = renamed(e);
    for (Write& w : b.writes) {
      for (Expr& e : w.index) e = renamed(e);
      w.value = renamed(w.value);
    }
    return b;
  };
  const std::size_t place = position_in_parent(p, s.block);
  const StmtId parent = p[s.block].parent;
  Block adds = as_kind(scan, IterKind::reduce);
  adds.name = scan.name + ".total";
  adds.writes = {{total, {}, adds.writes[0].value}};
  const BlockId added = add_stmt(p, parent, place, statement(p, s.block, std::move(adds)));
  Block stores = as_kind(scan, IterKind::spatial);
  stores.combiner.reset();
  stores.writes[0].value = make(tecc::Read{total, {}, Expr()}, type);
  p.stmts.edit(s.block, [&](Stmt& row) { row.node = std::move(stores); });
  decompose(p, added, s.inner.empty() ? added : s.inner.front());

  // Behind the threads' loop: their totals, then what came before.
  const std::size_t behind = position_in_parent(p, child_towards(p, s.at, s.block)) + 1;
  std::map<LoopId, LoopId> copies;
  StmtId home = s.at;
  std::size_t position = behind;
  for (const auto* loops : {&s.threads, &s.inner})
    for (LoopId l : *loops) {
      const Loop old = p.loop(l);
      const LoopId made = add_loop(p, home, position, p.vars[old.var].name, old.extent, p[l].at);
      p.stmts.edit(made, [&](Stmt& row) { std::get<Loop>(row.node).group = old.group; });
      copies[l] = home = made;
      position = 0;
    }
  Block completes = as_kind(scan, IterKind::spatial);
  completes.name = scan.name + ".complete";
  completes.init = Init::apart;
  completes.writes[0].value = make(tecc::Read{before, {}, Expr()}, type);
  for (Iter& i : completes.iters)
    for (Digit& d : i.binding.digits)
      if (const auto copy = copies.find(d.loop); copy != copies.end()) d.loop = copy->second;
  completes.axes.assign(completes.iters.size(), LoopId{});
  add_stmt(p, home, 0, statement(p, s.block, std::move(completes)));

  Combine combine{{total}, op, 1, thread_weight(p, s.threads.back()), {}, Combine::Scan{before, carry}};
  for (LoopId l : s.threads) combine.threads *= *constant_extent(p, l);
  combine.scratch = add_scratch(p, scan.name, combine, limits);
  add_stmt(p, s.at, behind, statement(p, s.block, std::move(combine)));

  Block start;
  start.name = scan.name + ".carry";
  start.writes = {{carry, {}, identity_of(op, type)}};
  add_stmt(p, p[s.first].parent, position_in_parent(p, s.first), statement(p, s.block, std::move(start)));
}

}  // namespace

Result<Program> scan_threads(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (const CrossThread& c : std::vector<CrossThread>(p.cross_threads)) {
    if (!is_scan(p.block(c.block))) continue;
    TECC_TRY(const Shared s, shared_scan(p, c));
    if (!s.threads.empty()) share(p, s, limits);
    std::erase_if(p.cross_threads, [&](const CrossThread& x) { return x.block == c.block; });
  }
  return p;
}

}  // namespace tecc::compiler
