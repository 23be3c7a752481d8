#include <algorithm>

#include "autotune/rule/product.h"

namespace tecc::autotune {

using namespace loop;

namespace {

/// The depth is what two lines of shared memory hold.
bool is_short(const Shape& shape) { return shape.window.empty() && shape.depth_extent * shape.element <= 256; }

/// Widths of tiles, and the least one at which the device takes all of them at once. `down`: tiles that lie side by side along rows and batch.
std::vector<std::int64_t> widths_of(std::int64_t columns, std::int64_t down, std::int64_t sms) {
  std::vector<std::int64_t> out{16, 32, 48, 64, 96, 128, 160, 192, 224, 256};
  constexpr std::int64_t step = 16;  // what the narrowest panel takes
  const std::int64_t across = sms / down;
  const std::int64_t balanced = across > 0 ? ceil_div(ceil_div(columns, across), step) * step : out.back();
  if (const auto at = std::lower_bound(out.begin(), out.end(), balanced); at != out.end() && *at != balanced) out.insert(at, balanced);
  return out;
}

/// Starting point: the tile, and the parts of the depth, that should take the least time.
struct Preferred {
  std::int64_t groups = 1, rows = 64, columns = 64, parts = 1;  // rows of each group
  double clocks = 1e300;
};
Preferred preferred_tile(const Context& c, const Shape& shape, const Side& rows, const Side& columns, std::int64_t batch) {
  constexpr double fetched_a_clock = 48;  // bytes that an SM gets out of L2
  constexpr double shared_a_clock = 128;  // and out of its shared memory
  constexpr double fixed = 2300;          // clocks of a tile before its first product and after its last
  constexpr double launch = 3500;         // clocks between two kernels
  constexpr double moved = 1700;          // bytes a clock that the device writes or reads
  const double step = 32.0 / static_cast<double>(shape.element);  // terms of depth that 32 bytes hold: one instruction
  double places = 1;  // of the window
  for (const Ref& l : shape.window) places *= static_cast<double>(c.build.extent(l));
  const double once = static_cast<double>(batch * (rows.extent + columns.extent) * shape.depth_extent) * places * static_cast<double>(shape.element);  // bytes of the operands
  Preferred best;
  for (const auto& [groups, each] : {std::pair<std::int64_t, std::int64_t>{2, 64}, {1, 64}, {2, 128}})
    for (const auto widths = widths_of(columns.extent, batch * ceil_div(rows.extent, each * groups), c.target.sm_count); const std::int64_t n : std::vector(widths.rbegin(), widths.rend()))
      for (const std::int64_t parts : {1, 2, 4, 8, 16}) {
        if ((n > 16 && n / 2 >= columns.extent) || (is_promoted(shape) && n > 128)) continue;
        if (each > 64 && (n > 128 || is_promoted(shape) || !shape.pixels.empty() || rows.extent <= each * groups)) continue;
        if (parts > 1 && (is_promoted(shape) || !shape.pixels.empty() || shape.depth_extent % (parts * 128 / shape.element) || shape.depth_extent / parts < 512)) continue;
        const auto width = static_cast<double>(n), rows_of = static_cast<double>(each * groups);
        const double tiles = static_cast<double>(batch * parts * ceil_div(rows.extent, each * groups) * ceil_div(columns.extent, n));
        const double products = rows_of / 64 * std::max(width / 2, (64 + width) * 32 / shared_a_clock);
        const double rounds = static_cast<double>(shape.depth_extent) * places / static_cast<double>(parts) / step;
        const double waves = std::ceil(tiles / static_cast<double>(c.target.sm_count)), filled = tiles / (waves * static_cast<double>(c.target.sm_count));
        double time = waves * (rounds * std::max(products, (rows_of + width) * 32 / fetched_a_clock) + fixed);
        time = std::max(time, once / moved / (0.2 + 0.8 * filled) + fixed);  // few SMs alone do not ask for all that memory could give
        if (parts > 1) time += launch + static_cast<double>(parts * 2 * 4 * batch * rows.extent * columns.extent) / moved;
        if (time < best.clocks) best = {groups, each, n, parts, time};
      }
  // Of few rounds storing the tile is the most: the next one is multiplied meanwhile, out of operands that lie there whole.
  if (is_short(shape)) best.columns = std::min<std::int64_t>(best.columns, 128);
  return best;
}

}  // namespace

namespace {

/// Two warpgroups with tiles of 128 x 128 read more of L2 than with one of 128 x 256 together, and hide how results are stored. H100, bf16, results
/// alone and behind bias and GELU: 1.02 and 1.06 times as fast at 4096 x 16384 x 4096 (15 tiles an SM, one after the other), 0.98 at 4096 x 4096 x 4096 (4).
bool alternates_well(const Side& rows, const Side& columns, std::int64_t batch, std::int64_t sms) {
  constexpr std::int64_t many = 8;  // pairs of tiles for each SM
  return batch * ceil_div(rows.extent, 256) * ceil_div(columns.extent, 128) >= many * sms;
}

}  // namespace

Decisions decide(Context& c, const std::string& name, const Shape& shape, std::int64_t batch, Leave leave, std::int64_t out_bytes) {
  Decisions d{};
  if (const int f = shape.maker[0] ? 0 : 1; shape.maker[f] && shape.instruction->a_registers && !is_promoted(shape) && c.choose.choose(name + " on the way", {0, 1}, 1) == 1) d.made = f;
  if (d.made) d.swap = *d.made == 1;
  else d.swap = shape.pixels.empty() && c.choose.choose(name + " swap", shape.rows.extent <= 64 || shape.columns.extent <= 64 ? std::vector<std::int64_t>{0, 1} : std::vector<std::int64_t>{0},
                           preferred_tile(c, shape, shape.columns, shape.rows, batch).clocks < preferred_tile(c, shape, shape.rows, shape.columns, batch).clocks) == 1;
  const Side& rows = d.swap ? shape.columns : shape.rows;
  const Side& columns = d.swap ? shape.rows : shape.columns;
  constexpr Widths widths{1, 8};  // more rows of one instruction than lanes tell apart are refused (E0401) along the fastest axis
  Preferred like = preferred_tile(c, shape, rows, columns, batch);
  d.groups = c.choose.choose(name + " warpgroups", those({1, 2, 3}, [&](std::int64_t g) { return shape.pixels.empty() ? g == 1 || 64 * (g - 1) < rows.extent : !boxes_of(shape.pixels, 64 * g, g, widths).empty(); }), like.groups);
  d.alternate = d.groups == 2 && shape.pixels.empty() && !d.made && !is_promoted(shape) && !shape.by_threads[0] && !shape.by_threads[1] && rows.extent > 128 &&
                c.choose.choose(name + " alternate", {0, 1}, alternates_well(rows, columns, batch, c.target.sm_count)) == 1;
  if (d.alternate) like.rows = like.columns = 128;
  d.group_rows = c.choose.choose(name + " rows", those({64, 128}, [&](std::int64_t r) { return r == 64 || (shape.pixels.empty() ? rows.extent > 64 * d.groups : !boxes_of(shape.pixels, r * d.groups, d.groups, widths).empty()); }), like.rows);
  d.rows = d.groups * d.group_rows;
  if (!shape.pixels.empty()) {
    const auto boxes = boxes_of(shape.pixels, d.rows, d.groups, widths);
    std::vector<std::int64_t> numbers;
    for (std::size_t n = 0; n < boxes.size(); ++n) numbers.push_back(static_cast<std::int64_t>(n));
    if (!boxes.empty()) d.box = boxes[static_cast<std::size_t>(c.choose.choose(name + " box", numbers, 0))];
  }
  // Blocks that share an SM multiply while another one stores.
  d.residents = c.choose.choose(name + " residents", {1, 2, 3}, 1);
  const Share share = share_of(d.groups, d.residents, shape.by_threads[0] || shape.by_threads[1]);
  const std::int64_t accumulators = (share.consumer - 40) / (is_promoted(shape) ? 2 : 1);
  d.columns = c.choose.choose(name + " columns", those(widths_of(columns.extent, batch * ceil_div(rows.extent, d.rows), c.target.sm_count), [&](std::int64_t n) {
                                return n % shape.instruction->n_step == 0 && (n == 16 || n < 2 * columns.extent) && share.carries(n) && d.group_rows / 64 * n / 2 <= accumulators;
                              }), like.columns);
  const std::int64_t line = 128 / shape.element;  // elements of the widest swizzle
  d.depth = c.choose.choose(name + " depth", those({line, line / 2, 2 * line, 4 * line}, [&](std::int64_t k) { return (!is_promoted(shape) || promotes(shape, k)) && (k <= 2 * line || d.rows + d.columns <= 128) && k % shape.instruction->k == 0 && k / 2 < shape.depth_extent; }), is_promoted(shape) || is_short(shape) ? 2 * line : line);
  const std::int64_t tiles = batch * ceil_div(rows.extent, d.rows) * ceil_div(columns.extent, d.columns);
  const std::int64_t rounds = ceil_div(shape.depth_extent, d.depth);
  d.parts = c.choose.choose(name + " parts", those({1, 2, 3, 4, 6, 8, 12, 16}, [&](std::int64_t n) { return n == 1 || (!is_promoted(shape) && shape.pixels.empty() && shape.depth_extent % (n * d.depth) == 0 && n * tiles <= 4 * c.target.sm_count && rounds / n >= 4); }),
                            like.parts);
  if (leave != Leave::registers && d.parts == 1) {
    d.panel = c.choose.choose(name + " panel", those({64, 32, 16, 128, 0}, [&](std::int64_t w) { return w == 0 || d.columns % w == 0; }), 64);
    d.panel_slots = d.panel && leave == Leave::bulk ? c.choose.choose(name + " panel slots", {1, 2}, 2) : 1;
  }
  std::int64_t row_bytes = shape.element;
  if (d.made) {
    row_bytes = 0;
    const Block& maker = c.block(*shape.maker[*d.made]);
    for (const tecc::Read& r : form_of(c.program(), maker).reads)
      if (is_tile_of(c.program(), maker, r)) row_bytes += bytes_of(c.program()[r.tensor].type);
  }
  const std::int64_t stage = ((d.alternate ? d.group_rows : d.rows) * row_bytes + d.columns * shape.element) * d.depth;
  const std::int64_t panels = d.rows * d.panel * out_bytes * d.panel_slots;
  constexpr std::int64_t rest = 2048;  // barriers, alignment
  d.slots = c.choose.choose(name + " slots", those({2, 3, 4, 5, 6, 7, 8}, [&](std::int64_t n) { return d.residents * (n * stage + panels + rest) <= c.target.limits.shared_bytes; }), is_short(shape) ? 2 : 8);
  const bool clusters = c.target.limits.has("cluster") && c.target.limits.has("multicast") && !shape.by_threads[0] && !shape.by_threads[1];
  // Blocks share out a box by its rows, 8 at least to each; one of pixels has few.
  const auto neighbours = [](const Side& side, std::int64_t tile, std::int64_t shared_rows, std::int64_t n) { return ceil_div(side.extent, tile) >= n && shared_rows % (8 * n) == 0; };
  d.cluster = c.choose.choose(name + " cluster", those({1, 2, -2, 4, -4}, [&](std::int64_t n) { return n == 1 || (clusters && (n > 0 ? neighbours(rows, d.rows, d.columns, n) : shape.pixels.empty() && neighbours(columns, d.columns, d.rows, -n))); }), 1);
  d.both_ways = std::abs(d.cluster) > 1 && shape.pixels.empty() && (d.cluster > 0 ? neighbours(columns, d.columns, d.rows, 2) : neighbours(rows, d.rows, d.columns, 2)) &&
                c.choose.choose(name + " cluster both ways", {0, 1}, 0) == 1;
  d.band = c.choose.choose(name + " band", {1, 2, 4, 8, 16, 32}, 8);
  d.persist = c.choose.choose(name + " persist", {1, 0}, 1) == 1;
  // Tiles that one block alone reads, and results, need no place in L2.
  const bool alone[] = {ceil_div(columns.extent, d.columns) == 1, ceil_div(rows.extent, d.rows) == 1, true};
  constexpr const char* whats[] = {" rows once", " columns once", " results once"};
  for (int n = 0; n < 3; ++n) d.once[n] = (alone[n] || n == 2) && c.choose.choose(name + whats[n], {1, 0}, n < 2) == 1;
  return d;
}

}  // namespace tecc::autotune
