#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// An output axis and which side of the product it belongs to: used by all reads (batch), or by some.
struct SidedAxis {
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

/// One tiled axis: x = block * (high * threads * vector) + high' * (threads * vector) + thread * vector + lane, so that the
/// threads of a warp read neighbouring vectors of shared memory.
struct Tile {
  std::size_t axis;  // of the block
  Ref block, high, thread, lane;
  std::int64_t threads, highs, vector;
  std::int64_t size() const { return threads * highs * vector; }
};

/// The tile's cut of a loop that runs over size() elements of the axis: the threads own what they own of the sum.
struct Followed {
  std::vector<Ref> threads, inner;
  std::optional<Ref> lane;
};
Check follow(Context& c, const Ref& loop, const Tile& t, Followed& out) {
  TECC_TRY(const auto parts, c.build.add(Split{loop, {t.threads, t.vector}}));
  out.threads.push_back(parts[1]);
  out.inner.push_back(parts[0]);
  out.inner.push_back(parts[2]);
  out.lane = parts[2];
  return Ok{};
}
Check place_followed(Context& c, const Followed& f) {
  std::vector<Ref> order = f.threads;
  order.insert(order.end(), f.inner.begin(), f.inner.end());
  if (order.size() > 1) TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{f.threads, Group::thread}));
  if (f.lane) (void)c.build.try_add(Vectorize{{*f.lane}});
  return Ok{};
}

/// All loops of a copy as one.
std::optional<Ref> fuse_copy(Context& c, const Ref& copy, std::size_t rank) {
  std::optional<Ref> all;
  for (std::size_t a = 0; a < rank; ++a) {
    const Ref axis = Builder::axis(copy, a);
    if (!c.build.present(axis)) continue;
    if (!all) {
      all = axis;
      continue;
    }
    auto fused = c.build.add(Fuse{*all, axis});
    if (!fused) return std::nullopt;
    all = (*fused)[0];
  }
  return all;
}

/// The dimension of the operand that the axis runs along, when that is all its index says.
std::optional<std::size_t> dimension_of(const Block& b, const Read& r, std::size_t axis) {
  for (std::size_t d = 0; d < r.index.size(); ++d)
    if (const auto* v = r.index[d].as<Var>(); v && v->id == b.iters[axis].var) return d;
  return std::nullopt;
}

/// Choices of an expert for the register tile: the largest whose blocks still fill the machine.
std::int64_t preferred_registers(const Context& c, std::int64_t m, std::int64_t n, std::int64_t batch) {
  for (std::int64_t r : {8, 4, 2})
    if (batch * ((m + 16 * r - 1) / (16 * r)) * ((n + 16 * r - 1) / (16 * r)) >= c.target.sm_count) return r;
  return 1;
}

