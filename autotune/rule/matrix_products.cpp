#include <algorithm>
#include <set>

#include "autotune/rule/tensor_tiles.h"

/// Sums of products on matrix instructions that read shared memory: a warp loads tiles ahead by bulk copies, warpgroups multiply, results
/// leave through panels in shared memory while the next tile is multiplied.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// One side of the product: the axis that is cut into tiles.
struct Side {
  std::size_t axis = 0;  // of the block
  Ref loop;
  std::int64_t extent = 0;
  std::string name;
};

struct Shape {
  TensorId operand[2];
  Side rows, columns;      // of the first and of the second factor
  std::vector<Ref> batch;  // further spatial loops
  Ref depth;
  std::int64_t depth_extent = 0;
  std::int64_t element = 2;  // bytes
  const Instruction* instruction = nullptr;
  // Convolutions: the rows are several axes, from the slowest, and a window runs over them: a sum over its places and the depth.
  std::vector<Side> pixels;
  std::vector<Ref> window;
};

const Instruction* instruction_for(const Context& c, const Block& b, const Product& product, bool depth_is_fast) {
  for (const Instruction& i : instructions())
    if (i.via == Via::wgmma && i.a == product.factor[0].type && i.b == product.factor[1].type && i.d == c.program()[b.writes[0].buffer].type &&
        c.target.limits.has(i.name) && (i.transposed || depth_is_fast))
      return &i;
  return nullptr;
}

std::optional<Shape> shape_of(const Context& c, std::uint32_t s) {
  const Program& p = c.program();
  const Block& b = c.block(s);
  const auto product = product_of(b);
  if (!product || b.combiner != Reducer::sum) return std::nullopt;
  Shape out{{product->factor[0].read->tensor, product->factor[1].read->tensor}, {}, {}, {}, {}, 0, bytes_of(product->factor[0].type), nullptr, {}, {}};
  const tecc::Read &a = *product->factor[0].read, &w = *product->factor[1].read;
  if (a.tensor == w.tensor || !boxes_reach(p, a) || !boxes_reach(p, w)) return std::nullopt;
  VarId depth{};
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    const Iter& i = b.iters[n];
    const Ref loop = Builder::axis(Builder::stage(s), n);
    const bool in_a = in(a, i.var), in_w = in(w, i.var);
    if (i.kind == IterKind::reduce) {
      if (out.depth_extent || !in_a || !in_w || !constant_of(i.upper)) return std::nullopt;
      out.depth = loop, out.depth_extent = c.build.extent(loop), depth = i.var;
      continue;
    }
    Side& side = in_a ? out.rows : out.columns;
    if (in_a == in_w || c.build.extent(loop) <= side.extent) {
      out.batch.push_back(loop);
      continue;
    }
    if (side.extent) out.batch.push_back(side.loop);
    side = {n, loop, c.build.extent(loop), p.vars[i.var].name};
  }
  if (!out.depth_extent || !out.rows.extent || !out.columns.extent) return std::nullopt;
  if (!feeds_tensor_cores(c.target.limits)) return std::nullopt;
  const auto fast_is_depth = [&](const tecc::Read& r) { return r.index.back().as<Var>()->id == depth; };
  out.instruction = instruction_for(c, b, *product, fast_is_depth(a) && fast_is_depth(w));
  return out.instruction ? std::optional(out) : std::nullopt;
}

/// `v`, or `v` plus what another axis and a constant add.
std::optional<VarId> shifted(const Expr& e, const std::function<bool(VarId)>& wanted) {
  if (const auto* v = e.as<Var>()) return wanted(v->id) ? std::optional(v->id) : std::nullopt;
  const auto* x = e.as<Binary>();
  if (!x || (x->op != BinOp::add && x->op != BinOp::sub)) return std::nullopt;
  const auto a = shifted(x->a, wanted), b = x->op == BinOp::add ? shifted(x->b, wanted) : std::nullopt;
  return a && b ? std::nullopt : a ? a : b;
}

