#include <algorithm>

#include "autotune/rule/product.h"

namespace tecc::autotune {

using namespace loop;

namespace {

constexpr std::int64_t most_sums = 128;     // registers of a thread for sums, with those that are added up apart: with operands they fill its 255
constexpr std::int64_t most_warps = 8;      // of a block: so many threads may have that many registers
constexpr std::int64_t line = 32;           // bytes of depth that one mma.sync multiplies, whatever the type
constexpr std::int64_t lanes = 32;
constexpr std::int64_t least_slots = 3, least_steps = 2;  // of copies and, in each, of depth: below that a block waits for its operands
constexpr Widths pixel_widths{8, 8};        // ldmatrix wants eight rows of a matrix side by side; of more, registers would hold others' (E0401)

/// Registers of a thread: sums, the operands of two steps of depth, addresses and counters.
std::int64_t registers_of(const Shape& shape, std::int64_t rows, std::int64_t columns) {
  const std::int64_t sums = rows * columns / lanes * (is_promoted(shape) ? 2 : 1), operands = (rows + columns) / 4;
  return std::min<std::int64_t>(sums + 2 * operands + 40, 255);
}

/// Of the window of a convolution.
std::int64_t places_of(const Context& c, const Shape& shape) {
  std::int64_t places = 1;
  for (const Ref& l : shape.window) places *= c.build.extent(l);
  return places;
}

/// Blocks that an SM runs at once, as far as registers and `shared` bytes a block go.
std::int64_t residents_of(const codegen::Target& t, std::int64_t threads, std::int64_t registers, std::int64_t shared) {
  constexpr std::int64_t reserved = 1024;  // bytes a block, by the device
  return std::min({t.registers_per_sm / (threads * registers), t.shared_per_sm / (shared + reserved), t.threads_per_sm / threads});
}

/// Starting point: what should take the least time.
struct Preferred {
  std::int64_t warp_rows = 32, warp_columns = 32, down = 2, across = 2, parts = 1;
};
/// The numbers are figures of vendors' data sheets and of CUTLASS's choices for the A100, not measurements of this code.
Preferred preferred_warps(const Context& c, const Shape& shape, std::int64_t batch) {
  constexpr double clock_ghz = 1.5;         // about what such devices run at under load
  constexpr double l2_over_memory = 3.5;    // bandwidths
  constexpr double shared_a_clock = 128;    // bytes
  constexpr double fixed = 2500;            // clocks of a tile before its first product and after its last
  constexpr double launch = 3500;           // clocks between two kernels
  constexpr double enough_warps = 8;        // on an SM: two a scheduler, one loads operands while the other one multiplies
  const codegen::Target& t = c.target;
  const auto sms = static_cast<double>(t.sm_count);
  const double clocks = sms * clock_ghz * 1e9;  // of all SMs in a second
  const double products_a_clock = t.tensor_tflops * 1e12 / 2 / clocks * 2 / static_cast<double>(shape.element), memory_a_clock = t.memory_gbs * 1e9 / clocks, fetched_a_clock = l2_over_memory * memory_a_clock;
  const double rounds = static_cast<double>(places_of(c, shape) * shape.depth_extent * shape.element) / line;
  const double memory = static_cast<double>(batch * (shape.rows.extent + shape.columns.extent) * shape.depth_extent * shape.element) / (memory_a_clock * sms);  // clocks
  Preferred best;
  double least = 1e300;
  for (const auto& [wr, wc] : {std::pair<std::int64_t, std::int64_t>{64, 64}, {64, 32}, {32, 64}, {32, 32}, {16, 64}, {16, 32}, {32, 16}, {16, 16}})
    for (const auto& [down, across] : {std::pair<std::int64_t, std::int64_t>{2, 4}, {4, 2}, {2, 2}, {1, 4}, {4, 1}, {1, 2}, {2, 1}, {1, 8}})
      for (const std::int64_t parts : {1, 2, 4, 8}) {
        const std::int64_t rows = wr * down, columns = wc * across;
        if (wr * wc / lanes * (is_promoted(shape) ? 2 : 1) > most_sums) continue;
        if ((rows > 16 && rows >= 2 * shape.rows.extent) || (columns > 16 && columns >= 2 * shape.columns.extent)) continue;
        if (!shape.pixels.empty() && boxes_of(shape.pixels, rows, down, pixel_widths).empty()) continue;
        if (parts > 1 && (is_promoted(shape) || !shape.pixels.empty() || shape.depth_extent % (parts * 128 / shape.element) || shape.depth_extent / parts < 512)) continue;
        const std::int64_t residents = residents_of(t, down * across * lanes, registers_of(shape, wr, wc), least_slots * least_steps * (rows + columns) * line);
        if (residents < 1) continue;
        const double tiles = static_cast<double>(batch * parts * ceil_div(shape.rows.extent, rows) * ceil_div(shape.columns.extent, columns)), each = std::ceil(tiles / sms);
        const double beside = std::min(static_cast<double>(residents), each), warps = static_cast<double>(down * across) * beside;
        const double products = static_cast<double>(rows * columns * line) / static_cast<double>(shape.element) / products_a_clock;
        const double loads = static_cast<double>((wr + wc) * down * across + rows + columns) * line / shared_a_clock, fetched = static_cast<double>((rows + columns) * line) / fetched_a_clock;
        const double hidden = std::min(1.0, warps / enough_warps);  // else products and loads of operands follow each other
        const double step = std::max({products + (1 - hidden) * loads, loads, fetched}) / std::min(1.0, warps / 4);
        double time = each * rounds / static_cast<double>(parts) * step + fixed * each / beside;
        time = std::max(time, memory / (0.2 + 0.8 * std::min(1.0, tiles / sms)));  // few SMs alone do not ask for all that memory could give
        if (parts > 1) time += launch + static_cast<double>(parts * 2 * 4 * batch * shape.rows.extent * shape.columns.extent) / (memory_a_clock * sms);
        if (time < least) least = time, best = {wr, wc, down, across, parts};
      }
  return best;
}

}  // namespace

WarpDecisions decide_warps(Context& c, const std::string& name, const Shape& shape, std::int64_t batch, std::int64_t out_bytes) {
  WarpDecisions d{};
  const Preferred like = preferred_warps(c, shape, batch);
  const auto choose = [&](const char* what, std::vector<std::int64_t> options, std::int64_t first) { return c.choose.choose(name + what, std::move(options), first); };
  if (const int f = shape.maker[0] ? 0 : 1; shape.maker[f] && !is_promoted(shape) && choose(" on the way", {0, 1}, 1) == 1) d.made = f;
  const Side &rows = shape.rows, &columns = shape.columns;
  const std::int64_t sums = is_promoted(shape) ? 2 : 1;
  d.warp_rows = choose(" warp rows", those({64, 32, 16, 128}, [&](std::int64_t n) { return n == 16 || n < 2 * rows.extent; }), like.warp_rows);
  d.warp_columns = choose(" warp columns", those({64, 32, 16, 128}, [&](std::int64_t n) { return d.warp_rows * n / lanes * sums <= most_sums && (n == 16 || n < 2 * columns.extent); }), like.warp_columns);
  d.down = choose(" warps down", those({1, 2, 4}, [&](std::int64_t n) { return shape.pixels.empty() ? n == 1 || d.warp_rows * n < 2 * rows.extent : !boxes_of(shape.pixels, d.warp_rows * n, n, pixel_widths).empty(); }), like.down);
  d.across = choose(" warps across", those({1, 2, 4, 8}, [&](std::int64_t n) { return n * d.down <= most_warps && (n == 1 || d.warp_columns * n < 2 * columns.extent); }), like.across);
  if (!shape.pixels.empty()) {
    const auto boxes = boxes_of(shape.pixels, d.rows(), d.down, pixel_widths);
    std::vector<std::int64_t> numbers;
    for (std::size_t n = 0; n < boxes.size(); ++n) numbers.push_back(static_cast<std::int64_t>(n));
    if (!boxes.empty()) d.box = boxes[static_cast<std::size_t>(choose(" box", numbers, 0))];
  }
  const std::int64_t tile_bytes = (d.rows() + d.columns()) * shape.element;  // of one term of depth
  const std::int64_t panels = panel_rows * d.down * d.columns() * out_bytes;
  const auto fit = [&](std::int64_t depth, std::int64_t slots) { return slots * depth * tile_bytes + panels <= c.target.limits.shared_bytes; };
  const std::int64_t tiles = batch * ceil_div(rows.extent, d.rows()) * ceil_div(columns.extent, d.columns());
  // As many blocks of an SM as registers allow and tiles are: what each may take of its shared memory.
  const std::int64_t threads = d.down * d.across * lanes, least = least_slots * least_steps * line * (d.rows() + d.columns()) + panels;
  const std::int64_t residents = std::clamp<std::int64_t>(residents_of(c.target, threads, registers_of(shape, d.warp_rows, d.warp_columns), least), 1, ceil_div(tiles * like.parts, c.target.sm_count));
  const auto shares = [&](std::int64_t depth, std::int64_t slots) { return fit(depth, slots) && residents_of(c.target, threads, 1, slots * depth * tile_bytes + panels) >= residents; };
  const std::int64_t step = line / shape.element;  // terms of depth
  // Longer rounds have fewer barriers, more slots have more copies on their way.
  d.depth = choose(" depth", those({4 * step, 2 * step, step, 8 * step}, [&](std::int64_t k) { return is_promoted(shape) ? promotes(shape, k) && fit(k, 2) : (k == step || k / 2 < shape.depth_extent) && fit(k, 2); }),
                   is_promoted(shape) || shares(4 * step, least_slots) ? 4 * step : 2 * step);
  const std::int64_t rounds = places_of(c, shape) * ceil_div(shape.depth_extent, d.depth);
  d.parts = choose(" parts", those({1, 2, 3, 4, 6, 8, 12, 16}, [&](std::int64_t n) { return n == 1 || (!is_promoted(shape) && shape.pixels.empty() && shape.depth_extent % (n * d.depth) == 0 && n * tiles <= 4 * c.target.sm_count && rounds / n >= 4); }), like.parts);
  d.panel = shape.pixels.empty() && choose(" panel", {1, 0}, 1) == 1;
  const bool ahead = c.target.limits.has("cp_async");  // else the next round's elements wait in registers
  std::int64_t slots = 4;
  while (slots > 2 && (slots > rounds || !shares(d.depth, slots))) --slots;
  d.slots = ahead ? choose(" slots", those({2, 3, 4, 5, 6}, [&](std::int64_t n) { return fit(d.depth, n); }), slots) : 2;
  d.band = choose(" band", {1, 2, 4, 8, 16, 32}, 8);
  d.persist = choose(" persist", {0, 1}, 0) == 1;
  return d;
}

}  // namespace tecc::autotune
