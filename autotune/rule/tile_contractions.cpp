#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// An output axis and which side of the product it belongs to: used by all reads (batch), or by some.
struct Axis_ {
  Ref loop;
  std::string name;
  std::int64_t extent;
  bool batch;
  std::size_t side;  // the first read that uses it
};

std::vector<std::int64_t> powers(std::int64_t low, std::int64_t high, std::int64_t extent) {
  std::vector<std::int64_t> out;
  for (std::int64_t v = low; v <= high; v *= 2)
    if (v == low || v < 2 * extent) out.push_back(v);
  return out;
}

/// Elementwise blocks that read the finished sum and nothing unfinished, in order: they can follow it at once.
std::vector<std::uint32_t> epilogue_of(const Context& c, std::uint32_t s) {
  std::vector<std::uint32_t> out;
  const Program& p = c.program();
  for (BlockId reader : readers_of(p, c.block(s).writes[0].buffer))
    for (std::uint32_t n = 0; n < p.stages.size(); ++n)
      if (c.alive(n) && p.stages[n].block == reader && !c.done[n] && !c.block(n).combiner) out.push_back(n);
  std::sort(out.begin(), out.end());
  return out;
}

struct Tile {
  Ref block, thread, inner;  // inner: the part one thread keeps in registers
  std::int64_t threads, registers;
};