/// A sum over a window: X[n, p + r, q + s, c] * F[o, r, s, c], where outside of X it reads zeros. The pixels that a tile takes are a box of X.
std::optional<Shape> convolution_of(const Context& c, std::uint32_t s) {
  const Program& p = c.program();
  const Block& b = c.block(s);
  const auto product = product_of(b);
  if (!product || b.combiner != Reducer::sum || !feeds_tensor_cores(c.target.limits)) return std::nullopt;
  Shape out{{product->factor[0].read->tensor, product->factor[1].read->tensor}, {}, {}, {}, {}, 0, bytes_of(product->factor[0].type), nullptr, {}, {}};
  const tecc::Read &a = *product->factor[0].read, &w = *product->factor[1].read;
  const Buffer& x = p[a.tensor];
  if (a.tensor == w.tensor || !boxes_reach(p, w) || x.scope != Scope::global || x.shape.size() > 5 || x.alignment % box_bytes) return std::nullopt;
  if (known_divisor(p, x.shape.back()) * bytes_of(x.type) % box_bytes || (a.otherwise && !is_zero(a.otherwise))) return std::nullopt;
  const auto* depth = a.index.back().as<Var>();
  if (!depth || !w.index.back().as<Var>() || w.index.back().as<Var>()->id != depth->id) return std::nullopt;
  std::set<VarId> pixels;
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    const Iter& i = b.iters[n];
    const Ref loop = Builder::axis(Builder::stage(s), n);
    const bool in_a = in(a, i.var), in_w = in(w, i.var);
    if (!constant_of(i.upper)) return std::nullopt;
    if (i.var == depth->id) out.depth = loop, out.depth_extent = c.build.extent(loop);
    else if (i.kind == IterKind::reduce && in_a && in_w) out.window.push_back(loop);
    else if (i.kind == IterKind::spatial && in_a && !in_w) pixels.insert(i.var);
    else if (i.kind == IterKind::spatial && in_w && !in_a && !out.columns.extent) out.columns = {n, loop, c.build.extent(loop), p.vars[i.var].name};
    else return std::nullopt;
  }
  // Each dimension of X but the last is one pixel axis, moved by the window.
  out.rows.extent = 1;
  for (std::size_t d = 0; d + 1 < a.index.size(); ++d) {
    const auto v = shifted(a.index[d], [&](VarId id) { return pixels.count(id) > 0; });
    if (!v) return std::nullopt;
    const auto i = static_cast<std::size_t>(std::find_if(b.iters.begin(), b.iters.end(), [&](const Iter& it) { return it.var == *v; }) - b.iters.begin());
    const Ref loop = Builder::axis(Builder::stage(s), i);
    out.pixels.push_back({i, loop, c.build.extent(loop), p.vars[*v].name});
    out.rows.extent *= out.pixels.back().extent;
  }
  if (out.pixels.size() != pixels.size() || out.pixels.size() < 2 || out.window.empty() || !out.depth_extent || !out.columns.extent) return std::nullopt;
  out.instruction = instruction_for(c, b, *product, true);
  return out.instruction ? std::optional(out) : std::nullopt;
}

/// The decisions of one product, in the order in which they are taken.
struct Decisions {
  bool swap;
  std::int64_t parts;                      // of the depth, each a kernel's partial sums
  std::int64_t groups, group_rows;         // warpgroups that multiply, rows of each
  std::int64_t rows, columns, depth;       // of the tile
  std::int64_t slots, panel, panel_slots;  // panel 0: results go to memory from registers
  std::vector<std::int64_t> box;           // pixels of a tile, axis by axis
  std::int64_t cluster;                    // 1; 2 neighbours along rows, -2 along columns
  std::int64_t band;
  bool persist;
};