Check gpu_tiles(Context& c, std::uint32_t s, const Form& form) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  std::vector<SidedAxis> spatial;
  std::vector<std::size_t> index;  // of each spatial axis among the block's iterations
  std::vector<Ref> reduce;
  for (std::size_t a = 0; a < b.iters.size(); ++a) {
    const Ref loop = Builder::axis(stage, a);
    if (b.iters[a].kind == IterKind::reduce) {
      reduce.push_back(loop);
      continue;
    }
    SidedAxis axis{loop, c.program().vars[b.iters[a].var].name, c.build.extent(loop), true, 0};
    bool first = true;
    for (std::size_t r = 0; r < form.reads.size(); ++r) {
      if (!form.axes[a].in_read[r]) axis.batch = false;
      else if (first) axis.side = r, first = false;
    }
    spatial.push_back(axis);
    index.push_back(a);
  }
  // The longest axis of each side is tiled; the others become loops over blocks.
  std::size_t n = spatial.size(), m = spatial.size();
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (!spatial[a].batch && (n == spatial.size() || spatial[a].side != spatial[n].side || spatial[a].extent >= spatial[n].extent)) n = a;
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (!spatial[a].batch && n < spatial.size() && spatial[a].side != spatial[n].side && (m == spatial.size() || spatial[a].extent > spatial[m].extent)) m = a;
  if (m == spatial.size() || n == spatial.size()) return Ok{};  // no two sides: other rules take it
  if (m > n) std::swap(m, n);
  c.done[s] = 1;

  const std::string& name = b.name;
  std::int64_t batch = 1;
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (a != m && a != n) batch *= spatial[a].extent;
  const std::int64_t registers = preferred_registers(c, spatial[m].extent, spatial[n].extent, batch);
  const auto tile = [&](std::size_t a, const std::string& side) -> Result<Tile> {
    const std::int64_t extent = spatial[a].extent;
    const std::int64_t threads = c.choose.choose(name + " " + side + " threads", powers(2, 32, extent), 16);
    const std::int64_t each = c.choose.choose(name + " " + side + " registers", powers(1, 16, (extent + threads - 1) / threads), registers);
    const std::int64_t vector = std::min<std::int64_t>(each, 4);
    TECC_TRY(const auto parts, c.build.add(Split{spatial[a].loop, {each / vector, threads, vector}}, {side + "0", side + "1", side + "2", side + "3"}));
    return Tile{index[a], parts[0], parts[1], parts[2], parts[3], threads, each / vector, vector};
  };
  TECC_TRY(const Tile ti, tile(m, "i"));
  TECC_TRY(const Tile tj, tile(n, "j"));
  const std::int64_t all_threads = ti.threads * tj.threads;
  if (all_threads > c.target.limits.threads_per_block) return refuse(Code::too_many_threads, name, all_threads, c.target.limits.threads_per_block);
  const std::int64_t steps = c.choose.choose(name + " k", {4, 8, 16, 32}, registers == 8 ? 8 : 16);
  TECC_TRY(const auto kp, c.build.add(Split{reduce.back(), {std::min(steps, c.build.extent(reduce.back()))}}, {"k0", "k1"}));
  std::vector<Ref> order;
  for (std::size_t a = 0; a < spatial.size(); ++a)
    if (a != m && a != n) order.push_back(spatial[a].loop);
  order.push_back(ti.block);
  order.push_back(tj.block);
  const std::vector<Ref> blocks = order;
  for (std::size_t r = 0; r + 1 < reduce.size(); ++r) order.push_back(reduce[r]);
  for (const Ref& l : {kp[0], ti.thread, tj.thread, kp[1], ti.high, ti.lane, tj.high, tj.lane}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{blocks, Group::block}));
  TECC_CHECK(c.build.add(Bind{{ti.thread, tj.thread}, Group::thread}));

  if (c.choose.choose(name + " unroll k", {0, 1}, 1)) TECC_CHECK(c.build.add(Unroll{{kp[1]}}));

  // The elementwise stages that follow, on the tile while it is in registers.
  const TensorId result = b.writes[0].buffer;
  bool followed = false;
  for (std::uint32_t e : epilogue_of(c, s)) {
    auto loops = c.build.add(ReverseComputeAt{Builder::stage(e), tj.block});
    if (!loops) continue;
    const Block eb = c.block(e);
    Followed f;
    for (const Read& r : form_of(c.program(), eb).reads) {
      if (r.tensor != result || !f.threads.empty()) continue;
      std::size_t dim = 0;  // dimensions of the sum's buffer are its spatial iterations in order
      for (std::size_t a : index) {
        const auto* v = r.index[dim++].as<Var>();
        for (std::size_t l = 0; v && l < eb.iters.size(); ++l) {
          if (eb.iters[l].var != v->id || !c.build.present((*loops)[l])) continue;
          if (a == ti.axis) TECC_CHECK(follow(c, (*loops)[l], ti, f));
          if (a == tj.axis) TECC_CHECK(follow(c, (*loops)[l], tj, f));
        }
      }
    }
    if (!f.threads.empty()) TECC_CHECK(place_followed(c, f));
    c.done[e] = 1;
    followed = true;
  }
  if (followed && readers_of(c.program(), result).size() == 1 && c.program()[result].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
  } else if (auto copy = c.build.add(CacheWrite{stage, *c.build.tensor(result), Scope::local, tj.block})) {
    Followed f;  // the sum itself is the result: gathered in registers, then stored
    std::size_t dim = 0;
    for (std::size_t a : index) {
      const Ref axis = Builder::axis((*copy)[1], dim++);
      if (!c.build.present(axis)) continue;
      if (a == ti.axis) TECC_CHECK(follow(c, axis, ti, f));
      if (a == tj.axis) TECC_CHECK(follow(c, axis, tj, f));
    }
    if (!f.threads.empty()) TECC_CHECK(place_followed(c, f));
  }

  // Operands in shared memory: what the block needs for one step of k, loaded by all its threads, the tiled axis fastest;
  // from there vectors into registers. With two slots the loads of the next step run under the arithmetic of this one.
  const bool pipelined = c.choose.choose(name + " slots", {1, 2}, 2) == 2;
  std::vector<Ref> channel;
  std::vector<TensorId> seen;
  for (const Read& r : form.reads) {
    if (std::find(seen.begin(), seen.end(), r.tensor) != seen.end()) continue;
    seen.push_back(r.tensor);
    const std::size_t rank = r.index.size();
    const auto handle = c.build.tensor(r.tensor);
    bool along_k = false;
    for (const Expr& e : r.index) along_k |= uses(e, b.iters.back().var);
    if (!handle || !along_k || c.choose.choose(name + " stage " + c.program()[r.tensor].name, {0, 1}, 1) == 0) continue;
    auto copy = c.build.add(CacheRead{{stage}, *handle, Scope::shared, kp[0]});
    if (!copy) continue;
    const Ref shared = (*copy)[0];
    const std::int64_t bytes = bytes_of(c.program()[r.tensor].type);
    std::optional<Ref> staged;
    if (pipelined)
      if (auto global = c.build.add(CacheRead{{(*copy)[1]}, *handle, Scope::local, kp[0]})) staged = (*global)[1];
    for (const std::optional<Ref>& one : {staged, std::optional((*copy)[1])}) {
      if (!one) continue;
      const auto all = fuse_copy(c, *one, rank);
      if (!all) continue;
      const std::int64_t elements = c.build.extent(*all);
      std::int64_t width = 1;
      while (2 * width * bytes <= c.target.vector_bytes && elements % (2 * width * all_threads) == 0) width *= 2;
      TECC_TRY(const auto parts, c.build.add(Split{*all, {all_threads, width}}));
      TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
      if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
    }
    if (pipelined) channel.push_back(shared);
    // The tiled axis of this operand, and its layout.
    for (const Tile* t : {&ti, &tj}) {
      const auto dim = dimension_of(b, r, t->axis);
      if (!dim) continue;
      if (*dim + 1 != rank) {
        std::vector<std::int64_t> layout;
        for (std::size_t d = 0; d < rank; ++d)
          if (d != *dim) layout.push_back(static_cast<std::int64_t>(d));
        layout.push_back(static_cast<std::int64_t>(*dim));
        TECC_CHECK(c.build.add(SetLayout{shared, layout, c.choose.choose(name + " pad " + c.program()[r.tensor].name, {0, 4, 8}, 4)}));
      }
      auto own = c.build.add(CacheRead{{stage}, shared, Scope::local, kp[1]});
      if (!own) continue;
      const Ref along = Builder::axis((*own)[1], *dim);
      if (!c.build.present(along)) continue;
      TECC_TRY(const auto parts, c.build.add(Split{along, {t->vector}}));
      (void)c.build.try_add(Vectorize{{parts[1]}});
    }
  }
  if (!channel.empty()) (void)c.build.try_add(Pipeline{kp[0], channel, 2});
  return Ok{};
}

