#include <algorithm>

#include "autotune/rule/product.h"

/// Sums of products on matrix instructions that read registers (mma.sync): all threads of a block copy tiles ahead by cp.async, each warp
/// loads its operands out of shared memory by ldmatrix and multiplies a tile of its own; results go through shared memory, 16 rows of a
/// warp at a time, so that threads store whole runs of a row, or to memory from where they are.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// The nest of the product, tiled; what the further steps name.
struct Nest : Sums {
  Ref i0, j0;
  Ref wi, wj;  // warps along rows and columns
  Ref step;    // what one execution takes of the depth
  Ref tile;    // the outermost loop of a warp's tile
};

/// Of a convolution: warps share out the pixels of a box.
Result<Nest> make_window_nest(Context& c, std::uint32_t s, const Shape& shape, const WarpDecisions& d) {
  TECC_TRY(const Window x, tile_window(c, shape, d.box, {d.across, d.warp_columns}, d.depth));
  Nest n;
  n.multiplies = n.adds = Builder::stage(s);
  TECC_TRY(const auto w, c.build.add(Split{x.pixels, {d.warp_rows}}, {"wi", "i2"}));
  TECC_TRY(const auto k, c.build.add(Split{x.inside, {shape.instruction->k}}, {"k1_", "k2"}));
  n.i0 = x.boxes, n.j0 = x.columns[0], n.rounds = x.rounds, n.wi = w[0], n.wj = x.columns[1], n.step = k[0], n.tile = w[1];
  TECC_CHECK(c.build.add(Reorder{{n.wi, n.wj, n.step, n.tile, x.columns[2], k[1]}}));
  TECC_CHECK(c.build.add(Bind{{n.wi, n.wj}, Group::warp}));
  return n;
}

Result<Nest> make_nest(Context& c, std::uint32_t s, const Shape& shape, const WarpDecisions& d) {
  if (!shape.pixels.empty()) return make_window_nest(c, s, shape, d);
  TECC_TRY(Sums sums, share_depth(c, s, shape, shape.rows, shape.columns, d.parts, d.depth));
  Nest n{std::move(sums), {}, {}, {}, {}, {}, {}};
  TECC_TRY(const auto i, c.build.add(Split{n.row, {d.down, d.warp_rows}}, {"i0", "wi", "i1"}));
  TECC_TRY(const auto j, c.build.add(Split{n.column, {d.across, d.warp_columns}}, {"j0", "wj", "j1"}));
  n.i0 = i[0], n.wi = i[1], n.j0 = j[0], n.wj = j[1], n.tile = i[2];
  std::vector<Ref> order = n.grid;
  for (const Ref& l : {n.i0, n.j0, n.rounds, n.wi, n.wj}) order.push_back(l);
  Ref across = j[2];
  if (n.inside) {
    TECC_TRY(const auto k, c.build.add(Split{*n.inside, {shape.instruction->k}}, {"k1", "k2"}));
    n.step = k[0];
    for (const Ref& l : {n.step, n.tile, across, k[1]}) order.push_back(l);
    TECC_CHECK(c.build.add(Reorder{order}));
    TECC_CHECK(c.build.add(Bind{{n.wi, n.wj}, Group::warp}));
    return n;
  }
  // The product of a round, with sums of its own, stands before the block that adds them up.
  for (const Ref& l : {n.tile, across}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{{n.wi, n.wj}, Group::warp}));
  TECC_TRY(const auto parts, c.build.add(ComputeAt{n.multiplies, n.wj}));
  TECC_CHECK(c.build.add(SetScope{{n.multiplies}, Scope::reg}));
  n.tile = parts[shape.rows.axis], across = parts[shape.columns.axis];
  TECC_TRY(const auto k, c.build.add(Split{parts[*shape.depth.axis], {shape.instruction->k}}, {"k2", "k3"}));
  n.step = k[0];
  TECC_CHECK(c.build.add(Reorder{{n.step, n.tile, across, k[1]}}));
  return n;
}