/// Sums of 8-bit floats lose bits inside of the tensor core: they are added up apart every so many terms (docs/language.md, "Tensor cores").
constexpr std::int64_t promoted_terms = 128;
bool is_promoted(const Shape& s) { return s.element == 1 && s.instruction->d == DType::f32; }

/// The slowest axis that a box has more than one pixel along: warpgroups share it out.
std::size_t slowest(const std::vector<std::int64_t>& box) {
  return static_cast<std::size_t>(std::find_if(box.begin(), box.end() - 1, [](std::int64_t n) { return n > 1; }) - box.begin());
}

/// Boxes of `count` pixels, powers of two along each axis, those first that waste the least beyond the edges.
std::vector<std::vector<std::int64_t>> boxes_of(const std::vector<Side>& pixels, std::int64_t count, std::int64_t groups) {
  std::vector<std::pair<double, std::vector<std::int64_t>>> all;
  std::vector<std::int64_t> box(pixels.size(), 1);
  const std::function<void(std::size_t, std::int64_t)> fill = [&](std::size_t n, std::int64_t left) {
    if (n + 1 == pixels.size()) {
      box[n] = left;
      constexpr std::int64_t widest = 8;  // more rows of one instruction than lanes tell apart are refused (E0401) along the fastest axis
      if (left > std::min(pixels[n].extent, widest) || box[slowest(box)] % groups) return;
      double waste = 1;
      for (std::size_t a = 0; a < box.size(); ++a) waste *= static_cast<double>(ceil_div(pixels[a].extent, box[a]) * box[a]) / static_cast<double>(pixels[a].extent);
      all.emplace_back(waste, box);
      return;
    }
    for (std::int64_t x = 1; x <= std::min(left, pixels[n].extent); x *= 2) {
      box[n] = x;
      fill(n + 1, left / x);
    }
  };
  fill(0, count);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first != b.first ? a.first < b.first : a.second.back() > b.second.back(); });
  constexpr std::size_t kept = 6;
  std::vector<std::vector<std::int64_t>> out;
  for (const auto& [waste, x] : all)
    if (out.size() < kept) out.push_back(x);
  return out;
}

/// Starting point: the tile, and the parts of the depth, that should take the least time.
struct Preferred {
  std::int64_t groups = 2, columns = 256, parts = 1;
};
Preferred preferred_tile(const Context& c, const Shape& shape, const Side& rows, const Side& columns, std::int64_t batch) {
  constexpr double fetched_a_clock = 48;  // bytes that an SM gets out of L2
  constexpr double shared_a_clock = 128;  // and out of its shared memory
  constexpr double fixed = 2300;          // clocks of a tile before its first product and after its last
  constexpr double launch = 3500;         // clocks between two kernels
  constexpr double written = 1700;        // bytes a clock that the device writes or reads
  const double step = 32.0 / static_cast<double>(shape.element);  // terms of depth that 32 bytes hold: one instruction
  double places = 1;  // of the window
  for (const Ref& l : shape.window) places *= static_cast<double>(c.build.extent(l));
  Preferred best{1, 64, 1};
  double least = 1e300;
  for (const std::int64_t groups : {2, 1})
    for (const std::int64_t n : {256, 192, 160, 128, 96, 64, 32, 16})
      for (const std::int64_t parts : {1, 2, 4, 8, 16}) {
        if ((n > 16 && n / 2 >= columns.extent) || (is_promoted(shape) && n > 128)) continue;
        if (parts > 1 && (is_promoted(shape) || !shape.pixels.empty() || shape.depth_extent % (parts * 128 / shape.element) || shape.depth_extent / parts < 512)) continue;
        const auto width = static_cast<double>(n), rows_of = 64.0 * static_cast<double>(groups);
        const double tiles = static_cast<double>(batch * parts * ceil_div(rows.extent, 64 * groups) * ceil_div(columns.extent, n));
        const double products = static_cast<double>(groups) * std::max(width / 2, (64 + width) * 32 / shared_a_clock);
        const double rounds = static_cast<double>(shape.depth_extent) * places / static_cast<double>(parts) / step;
        double time = std::ceil(tiles / static_cast<double>(c.target.sm_count)) * (rounds * std::max(products, (rows_of + width) * 32 / fetched_a_clock) + fixed);
        if (parts > 1) time += launch + static_cast<double>(2 * 4 * parts * batch * rows.extent * columns.extent) / written;
        if (time < least) least = time, best = {groups, n, parts};
      }
  return best;
}

