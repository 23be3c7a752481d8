#include <algorithm>

#include "autotune/rule/contraction.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// One of the two axes of the sum that are tiled:
///   x = (((block * warps + warp) * highs + high) * lanes + lane) * vector + element
/// so that the lanes of a warp read neighbouring vectors of shared memory, and a warp little of it.
struct Side {
  std::size_t axis = 0;  // of the block
  Ref loop;
  std::string name;
  std::int64_t extent = 0;
  std::size_t read = 0;  // the first that uses it
  std::int64_t warps = 1, lanes = 1, registers = 1, vector = 1;
  Ref block, warp, high, lane, element;
  std::int64_t tile() const { return warps * lanes * registers; }
};
struct Sides {
  Side rows, columns;
  std::vector<Ref> blocks, reduce;  // further spatial loops, and the reduction's
  std::int64_t batch = 1;
  std::vector<std::size_t> spatial;  // axes of the block, in order
};

/// The longest axis of each side is tiled; the others become loops over blocks. None where there are no two sides.
std::optional<Sides> sides_of(const Context& c, std::uint32_t s, const Form& form) {
  const Block& b = c.block(s);
  Sides out;
  std::vector<Side> free;
  const auto longest = [&](const Side& from, bool same) -> const Side* {
    const Side* best = nullptr;
    for (const Side& x : free)
      if ((x.read == from.read) == same && (!best || x.extent > best->extent || (same && x.extent == best->extent))) best = &x;
    return best;
  };
  for (std::size_t a = 0; a < b.iters.size(); ++a) {
    const Ref loop = Builder::axis(Builder::stage(s), a);
    if (b.iters[a].kind == IterKind::reduce) {
      out.reduce.push_back(loop);
      continue;
    }
    out.spatial.push_back(a);
    const auto& in_read = form.axes[a].in_read;
    Side x;
    x.axis = a, x.loop = loop, x.name = c.program().vars[b.iters[a].var].name, x.extent = c.build.extent(loop);
    x.read = static_cast<std::size_t>(std::find(in_read.begin(), in_read.end(), 1) - in_read.begin());
    if (std::find(in_read.begin(), in_read.end(), 0) != in_read.end()) free.push_back(x);
  }
  const Side* n = free.empty() ? nullptr : longest(free[0], true);
  const Side* m = n ? longest(*n, false) : nullptr;
  if (!m) return std::nullopt;
  out.rows = m->axis < n->axis ? *m : *n;
  out.columns = m->axis < n->axis ? *n : *m;
  for (std::size_t a : out.spatial) {
    if (a == m->axis || a == n->axis) continue;
    out.blocks.push_back(Builder::axis(Builder::stage(s), a));
    out.batch *= c.build.extent(out.blocks.back());
  }
  return out;
}

/// How tiles of the operands come into shared memory.
enum class Way : std::uint8_t {
  direct = 0,        // loaded and stored when they are needed
  registers = 1,     // loaded into registers one step ahead; they can be turned on the way, so that the tiled axis is fastest
  asynchronous = 2,  // cp.async, some steps ahead: they stay as they are, and threads read vectors along their fastest axis
};

/// Where an expert begins: the largest tile of which there are enough for the machine.
struct Preferred {
  std::int64_t rows, columns, lanes, across, tiles;  // registers along both; lanes along the rows; warps along the columns; tiles for each SM
  bool fills_registers() const { return rows * columns == 128; }
};
constexpr std::int64_t warps_down = 2;
Preferred preferred(const Context& c, const Sides& s) {
  constexpr Preferred all[] = {{16, 8, 8, 4, 3}, {8, 4, 4, 2, 1}, {4, 4, 4, 2, 1}, {2, 2, 4, 2, 1}};
  for (const Preferred& p : all)
    if (s.batch * ceil_div(s.rows.extent, warps_down * p.lanes * p.rows) * ceil_div(s.columns.extent, p.across * (32 / p.lanes) * p.columns) >= p.tiles * c.target.sm_count) return p;
  return {1, 1, 4, 2, 1};
}

/// The operand's fastest axis is the one that is summed over, and copies of 16 bytes can take its rows.
bool is_along_depth(const Context& c, const Block& b, const tecc::Read& r) {
  const auto* last = r.index.empty() ? nullptr : r.index.back().as<Var>();
  return last && last->id == b.iters.back().var && reaches(c.program(), r, 16);
}