/// Tiles of the operands in shared memory for each round of the depth, and out of them what a warp multiplies in each step.
Check load_operands(Context& c, const Nest& n, const Shape& shape, const WarpDecisions& d) {
  const std::string tags[] = {"a", "b"};
  std::vector<Ref> tiles, copies, loads;
  std::optional<Ref> tile_of[2];
  for (int f = 0; f < 2; ++f) {
    if (d.made == f) {
      TECC_TRY(const Made made, make_on_the_way(c, *shape.maker[f], n.rounds, n.step, false));
      tiles.insert(tiles.end(), made.tiles.begin(), made.tiles.end());
      copies.insert(copies.end(), made.copies.begin(), made.copies.end());
      continue;
    }
    const auto tensor = c.build.tensor(shape.operand[f]);
    const std::string& name = c.program()[shape.operand[f]].name;
    if (!tensor) return refuse(Code::not_reader, name, name, "none");
    TECC_TRY(const auto tile, c.build.add(CacheRead{{n.multiplies}, *tensor, Scope::shared, n.rounds}, {tags[f] + "s", tags[f] + "l"}));
    tiles.push_back(tile[0]), copies.push_back(tile[1]);
    tile_of[f] = tile[0];
  }
  for (int f = 0; f < 2; ++f) {
    if (!tile_of[f]) continue;
    TECC_TRY(const auto own, c.build.add(CacheRead{{n.multiplies}, *tile_of[f], Scope::reg, n.step}, {tags[f] + "f", tags[f] + "m"}));
    // Rows of 8 and 32 bits that run across the depth are not transposed on the way: threads load elements.
    if (c.target.limits.has("ldmatrix") && (shape.along_depth[f] || shape.element == 2)) loads.push_back(own[1]);
  }
  TECC_CHECK(c.build.add(CopyWith{copies, c.target.limits.has("cp_async") ? Via::cp_async : Via::vector}));
  if (!loads.empty()) TECC_CHECK(c.build.add(CopyWith{loads, Via::ldmatrix}));
  TECC_CHECK(c.build.add(Pipeline{n.rounds, tiles, d.slots}));
  return Ok{};
}

/// A warp stores what it holds: panels of 16 rows go through shared memory, where its threads find neighbours of a row.
Check store_results(Context& c, const Results& results, const WarpDecisions& d, std::int64_t out_bytes) {
  const std::int64_t warp_rows = d.box.empty() ? d.warp_rows : d.box[slowest(d.box)] / d.down;  // along the axis that warps share out
  TECC_TRY(const auto v, c.build.add(Split{results.rows, d.panel ? std::vector{warp_rows / panel_rows, panel_rows} : std::vector{warp_rows}}, {"vi", "o"}));
  TECC_TRY(const auto u, c.build.add(Split{results.columns, {d.warp_columns}}, {"vj", "p"}));
  std::vector<Ref> order{v[0], u[0]};
  order.insert(order.end(), v.begin() + 1, v.end());
  order.push_back(u[1]);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{{v[0], u[0]}, Group::warp}));
  if (!d.panel) return Ok{};
  TECC_TRY(const auto store, c.build.add(CacheWrite{results.block, results.block, Scope::shared, v[1]}, {"cs", "cl"}));
  if (out_bytes == 2 && c.target.limits.has("stmatrix")) {
    TECC_TRY(const auto e, c.build.add(Blockize{v[2]}, {"e"}));
    TECC_CHECK(c.build.add(CopyWith{{e[0]}, Via::stmatrix}));
  }
  TECC_CHECK(c.build.add(CopyWith{{store[1]}, Via::vector}));
  return Ok{};
}

Check schedule_product(Context& c, std::uint32_t s, const Shape& shape) {
  const std::string name = c.block(s).name;
  c.done[s] = 1;
  const auto follower = epilogue_of(c, s);
  std::int64_t batch = 1;
  for (const Ref& l : shape.batch) batch *= c.build.extent(l);
  const TensorId out = follower ? c.block(*follower).writes[0].buffer : c.block(s).writes[0].buffer;
  const std::int64_t out_bytes = bytes_of(c.program()[out].type);
  const WarpDecisions d = decide_warps(c, name, shape, batch, out_bytes);
  if (!shape.pixels.empty() && d.box.empty()) return refuse(Code::tile_form, name, "no box of pixels is as large as its rows");
  const Side& rows = shape.pixels.empty() ? shape.rows : shape.pixels[slowest(d.box)];
  if (follower) c.done[*follower] = 1;

  TECC_TRY(const Nest n, make_nest(c, s, shape, d));
  TECC_TRY(const Results results, take_results(c, n, n.j0, rows, shape.columns, follower));
  TECC_CHECK(load_operands(c, n, shape, d));
  TECC_TRY(const auto tile, c.build.add(Blockize{n.tile}, {"t"}));
  TECC_CHECK(c.build.add(Tensorize{{tile[0]}, Via::mma_sync}));
  (void)c.build.try_add(Unroll{{n.step}});
  TECC_CHECK(store_results(c, results, d, out_bytes));
  TECC_CHECK(bind_grid(c, n, n.i0, n.j0, d.band, d.persist));
  if (n.whole) TECC_CHECK(add_parts(c, *n.whole, follower));
  return Ok{};
}

}  // namespace

Check warp_products(Context& c) {
  return for_each_product(c, Via::mma_sync, [&](std::uint32_t s, const Shape& shape) { return schedule_product(c, s, shape); });
}

}  // namespace tecc::autotune