Decisions decide(Context& c, const std::string& name, const Shape& shape, std::int64_t batch, bool has_panel, std::int64_t out_bytes) {
  Decisions d{};
  d.swap = shape.pixels.empty() && c.choose.choose(name + " swap", shape.rows.extent <= 64 || shape.columns.extent <= 64 ? std::vector<std::int64_t>{0, 1} : std::vector<std::int64_t>{0},
                           shape.rows.extent < shape.columns.extent) == 1;
  const Side& rows = d.swap ? shape.columns : shape.rows;
  const Side& columns = d.swap ? shape.rows : shape.columns;
  const Preferred like = preferred_tile(c, shape, rows, columns, batch);
  d.groups = c.choose.choose(name + " warpgroups", those({1, 2, 3}, [&](std::int64_t g) { return shape.pixels.empty() ? g == 1 || 64 * (g - 1) < rows.extent : !boxes_of(shape.pixels, 64 * g, g).empty(); }), like.groups);
  d.group_rows = c.choose.choose(name + " rows", those({64, 128}, [&](std::int64_t r) { return r == 64 || (shape.pixels.empty() ? rows.extent > 64 * d.groups : !boxes_of(shape.pixels, r * d.groups, d.groups).empty()); }), 64);
  d.rows = d.groups * d.group_rows;
  if (!shape.pixels.empty()) {
    const auto boxes = boxes_of(shape.pixels, d.rows, d.groups);
    std::vector<std::int64_t> numbers;
    for (std::size_t n = 0; n < boxes.size(); ++n) numbers.push_back(static_cast<std::int64_t>(n));
    if (!boxes.empty()) d.box = boxes[static_cast<std::size_t>(c.choose.choose(name + " box", numbers, 0))];
  }
  const std::int64_t accumulators = (share_of(d.groups).consumer - 40) / (is_promoted(shape) ? 2 : 1);
  d.columns = c.choose.choose(name + " columns", those({16, 32, 48, 64, 96, 128, 160, 192, 224, 256}, [&](std::int64_t n) {
                                return n % shape.instruction->n_step == 0 && (n == 16 || n < 2 * columns.extent) && d.group_rows / 64 * n / 2 <= accumulators;
                              }), like.columns);
  const std::int64_t line = 128 / shape.element;  // elements of the widest swizzle
  d.depth = c.choose.choose(name + " depth", those({line, line / 2, 2 * line}, [&](std::int64_t k) { return (!is_promoted(shape) || k == promoted_terms) && k % shape.instruction->k == 0 && k / 2 < shape.depth_extent; }), line);
  const std::int64_t tiles = batch * ceil_div(rows.extent, d.rows) * ceil_div(columns.extent, d.columns);
  const std::int64_t rounds = ceil_div(shape.depth_extent, d.depth);
  d.parts = c.choose.choose(name + " parts", those({1, 2, 3, 4, 6, 8, 12, 16}, [&](std::int64_t n) { return n == 1 || (!is_promoted(shape) && shape.pixels.empty() && shape.depth_extent % (n * d.depth) == 0 && n * tiles <= 4 * c.target.sm_count && rounds / n >= 4); }),
                            like.parts);
  if (has_panel && d.parts == 1) {
    d.panel = c.choose.choose(name + " panel", those({64, 32, 16, 128, 0}, [&](std::int64_t w) { return w == 0 || d.columns % w == 0; }), 64);
    if (d.panel) d.panel_slots = c.choose.choose(name + " panel slots", {1, 2}, 2);
  }
  const std::int64_t stage = (d.rows + d.columns) * d.depth * shape.element;
  const std::int64_t panels = d.rows * d.panel * out_bytes * d.panel_slots;
  constexpr std::int64_t rest = 2048;  // barriers, alignment
  d.slots = c.choose.choose(name + " slots", those({2, 3, 4, 5, 6, 7, 8}, [&](std::int64_t n) { return n * stage + panels + rest <= c.target.limits.shared_bytes; }), 8);
  const bool clusters = c.target.limits.has("cluster") && c.target.limits.has("multicast");
  d.cluster = c.choose.choose(name + " cluster", those({1, 2, -2}, [&](std::int64_t n) {  // blocks share out a box by its rows, of which one of pixels has few
                                return n == 1 || (clusters && (n > 0 ? ceil_div(rows.extent, d.rows) >= n : shape.pixels.empty() && ceil_div(columns.extent, d.columns) >= -n));
                              }), 1);
  d.band = c.choose.choose(name + " band", {1, 2, 4, 8, 16, 32}, 8);
  d.persist = c.choose.choose(name + " persist", {1, 0}, 1) == 1;
  return d;
}

