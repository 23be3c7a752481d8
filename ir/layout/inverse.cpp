#include <algorithm>

#include "ir/layout/layout.h"

namespace tecc::layout {
namespace {

/// A bit of a coordinate of `out`.
struct Place {
  std::size_t axis;
  std::int64_t bit;  // its value
};

/// Gaussian elimination over F2: for each bit of f the places whose xor is that bit; empty where there are none.
std::vector<std::vector<Place>> solve(const Layout& f, const std::vector<Place>& places) {
  struct Row {
    std::vector<bool> bits, places;
  };
  std::vector<Row> rows;
  for (std::size_t p = 0; p < places.size(); ++p) {
    Row r{std::vector<bool>(f.bits.size()), std::vector<bool>(places.size())};
    for (std::size_t b = 0; b < f.bits.size(); ++b) r.bits[b] = f.bits[b].image[places[p].axis] & places[p].bit;
    r.places[p] = true;
    rows.push_back(std::move(r));
  }
  const auto add = [](std::vector<bool>& to, const std::vector<bool>& x) {
    for (std::size_t n = 0; n < to.size(); ++n) to[n] = to[n] != x[n];
  };
  std::size_t done = 0;
  for (std::size_t b = 0; b < f.bits.size(); ++b) {
    const auto pivot = std::find_if(rows.begin() + static_cast<std::ptrdiff_t>(done), rows.end(), [&](const Row& r) { return r.bits[b]; });
    if (pivot == rows.end()) continue;
    std::swap(*pivot, rows[done]);
    for (std::size_t r = 0; r < rows.size(); ++r)
      if (r != done && rows[r].bits[b]) add(rows[r].bits, rows[done].bits), add(rows[r].places, rows[done].places);
    ++done;
  }
  std::vector<std::vector<Place>> out(f.bits.size());
  for (std::size_t r = 0; r < done; ++r) {
    if (std::count(rows[r].bits.begin(), rows[r].bits.end(), true) != 1) continue;  // it depends on others
    const auto b = static_cast<std::size_t>(std::find(rows[r].bits.begin(), rows[r].bits.end(), true) - rows[r].bits.begin());
    for (std::size_t p = 0; p < places.size(); ++p)
      if (rows[r].places[p]) out[b].push_back(places[p]);
  }
  return out;
}

}  // namespace

std::optional<Layout> inverse(const Layout& given) {
  const Layout f = normal(given);
  const auto highest = [](const Layout::Stride& s) { return s.stride * (s.count - 1); };
  /// What terms below `border` add up to at most, if all others are multiples of it.
  const auto below = [&](std::size_t axis, std::int64_t border) -> std::optional<std::int64_t> {
    std::int64_t sum = 0, mask = 0;
    for (const Layout::Stride& s : f.strides) {
      if (s.to != axis || s.stride % border == 0) continue;
      if (highest(s) >= border) return std::nullopt;
      sum += highest(s);
    }
    for (const Layout::Bit& b : f.bits) mask |= b.image[axis];
    if ((border & (border - 1)) == 0) mask &= border - 1;
    return sum + mask < border ? std::optional(sum + mask) : std::nullopt;
  };

  // Places where a bit of the xored part can be read.
  std::vector<Place> places;
  for (std::size_t d = 0; d < f.out.size(); ++d) {
    std::int64_t mask = 0;
    for (const Layout::Bit& b : f.bits) mask |= b.image[d];
    for (std::int64_t bit = 1; bit <= mask; bit *= 2) {
      const bool free = std::all_of(f.strides.begin(), f.strides.end(), [&](const Layout::Stride& s) { return s.to != d || s.stride % (2 * bit) == 0 || highest(s) < bit; });
      if ((mask & bit) && free && below(d, bit)) places.push_back({d, bit});
    }
  }
  const auto found = solve(f, places);

  Layout out{f.out, f.in, {}, {}};
  for (std::size_t i = 0; i < f.in.size(); ++i)
    for (std::int64_t done = 1; done < f.in[i].extent;) {
      const auto bit = std::find_if(f.bits.begin(), f.bits.end(), [&](const Layout::Bit& b) { return b.from == i && b.div == done; });
      if (bit != f.bits.end()) {
        const std::vector<Place>& xored = found[static_cast<std::size_t>(bit - f.bits.begin())];
        if (!xored.empty()) {
          Point image(f.in.size(), 0);
          image[i] = done;
          for (const Place& p : xored) out.bits.push_back({p.axis, p.bit, image});
          if (done & (done - 1) && xored.size() > 1) return std::nullopt;  // the xor of numbers that share bits is not their sum
          if (done & (done - 1)) {
            out.bits.pop_back();
            out.strides.push_back({xored[0].axis, xored[0].bit, 2, i, done});
          }
          done *= 2;
          continue;
        }
      }
      const auto digit = std::find_if(f.strides.begin(), f.strides.end(), [&](const Layout::Stride& s) {
        return s.from == i && s.div == done && below(s.to, s.stride);
      });
      if (digit == f.strides.end()) return std::nullopt;
      // The next larger stride bounds the digit: rows may be padded.
      std::int64_t next = 0;
      for (const Layout::Stride& s : f.strides)
        if (s.to == digit->to && s.stride > digit->stride && (!next || s.stride < next)) next = s.stride;
      std::int64_t mask = 0;
      for (const Layout::Bit& b : f.bits) mask |= b.image[digit->to];
      if (mask & digit->stride) return std::nullopt;
      for (std::int64_t bit = 1; bit <= mask; bit *= 2)
        if ((mask & bit) && bit > digit->stride && (!next || bit < next)) next = bit;
      if (next && (next % digit->stride || !below(digit->to, next))) return std::nullopt;
      for (const Layout::Stride& s : f.strides)
        if (&s != &*digit && s.to == digit->to && s.stride == digit->stride) return std::nullopt;
      out.strides.push_back({digit->to, digit->stride, next ? next / digit->stride : digit->count, i, done});
      done *= digit->count;
    }
  return normal(std::move(out));
}

}  // namespace tecc::layout
