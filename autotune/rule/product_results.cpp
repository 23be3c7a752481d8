#include <algorithm>

#include "autotune/rule/product.h"

/// Around the tiles of a product, whatever multiplies them: how its depth is shared out before, and what takes its sums behind.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

Result<Sums> share_depth(Context& c, std::uint32_t s, const Shape& shape, const Side& rows, const Side& columns, std::int64_t parts, std::int64_t depth) {
  Sums n;
  n.multiplies = n.adds = Builder::stage(s);
  n.grid = shape.batch;
  n.row = rows.loop, n.column = columns.loop;
  Ref whole_depth = shape.depth;
  if (parts > 1) {
    TECC_TRY(const auto cut, c.build.add(SplitReduction{whole_depth, parts, depth}, {"ko", "ki", "parts"}));
    n.grid.insert(n.grid.begin(), cut[0]);
    whole_depth = cut[1];
    n.whole = cut[2];
  }
  if (!is_promoted(shape)) {
    TECC_TRY(const auto k, c.build.add(Split{whole_depth, {depth}}, {"k0", "k1"}));
    n.rounds = k[0], n.inside = k[1];
    return n;
  }
  // Each round gets sums of its own, which another block adds to what there is.
  TECC_TRY(const auto cut, c.build.add(SplitReduction{whole_depth, ceil_div(shape.depth_extent, depth), depth}, {"k", "k1", "add"}));
  n.adds = cut[2];
  const auto as_new = [&](const Ref& loop) {  // the spatial axes in their order
    std::size_t at = 0;
    for (std::size_t a = 0; a < *loop.axis; ++a) at += c.block(s).iters[a].kind == IterKind::spatial;
    return Builder::axis(n.adds, at);
  };
  n.row = as_new(n.row), n.column = as_new(n.column);
  for (Ref& l : n.grid) l = as_new(l);
  n.rounds = Builder::axis(n.adds, c.program().block(*schedule::block_of(c.build.state(), n.adds)).iters.size() - 1);
  return n;
}

namespace {

/// True if the block uses an element of the sum for each element that it makes, so that it can follow at once: not where it reads neighbours, too.
bool follows(const Context& c, const Block& follower, TensorId sum) {
  std::optional<std::vector<VarId>> seen;
  for (const tecc::Read& r : form_of(c.program(), follower).reads) {
    if (r.tensor != sum) continue;
    std::vector<VarId> axes;
    for (const Expr& e : r.index) {
      const auto* v = e.as<Var>();
      if (!v) return false;
      axes.push_back(v->id);
    }
    if (seen && *seen != axes) return false;
    seen = std::move(axes);
  }
  return seen.has_value();
}

}  // namespace

std::optional<std::uint32_t> epilogue_of(Context& c, std::uint32_t s) {
  std::optional<std::uint32_t> found;
  for (bool again = true; again;) {
    again = false;
    found.reset();
    const TensorId sum = c.block(s).writes[0].buffer;
    int readers = 0;
    for (BlockId reader : readers_of(c.program(), sum)) {
      ++readers;
      for (std::uint32_t n = 0; n < c.program().stages.size(); ++n) {
        if (!c.alive(n) || c.program().stages[n].block != reader || c.done[n] || c.block(n).combiner) continue;
        if (c.program()[c.block(n).writes[0].buffer].role == loop::Role::workspace && c.build.try_add(Inline{{Builder::stage(n)}})) {
          c.done[n] = 1;
          again = true;
          break;
        }
        found = n;
      }
      if (again) break;
    }
    if (!again && readers != 1) return std::nullopt;
  }
  const TensorId sum = c.block(s).writes[0].buffer;
  if (c.program()[sum].role != loop::Role::workspace || !found || !follows(c, c.block(*found), sum)) return std::nullopt;
  return found;
}