/// The tile's cut of the loops of a block that reads, or stores, the sum: threads own there what they own of the sum. `wide`: in vectors, for
/// which the sums must lie in quads of registers.
Check follow(Context& c, const std::vector<std::pair<Ref, const Side*>>& axes, bool wide) {
  std::vector<Ref> warps, lanes, rest;
  std::optional<Ref> last;
  for (const auto& [loop, side] : axes) {
    TECC_TRY(const auto x, c.build.add(Split{loop, {side->warps, side->registers / side->vector, side->lanes, side->vector}}));
    warps.push_back(x[1]), lanes.push_back(x[3]);
    rest.push_back(x[2]), rest.push_back(x[4]);
    last = x[4];
  }
  warps.insert(warps.end(), lanes.begin(), lanes.end());
  std::vector<Ref> order = warps;
  order.insert(order.end(), rest.begin(), rest.end());
  if (axes.empty()) return Ok{};
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{warps, Group::thread}));
  if (wide) (void)c.build.try_add(Vectorize{{*last}});
  return Ok{};
}

/// What takes the sum out of the registers: the elementwise stages that follow, on the tile, or a copy.
Check take_sum(Context& c, std::uint32_t s, const Sides& sides, const Block& b) {
  const Ref stage = Builder::stage(s);
  const TensorId sum = b.writes[0].buffer;
  // Sums in quads share a bank of registers with what they are made of: 4096 x 4096 x 4096 in f32 takes 3 % longer so than stored one by one (H200).
  constexpr std::int64_t many = 64;
  const bool wide = c.choose.choose(b.name + " wide results", {0, 1}, sides.rows.registers * sides.columns.registers < many) == 1;
  const auto side_of = [&](std::size_t axis) { return axis == sides.rows.axis ? &sides.rows : axis == sides.columns.axis ? &sides.columns : nullptr; };
  bool followed = false;
  for (std::uint32_t e : followers_of(c, s)) {
    auto loops = c.build.add(ReverseComputeAt{Builder::stage(e), sides.columns.block});
    if (!loops) continue;
    const Block follower = c.block(e);
    std::vector<std::pair<Ref, const Side*>> axes;
    for (const tecc::Read& r : form_of(c.program(), follower).reads) {
      if (r.tensor != sum || !axes.empty()) continue;
      for (std::size_t d = 0; d < sides.spatial.size(); ++d) {  // dimensions of the sum are its spatial axes in order
        const auto* v = r.index[d].as<Var>();
        for (std::size_t l = 0; v && l < follower.iters.size(); ++l)
          if (const Side* side = side_of(sides.spatial[d]); side && follower.iters[l].var == v->id && c.build.present((*loops)[l])) axes.emplace_back((*loops)[l], side);
      }
    }
    TECC_CHECK(follow(c, axes, wide));
    c.done[e] = 1;
    followed = true;
  }
  if (followed && readers_of(c.program(), sum).size() == 1 && c.program()[sum].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
    return Ok{};
  }
  const auto copy = c.build.add(CacheWrite{stage, *c.build.tensor(sum), Scope::local, sides.columns.block});
  if (!copy) return Ok{};
  std::vector<std::pair<Ref, const Side*>> axes;
  for (std::size_t d = 0; d < sides.spatial.size(); ++d)
    if (const Side* side = side_of(sides.spatial[d]); side && c.build.present(Builder::axis((*copy)[1], d))) axes.emplace_back(Builder::axis((*copy)[1], d), side);
  return follow(c, axes, wide);
}

/// The loops of the sum, from the outermost.
struct Nest {
  Ref step;                    // of the depth: what shared memory holds
  Ref chunk;                   // vectors along the depth; where nothing is read so, a single term
  std::optional<Ref> term;     // of a chunk
  std::int64_t threads = 1;
};

/// What is staged in shared memory so far.
struct Staged {
  Way way;
  std::vector<Ref> channel, copies;  // buffers that come ahead, and the statements that bring them
  std::size_t operands = 0;
};

