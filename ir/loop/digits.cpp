#include "ir/loop/digits.h"

#include <algorithm>
#include <optional>

namespace tecc::loop {

bool contiguous(const Program& p, std::vector<Digit> digits) {
  std::sort(digits.begin(), digits.end(), [](const Digit& a, const Digit& b) { return std::abs(a.stride) < std::abs(b.stride); });
  __int128 below = 0;  // largest sum of the faster digits
  for (const Digit& d : digits) {
    const Interval reach = range_of(p, d);
    if (reach.low == reach.high) continue;
    if (std::abs(d.stride) > below + 1) return false;
    below += reach.high - reach.low;
  }
  return true;
}

bool distinct(const Program& p, std::vector<Digit> digits) {
  std::sort(digits.begin(), digits.end(), [](const Digit& a, const Digit& b) { return a.stride < b.stride; });
  __int128 below = 0;  // largest sum of the faster digits
  for (const Digit& d : digits) {
    const Interval reach = range_of(p, d);
    if (reach == Interval{0, 0}) continue;
    if (d.stride <= below || reach.low < 0) return false;
    below += reach.high;
  }
  return true;
}

namespace {

/// A retired loop of which one loop is all that varies is that loop.
LoopId resolved(const Program& p, LoopId l) {
  const auto& retired = p.loop(l).retired;
  if (!retired || retired->offset != 0) return l;
  std::optional<LoopId> one;
  for (const Digit& d : retired->digits) {
    if (range_of(p, d) == Interval{0, 0}) continue;
    if (one || d.div != 1 || d.mod != 0 || d.stride != 1) return l;
    one = d.loop;
  }
  return one ? resolved(p, *one) : l;
}

}  // namespace

bool tell(const Program& p, const std::vector<Digit>& named, LoopId l) {
  std::vector<Digit> digits = named;
  for (Digit& d : digits) d.loop = resolved(p, d.loop);
  __int128 known = 1;  // l % known follows from the digits so far
  std::vector<Digit> own;
  for (const Digit& d : digits)
    if (d.loop == l) own.push_back(d);
  std::sort(own.begin(), own.end(), [](const Digit& a, const Digit& b) { return a.div < b.div; });
  for (const Digit& d : own) {
    if (d.div > known) break;
    const __int128 reach = static_cast<__int128>(d.div) * d.mod;
    if (d.mod == 0) return true;
    if (reach % known == 0) known = std::max(known, reach);
  }
  if (known > range_of(p, l).high) return true;
  return std::any_of(digits.begin(), digits.end(), [&](const Digit& d) {
    const auto& retired = p.loop(d.loop).retired;
    return retired && depends_on(p, *retired, l) && tell(p, digits, d.loop) && distinct(p, retired->digits) && tell(p, retired->digits, l);
  });
}

}  // namespace tecc::loop