/// Elementwise stages between the sum and the output become one that reads the sum alone; nullopt if there is none.
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
  if (c.program()[c.block(s).writes[0].buffer].role != loop::Role::workspace) return std::nullopt;
  return found;
}

/// The kernel that adds up partial sums, and what follows them: a thread a vector.
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

/// The nest of the product, tiled; what the further steps name.
struct Nest {
  Ref multiplies, adds;  // the block of the product, and the one that holds the sums: the same, or another that adds them up
  Ref i0, j0, k0, w;
  Ref tile;              // the outermost loop of the product's tile
  std::vector<Ref> grid;
  std::optional<Ref> whole;  // adds up the parts of a split reduction
};

/// All pixels of a box as one loop, all boxes as another; places of the window and rounds of the depth as a third.
Result<Nest> make_window_nest(Context& c, Nest n, const Shape& shape, const Decisions& d) {
  TECC_TRY(const auto k, c.build.add(Split{shape.depth, {d.depth}}, {"k0", "k1"}));
  TECC_TRY(const auto j, c.build.add(Split{shape.columns.loop, {d.columns}}, {"j0", "j1"}));
  std::vector<Ref> boxes, pixels, rounds = shape.window;
  for (std::size_t a = 0; a < d.box.size(); ++a) {
    TECC_TRY(const auto cut, c.build.add(Split{shape.pixels[a].loop, {d.box[a]}}));
    boxes.push_back(cut[0]), pixels.push_back(cut[1]);
  }
  rounds.push_back(k[0]);
  std::vector<Ref> order = boxes;
  order.push_back(j[0]);
  order.insert(order.end(), rounds.begin(), rounds.end());
  order.insert(order.end(), pixels.begin(), pixels.end());
  order.push_back(j[1]), order.push_back(k[1]);
  TECC_CHECK(c.build.add(Reorder{order}));
  const auto as_one = [&](const std::vector<Ref>& loops, const std::string& name) -> Result<Ref> {
    Ref all = loops[0];
    for (std::size_t a = 1; a < loops.size(); ++a) {
      TECC_TRY(const auto fused, c.build.add(Fuse{all, loops[a]}, {name}));
      all = fused[0];
    }
    return all;
  };
  TECC_TRY(n.i0, as_one(boxes, "i0"));
  TECC_TRY(n.k0, as_one(rounds, "k0"));
  TECC_TRY(const Ref i1, as_one(pixels, "i1"));
  TECC_TRY(const auto w, c.build.add(Split{i1, {d.group_rows}}, {"w", "i2"}));
  n.j0 = j[0], n.w = w[0], n.tile = w[1];
  TECC_CHECK(c.build.add(Bind{{n.w}, Group::warpgroup}));
  return n;
}