/// A tile of the operand in shared memory for each step of the depth, and out of it what a thread multiplies.
Check stage_operand(Context& c, std::uint32_t s, const Nest& n, const Sides& sides, const tecc::Read& r, Staged& staged) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  const Way way = staged.way;
  const std::size_t rank = r.index.size();
  const std::int64_t bytes = bytes_of(c.program()[r.tensor].type);
  const std::string& name = c.program()[r.tensor].name;
  const auto handle = c.build.tensor(r.tensor);
  auto copy = c.build.add(CacheRead{{stage}, *handle, Scope::shared, n.step});
  if (!copy) return Ok{};
  ++staged.operands;
  const Ref shared = (*copy)[0];
  const bool stays = way == Way::asynchronous && is_along_depth(c, b, r);
  std::optional<Ref> ahead;
  if (way == Way::registers)
    if (auto loaded = c.build.add(CacheRead{{(*copy)[1]}, *handle, Scope::local, n.step})) ahead = (*loaded)[1];
  for (const std::optional<Ref>& one : {ahead, std::optional((*copy)[1])}) {
    if (!one) continue;
    const auto all = c.build.fuse_all(Builder::axes(*one, rank), "f");
    if (!all) continue;
    std::int64_t width = 1;
    while (2 * width * bytes <= c.target.vector_bytes && c.build.extent(*all) % (2 * width * n.threads) == 0) width *= 2;
    TECC_TRY(const auto parts, c.build.add(Split{*all, {n.threads, width}}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
    if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
  }
  if (way != Way::direct) staged.channel.push_back(shared);
  if (way == Way::asynchronous) staged.copies.push_back((*copy)[1]);
  for (const Side* side : {&sides.rows, &sides.columns}) {
    const auto dim = dimension_of(b, r, side->axis);
    if (!dim) continue;
    std::vector<std::int64_t> layout;
    for (std::size_t d = 0; d < rank; ++d)
      if (d != *dim || stays) layout.push_back(static_cast<std::int64_t>(d));
    if (!stays) layout.push_back(static_cast<std::int64_t>(*dim));
    if (stays || *dim + 1 != rank) TECC_CHECK(c.build.add(SetLayout{shared, layout, c.choose.choose(b.name + " pad " + name, {0, 4, 8}, 4)}));
    auto own = c.build.add(CacheRead{{stage}, shared, Scope::local, stays || !n.term ? n.chunk : *n.term});
    if (!own) continue;
    const Ref along = Builder::axis((*own)[1], stays ? rank - 1 : *dim);
    if (!c.build.present(along)) continue;
    if (stays) {
      (void)c.build.try_add(Vectorize{{along}});
      continue;
    }
    TECC_TRY(const auto parts, c.build.add(Split{along, {side->vector}}));
    (void)c.build.try_add(Vectorize{{parts[1]}});
  }
  return Ok{};
}

}  // namespace

