#include "compiler/memory/sections.h"

#include <algorithm>

#include "ir/base/errors.h"

namespace tecc {

Sections cut_sections(std::span<const Lifetime> lifetimes) {
  struct Event {
    std::int64_t time;
    bool birth;
    std::size_t buffer;
  };
  std::vector<Event> events;
  events.reserve(2 * lifetimes.size());
  Sections out;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    const Lifetime& l = lifetimes[i];
    invariant(l.lower < l.upper && l.size >= 0 && l.alignment >= 1, "a lifetime is not empty, sizes are not negative");
    invariant(l.size <= total_bytes_limit - total && l.alignment <= total_bytes_limit - total - l.size,
              "sizes add up within total_bytes_limit");
    total += l.size + (l.alignment - 1);
    events.push_back({l.lower, true, i});
    events.push_back({l.upper, false, i});
    const auto length =
        static_cast<std::uint64_t>(l.upper) - static_cast<std::uint64_t>(l.lower);  // may pass INT64_MAX
    out.buffers.push_back({0, 0, l.size, l.alignment, length});
  }
  std::ranges::sort(events, [](const Event& a, const Event& b) {
    if (a.time != b.time) return a.time < b.time;
    return a.birth != b.birth ? b.birth : a.buffer < b.buffer;  // half-open: deaths first
  });
  std::int64_t live = 0;
  bool grown = false;  // a birth since the last section ended
  for (const Event& e : events) {
    Sections::Buffer& buffer = out.buffers[e.buffer];
    if (e.birth) {
      buffer.first = static_cast<std::int32_t>(out.loads.size());
      live += buffer.size;
    } else {
      if (grown) out.loads.push_back(live);
      buffer.last = static_cast<std::int32_t>(out.loads.size());
      live -= buffer.size;
    }
    grown = e.birth;
  }
  for (const std::int64_t load : out.loads) out.peak = std::max(out.peak, load);
  return out;
}

std::int64_t height(const Sections& problem, std::span<const std::int64_t> offsets) {
  std::int64_t out = 0;
  for (std::size_t i = 0; i < offsets.size(); ++i) out = std::max(out, offsets[i] + problem.buffers[i].size);
  return out;
}

}  // namespace tecc
