#include "ir/layout/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace tecc::layout {
namespace {

bool is_power_of_two(std::int64_t n) { return n > 0 && (n & (n - 1)) == 0; }
std::int64_t twos(std::int64_t n) { return n & -n; }  // the largest power of two that divides it

Point unit(std::size_t axes, std::size_t to, std::int64_t value) {
  Point out(axes, 0);
  out[to] = value;
  return out;
}

/// The digit in two, the lower one with `low` values; nullopt where its values do not split so. Without a remainder that matters (the
/// digit counts to the end of its axis) any number of lower values will do.
std::optional<std::pair<Layout::Stride, Layout::Stride>> cut(const Layout& l, const Layout::Stride& s, std::int64_t low) {
  const bool to_the_end = s.div * s.count >= l.in[s.from].extent;
  if (s.count % low && !to_the_end) return std::nullopt;
  Layout::Stride a = s, b = s;
  a.count = low;
  b.div *= low;
  b.count = (s.count + low - 1) / low;
  b.stride *= low;
  return std::pair(a, b);
}

}  // namespace

Point Layout::at(const Point& x) const {
  Point sum(out.size(), 0), mix(out.size(), 0);
  for (const Stride& s : strides) sum[s.to] += x[s.from] / s.div % s.count * s.stride;
  for (const Bit& b : bits)
    if (x[b.from] / b.div % 2)
      for (std::size_t d = 0; d < mix.size(); ++d) mix[d] ^= b.image[d];
  for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += mix[d];
  return sum;
}

Layout normal(Layout l) {
  // A digit of 2^n * m values is n bits and a digit of m values.
  std::vector<Layout::Stride> digits;
  std::vector<Layout::Stride> candidates;  // count 2, stride a power of two
  for (Layout::Stride s : l.strides) {
    if (s.count <= 1 || s.stride == 0 || s.div >= l.in[s.from].extent) continue;
    while (s.count % 2 == 0 && is_power_of_two(s.stride)) {
      candidates.push_back({s.from, s.div, 2, s.to, s.stride});
      s.count /= 2, s.div *= 2, s.stride *= 2;
    }
    if (s.count > 1 && s.div < l.in[s.from].extent) digits.push_back(s);
  }
  std::erase_if(candidates, [&](const Layout::Stride& s) { return s.div >= l.in[s.from].extent; });
  for (std::size_t d = 0; d < l.out.size(); ++d) {
    // A sum is a xor where no two terms share a bit. Above the strides that are left nothing is gained by that.
    std::int64_t limit = std::int64_t{1} << 62, used = 0;
    for (const Layout::Stride& s : digits)
      if (s.to == d) limit = std::min(limit, twos(s.stride));
    for (const Layout::Bit& b : l.bits) used |= b.image[d];
    std::vector<Layout::Stride> here;
    for (const Layout::Stride& s : candidates)
      if (s.to == d) here.push_back(s);
    for (const Layout::Stride& s : here) {
      const auto same = std::count_if(here.begin(), here.end(), [&](const Layout::Stride& o) { return o.stride == s.stride; });
      if (same == 1 && !(used & s.stride) && s.stride < limit) l.bits.push_back({s.from, s.div, unit(l.out.size(), d, s.stride)});
      else digits.push_back(s);
    }
  }
  // One bit of `in` is one term; digits that follow each other are one digit.
  std::sort(l.bits.begin(), l.bits.end());
  std::vector<Layout::Bit> bits;
  for (const Layout::Bit& b : l.bits) {
    if (b.div >= l.in[b.from].extent) continue;
    if (!bits.empty() && bits.back().from == b.from && bits.back().div == b.div)
      for (std::size_t d = 0; d < b.image.size(); ++d) bits.back().image[d] ^= b.image[d];
    else bits.push_back(b);
  }
  std::erase_if(bits, [](const Layout::Bit& b) { return std::all_of(b.image.begin(), b.image.end(), [](std::int64_t x) { return x == 0; }); });
  std::sort(digits.begin(), digits.end(), [](const auto& a, const auto& b) { return std::tie(a.from, a.to, a.div) < std::tie(b.from, b.to, b.div); });
  l.strides.clear();
  for (const Layout::Stride& s : digits) {
    if (!l.strides.empty()) {
      Layout::Stride& last = l.strides.back();
      if (last.from == s.from && last.to == s.to && last.div * last.count == s.div && last.stride * last.count == s.stride) {
        last.count *= s.count;
        continue;
      }
    }
    l.strides.push_back(s);
  }
  l.bits = std::move(bits);
  return l;
}