Check register_tiles(Context& c, std::uint32_t s, const Form& form) {
  auto found = sides_of(c, s, form);
  if (!found) return Ok{};
  Sides& sides = *found;
  const Block b = c.block(s);
  c.done[s] = 1;

  const Preferred like = preferred(c, sides);
  const auto decide = [&](const std::string& what, std::vector<std::int64_t> options, std::int64_t first) { return c.choose.choose(b.name + " " + what, std::move(options), first); };
  const auto spans = [](std::initializer_list<std::int64_t> all, const Side& side, std::int64_t unit) { return those(all, [&](std::int64_t n) { return n == 1 || n * unit < 2 * side.extent; }); };
  constexpr std::int64_t most_sums = 128;       // of a thread: with what it multiplies they fill its registers
  constexpr std::int64_t most_unrolled = 4096;  // products: more of them take ptxas seconds, and leave the instruction cache
  Side &rows = sides.rows, &columns = sides.columns;
  rows.lanes = decide("lanes", those({4, 8, 2, 16, 1, 32}, [&](std::int64_t n) { return n == 1 || n < 2 * rows.extent; }), like.lanes);
  columns.lanes = 32 / rows.lanes;
  bool along[2] = {false, false};
  for (const tecc::Read& r : form.reads)
    for (int n = 0; n < 2; ++n) along[n] |= dimension_of(b, r, n == 0 ? rows.axis : columns.axis).has_value() && is_along_depth(c, b, r);
  const bool turned = like.fills_registers();  // each load of a fragment serves more products where the tiled axes are fastest
  const Way way = static_cast<Way>(decide("way", c.target.limits.has("cp_async") ? std::vector<std::int64_t>{1, 2, 0} : std::vector<std::int64_t>{1, 0}, (along[0] || along[1]) && !turned ? 2 : 1));
  for (Side* side : {&rows, &columns}) {
    const std::string tag = side == &rows ? "i" : "j";
    std::vector<std::int64_t> registers = spans({1, 2, 4, 8, 16}, *side, side->lanes);
    if (side == &columns) std::erase_if(registers, [&](std::int64_t n) { return n * rows.registers > most_sums; });
    side->registers = decide(tag + " registers", registers, side == &rows ? like.rows : like.columns);
    std::vector<std::int64_t> warps = spans({2, 1, 4, 8}, *side, side->lanes * side->registers);
    if (side == &columns) std::erase_if(warps, [&](std::int64_t n) { return n * rows.warps * 32 > c.target.limits.threads_per_block; });
    side->warps = decide(tag + " warps", warps, side == &rows ? warps_down : like.across);
    side->vector = way == Way::asynchronous && along[side == &columns] ? 1 : std::min<std::int64_t>(side->registers, 4);
    TECC_TRY(const auto x, c.build.add(Split{side->loop, {side->warps, side->registers / side->vector, side->lanes, side->vector}}, {tag + "0", tag + "1", tag + "2", tag + "3", tag + "4"}));
    side->block = x[0], side->warp = x[1], side->high = x[2], side->lane = x[3], side->element = x[4];
  }
  Nest n;
  n.threads = rows.warps * columns.warps * 32;
  const std::int64_t depth = std::min(decide("k", those({4, 8, 16, 32, 64}, [&](std::int64_t n) { return n * rows.registers * columns.registers <= most_unrolled; }), way == Way::asynchronous ? 32 : 16), c.build.extent(sides.reduce.back()));
  const bool chunks = way == Way::asynchronous && (along[0] || along[1]) && depth % 4 == 0;
  std::vector<std::int64_t> cut{depth};
  if (chunks) cut = {depth / 4, 4};
  TECC_TRY(const auto k, c.build.add(Split{sides.reduce.back(), cut}, chunks ? std::vector<std::string>{"k0", "k1", "k2"} : std::vector<std::string>{"k0", "k1"}));
  n.step = k[0], n.chunk = k[1];
  if (chunks) n.term = k[2];

  std::vector<Ref> order = sides.blocks;
  order.push_back(rows.block), order.push_back(columns.block);
  const std::vector<Ref> blocks = order;
  order.insert(order.end(), sides.reduce.begin(), sides.reduce.end() - 1);
  for (const Ref& l : {n.step, rows.warp, columns.warp, rows.lane, columns.lane, n.chunk}) order.push_back(l);
  if (n.term) order.push_back(*n.term);
  for (const Ref& l : {rows.high, rows.element, columns.high, columns.element}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{blocks, Group::block}));
  TECC_CHECK(c.build.add(Bind{{rows.warp, columns.warp, rows.lane, columns.lane}, Group::thread}));
  const bool unrolls = decide("unroll k", {0, 1}, 1) != 0;

  TECC_CHECK(take_sum(c, s, sides, b));

  Staged staged{way, {}, {}, 0};
  std::vector<TensorId> seen;
  for (const tecc::Read& r : form.reads) {
    if (std::find(seen.begin(), seen.end(), r.tensor) != seen.end()) continue;
    seen.push_back(r.tensor);
    const bool along_depth = std::any_of(r.index.begin(), r.index.end(), [&](const Expr& e) { return uses(e, b.iters.back().var); });
    if (!along_depth || !c.build.tensor(r.tensor) || decide("stage " + c.program()[r.tensor].name, {0, 1}, 1) == 0) continue;
    TECC_CHECK(stage_operand(c, s, n, sides, r, staged));
  }
  // What is not staged has an address of its own in each product.
  if (unrolls && (staged.operands == seen.size() || depth * rows.registers * columns.registers <= most_unrolled / 4)) TECC_CHECK(c.build.add(Unroll{{n.chunk}}));
  if (!staged.copies.empty()) TECC_CHECK(c.build.add(CopyWith{staged.copies, Via::cp_async}));
  if (!staged.channel.empty()) (void)c.build.try_add(Pipeline{n.step, staged.channel, way == Way::asynchronous ? decide("slots", {2, 3, 4}, 3) : 2});
  return Ok{};
}

}  // namespace tecc::autotune
