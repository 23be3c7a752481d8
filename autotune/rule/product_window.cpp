#include <algorithm>

#include "autotune/rule/product.h"

/// Convolutions as products: the rows of a tile are a box of pixels, the depth goes over the places of the window and over what each holds.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

std::vector<std::vector<std::int64_t>> boxes_of(const std::vector<Side>& pixels, std::int64_t count, std::int64_t groups, const Widths& widths) {
  std::vector<std::pair<double, std::vector<std::int64_t>>> all;
  std::vector<std::int64_t> box(pixels.size(), 1);
  const std::function<void(std::size_t, std::int64_t)> fill = [&](std::size_t n, std::int64_t left) {
    if (n + 1 == pixels.size()) {
      box[n] = left;
      if (left < widths.least || left > std::max(widths.least, std::min(pixels[n].extent, widths.most)) || box[slowest(box)] % groups) return;
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

Result<Window> tile_window(Context& c, const Shape& shape, const std::vector<std::int64_t>& box, const std::vector<std::int64_t>& columns, std::int64_t depth) {
  Window out;
  TECC_TRY(const auto k, c.build.add(Split{shape.depth, {depth}}, {"k0", "k1"}));
  TECC_TRY(out.columns, c.build.add(Split{shape.columns.loop, columns}, columns.size() == 1 ? std::vector<std::string>{"j0", "j1"} : std::vector<std::string>{"j0", "wj", "j1"}));
  std::vector<Ref> boxes, pixels, rounds = shape.window;
  for (std::size_t a = 0; a < box.size(); ++a) {
    TECC_TRY(const auto cut, c.build.add(Split{shape.pixels[a].loop, {box[a]}}));
    boxes.push_back(cut[0]), pixels.push_back(cut[1]);
  }
  rounds.push_back(k[0]);
  std::vector<Ref> order = boxes;
  order.push_back(out.columns[0]);
  order.insert(order.end(), rounds.begin(), rounds.end());
  order.insert(order.end(), pixels.begin(), pixels.end());
  order.insert(order.end(), out.columns.begin() + 1, out.columns.end());
  order.push_back(k[1]);
  TECC_CHECK(c.build.add(Reorder{order}));
  const auto as_one = [&](const std::vector<Ref>& loops, const std::string& name) -> Result<Ref> {
    Ref all = loops[0];
    for (std::size_t a = 1; a < loops.size(); ++a) {
      TECC_TRY(const auto fused, c.build.add(Fuse{all, loops[a]}, {name}));
      all = fused[0];
    }
    return all;
  };
  TECC_TRY(out.boxes, as_one(boxes, "i0"));
  TECC_TRY(out.rounds, as_one(rounds, "k0"));
  TECC_TRY(out.pixels, as_one(pixels, "i1"));
  out.inside = k[1];
  return out;
}

}  // namespace tecc::autotune