Check gpu_tiles(Context& c, std::uint32_t s, const Form& form) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  std::vector<Axis_> spatial;
  std::vector<Ref> reduce;
  for (std::size_t a = 0; a < b.iters.size(); ++a) {
    const Ref loop = Builder::axis(stage, a);
    if (b.iters[a].kind == IterKind::reduce) {
      reduce.push_back(loop);
      continue;
    }
    Axis_ axis{loop, c.program().vars[b.iters[a].var].name, c.build.extent(loop), true, 0};
    bool first = true;
    for (std::size_t r = 0; r < form.reads.size(); ++r) {
      if (!form.axes[a].in_read[r]) axis.batch = false;
      else if (first) axis.side = r, first = false;
    }
    spatial.push_back(axis);
  }
  // The two axes to tile: on each side the longest; everything else is a block loop, except short ones, which stay serial.
  std::size_t m = spatial.size(), n = spatial.size();
  for (std::size_t a = 0; a < spatial.size(); ++a) {
    if (spatial[a].batch) continue;
    if (n == spatial.size() || (spatial[a].side == spatial[n].side && spatial[a].extent > spatial[n].extent)) {
      if (n == spatial.size()) n = a;
      else n = a;
    }
  }
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (!spatial[a].batch && a != n && spatial[a].side != spatial[n].side && (m == spatial.size() || spatial[a].extent > spatial[m].extent)) m = a;
  if (m == spatial.size() || n == spatial.size()) return Ok{};  // elementwise will take it
  if (m > n) std::swap(m, n);
  c.done[s] = 1;

  const std::string& name = b.name;
  const auto tile = [&](std::size_t a, const char* side, std::int64_t prefer_threads, std::int64_t prefer_registers) -> Result<Tile> {
    const std::int64_t extent = spatial[a].extent;
    const std::int64_t threads = c.choose.choose(name + " " + side + " threads", powers(1, 32, extent), prefer_threads);
    const std::int64_t registers = c.choose.choose(name + " " + side + " registers", powers(1, 16, (extent + threads - 1) / threads), prefer_registers);
    TECC_TRY(const auto parts, c.build.add(Split{spatial[a].loop, {threads, registers}}, {side + std::string("0"), side + std::string("1"), side + std::string("2")}));
    return Tile{parts[0], parts[1], parts[2], threads, registers};
  };
  TECC_TRY(const Tile ti, tile(m, "i", 16, 4));
  TECC_TRY(const Tile tj, tile(n, "j", 16, 4));
  if (ti.threads * tj.threads > c.target.limits.threads_per_block) return refuse(Code::too_many_threads, name, ti.threads * tj.threads, c.target.limits.threads_per_block);
  const Ref k = reduce.back();
  const std::int64_t steps = c.choose.choose(name + " k", {4, 8, 16, 32}, 16);
  TECC_TRY(const auto kp, c.build.add(Split{k, {std::min(steps, c.build.extent(k))}}, {"k0", "k1"}));
  std::vector<Ref> order;
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (a != m && a != n) order.push_back(spatial[a].loop);
  order.push_back(ti.block);
  order.push_back(tj.block);
  const std::vector<Ref> blocks = order;
  for (std::size_t r = 0; r + 1 < reduce.size(); ++r) order.push_back(reduce[r]);
  for (const Ref& l : {kp[0], ti.thread, tj.thread, kp[1], ti.inner, tj.inner}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{blocks, Group::block}));
  TECC_CHECK(c.build.add(Bind{{ti.thread, tj.thread}, Group::thread}));

  // The elementwise stages that follow, on the tile while it is in registers.
  bool followed = false;
  for (std::uint32_t e : epilogue_of(c, s)) {
    auto loops = c.build.add(ReverseComputeAt{Builder::stage(e), tj.block});
    if (!loops) continue;
    // Its loops over the tile: cut as the sum's, so that every thread finds its own elements.
    std::vector<Ref> threads, inner;
    std::vector<Ref> made;
    const Block eb = c.block(e);
    std::size_t found = 0;
    for (std::size_t a = 0; a < loops->size(); ++a) {
      if (!c.build.present((*loops)[a])) continue;
      const std::int64_t extent = c.build.extent((*loops)[a]);
      made.push_back((*loops)[a]);
      (void)extent;
      ++found;
    }
    // Which of them is i, which is j: by the read of the sum.
    std::optional<Ref> li, lj;
    for (const Read& r : form_of(c.program(), eb).reads) {
      if (r.tensor != b.writes[0].buffer) continue;
      const auto axis_at = [&](std::size_t dim) -> std::optional<Ref> {
        const auto* v = r.index[dim].as<Var>();
        for (std::size_t a = 0; v && a < eb.iters.size(); ++a)
          if (eb.iters[a].var == v->id && c.build.present((*loops)[a])) return (*loops)[a];
        return std::nullopt;
      };
      // Dimensions of the sum's buffer are its spatial iterations in order.
      std::size_t dim = 0;
      for (std::size_t a = 0; a < b.iters.size(); ++a) {
        if (b.iters[a].kind != IterKind::spatial) continue;
        if (a == m) li = axis_at(dim);
        if (a == n) lj = axis_at(dim);
        ++dim;
      }
    }
    // An absent loop is a tile of extent 1 on that axis: then the thread loop has one iteration, too.
    std::vector<Ref> final_order;
    if (li) {
      TECC_TRY(const auto parts, c.build.add(Split{*li, {ti.registers}}));
      threads.push_back(parts[0]);
      inner.push_back(parts[1]);
    }
    if (lj) {
      TECC_TRY(const auto parts, c.build.add(Split{*lj, {tj.registers}}));
      threads.push_back(parts[0]);
      inner.push_back(parts[1]);
    }
    final_order = threads;
    final_order.insert(final_order.end(), inner.begin(), inner.end());
    if (final_order.size() > 1) TECC_CHECK(c.build.add(Reorder{final_order}));
    TECC_CHECK(c.build.add(Bind{threads, Group::thread}));
    c.done[e] = 1;
    followed = true;
  }
  if (followed && readers_of(c.program(), b.writes[0].buffer).size() == 1 && c.program()[b.writes[0].buffer].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
  } else {
    // The sum itself is the result: gather it in registers, then store.
    auto copy = c.build.add(CacheWrite{stage, *c.build.tensor(b.writes[0].buffer), Scope::local, tj.block});
    if (copy) {
      std::vector<Ref> threads, inner;
      std::size_t dim = 0;
      for (std::size_t a = 0; a < b.iters.size(); ++a) {
        if (b.iters[a].kind != IterKind::spatial) continue;
        const Ref axis = Builder::axis((*copy)[1], dim++);
        if ((a == m || a == n) && c.build.present(axis)) {
          TECC_TRY(const auto parts, c.build.add(Split{axis, {a == m ? ti.registers : tj.registers}}));
          threads.push_back(parts[0]);
          inner.push_back(parts[1]);
        }
      }
      std::vector<Ref> final_order = threads;
      final_order.insert(final_order.end(), inner.begin(), inner.end());
      if (final_order.size() > 1) TECC_CHECK(c.build.add(Reorder{final_order}));
      TECC_CHECK(c.build.add(Bind{threads, Group::thread}));
    }
  }

  // Operands in shared memory: the part that the block needs for one step of k, loaded by all its threads.
  const std::int64_t all_threads = ti.threads * tj.threads;
  std::vector<TensorId> operands;
  for (const Read& r : form.reads)
    if (std::find(operands.begin(), operands.end(), r.tensor) == operands.end()) operands.push_back(r.tensor);
  for (TensorId t : operands) {
    const auto handle = c.build.tensor(t);
    bool along_k = false;
    for (const Read& r : form.reads)
      if (r.tensor == t)
        for (const Expr& e : r.index)
          for (const Iter& i : b.iters) along_k |= i.kind == IterKind::reduce && uses(e, i.var);
    if (!handle || !along_k || c.choose.choose(name + " stage " + c.program()[t].name, {0, 1}, 1) == 0) continue;
    auto copy = c.build.add(CacheRead{{stage}, *handle, Scope::shared, kp[0]});
    if (!copy) continue;
    std::optional<Ref> all;
    for (std::size_t a = 0; a < c.program()[t].shape.size(); ++a) {
      const Ref axis = Builder::axis((*copy)[1], a);
      if (!c.build.present(axis)) continue;
      if (!all) { all = axis; continue; }
      TECC_TRY(const auto fused, c.build.add(Fuse{*all, axis}));
      all = fused[0];
    }
    if (!all) continue;
    const std::int64_t elements = c.build.extent(*all);
    std::vector<std::int64_t> widths{1};
    for (std::int64_t w = 2; w * bytes_of(c.program()[t].type) <= c.target.vector_bytes && elements % (w * all_threads) == 0; w *= 2) widths.push_back(w);
    const std::int64_t width = c.choose.choose(name + " load " + c.program()[t].name, widths, widths.back());
    TECC_TRY(const auto parts, c.build.add(Split{*all, {all_threads, width}}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
    if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
  }
  return Ok{};
}

Check cpu_tiles(Context& c, std::uint32_t s, const Form& form) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  std::vector<std::size_t> spatial, reduce;
  for (std::size_t a = 0; a < b.iters.size(); ++a) (b.iters[a].kind == IterKind::reduce ? reduce : spatial).push_back(a);
  (void)form;
  if (spatial.size() < 2) return Ok{};
  c.done[s] = 1;
  const std::size_t m = spatial[spatial.size() - 2], n = spatial.back();
  const std::int64_t rows = c.choose.choose(b.name + " rows", powers(1, 16, c.build.extent(Builder::axis(stage, m))), 4);
  const std::int64_t lanes = c.target.vector_bytes / 4;
  const std::int64_t columns = c.choose.choose(b.name + " vectors", {1, 2, 3, 4}, 2) * lanes;
  TECC_TRY(const auto i, c.build.add(Split{Builder::axis(stage, m), {rows}}, {"i0", "i1"}));
  TECC_TRY(const auto j, c.build.add(Split{Builder::axis(stage, n), {columns / lanes, lanes}}, {"j0", "j1", "j2"}));
  std::vector<Ref> order;
  for (std::size_t a : spatial)
    if (a != m && a != n) order.push_back(Builder::axis(stage, a));
  order.push_back(i[0]);
  order.push_back(j[0]);
  for (std::size_t a : reduce) order.push_back(Builder::axis(stage, a));
  for (const Ref& l : {i[1], j[1], j[2]}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  bool followed = false;
  for (std::uint32_t e : epilogue_of(c, s)) {
    if (!c.build.try_add(ReverseComputeAt{Builder::stage(e), j[0]})) continue;
    c.done[e] = 1;
    followed = true;
  }
  if (followed && c.program()[b.writes[0].buffer].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
  } else {
    (void)c.build.try_add(CacheWrite{stage, *c.build.tensor(b.writes[0].buffer), Scope::local, j[0]});
  }
  TECC_CHECK(c.build.add(Unroll{{i[1], j[1]}}));
  (void)c.build.try_add(Vectorize{{j[2]}});
  TECC_CHECK(c.build.add(Parallel{{order[0]}}));
  return Ok{};
}

}  // namespace

Check tile_contractions(Context& c) {
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    const Form form = form_of(c.program(), c.block(s));
    if (!form.has_reuse) continue;
    TECC_CHECK(c.target.kind == codegen::Target::Kind::cuda ? gpu_tiles(c, s, form) : cpu_tiles(c, s, form));
  }
  return Ok{};
}

}  // namespace tecc::autotune