/// On a CPU: a register tile of rows x vectors, the panel of the operand that the vectors run along packed once for all rows.
Check cpu_tiles(Context& c, std::uint32_t s, const Form& form) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  std::vector<std::size_t> spatial, reduce;
  for (std::size_t a = 0; a < b.iters.size(); ++a) (b.iters[a].kind == IterKind::reduce ? reduce : spatial).push_back(a);
  if (spatial.size() < 2) return Ok{};
  c.done[s] = 1;
  const std::size_t m = spatial[spatial.size() - 2], n = spatial.back();
  const std::int64_t lanes = c.target.vector_bytes / 4;
  const bool many_registers = c.target.vector_bytes == 64;  // 32 of them with AVX-512, else 16
  const std::int64_t extent_m = c.build.extent(Builder::axis(stage, m)), extent_n = c.build.extent(Builder::axis(stage, n));
  const std::int64_t rows = std::min(extent_m, c.choose.choose(b.name + " rows", {1, 2, 4, 6, 8, 12}, many_registers ? 8 : 6));
  const std::int64_t vectors = c.choose.choose(b.name + " vectors", {1, 2, 3, 4}, extent_n < 2 * lanes ? 1 : 2);
  TECC_TRY(const auto i, c.build.add(Split{Builder::axis(stage, m), {rows}}, {"i0", "i1"}));
  TECC_TRY(const auto j, c.build.add(Split{Builder::axis(stage, n), {vectors, lanes}}, {"j0", "j1", "j2"}));
  std::vector<Ref> order;
  for (std::size_t a : spatial)
    if (a != m && a != n) order.push_back(Builder::axis(stage, a));
  order.push_back(j[0]);
  order.push_back(i[0]);
  for (std::size_t a : reduce) order.push_back(Builder::axis(stage, a));
  for (const Ref& l : {i[1], j[1], j[2]}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  bool followed = false;
  for (std::uint32_t e : epilogue_of(c, s)) {
    auto loops = c.build.add(ReverseComputeAt{Builder::stage(e), i[0]});
    if (!loops) continue;
    const Ref last = loops->back();
    if (c.build.present(last))
      if (auto parts = c.build.add(Split{last, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
    c.done[e] = 1;
    followed = true;
  }
  if (followed && readers_of(c.program(), b.writes[0].buffer).size() == 1 && c.program()[b.writes[0].buffer].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
  } else if (auto copy = c.build.add(CacheWrite{stage, *c.build.tensor(b.writes[0].buffer), Scope::local, i[0]})) {
    const Ref last = Builder::axis((*copy)[1], spatial.size() - 1);
    if (c.build.present(last))
      if (auto parts = c.build.add(Split{last, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
  }
  TECC_CHECK(c.build.add(Unroll{{i[1], j[1]}}));
  (void)c.build.try_add(Vectorize{{j[2]}});
  // The panel: every row of tiles reads it again.
  for (const Read& r : form.reads) {
    const auto dim = dimension_of(b, r, n);
    const auto handle = c.build.tensor(r.tensor);
    if (!dim || !handle || extent_m < 4 * rows || c.choose.choose(b.name + " pack " + c.program()[r.tensor].name, {0, 1}, 1) == 0) continue;
    auto copy = c.build.add(CacheRead{{stage}, *handle, Scope::local, j[0]});
    if (!copy) continue;
    const std::size_t rank = r.index.size();
    if (*dim + 1 != rank) {
      std::vector<std::int64_t> layout;
      for (std::size_t d = 0; d < rank; ++d)
        if (d != *dim) layout.push_back(static_cast<std::int64_t>(d));
      layout.push_back(static_cast<std::int64_t>(*dim));
      TECC_CHECK(c.build.add(SetLayout{(*copy)[0], layout, 0}));
    }
    const Ref along = Builder::axis((*copy)[1], *dim);
    if (*dim + 1 == rank && c.build.present(along))
      if (auto parts = c.build.add(Split{along, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
  }
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
