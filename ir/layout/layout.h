#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Layouts as values: maps between places (register, thread, byte of memory) and coordinates of a tensor.
///
///   out[d] = sum of strides (in[i] / div % count) * stride  +  xor of the images of the bits of `in` that are set
///
/// The first part are integer strides of any extent (192-wide tiles, 5-slot rings, padded rows: CuTe), the second one is a linear map
/// over F2 between the bits of power-of-two atoms (fragments, swizzles: Zhou et al., "Linear Layouts", arXiv 2505.23819). A stride of
/// two's powers is bits as well; normal() makes as much as possible bits, so that questions about layouts are questions about terms.
/// Axes have names for printing; operations go by position.
namespace tecc::layout {

struct Dimension {
  std::string name;
  std::int64_t extent;  // coordinates are 0 .. extent - 1
  bool operator==(const Dimension&) const = default;
};
using Point = std::vector<std::int64_t>;

struct Layout {
  /// out[to] += (in[from] / div % count) * stride
  struct Stride {
    std::size_t from;
    std::int64_t div, count;
    std::size_t to;
    std::int64_t stride;
    auto operator<=>(const Stride&) const = default;
  };
  /// Where in[from] / div is odd, `image` is xored into what the other bits make.
  struct Bit {
    std::size_t from;
    std::int64_t div;
    Point image;  // one number an axis of `out`
    auto operator<=>(const Bit&) const = default;
  };
  std::vector<Dimension> in, out;
  std::vector<Stride> strides;
  std::vector<Bit> bits;

  Point at(const Point& x) const;
  bool operator==(const Layout&) const = default;
};

/// The same map with as many bits and as few strides as the terms allow, in a fixed order. Equal normal forms are equal maps.
Layout normal(Layout l);

/// x -> g(f(x)), normal. nullopt where that is no layout: a digit of g cuts through one of f, or sums of f carry into it.
std::optional<Layout> compose(const Layout& g, const Layout& f);

/// The left inverse: inverse(f) after f is the identity; what is no place of f goes anywhere. nullopt where two points of `in` share a
/// place, or where f's terms cannot be told apart one by one.
std::optional<Layout> inverse(const Layout& f);

/// Coordinates in two parts, (inside of a tile.., which tile..): divide(f, tile) at (x.., n..) is f at (x + tile * n ..). `tile` has a
/// number for each axis of `in` and divides its extent.
std::optional<Layout> divide(const Layout& f, const Point& tile);

/// Row-major coordinates -> element, the last axis fastest, `pad` elements after each run of it.
Layout row_major(std::vector<Dimension> in, std::int64_t pad = 0);
/// byte -> byte: address bits 4.. xored with bits 7.. over spans of 32, 64 or 128 bytes, as bulk copies and wgmma do.
Layout swizzle(std::int64_t span, std::int64_t bytes);

/// "(register % 2) * 1 + ..": for people.
std::string print(const Layout& l);

}  // namespace tecc::layout
