#include "schedule/primitive/made_region.h"

#include "ir/loop/digits.h"

namespace tecc::schedule {
namespace {

/// True if iterations behind the end of a loop, of which several axes are digits, write a part of a row: the box of what is written has
/// elements that nobody writes.
bool has_ragged_end(const Program& p, const Block& b) {
  std::map<LoopId, int> axes;
  for (const Iter& i : b.iters)
    for (const Digit& d : i.binding.digits) ++axes[d.loop];
  return std::any_of(axes.begin(), axes.end(), [&](const auto& each) {
    return each.second > 1 && p.loop(each.first).retired && loop::range_of(p, each.first).high >= loop::largest(p, p.loop(each.first).extent);
  });
}

/// True if what varies in the index takes every value of its box.
bool fills_box(const Program& p, const Block& b, const Expr& index, const Region& box) {
  const auto affine = loop::affine_of(index);
  auto binding = affine ? loop::binding_of(b, *affine) : std::nullopt;
  if (!binding) return false;
  std::vector<Digit> varying = loop::normal(p, *binding).digits;
  std::erase_if(varying, [&](const Digit& d) { return std::find(box.fixed.digits.begin(), box.fixed.digits.end(), d) != box.fixed.digits.end(); });
  return loop::contiguous(p, varying);
}

}  // namespace

std::optional<std::vector<Region>> made_region(const Program& p, const Block& b, const std::vector<Expr>& index, const std::function<bool(LoopId)>& fixed) {
  if (has_ragged_end(p, b)) return std::nullopt;
  std::vector<Region> out;
  for (const Expr& e : index) {
    const Region& r = out.emplace_back(loop::region_of(p, b, e, fixed));
    if (r.whole || !(r.exact || fills_box(p, b, e, r))) return std::nullopt;
  }
  return out;
}

}  // namespace tecc::schedule
