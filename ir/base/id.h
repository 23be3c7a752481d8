#pragma once
#include <compare>
#include <cstdint>
#include <functional>

namespace tecc {

/// A typed handle: an index into a table of its owner. Never reused; names exist for printing only.
template <class Tag>
struct Id {
  std::uint32_t n = 0;
  auto operator<=>(const Id&) const = default;
};

}  // namespace tecc

template <class Tag>
struct std::hash<tecc::Id<Tag>> {
  std::size_t operator()(tecc::Id<Tag> id) const noexcept { return id.n; }
};