Result<Nest> make_nest(Context& c, std::uint32_t s, const Shape& shape, const Decisions& d) {
  const Side& rows = d.swap ? shape.columns : shape.rows;
  const Side& columns = d.swap ? shape.rows : shape.columns;
  Nest n;
  n.multiplies = n.adds = Builder::stage(s);
  n.grid = shape.batch;
  Ref depth = shape.depth;
  if (d.parts > 1) {
    TECC_TRY(const auto cut, c.build.add(SplitReduction{depth, d.parts, d.depth}, {"ko", "ki", "parts"}));
    n.grid.insert(n.grid.begin(), cut[0]);
    depth = cut[1];
    n.whole = cut[2];
  }
  if (!shape.pixels.empty()) return make_window_nest(c, n, shape, d);
  Ref row = rows.loop, column = columns.loop;
  std::vector<Ref> inside;
  if (is_promoted(shape)) {  // each round gets sums of its own, which another block adds to what there is
    TECC_TRY(const auto cut, c.build.add(SplitReduction{depth, ceil_div(shape.depth_extent, d.depth), d.depth}, {"k", "k1", "add"}));
    n.adds = cut[2];
    const auto as_new = [&](const Ref& loop) {  // the spatial axes in their order
      std::size_t at = 0;
      for (std::size_t a = 0; a < *loop.axis; ++a) at += c.block(s).iters[a].kind == IterKind::spatial;
      return Builder::axis(n.adds, at);
    };
    row = as_new(rows.loop), column = as_new(columns.loop);
    for (Ref& l : n.grid) l = as_new(l);
    n.k0 = Builder::axis(n.adds, c.program().block(*schedule::block_of(c.build.state(), n.adds)).iters.size() - 1);
  } else {
    TECC_TRY(const auto k, c.build.add(Split{depth, {d.depth}}, {"k0", "k1"}));
    n.k0 = k[0];
    inside.push_back(k[1]);
  }
  TECC_TRY(const auto i, c.build.add(Split{row, {d.rows}}, {"i0", "i1"}));
  TECC_TRY(const auto w, c.build.add(Split{i[1], {d.group_rows}}, {"w", "i2"}));
  TECC_TRY(const auto j, c.build.add(Split{column, {d.columns}}, {"j0", "j1"}));
  n.i0 = i[0], n.j0 = j[0], n.w = w[0], n.tile = w[1];
  std::vector<Ref> order = n.grid;
  for (const Ref& l : {n.i0, n.j0, n.k0, n.w, w[1], j[1]}) order.push_back(l);
  order.insert(order.end(), inside.begin(), inside.end());
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{{n.w}, Group::warpgroup}));
  if (is_promoted(shape)) {
    TECC_TRY(const auto parts, c.build.add(ComputeAt{n.multiplies, n.w}));
    TECC_CHECK(c.build.add(SetScope{{n.multiplies}, Scope::reg}));
    n.tile = parts[rows.axis];
  }
  return n;
}

/// What takes the sums out of the registers: the stage that follows, or a copy.
struct Results {
  Ref block;
  Ref rows, columns;  // its loops along the tile
  std::optional<Ref> panel, panels, store;
};

Result<Results> take_results(Context& c, const Nest& n, const Side& rows, const Side& columns, std::optional<std::uint32_t> follower) {
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
    TECC_TRY(const auto loops, c.build.add(ReverseComputeAt{Builder::stage(*follower), n.j0}));
    out.block = Builder::stage(*follower), out.rows = loops[*r], out.columns = loops[*l];
    return out;
  }
  TECC_TRY(const auto copy, c.build.add(CacheWrite{n.adds, n.adds, Scope::reg, n.j0}, {"sum", "sl"}));
  out.block = copy[1];
  const std::size_t shift = n.whole ? 1 : 0;  // the part stands in front
  out.rows = Builder::axis(copy[1], axis_of(rows) + shift), out.columns = Builder::axis(copy[1], axis_of(columns) + shift);
  return out;
}

