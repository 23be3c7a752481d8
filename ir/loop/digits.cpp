#include "ir/loop/digits.h"

#include <algorithm>
#include <numeric>
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
  std::sort(digits.begin(), digits.end(), [](const Digit& a, const Digit& b) { return std::abs(a.stride) < std::abs(b.stride); });
  __int128 below = 0;  // how far apart sums of the faster digits may lie
  for (const Digit& d : digits) {
    const Interval reach = range_of(p, d);
    if (reach.low == reach.high) continue;
    if (std::abs(d.stride) <= below) return false;
    below += static_cast<__int128>(reach.high) - reach.low;
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

std::int64_t known_modulus(const Program& p, const std::vector<Digit>& digits, LoopId l);

/// What knowing retired loop `r` modulo `modulus` says of digits of `l`: what faster digits do not reach is known modulo what the slower
/// digits are multiples of.
void add_digits_of(const Program& p, LoopId r, std::int64_t modulus, LoopId l, std::vector<Digit>& own) {
  std::vector<Digit> digits = p.loop(r).retired->digits;
  const bool all = modulus == 0 && distinct(p, digits);
  std::erase_if(digits, [&](const Digit& d) { return range_of(p, d) == Interval{0, 0}; });
  std::sort(digits.begin(), digits.end(), [](const Digit& a, const Digit& b) { return a.stride < b.stride; });
  Interval faster{0, 0};
  for (std::size_t n = 0; n < digits.size(); ++n) {
    Digit d = digits[n];
    const bool clear = d.stride > faster.high && faster.low >= 0;
    const Interval reach = range_of(p, d);
    faster = {faster.low + reach.low, faster.high + reach.high};
    if (d.loop != l || d.stride <= 0) continue;
    std::int64_t slower = modulus;
    for (std::size_t m = n + 1; m < digits.size(); ++m) slower = std::gcd(slower, digits[m].stride);
    if (!all && (!clear || slower % d.stride != 0)) continue;
    const std::int64_t values = all ? 0 : slower / d.stride;
    if (values != 0 && d.mod > values && d.mod % values != 0) continue;
    if (values != 0 && (d.mod == 0 || d.mod > values)) d.mod = values;
    own.push_back(d);
  }
}

/// The largest m that is known to have l % m follow from the digits, whose loops are resolved; 0 if l itself follows.
std::int64_t known_modulus(const Program& p, const std::vector<Digit>& digits, LoopId l) {
  std::vector<Digit> own;
  std::vector<LoopId> made;  // retired loops that `l` is a part of, and parts of these
  const auto note = [&](LoopId x) {
    const auto& retired = p.loop(x).retired;
    if (retired && depends_on(p, *retired, l) && std::find(made.begin(), made.end(), x) == made.end()) made.push_back(x);
  };
  for (const Digit& d : digits) {
    if (d.loop == l) own.push_back(d);
    note(d.loop);
  }
  for (std::size_t n = 0; n < made.size(); ++n) {
    for (const Digit& d : p.loop(made[n]).retired->digits) note(d.loop);
    if (const std::int64_t modulus = known_modulus(p, digits, made[n]); modulus != 1) add_digits_of(p, made[n], modulus, l, own);
  }
  std::sort(own.begin(), own.end(), [](const Digit& a, const Digit& b) { return a.div < b.div; });
  const Interval range = range_of(p, l);
  __int128 known = 1;
  for (const Digit& d : own) {
    if (d.div > known) break;
    if (d.mod == 0) return 0;
    const __int128 reach = static_cast<__int128>(d.div) * d.mod;
    if (reach % known == 0) known = std::max(known, reach);
  }
  return known > static_cast<__int128>(range.high) - range.low ? 0 : static_cast<std::int64_t>(known);
}

}  // namespace

bool tell(const Program& p, const std::vector<Digit>& named, LoopId l) {
  std::vector<Digit> digits = named;
  for (Digit& d : digits) d.loop = resolved(p, d.loop);
  return known_modulus(p, digits, l) == 0;
}

}  // namespace tecc::loop
