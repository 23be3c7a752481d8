#include "ir/layout/convert.h"

#include <algorithm>
#include <map>

namespace tecc::layout {

std::optional<Conversion> plan_conversion(const Layout& from, const Layout& to) {
  constexpr std::int64_t warp = 32;
  std::map<Point, std::vector<Point>> holders;  // element -> (register, thread)
  for (std::int64_t r = 0; r < from.in[0].extent; ++r)
    for (std::int64_t t = 0; t < from.in[1].extent; ++t) holders[from.at({r, t})].push_back({r, t});
  Conversion out;
  const auto at_least = [&](Conversion::Kind k) { out.kind = std::max(out.kind, k); };
  bool uniform = true;  // every thread takes register n from the same register
  for (std::int64_t r = 0; r < to.in[0].extent; ++r) {
    std::vector<std::int64_t> sources;  // registers that hold it in every thread
    for (std::int64_t t = 0; t < to.in[1].extent; ++t) {
      const auto found = holders.find(to.at({r, t}));
      if (found == holders.end()) return std::nullopt;
      std::vector<std::int64_t> own;
      bool here = false, same_warp = false;
      for (const Point& p : found->second) {
        here |= p[0] == r && p[1] == t;
        same_warp |= p[1] / warp == t / warp;
        if (p[1] == t) own.push_back(p[0]);
      }
      if (!here) at_least(!own.empty() ? Conversion::Kind::registers : same_warp ? Conversion::Kind::shuffles : Conversion::Kind::shared);
      if (t == 0) sources = own;
      else std::erase_if(sources, [&](std::int64_t s) { return std::find(own.begin(), own.end(), s) == own.end(); });
    }
    uniform &= !sources.empty();
    if (uniform) out.from.push_back(std::find(sources.begin(), sources.end(), r) != sources.end() ? r : sources[0]);
  }
  if (out.kind == Conversion::Kind::registers && !uniform) at_least(Conversion::Kind::shuffles);
  if (out.kind != Conversion::Kind::registers) out.from.clear();
  return out;
}

}  // namespace tecc::layout
