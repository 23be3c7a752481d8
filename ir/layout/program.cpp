#include "ir/layout/program.h"

#include <algorithm>

namespace tecc::layout {

Layout of_fragment(const FragmentLayout& fragment, std::int64_t threads, std::size_t dims) {
  Layout out{{{"register", 1}, {"thread", threads}}, {}, {}, {}};
  constexpr const char* names[] = {"row", "column"};
  for (std::size_t d = 0; d < dims; ++d) out.out.push_back({d < 2 ? names[d] : "dim " + std::to_string(d), 1});
  for (const Piece& x : fragment) {
    const bool reg = x.of == Piece::Of::reg;
    const auto to = static_cast<std::size_t>(x.dim);
    if (reg) out.in[0].extent = std::max(out.in[0].extent, x.div * x.count);
    out.strides.push_back({reg ? 0u : 1u, x.div, x.count, to, x.stride});
    out.out[to].extent += (x.count - 1) * x.stride;
  }
  return normal(std::move(out));
}

std::optional<Layout> of_storage(const loop::Buffer& b) {
  if (!b.storage) return std::nullopt;
  const std::int64_t bytes = bytes_of(b.type);
  Layout out{{}, {{"byte", b.storage->elements * bytes}}, {}, {}};
  for (std::size_t d = 0; d < b.storage->dims.size(); ++d) {
    const loop::Storage::Dimension& dim = b.storage->dims[d];
    std::int64_t extent = 1;
    for (const loop::Storage::Cut& c : dim.cuts) {
      out.strides.push_back({d, c.unit, c.count, 0, c.place * bytes});
      extent = std::max(extent, c.unit * c.count);
    }
    out.in.push_back({"dim " + std::to_string(d), extent});
  }
  out = normal(std::move(out));
  return b.swizzle ? compose(swizzle(b.swizzle, b.storage->elements * bytes), out) : out;
}

}  // namespace tecc::layout
