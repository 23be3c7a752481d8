#include <algorithm>
#include <set>

#include "autotune/rule/tensor_tiles.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// How many leading iterations of `reader` index the result of `made` exactly, in order: R[i, j] read by a block over i, j, ...
/// -1 where the read has another form.
int leading_axes(const Program& p, const Block& made, const Block& reader) {
  int count = -1;
  for (const Read& r : form_of(p, reader).reads) {
    if (r.tensor != made.writes.back().buffer) continue;
    for (std::size_t d = 0; d < r.index.size(); ++d) {
      const auto* v = r.index[d].as<Var>();
      if (!v || d >= reader.iters.size() || reader.iters[d].var != v->id || reader.iters[d].kind != IterKind::spatial) return -1;
    }
    count = static_cast<int>(r.index.size());
  }
  return count;
}

/// A block of the group and its loop along the row.
struct Member {
  Ref block;
  Ref row;  // the loop that runs along the row
  bool reduces;
  std::int64_t extent;
};

/// Reductions without reuse that are read by the kernel of `anchor` along its leading axes, moved to where rows are used.
struct RowGroup {
  std::uint32_t anchor;
  int depth = 0;  // leading axes that name a row
  std::vector<std::uint32_t> reductions;
};

std::optional<RowGroup> group_of(const Context& c, std::uint32_t anchor) {
  const Program& p = c.program();
  RowGroup g{anchor, 0, {}};
  std::set<std::uint32_t> inside{anchor};
  for (std::uint32_t s = anchor; s-- > 0;) {  // readers come after what they read
    if (c.done[s] || !c.alive(s)) continue;
    const Block& b = c.block(s);
    const Form f = form_of(p, b);
    if (!f.is_reduction || f.has_reuse || p[b.writes.back().buffer].role != loop::Role::workspace) continue;
    bool good = true;
    int depth = -1;
    for (const Write& w : b.writes)
      for (BlockId reader : readers_of(p, w.buffer)) {
        bool member = false;
        for (std::uint32_t m : inside) member |= p.stages[m].block == reader;
        const int n = member ? leading_axes(p, b, p.block(reader)) : -1;
        if (n < 1 || (depth >= 0 && depth != n)) good = false;
        depth = n;
      }
    if (!good || depth < 1 || (g.depth && g.depth != depth)) continue;
    if (std::count_if(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::spatial; }) != depth) continue;
    g.depth = depth;
    g.reductions.push_back(s);
    inside.insert(s);
  }
  if (!g.reductions.empty()) return g;
  // A reduction on its own, when neighbours in memory are neighbours in the reduction.
  const Block& b = c.block(anchor);
  const Form f = form_of(p, b);
  if (!f.is_reduction || b.writes.size() != 1) return std::nullopt;
  for (const Iter& i : b.iters) g.depth += i.kind == IterKind::spatial;
  bool contiguous = false;
  double terms = 1;  // a team of threads needs a row to share
  for (const Iter& i : b.iters)
    if (i.kind == IterKind::reduce) terms *= static_cast<double>(loop::largest(p, i.upper));
  if (terms < 32) return std::nullopt;
  for (const Read& r : f.reads)
    for (const Iter& i : b.iters) {
      const auto* v = r.index.back().as<Var>();
      contiguous |= i.kind == IterKind::reduce && v && v->id == i.var;
    }
  if (g.depth == 0 || !contiguous) return std::nullopt;
  return g;
}

/// True if the iteration counts along the row.
bool runs_along(const Context& c, BlockId block, VarId v, const Ref& row) {
  const auto l = schedule::present_loop(c.build.state(), row);
  return l && loop::depends_on(c.program(), loop::iter_of(c.program().block(block), v)->binding, *l);
}

/// The read's fastest axis runs along the row.
bool reads_along(const Context& c, BlockId block, const Read& r, const Ref& row) {
  const auto* last = r.index.back().as<Var>();
  return last && loop::iter_of(c.program().block(block), last->id) && runs_along(c, block, last->id, row);
}

/// What members read along their rows, kept in registers: the tensor, and who reads it.
struct Kept {
  TensorId tensor;
  std::vector<Ref> readers;
  bool whole_rows;  // bulk copies reach them
};

