#include <algorithm>

#include "autotune/rule/product.h"

/// Sums of products on matrix instructions that read shared memory: a warp loads tiles ahead by bulk copies, warpgroups multiply, results
/// leave through panels in shared memory while the next tile is multiplied.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// The nest of the product, tiled; what the further steps name.
struct Nest : Sums {
  Ref i0, j0, w;
  Ref tile;  // the outermost loop of the product's tile
};

/// Of a convolution: warpgroups share out the pixels of a box.
Result<Nest> make_window_nest(Context& c, std::uint32_t s, const Shape& shape, const Decisions& d) {
  TECC_TRY(const Window x, tile_window(c, shape, d.box, {d.columns}, d.depth));
  Nest n;
  n.multiplies = n.adds = Builder::stage(s);
  TECC_TRY(const auto w, c.build.add(Split{x.pixels, {d.group_rows}}, {"w", "i2"}));
  n.i0 = x.boxes, n.j0 = x.columns[0], n.rounds = x.rounds, n.w = w[0], n.tile = w[1];
  TECC_CHECK(c.build.add(Bind{{n.w}, Group::warpgroup}));
  return n;
}

Result<Nest> make_nest(Context& c, std::uint32_t s, const Shape& shape, const Decisions& d) {
  const Side& rows = d.swap ? shape.columns : shape.rows;
  const Side& columns = d.swap ? shape.rows : shape.columns;
  if (!shape.pixels.empty()) return make_window_nest(c, s, shape, d);
  TECC_TRY(Sums sums, share_depth(c, s, shape, rows, columns, d.parts, d.depth));
  Nest n{std::move(sums), {}, {}, {}, {}};
  TECC_TRY(const auto i, c.build.add(Split{n.row, {d.rows}}, {"i0", "i1"}));
  TECC_TRY(const auto w, c.build.add(Split{i[1], {d.group_rows}}, {"w", "i2"}));
  TECC_TRY(const auto j, c.build.add(Split{n.column, {d.columns}}, {"j0", "j1"}));
  n.i0 = i[0], n.j0 = j[0], n.w = w[0], n.tile = w[1];
  std::vector<Ref> order = n.grid;
  if (d.alternate) order.insert(order.end(), {n.i0, n.j0, n.w, n.rounds, w[1], j[1]});
  else order.insert(order.end(), {n.i0, n.j0, n.rounds, n.w, w[1], j[1]});
  if (n.inside) order.push_back(*n.inside);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{{n.w}, Group::warpgroup}));
  if (is_promoted(shape)) {
    TECC_TRY(const auto parts, c.build.add(ComputeAt{n.multiplies, n.w}));
    TECC_CHECK(c.build.add(SetScope{{n.multiplies}, Scope::reg}));
    n.tile = parts[rows.axis];
  }
  return n;
}

/// How tiles of the operands come to the product.
struct Loads {
  std::vector<Ref> filled_by_bulk, filled_by_threads;  // shared memory that copies fill ahead
  std::vector<Ref> bulk, by_threads;                   // those copies
  std::vector<Ref> makers;                             // blocks that make an operand out of them, by the threads that multiply
  std::vector<Ref> copies() const {
    std::vector<Ref> all = bulk;
    all.insert(all.end(), by_threads.begin(), by_threads.end());
    return all;
  }
};

Result<Loads> load_operands(Context& c, const Nest& n, const Shape& shape, const Decisions& d) {
  Loads out;
  const std::string tags[] = {"a", "b"};
  for (int f = 0; f < 2; ++f) {
    if (d.made == f) {
      TECC_TRY(const Made made, make_on_the_way(c, *shape.maker[f], n.rounds, n.w, d.once[0]));
      out.filled_by_bulk.insert(out.filled_by_bulk.end(), made.tiles.begin(), made.tiles.end());
      out.bulk.insert(out.bulk.end(), made.copies.begin(), made.copies.end());
      out.makers = made.blocks;
      continue;
    }
    const TensorId operand = shape.operand[f];
    const auto tensor = c.build.tensor(operand);
    if (!tensor) return refuse(Code::not_reader, c.program()[operand].name, c.program()[operand].name, "none");
    TECC_TRY(const auto copy, c.build.add(CacheRead{{n.multiplies}, *tensor, Scope::shared, n.rounds}, {tags[f] + "s", tags[f] + "l"}));
    (shape.by_threads[f] ? out.filled_by_threads : out.filled_by_bulk).push_back(copy[0]);
    (shape.by_threads[f] ? out.by_threads : out.bulk).push_back(copy[1]);
    if (d.once[(f == 1) != d.swap] && !shape.by_threads[f]) TECC_CHECK(c.build.add(CacheHint{{copy[1]}, Hint::evict_first}));
  }
  return out;
}

