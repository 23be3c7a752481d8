#include <algorithm>

#include "ir/base/errors.h"
#include "ir/loop/program.h"

namespace tecc::loop {
namespace {

void collect_blocks(const Program& p, StmtId s, std::vector<BlockId>& out) {
  if (p[s].as<Block>()) out.push_back(s);
  for (StmtId c : p[s].children) collect_blocks(p, c, out);
}

std::vector<StmtId> path_from_root(const Program& p, StmtId s) {
  std::vector<StmtId> path{s};
  while (!p[path.back()].as<Root>()) path.push_back(p[path.back()].parent);
  std::reverse(path.begin(), path.end());
  return path;
}

bool expr_reads(const Expr& e, TensorId buffer) {
  bool found = false;
  walk(e, [&](const Expr& x) {
    if (const auto* r = x.as<Read>()) found |= r->tensor == buffer;
    return !found;
  });
  return found;
}

}  // namespace

std::optional<std::int64_t> Storage::Dimension::place_of(std::int64_t rest) const {
  std::int64_t place = 0;
  for (const Cut& c : cuts) {
    if (rest < 0 || rest / c.unit >= c.count) return std::nullopt;
    place += rest / c.unit * c.place;
    rest %= c.unit;
  }
  if (rest != 0) return std::nullopt;
  return place;
}

StmtId root_of(const Program& p, StmtId s) {
  while (!p[s].as<Root>()) s = p[s].parent;
  return s;
}

std::vector<LoopId> loops_around(const Program& p, StmtId s) {
  std::vector<LoopId> out;
  while (!p[s].as<Root>()) {
    s = p[s].parent;
    if (p[s].as<Loop>()) out.push_back(s);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

bool is_inside(const Program& p, StmtId s, StmtId ancestor) {
  while (s != ancestor) {
    if (p[s].as<Root>()) return false;
    s = p[s].parent;
  }
  return true;
}

std::vector<BlockId> blocks_under(const Program& p, StmtId s) {
  std::vector<BlockId> out;
  collect_blocks(p, s, out);
  return out;
}

std::vector<BlockId> all_blocks(const Program& p) {
  std::vector<BlockId> out;
  for (StmtId k : p.kernels) collect_blocks(p, k, out);
  return out;
}

std::vector<BlockId> writers_of(const Program& p, TensorId b) {
  std::vector<BlockId> out;
  for (BlockId s : all_blocks(p))
    if (writes(p.block(s), b)) out.push_back(s);
  return out;
}

std::vector<BlockId> readers_of(const Program& p, TensorId b) {
  std::vector<BlockId> out;
  for (BlockId s : all_blocks(p))
    if (reads(p.block(s), b)) out.push_back(s);
  return out;
}

StmtId common_ancestor(const Program& p, StmtId a, StmtId b) {
  const std::vector<StmtId> x = path_from_root(p, a), y = path_from_root(p, b);
  invariant(x[0] == y[0], "statements of two kernels have no common ancestor");
  std::size_t n = 0;
  while (n < x.size() && n < y.size() && x[n] == y[n]) ++n;
  return x[n - 1];
}

StmtId child_towards(const Program& p, StmtId ancestor, StmtId s) {
  while (p[s].parent != ancestor) s = p[s].parent;
  return s;
}

std::size_t position_in_parent(const Program& p, StmtId s) {
  const std::vector<StmtId>& siblings = p[p[s].parent].children;
  return static_cast<std::size_t>(std::find(siblings.begin(), siblings.end(), s) - siblings.begin());
}

int compare_order(const Program& p, StmtId a, StmtId b) {
  if (a == b) return 0;
  const StmtId ra = root_of(p, a), rb = root_of(p, b);
  const auto place = [&](StmtId r) { return std::find(p.kernels.begin(), p.kernels.end(), r) - p.kernels.begin(); };
  if (ra != rb) return place(ra) < place(rb) ? -1 : 1;
  const StmtId shared = common_ancestor(p, a, b);
  if (shared == a || shared == b) return 0;
  return position_in_parent(p, child_towards(p, shared, a)) < position_in_parent(p, child_towards(p, shared, b)) ? -1 : 1;
}

bool reads(const Block& b, TensorId buffer) {
  for (const Write& w : b.writes) {
    if (expr_reads(w.value, buffer)) return true;
    for (const Expr& i : w.index)
      if (expr_reads(i, buffer)) return true;
  }
  for (const Expr& c : b.predicate)
    if (expr_reads(c, buffer)) return true;
  return false;
}

bool writes(const Block& b, TensorId buffer) {
  return std::any_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return w.buffer == buffer; });
}

std::vector<TensorId> read_buffers(const Block& b) {
  std::vector<TensorId> out;
  const auto visit = [&](const Expr& e) {
    walk(e, [&](const Expr& x) {
      if (const auto* r = x.as<Read>(); r && std::find(out.begin(), out.end(), r->tensor) == out.end())
        out.push_back(r->tensor);
      return true;
    });
  };
  for (const Write& w : b.writes) {
    visit(w.value);
    for (const Expr& i : w.index) visit(i);
  }
  for (const Expr& c : b.predicate) visit(c);
  return out;
}

bool share_writes(const Program& p, StmtId a, StmtId b) {
  const std::vector<BlockId> first = blocks_under(p, a), second = blocks_under(p, b);
  const auto writes_for = [&](const std::vector<BlockId>& from, const std::vector<BlockId>& to) {
    return std::any_of(from.begin(), from.end(), [&](BlockId x) {
      return std::any_of(p.block(x).writes.begin(), p.block(x).writes.end(), [&](const Write& w) {
        return std::any_of(to.begin(), to.end(), [&](BlockId y) { return reads(p.block(y), w.buffer) || writes(p.block(y), w.buffer); });
      });
    });
  };
  return writes_for(first, second) || writes_for(second, first);
}

std::optional<std::int64_t> constant_extent(const Program& p, LoopId l) { return constant_of(p.loop(l).extent); }

const Iter* iter_of(const Block& b, VarId v) {
  for (const Iter& i : b.iters)
    if (i.var == v) return &i;
  return nullptr;
}

bool depends_on(const Program& p, const Binding& binding, LoopId l) {
  for (const Digit& d : binding.digits) {
    if (d.loop == l) return true;
    if (const Loop& loop = p.loop(d.loop); loop.retired && depends_on(p, *loop.retired, l)) return true;
  }
  return false;
}

bool feeds(const Program& p, LoopId l, const Block& b, IterKind kind) {
  for (const Iter& i : b.iters)
    if (i.kind == kind && depends_on(p, i.binding, l)) return true;
  return false;
}

StmtId add_stmt(Program& p, StmtId parent, std::size_t position, Stmt stmt) {
  stmt.parent = parent;
  const StmtId id = p.stmts.add(std::move(stmt));
  p.stmts.edit(parent, [&](Stmt& s) { s.children.insert(s.children.begin() + static_cast<std::ptrdiff_t>(position), id); });
  return id;
}

void insert_child(Program& p, StmtId parent, std::size_t position, StmtId child) {
  p.stmts.edit(child, [&](Stmt& s) { s.parent = parent; });
  p.stmts.edit(parent, [&](Stmt& s) { s.children.insert(s.children.begin() + static_cast<std::ptrdiff_t>(position), child); });
}

void detach(Program& p, StmtId s) {
  const StmtId parent = p[s].parent;
  p.stmts.edit(parent, [&](Stmt& row) { std::erase(row.children, s); });
  if (!p[parent].children.empty()) return;
  if (p[parent].as<Root>()) std::erase(p.kernels, parent);
  else detach(p, parent);
}

VarId add_var(Program& p, std::string name) { return p.vars.add({std::move(name)}); }

LoopId add_loop(Program& p, StmtId parent, std::size_t position, std::string name, Expr extent, CallSite at) {
  const VarId v = add_var(p, std::move(name));
  Loop loop;
  loop.var = v;
  loop.extent = std::move(extent);
  return add_stmt(p, parent, position, Stmt{parent, {}, std::move(loop), at});
}

std::vector<LoopId> grid_of(const Program& p, StmtId root) {
  std::vector<LoopId> out;
  StmtId s = root;
  while (!p[s].children.empty() && p[p[s].children[0]].as<Loop>()) {
    const LoopId l = p[s].children[0];
    const Group group = p.loop(l).group;
    if ((group != Group::block && group != Group::cluster) || (s != root && p[s].children.size() != 1)) break;
    out.push_back(l);
    s = l;
  }
  return out;
}

std::optional<LoopId> raster_partner(const Program& p, LoopId l) {
  if (p.loop(l).raster) return p.loop(l).raster->outer;
  // Directly inside, but for ranks of a cluster and for statements that came between the two later.
  for (StmtId c : p[l].children) {
    if (!p[c].as<Loop>()) continue;
    if (p.loop(c).raster && p.loop(c).raster->outer == l) return c;
    if (p.loop(c).group == Group::cluster)
      for (StmtId below : p[c].children)
        if (p[below].as<Loop>() && p.loop(below).raster && p.loop(below).raster->outer == l) return below;
  }
  return std::nullopt;
}

}  // namespace tecc::loop