/// Places for rows that bulk copies bring ahead of the one that threads work on; 1: threads load them when they are needed.
std::int64_t decide_ahead(Context& c, const std::string& name, const std::vector<Kept>& kept, std::int64_t longest) {
  constexpr std::int64_t rest = 8192;  // what reductions hand over, barriers
  std::int64_t bytes = 0;
  for (const Kept& k : kept)
    if (k.whole_rows) bytes += longest * bytes_of(c.program()[k.tensor].type);
  if (bytes == 0 || !c.target.limits.has("bulk") || !c.target.limits.has("mbarrier")) return 1;
  return c.choose.choose(name + " ahead", those({1, 2, 3, 4}, [&](std::int64_t n) { return n == 1 || n * bytes + rest <= c.target.limits.shared_bytes; }), 1);
}

Check schedule_group(Context& c, const RowGroup& g) {
  const bool gpu = c.target.kind == codegen::Target::Kind::cuda;
  const Ref anchor = Builder::stage(g.anchor);
  const Block final_block = c.block(g.anchor);
  Ref row_loop = Builder::axis(anchor, static_cast<std::size_t>(g.depth) - 1);
  const std::string& name = final_block.name;
  std::vector<Member> members;
  c.done[g.anchor] = 1;

  // A reduction that nobody of the group reads: its result is gathered in registers, then stored.
  const Form own = form_of(c.program(), final_block);
  if (own.is_reduction && gpu)
    for (const Write& w : final_block.writes) TECC_CHECK(c.build.add(CacheWrite{anchor, *c.build.tensor(w.buffer), Scope::local, row_loop}));

  // The anchor's own loops along the row become one, if it has any.
  std::vector<Ref> along;
  for (std::size_t a = static_cast<std::size_t>(g.depth); a < final_block.iters.size(); ++a) along.push_back(Builder::axis(anchor, a));
  if (const auto all = c.build.fuse_all(along, "along")) members.push_back({anchor, *all, form_of(c.program(), final_block).is_reduction, c.build.extent(*all)});
  for (std::uint32_t s : g.reductions) {
    const Ref block = Builder::stage(s);
    TECC_TRY(const auto loops, c.build.add(ComputeAt{block, row_loop}));
    c.done[s] = 1;
    const std::vector<Ref> inner(loops.begin() + std::min<std::ptrdiff_t>(g.depth, static_cast<std::ptrdiff_t>(loops.size())), loops.end());
    if (const auto all = c.build.fuse_all(inner, "along")) members.push_back({block, *all, true, c.build.extent(*all)});
  }
  Ref rows = Builder::axis(anchor, 0);
  for (int a = 1; a < g.depth; ++a) {
    auto fused = c.build.add(Fuse{rows, Builder::axis(anchor, static_cast<std::size_t>(a))}, {"rows"});
    if (!fused) break;
    rows = (*fused)[0];
    if (a + 1 == g.depth) row_loop = rows;
  }
  if (!gpu) {
    TECC_CHECK(c.build.add(Parallel{{rows}}));
    for (const Member& m : members) {
      if (m.reduces) continue;
      const std::int64_t width = c.choose.choose(name + " vector", {1, 4, 8, 16}, c.target.vector_bytes / 4);
      if (width > 1 && m.extent >= width) {
        TECC_TRY(const auto parts, c.build.add(Split{m.row, {width}}));
        (void)c.build.try_add(Vectorize{{parts[1]}});
      }
    }
    if (!own.is_reduction) decide_once(c, name, {anchor});
    return Ok{};
  }

  std::int64_t longest = 1, bytes = 1;
  for (const Member& m : members) longest = std::max(longest, m.extent);
  bytes = bytes_of(c.program()[final_block.writes[0].buffer].type);
  for (const Member& m : members) {
    const auto id = block_of(c.build.state(), m.block);
    for (const Read& r : form_of(c.program(), c.program().block(*id)).reads)
      if (reads_along(c, *id, r, m.row)) bytes = std::max(bytes, bytes_of(c.program()[r.tensor].type));
  }
  std::vector<std::int64_t> widths;
  for (std::int64_t w = 1; w * bytes <= c.target.vector_bytes && w <= longest; w *= 2) widths.push_back(w);
  const std::int64_t width = c.choose.choose(name + " vector", widths, widths.back());
  std::vector<std::int64_t> teams;
  for (std::int64_t t = 32; t <= c.target.limits.threads_per_block && (t == 32 || t * width <= 2 * longest); t *= 2) teams.push_back(t);
  const std::int64_t threads = c.choose.choose(name + " threads", teams, std::clamp<std::int64_t>(longest / width / 4, 32, 512));

  // The row in registers, read once: when every reading member runs along it with the same cut.
  const std::int64_t per_thread = (longest + threads * width - 1) / (threads * width) * width;
  std::vector<Kept> known, kept;
  for (const Member& m : members) {
    const auto id = block_of(c.build.state(), m.block);
    for (const Read& r : form_of(c.program(), c.program().block(*id)).reads) {
      if (m.extent != longest || r.otherwise || !c.build.tensor(r.tensor) || c.program()[r.tensor].role != loop::Role::input) continue;
      if (static_cast<int>(r.index.size()) <= g.depth && !m.reduces) continue;  // the same for all rows: vectors load it where it is used
      if (!reads_along(c, *id, r, m.row)) continue;
      auto k = std::find_if(known.begin(), known.end(), [&](const Kept& x) { return x.tensor == r.tensor; });
      if (k == known.end()) known.push_back({r.tensor, {m.block}, boxes_reach(c.program(), r)});
      else if (std::find(k->readers.begin(), k->readers.end(), m.block) == k->readers.end()) k->readers.push_back(m.block);
    }
  }
  std::vector<Ref> once;  // blocks that alone touch what they touch in memory
  if (!own.is_reduction) once.push_back(anchor);
  for (const Kept& k : known) {
    const std::int64_t registers = per_thread * bytes_of(c.program()[k.tensor].type) / 4;
    if (registers <= 64 && c.choose.choose(name + " keep " + c.program()[k.tensor].name, {0, 1}, 1) == 1) kept.push_back(k);
  }
  const std::int64_t slots = decide_ahead(c, name, kept, longest);
  std::vector<Ref> ahead, bulk;  // shared memory that rows come to, and the copies that bring them
  for (const Kept& k : kept) {
    const bool comes_ahead = slots > 1 && k.whole_rows;
    if (comes_ahead) {
      TECC_TRY(const auto row, c.build.add(CacheRead{k.readers, *c.build.tensor(k.tensor), Scope::shared, row_loop}));
      ahead.push_back(row[0]), bulk.push_back(row[1]);
    }
    auto copy = c.build.add(CacheRead{k.readers, comes_ahead ? ahead.back() : *c.build.tensor(k.tensor), Scope::local, row_loop});
    if (!copy) continue;
    once.push_back(comes_ahead ? bulk.back() : (*copy)[1]);
    if (const auto all = c.build.fuse_all(Builder::axes((*copy)[1], c.program()[k.tensor].shape.size()), "along")) members.push_back({(*copy)[1], *all, false, c.build.extent(*all)});
  }

  std::vector<Ref> reduced, bound;
  for (const Member& m : members) {
    TECC_TRY(const auto parts, c.build.add(Split{m.row, {threads, width}}));
    bound.push_back(parts[1]);
    if (width > 1 && !m.reduces) (void)c.build.try_add(Vectorize{{parts[2]}});
    if (m.reduces) reduced.push_back(m.block);
  }
  TECC_CHECK(c.build.add(Bind{bound, Group::thread}));
  TECC_CHECK(c.build.add(CrossThreadReduce{reduced, row_loop}));
  if (bulk.empty()) {
    TECC_CHECK(c.build.add(Bind{{rows}, Group::block}));
  } else {
    TECC_CHECK(c.build.add(Persist{rows}));
    TECC_CHECK(c.build.add(CopyWith{bulk, Via::bulk}));
    TECC_CHECK(c.build.add(Pipeline{rows, ahead, slots}));
  }
  decide_once(c, name, once);
  return Ok{};
}

}  // namespace

Check rows(Context& c) {
  for (std::uint32_t s = static_cast<std::uint32_t>(c.program().stages.size()); s-- > 0;) {
    if (c.done[s] || !c.alive(s)) continue;
    const Form f = form_of(c.program(), c.block(s));
    if (f.has_reuse || f.is_scan) continue;
    if (const auto g = group_of(c, s)) TECC_CHECK(schedule_group(c, *g));
  }
  return Ok{};
}

}  // namespace tecc::autotune