Result<Results> take_results(Context& c, const Sums& n, const Ref& at, const Side& rows, const Side& columns, std::optional<std::uint32_t> follower) {
  const BlockId sums = *schedule::block_of(c.build.state(), n.adds);
  const auto axis_of = [&](const Side& side) {  // of the block that holds the sums: behind a product that is added up apart the axes moved together
    const Block& b = c.program().block(sums);
    for (std::size_t a = 0; a < b.iters.size(); ++a)
      if (b.iters[a].kind == IterKind::spatial && c.program().vars[b.iters[a].var].name == side.name) return a;
    return side.axis;
  };
  Results out;
  if (follower && !n.whole) {
    const auto r = axis_in(c, sums, c.block(*follower), axis_of(rows)), l = axis_in(c, sums, c.block(*follower), axis_of(columns));
    if (!r || !l) return refuse(Code::not_product, c.program().block(sums).name);
    TECC_CHECK(c.build.add(SetScope{{n.adds}, Scope::reg}));
    TECC_TRY(const auto loops, c.build.add(ReverseComputeAt{Builder::stage(*follower), at}));
    out.block = Builder::stage(*follower), out.rows = loops[*r], out.columns = loops[*l];
    return out;
  }
  TECC_TRY(const auto copy, c.build.add(CacheWrite{n.adds, n.adds, Scope::reg, at}, {"sum", "sl"}));
  out.block = copy[1];
  const std::size_t shift = n.whole ? 1 : 0;  // the part stands in front
  out.rows = Builder::axis(copy[1], axis_of(rows) + shift), out.columns = Builder::axis(copy[1], axis_of(columns) + shift);
  return out;
}

Check bind_grid(Context& c, const Sums& sums, const Ref& i0, const Ref& j0, std::int64_t band, bool persist) {
  std::vector<Ref> grid = sums.grid;
  grid.push_back(i0), grid.push_back(j0);
  TECC_CHECK(c.build.add(Bind{grid, Group::block}));
  TECC_TRY(const auto all, c.build.add(schedule::Raster{i0, j0, band, Order::forward}, {"g"}));
  if (persist) TECC_CHECK(c.build.add(Persist{all[0]}));
  return Ok{};
}

Check add_parts(Context& c, const Ref& sum, std::optional<std::uint32_t> follower) {
  const Block b = c.program().block(*schedule::block_of(c.build.state(), sum));
  std::vector<Ref> blocks;
  for (std::size_t a = 0; a + 1 < b.iters.size(); ++a)
    if (const Ref l = Builder::axis(sum, a); c.build.present(l)) blocks.push_back(l);
  if (blocks.empty()) return Ok{};
  const Ref last = blocks.back(), over = Builder::axis(sum, b.iters.size() - 1);
  blocks.pop_back();
  const std::int64_t width = c.choose.choose(b.name + " parts vector", {1, 2, 4}, 4), threads = c.choose.choose(b.name + " parts threads", {64, 128, 256}, 128);
  TECC_TRY(const auto cut, c.build.add(Split{last, {threads, width}}));
  TECC_CHECK(c.build.add(Reorder{{cut[0], cut[1], over, cut[2]}}));
  blocks.push_back(cut[0]);
  TECC_CHECK(c.build.add(Bind{blocks, Group::block}));
  TECC_CHECK(c.build.add(Bind{{cut[1]}, Group::thread}));
  (void)c.build.try_add(Unroll{{over}});
  (void)c.build.try_add(Vectorize{{cut[2]}});
  if (!follower) {
    TECC_TRY(const auto copy, c.build.add(CacheWrite{sum, sum, Scope::local, cut[1]}));
    if (const Ref l = Builder::axis(copy[1], b.iters.size() - 2); c.build.present(l)) (void)c.build.try_add(Vectorize{{l}});
    return Ok{};
  }
  TECC_CHECK(c.build.add(SetScope{{sum}, Scope::local}));
  TECC_TRY(const auto loops, c.build.add(ReverseComputeAt{Builder::stage(*follower), cut[1]}));
  for (const Ref& l : loops)
    if (c.build.present(l) && c.build.extent(l) == width) (void)c.build.try_add(Vectorize{{l}});
  return Ok{};
}

}  // namespace tecc::autotune
