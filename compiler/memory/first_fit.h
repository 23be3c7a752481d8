#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "compiler/memory/sections.h"

namespace tecc {

/// Places the buffers one after the other in `order`, each at the lowest offset (Fit::first) or in the tightest gap
/// (Fit::best; the lowest of equals, above everything when no gap is wide enough) that no conflicting buffer holds.
/// `order` is a permutation of the buffers. Time: linear in the buffers placed below the chosen gap, for each buffer.
enum class Fit : std::uint8_t { first, best };
std::vector<std::int64_t> first_fit(const Sections& problem, std::span<const std::int32_t> order, Fit fit);

/// A static order for first_fit; ties go to the buffer that stands first in the input.
struct BufferOrder {
  std::string_view name;
  std::vector<std::int32_t> (*sorted)(const Sections&);
};
/// By size, length, size * length, largest load met, start, end.
std::span<const BufferOrder> buffer_orders();

}  // namespace tecc