Check schedule_product(Context& c, std::uint32_t s, const Shape& shape) {
  const std::string name = c.block(s).name;
  c.done[s] = 1;
  const auto follower = epilogue_of(c, s);
  std::int64_t batch = 1;
  for (const Ref& l : shape.batch) batch *= c.build.extent(l);
  const TensorId out = follower ? c.block(*follower).writes[0].buffer : c.block(s).writes[0].buffer;
  const std::int64_t out_bytes = bytes_of(c.program()[out].type);
  const bool has_panel = shape.pixels.empty() && (out_bytes == 2 ? follower.has_value() && c.target.limits.has("stmatrix") : out_bytes == 4) && known_divisor(c.program(), c.program()[out].shape.back()) * out_bytes % box_bytes == 0;
  const Decisions d = decide(c, name, shape, batch, has_panel, out_bytes);
  if (!shape.pixels.empty() && d.box.empty()) return refuse(Code::tile_form, name, "no box of pixels is as large as its rows");
  const Side& rows = d.swap ? shape.columns : shape.pixels.empty() ? shape.rows : shape.pixels[slowest(d.box)];
  const Side& columns = d.swap ? shape.rows : shape.columns;
  if (follower) c.done[*follower] = 1;

  TECC_TRY(const Nest n, make_nest(c, s, shape, d));
  TECC_TRY(Results results, take_results(c, n, rows, columns, follower));
  std::vector<Ref> loaded, copies;
  const std::string tags[] = {"a", "b"};
  for (int f = 0; f < 2; ++f) {
    const TensorId operand = shape.operand[f];
    const auto tensor = c.build.tensor(operand);
    if (!tensor) return refuse(Code::not_reader, name, c.program()[operand].name, "none");
    TECC_TRY(const auto copy, c.build.add(CacheRead{{n.multiplies}, *tensor, Scope::shared, n.k0}, {tags[f] + "s", tags[f] + "l"}));
    loaded.push_back(copy[0]);
    copies.push_back(copy[1]);
  }
  TECC_TRY(const auto tile, c.build.add(Blockize{n.tile}, {"t"}));
  TECC_CHECK(c.build.add(Tensorize{{tile[0]}, Via::wgmma, d.swap}));
  std::vector<Ref> multiply = {tile[0]}, bulk = copies;
  if (is_promoted(shape)) multiply.push_back(n.adds);
  TECC_TRY(const auto v, c.build.add(Split{results.rows, {shape.pixels.empty() ? d.group_rows : d.box[slowest(d.box)] / d.groups}}, {"v", "o"}));
  if (d.panel) {
    TECC_TRY(const auto across, c.build.add(Split{results.columns, {d.panel}}, {"p0", "p1"}));
    TECC_CHECK(c.build.add(Reorder{{v[0], across[0], v[1], across[1]}}));
    TECC_CHECK(c.build.add(Bind{{v[0]}, Group::warpgroup}));
    TECC_TRY(const auto store, c.build.add(CacheWrite{results.block, results.block, Scope::shared, across[0]}, {"cs", "cl"}));
    TECC_TRY(const auto e, c.build.add(Blockize{v[1]}, {"e"}));
    if (out_bytes == 2) TECC_CHECK(c.build.add(CopyWith{{e[0]}, Via::stmatrix}));
    multiply.push_back(e[0]);
    multiply.push_back(store[1]);
    bulk.push_back(store[1]);
    results.panel = store[0], results.panels = across[0];
  } else {
    if (shape.pixels.empty()) TECC_CHECK(c.build.add(Reorder{{v[0], v[1], results.columns}}));
    TECC_CHECK(c.build.add(Bind{{v[0]}, Group::warpgroup}));
    multiply.push_back(results.block);
  }
  TECC_CHECK(c.build.add(CopyWith{bulk, Via::bulk_tensor}));
  TECC_CHECK(c.build.add(Pipeline{n.k0, loaded, d.slots}));
  if (results.panel) TECC_CHECK(c.build.add(Pipeline{*results.panels, {*results.panel}, d.panel_slots}));

  Ref i0 = n.i0, j0 = n.j0;
  if (d.cluster != 1) {
    TECC_TRY(const auto parts, c.build.add(schedule::Cluster{d.cluster > 0 ? i0 : j0, std::abs(d.cluster)}, {"ranks", "rank"}));
    (d.cluster > 0 ? i0 : j0) = parts[0];
  }
  std::vector<Ref> grid = n.grid;
  grid.push_back(i0), grid.push_back(j0);
  TECC_CHECK(c.build.add(Bind{grid, Group::block}));
  TECC_TRY(const auto g, c.build.add(schedule::Raster{i0, j0, d.band, Order::forward}, {"g"}));
  if (d.persist) TECC_CHECK(c.build.add(Persist{g[0]}));
  const Share share = share_of(d.groups);
  TECC_CHECK(c.build.add(Specialize{{schedule::Role{copies, 1, share.loader}, schedule::Role{multiply, d.groups, share.consumer}}}));
  if (n.whole) TECC_CHECK(add_parts(c, *n.whole, follower));
  return Ok{};
}


