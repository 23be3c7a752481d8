#include "ir/layout/access.h"

#include <algorithm>
#include <array>
#include <set>

namespace tecc::layout {

std::int64_t widest_access(const Layout& places, std::int64_t element_bytes, std::int64_t most) {
  const Layout l = normal(places);
  std::int64_t width = element_bytes;
  for (std::int64_t reg = 1; 2 * width <= most; reg *= 2, width *= 2) {
    // The next bit of the register is the next bit of the address, and everything else moves by whole accesses.
    const auto is_next = [&](std::size_t from, std::int64_t div) { return from == 0 && div <= reg; };
    bool found = false, aligned = true;
    for (const Layout::Bit& b : l.bits) {
      if (is_next(b.from, b.div)) found |= b.div == reg && b.image[0] == width;
      else aligned &= b.image[0] % (2 * width) == 0;
    }
    for (const Layout::Stride& s : l.strides) {
      if (is_next(s.from, s.div) && s.div * s.count <= 2 * reg && s.div == reg && s.stride == width) found = true;
      else aligned &= s.stride % (2 * width) == 0;
    }
    if (!found || !aligned) break;
  }
  return width;
}

BankConflicts bank_conflicts(std::span<const std::int64_t> bytes, std::int64_t width) {
  constexpr std::int64_t banks = 32, bank_bytes = 4;
  const std::size_t group = width <= 4 ? 32 : width == 8 ? 16 : 8;
  BankConflicts out{0, 0, 1};
  for (std::size_t first = 0; first < bytes.size(); first += group) {
    std::array<std::set<std::int64_t>, banks> words;
    for (std::size_t n = first; n < std::min(first + group, bytes.size()); ++n)
      for (std::int64_t w = bytes[n] / bank_bytes; w <= (bytes[n] + width - 1) / bank_bytes; ++w) words[static_cast<std::size_t>(w % banks)].insert(w);
    std::size_t busiest = 1;
    for (const auto& bank : words) busiest = std::max(busiest, bank.size());
    ++out.phases;
    out.cycles += static_cast<std::int64_t>(busiest);
    out.ways = std::max(out.ways, static_cast<std::int64_t>(busiest));
  }
  return out;
}

BankConflicts bank_conflicts(const Layout& places, std::int64_t element_bytes, std::int64_t width) {
  BankConflicts worst;
  const std::int64_t step = std::max<std::int64_t>(1, width / element_bytes);
  for (std::int64_t r = 0; r < places.in[0].extent; r += step)
    for (std::int64_t warp = 0; warp < places.in[1].extent; warp += 32) {
      std::vector<std::int64_t> bytes;
      for (std::int64_t t = warp; t < std::min(warp + 32, places.in[1].extent); ++t) bytes.push_back(places.at({r, t})[0]);
      if (const BankConflicts one = bank_conflicts(bytes, width); one.cycles > worst.cycles) worst = one;
    }
  return worst;
}

}  // namespace tecc::layout