/// The threads of a warpgroup take the elements of a panel in order, so that neighbours store neighbours.
Check store_by_threads(Context& c, const Ref& store, std::size_t rank) {
  const auto all = c.build.fuse_all(Builder::axes(store, rank), "f");
  if (!all) return Ok{};
  constexpr std::int64_t threads = 128;  // of a warpgroup
  constexpr std::int64_t in_flight = 8;  // loads of a thread from the panel before the first store waits for one
  TECC_TRY(const auto parts, c.build.add(Split{*all, {in_flight, threads}}));
  TECC_CHECK(c.build.add(Unroll{{parts[1]}}));
  TECC_CHECK(c.build.add(Bind{{parts[2]}, Group::thread}));
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
  const bool has_panel = shape.pixels.empty() && (out_bytes == 2 ? follower.has_value() && c.target.limits.has("stmatrix") : out_bytes == 4);
  const bool boxes = known_divisor(c.program(), c.program()[out].shape.back()) * out_bytes % box_bytes == 0;
  const Leave leave = !has_panel ? Leave::registers : boxes ? Leave::bulk : Leave::threads;
  const Decisions d = decide(c, name, shape, batch, leave, out_bytes);
  if (!shape.pixels.empty() && d.box.empty()) return refuse(Code::tile_form, name, "no box of pixels is as large as its rows");
  const Side& rows = d.swap ? shape.columns : shape.pixels.empty() ? shape.rows : shape.pixels[slowest(d.box)];
  const Side& columns = d.swap ? shape.rows : shape.columns;
  if (follower) c.done[*follower] = 1;

  TECC_TRY(const Nest n, make_nest(c, s, shape, d));
  TECC_TRY(Results results, take_results(c, n, d.alternate ? n.w : n.j0, rows, columns, follower));
  TECC_TRY(Loads loads, load_operands(c, n, shape, d));
  TECC_TRY(const auto tile, c.build.add(Blockize{n.tile}, {"t"}));
  TECC_CHECK(c.build.add(Tensorize{{tile[0]}, Via::wgmma, d.swap}));
  std::vector<Ref> multiply = loads.makers, bulk = loads.bulk;
  multiply.push_back(tile[0]);
  if (is_promoted(shape)) multiply.push_back(n.adds);
  Ref own = results.rows;  // of a warpgroup
  std::vector<Ref> order;
  if (!d.alternate) {
    TECC_TRY(const auto v, c.build.add(Split{results.rows, {shape.pixels.empty() ? d.group_rows : d.box[slowest(d.box)] / d.groups}}, {"v", "o"}));
    own = v[1];
    order.push_back(v[0]);
    TECC_CHECK(c.build.add(Bind{order, Group::warpgroup}));
  }
  if (d.panel) {
    TECC_TRY(const auto across, c.build.add(Split{results.columns, {d.panel}}, {"p0", "p1"}));
    order.insert(order.end(), {across[0], own, across[1]});
    TECC_CHECK(c.build.add(Reorder{order}));
    TECC_TRY(const auto store, c.build.add(CacheWrite{results.block, results.block, Scope::shared, across[0]}, {"cs", "cl"}));
    TECC_TRY(const auto e, c.build.add(Blockize{own}, {"e"}));
    if (out_bytes == 2) TECC_CHECK(c.build.add(CopyWith{{e[0]}, Via::stmatrix}));
    multiply.push_back(e[0]);
    multiply.push_back(store[1]);
    if (leave == Leave::bulk) bulk.push_back(store[1]);
    else TECC_CHECK(store_by_threads(c, store[1], c.program()[out].shape.size()));
    if (d.once[2]) TECC_CHECK(c.build.add(CacheHint{{store[1]}, Hint::evict_first}));
    results.panel = store[0], results.panels = across[0];
  } else {
    order.insert(order.end(), {own, results.columns});
    if (shape.pixels.empty()) TECC_CHECK(c.build.add(Reorder{order}));
    multiply.push_back(results.block);
  }
  if (!bulk.empty()) TECC_CHECK(c.build.add(CopyWith{bulk, Via::bulk_tensor}));
  if (!loads.by_threads.empty()) TECC_CHECK(c.build.add(CopyWith{loads.by_threads, Via::cp_async}));
  for (const auto* buffers : {&loads.filled_by_bulk, &loads.filled_by_threads})
    if (!buffers->empty()) TECC_CHECK(c.build.add(Pipeline{n.rounds, *buffers, d.slots}));
  if (results.panel && leave == Leave::bulk) TECC_CHECK(c.build.add(Pipeline{*results.panels, {*results.panel}, d.panel_slots}));

  Ref i0 = n.i0, j0 = n.j0;
  if (d.cluster != 1) {
    TECC_TRY(const auto parts, c.build.add(schedule::Cluster{d.cluster > 0 ? i0 : j0, std::abs(d.cluster)}, {"ranks", "rank"}));
    (d.cluster > 0 ? i0 : j0) = parts[0];
  }
  if (d.both_ways) {
    TECC_TRY(const auto parts, c.build.add(schedule::Cluster{d.cluster > 0 ? j0 : i0, 2}, {"others", "other"}));
    (d.cluster > 0 ? j0 : i0) = parts[0];
  }
  TECC_CHECK(bind_grid(c, n, i0, j0, d.band, d.persist));
  const Share share = share_of(d.groups, d.residents, shape.by_threads[0] || shape.by_threads[1]);
  TECC_CHECK(c.build.add(Specialize{{schedule::Role{loads.copies(), 1, share.loader}, schedule::Role{multiply, d.groups, share.consumer}}}));
  if (n.whole) TECC_CHECK(add_parts(c, *n.whole, follower));
  return Ok{};
}

}  // namespace

Check matrix_products(Context& c) {
  return for_each_product(c, Via::wgmma, [&](std::uint32_t s, const Shape& shape) { return schedule_product(c, s, shape); });
}

}  // namespace tecc::autotune
