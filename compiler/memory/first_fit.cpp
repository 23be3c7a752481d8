#include "compiler/memory/first_fit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <optional>
#include <tuple>

#include "ir/base/errors.h"

namespace tecc {
namespace {

struct Placed {
  std::int32_t first, last;  // sections
  std::int64_t offset, end;  // bytes
};

/// The placed buffers by offset, as a list of short arrays: a walk reads memory in order, an insertion moves one array.
class PlacedByOffset {
 public:
  /// Calls visit(placed) in order of offset for those that meet the sections of `buffer`, until it returns false.
  template <class Visit> void walk(const Sections::Buffer& buffer, Visit visit) const {
    for (const std::vector<Placed>& run : runs_)
      for (const Placed& p : run)
        if (p.first < buffer.last && buffer.first < p.last && !visit(p)) return;
  }
  void insert(const Placed& placed) {
    const auto after = [](std::int64_t offset, const Placed& p) { return offset < p.offset; };
    auto run = std::upper_bound(runs_.begin(), runs_.end(), placed.offset,
                                [&](std::int64_t offset, const auto& r) { return after(offset, r.front()); });
    if (run != runs_.begin()) --run;
    if (run == runs_.end()) run = runs_.emplace(run);
    run->insert(std::upper_bound(run->begin(), run->end(), placed.offset, after), placed);
    if (run->size() < longest_run) return;
    std::vector<Placed> upper_half(run->begin() + longest_run / 2, run->end());
    run->resize(longest_run / 2);
    runs_.insert(run + 1, std::move(upper_half));
  }

 private:
  static constexpr std::size_t longest_run =
      512;  // 12 KiB a move at worst; shorter runs gain nothing on 60,000 buffers
  std::vector<std::vector<Placed>> runs_;
};

std::int64_t lowest_offset(const PlacedByOffset& placed, const Sections::Buffer& buffer) {
  std::int64_t offset = 0;  // everything below it is taken or too narrow
  placed.walk(buffer, [&](const Placed& p) {
    if (p.offset - offset >= buffer.size) return false;
    if (p.end > offset) offset = align_up(p.end, buffer.alignment);
    return true;
  });
  return offset;
}

std::int64_t tightest_offset(const PlacedByOffset& placed, const Sections::Buffer& buffer) {
  std::int64_t offset = 0, narrowest = INT64_MAX;
  std::optional<std::int64_t> best;
  placed.walk(buffer, [&](const Placed& p) {
    const std::int64_t gap = p.offset - offset;
    if (gap >= buffer.size && gap < narrowest) {
      narrowest = gap;
      best = offset;
    }
    if (p.end > offset) offset = align_up(p.end, buffer.alignment);
    return true;
  });
  return best.value_or(offset);
}

template <class Key> std::vector<std::int32_t> sorted_by(const Sections& problem, Key key) {
  std::vector<decltype(key(problem.buffers[0]))> keys;
  keys.reserve(problem.buffers.size());
  for (const Sections::Buffer& b : problem.buffers) keys.push_back(key(b));
  std::vector<std::int32_t> order(problem.buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::int32_t a, std::int32_t b) { return keys[a] < keys[b]; });
  return order;
}

/// Answers "the largest load in [first, last)" in constant time: a table of maxima over every power of two.
class LoadMaxima {
 public:
  explicit LoadMaxima(const Sections& problem) : rows_{problem.loads} {
    for (std::size_t width = 1; 2 * width <= problem.loads.size(); width *= 2) {
      const std::vector<std::int64_t>& below = rows_.back();
      std::vector<std::int64_t> row(below.size() - width);
      for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::max(below[i], below[i + width]);
      rows_.push_back(std::move(row));
    }
  }
  std::int64_t over(std::int32_t first, std::int32_t last) const {
    const auto level = std::bit_width(static_cast<std::uint32_t>(last - first)) - 1;
    return std::max(rows_[level][first], rows_[level][last - (1 << level)]);
  }

 private:
  std::vector<std::vector<std::int64_t>> rows_;
};

using Buffer = Sections::Buffer;
double area(const Buffer& b) { return static_cast<double>(b.size) * (b.last - b.first); }

// clang-format off
// Length is counted in sections: time has no unit, and only sections can conflict.
constexpr std::array<BufferOrder, 7> orders = {{
    {"size", [](const Sections& p) {
       return sorted_by(p, [](const Buffer& b) { return std::tuple(-b.size, b.first - b.last); });
     }},
    {"length", [](const Sections& p) {
       return sorted_by(p, [](const Buffer& b) { return std::tuple(b.first - b.last, -b.size); });
     }},
    {"area", [](const Sections& p) { return sorted_by(p, [](const Buffer& b) { return -area(b); }); }},
    {"load_size", [](const Sections& p) {
       return sorted_by(p, [maxima = LoadMaxima(p)](const Buffer& b) {
         return std::tuple(-maxima.over(b.first, b.last), -b.size);
       });
     }},
    {"load_length", [](const Sections& p) {
       return sorted_by(p, [maxima = LoadMaxima(p)](const Buffer& b) {
         return std::tuple(-maxima.over(b.first, b.last), b.first - b.last, -b.size);
       });
     }},
    {"start", [](const Sections& p) {
       return sorted_by(p, [](const Buffer& b) { return std::tuple(b.first, -b.last, -b.size); });
     }},
    {"end", [](const Sections& p) {
       return sorted_by(p, [](const Buffer& b) { return std::tuple(-b.last, b.first, -b.size); });
     }},
}};
// clang-format on

}  // namespace

std::vector<std::int64_t> first_fit(const Sections& problem, std::span<const std::int32_t> order, Fit fit) {
  invariant(order.size() == problem.buffers.size(), "an order holds every buffer once");
  std::vector<std::int64_t> offsets(problem.buffers.size(), 0);
  PlacedByOffset placed;
  for (const std::int32_t i : order) {
    const Buffer& buffer = problem.buffers[i];
    if (buffer.size == 0) continue;  // conflicts with nothing; offset 0 is aligned
    offsets[i] = fit == Fit::first ? lowest_offset(placed, buffer) : tightest_offset(placed, buffer);
    placed.insert({buffer.first, buffer.last, offsets[i], offsets[i] + buffer.size});
  }
  return offsets;
}

std::span<const BufferOrder> buffer_orders() { return orders; }

}  // namespace tecc
