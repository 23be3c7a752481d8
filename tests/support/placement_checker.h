#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>

#include "compiler/memory/lifetime.h"

namespace tecc {

/// What is wrong with a placement, or "" if nothing is: every pair of buffers is compared as the words of the format
/// say, with nothing shared with the planner but the input. Slow on purpose.
inline std::string placement_fault(std::span<const Lifetime> lifetimes, std::span<const std::int64_t> offsets,
                                   std::int64_t height) {
  if (offsets.size() != lifetimes.size())
    return fmt::format("{} offsets for {} lifetimes", offsets.size(), lifetimes.size());
  std::int64_t highest = 0;
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    const Lifetime& a = lifetimes[i];
    if (offsets[i] < 0) return fmt::format("'{}' has offset {}", a.id, offsets[i]);
    if (offsets[i] % a.alignment != 0) return fmt::format("'{}' is not aligned to {}", a.id, a.alignment);
    const std::int64_t a_end = offsets[i] + a.size;
    if (a_end > highest) highest = a_end;
    for (std::size_t j = 0; j < i; ++j) {
      const Lifetime& b = lifetimes[j];
      const bool live_together = a.lower < b.upper && b.lower < a.upper;
      const bool share_bytes = offsets[i] < offsets[j] + b.size && offsets[j] < a_end;
      if (live_together && share_bytes && a.size > 0 && b.size > 0)
        return fmt::format("'{}' and '{}' share bytes while both are live", a.id, b.id);
    }
  }
  if (highest != height) return fmt::format("the height is {}, not {}", highest, height);
  return "";
}

}  // namespace tecc