/// Operands whose rows bulk copies cannot take get copies whose rows they can.
Check pad_operands(Context& c, std::uint32_t s) {
  const Block product_block = c.block(s);  // steps replace it
  const auto product = product_of(product_block);
  if (!product || !feeds_tensor_cores(c.target.limits) || !instruction_for(c, product_block, *product, true)) return Ok{};
  for (const Iter& i : product_block.iters)
    if (i.kind == IterKind::spatial && loop::largest(c.program(), i.upper) < 16) return Ok{};  // few rows: reading it again costs as much as the product
  for (const Product::Factor& f : product->factor) {
    const tecc::Read& read = *f.read;
    const Buffer b = c.program()[read.tensor];
    const std::int64_t element = bytes_of(b.type), most = box_bytes / element;
    if (b.scope != Scope::global || b.by_value || read.otherwise || b.shape.size() > 5 || known_divisor(c.program(), b.shape.back()) % most == 0) continue;
    const auto tensor = c.build.tensor(read.tensor);
    if (!tensor) continue;
    auto copy = c.build.add(Pad{{Builder::stage(s)}, *tensor, most});
    if (!copy) continue;
    std::optional<Ref> all;
    for (std::size_t d = 0; d < b.shape.size(); ++d) {
      const Ref axis = Builder::axis((*copy)[1], d);
      if (!all) { all = axis; continue; }
      TECC_TRY(const auto fused, c.build.add(Fuse{*all, axis}));
      all = fused[0];
    }
    const std::int64_t width = c.choose.choose(product_block.name + " pad vector " + b.name, those({1, 2, 4, 8}, [&](std::int64_t w) { return w <= most; }), most);
    TECC_TRY(const auto parts, c.build.add(Split{*all, {256, width}}));
    TECC_CHECK(c.build.add(Bind{{parts[0]}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
    if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
  }
  return Ok{};
}

}  // namespace

Check matrix_products(Context& c) {
  if (c.target.kind != codegen::Target::Kind::cuda) return Ok{};
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    TECC_CHECK(pad_operands(c, s));
    auto shape = shape_of(c, s);
    if (!shape) shape = convolution_of(c, s);
    if (shape && std::max(shape->rows.extent, shape->columns.extent) >= 64 && std::min(shape->rows.extent, shape->columns.extent) >= 8)
      TECC_CHECK(schedule_product(c, s, *shape));
  }
  return Ok{};
}

}  // namespace tecc::autotune