std::optional<Layout> compose(const Layout& g, const Layout& f) {
  if (f.out.size() != g.in.size()) return std::nullopt;
  std::vector<std::set<std::int64_t>> borders(g.in.size());  // places at which g cuts a coordinate
  for (const Layout::Stride& s : g.strides) borders[s.from].insert({s.div, s.div * s.count});
  for (const Layout::Bit& b : g.bits) borders[b.from].insert({b.div, 2 * b.div});

  std::vector<Layout::Stride> pieces;  // f's digits, none of which a border cuts
  for (Layout::Stride s : f.strides) {
    for (const std::int64_t border : borders[s.to]) {
      if (border <= s.stride || s.stride * (s.count - 1) < border) continue;
      if (border % s.stride) return std::nullopt;
      const auto parts = cut(f, s, border / s.stride);
      if (!parts) return std::nullopt;
      pieces.push_back(parts->first);
      s = parts->second;
    }
    pieces.push_back(s);
  }
  for (std::size_t d = 0; d < borders.size(); ++d)
    for (const std::int64_t border : borders[d]) {
      // What lies below a border must not carry over it.
      std::int64_t below = 0, mask = 0;
      for (const Layout::Stride& s : pieces) {
        if (s.to != d) continue;
        if (s.stride * (s.count - 1) < border) below += s.stride * (s.count - 1);
        else if (s.stride % border) return std::nullopt;
      }
      for (const Layout::Bit& b : f.bits) mask |= b.image[d];
      if (is_power_of_two(border)) mask &= border - 1;
      else if (mask >= border) return std::nullopt;
      if (below + mask >= border) return std::nullopt;
    }

  Layout out{f.in, g.out, {}, {}};
  const auto inside = [](const Layout::Stride& s, std::int64_t div, std::int64_t count) { return s.stride % div == 0 && s.stride / div < count; };
  for (const Layout::Stride& digit : g.strides) {
    for (const Layout::Stride& s : pieces)
      if (s.to == digit.from && inside(s, digit.div, digit.count)) out.strides.push_back({s.from, s.div, s.count, digit.to, s.stride / digit.div * digit.stride});
    std::int64_t seen = 0;
    for (const Layout::Bit& b : f.bits) {
      const std::int64_t part = b.image[digit.from] / digit.div % digit.count;
      if (part & seen) return std::nullopt;  // a xor that an integer stride would have to sum
      seen |= part;
      if (part) out.strides.push_back({b.from, b.div, 2, digit.to, part * digit.stride});
    }
  }
  for (const Layout::Bit& bit : g.bits) {
    for (const Layout::Stride& s : pieces)
      if (s.to == bit.from && inside(s, bit.div, 2)) out.bits.push_back({s.from, s.div, bit.image});
    for (const Layout::Bit& b : f.bits)
      if (b.image[bit.from] / bit.div % 2) out.bits.push_back({b.from, b.div, bit.image});
  }
  return normal(std::move(out));
}

std::optional<Layout> divide(const Layout& f, const Point& tile) {
  Layout parts{{}, f.in, {}, {}};
  const std::size_t rank = f.in.size();
  for (std::size_t d = 0; d < rank; ++d) {
    if (tile[d] < 1 || f.in[d].extent % tile[d]) return std::nullopt;
    parts.in.push_back({f.in[d].name, tile[d]});
    parts.strides.push_back({d, 1, tile[d], d, 1});
  }
  for (std::size_t d = 0; d < rank; ++d) {
    parts.in.push_back({f.in[d].name + " tile", f.in[d].extent / tile[d]});
    parts.strides.push_back({rank + d, 1, f.in[d].extent / tile[d], d, tile[d]});
  }
  return compose(f, normal(std::move(parts)));
}

Layout row_major(std::vector<Dimension> in, std::int64_t pad) {
  Layout out{std::move(in), {{"element", 1}}, {}, {}};
  std::int64_t stride = 1, last = 0;
  for (std::size_t d = out.in.size(); d-- > 0;) {
    out.strides.push_back({d, 1, out.in[d].extent, 0, stride});
    last += (out.in[d].extent - 1) * stride;
    stride *= out.in[d].extent;
    if (d + 1 == out.in.size()) stride += pad;
  }
  out.out[0].extent = last + 1;
  return normal(std::move(out));
}

Layout swizzle(std::int64_t span, std::int64_t bytes) {
  constexpr std::int64_t atom = 1024;  // eight rows of the widest span: bits 7 to 9 choose what is xored
  Layout out{{{"byte", bytes}}, {{"byte", bytes}}, {}, {}};
  for (std::int64_t bit = 1; bit < atom; bit *= 2) out.bits.push_back({0, bit, {bit ^ ((bit >> 3) & (span > 16 ? span - 16 : 0))}});
  out.strides.push_back({0, atom, (bytes + atom - 1) / atom, 0, atom});
  return normal(std::move(out));
}

std::string print(const Layout& l) {
  const auto digit = [&](std::size_t from, std::int64_t div, std::int64_t count) {
    const std::string value = div == 1 ? l.in[from].name : fmt::format("{} / {}", l.in[from].name, div);
    return div * count >= l.in[from].extent ? value : fmt::format("{} % {}", value, count);
  };
  std::string out;
  for (std::size_t d = 0; d < l.out.size(); ++d) {
    std::string sum, mix;
    for (const Layout::Stride& s : l.strides)
      if (s.to == d) sum += fmt::format("{}({}) * {}", sum.empty() ? "" : " + ", digit(s.from, s.div, s.count), s.stride);
    for (const Layout::Bit& b : l.bits)
      if (b.image[d]) mix += fmt::format("{}({}) * {}", mix.empty() ? "" : " ^ ", digit(b.from, b.div, 2), b.image[d]);
    out += fmt::format("{} = {}{}{}\n", l.out[d].name, sum, sum.empty() || mix.empty() ? "" : " + ", sum.empty() && mix.empty() ? "0" : mix);
  }
  return out;
}

}  // namespace tecc::layout
