#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "compiler/memory/lifetime.h"

namespace tecc {

/// Time cut into sections: the largest sets of buffers live together, in order of time. A death right after a birth
/// ends a section, nothing else does, so there are at most as many sections as buffers. Two buffers conflict exactly
/// when their ranges of sections meet. Source: Moffitt, "MiniMalloc", ASPLOS 2023 (cross sections of the live set).
struct Sections {
  struct Buffer {
    std::int32_t first, last;      // sections, half-open [first, last)
    std::int64_t size, alignment;  // bytes
    std::uint64_t length;          // upper - lower, in the lifetimes' unit of time
  };
  std::vector<Buffer> buffers;      // in the order of the lifetimes
  std::vector<std::int64_t> loads;  // bytes live in each section
  std::int64_t peak = 0;            // the largest load: the lower bound of the height
};

/// Requires lower < upper, size >= 0 and alignment >= 1 of every lifetime.
Sections cut_sections(std::span<const Lifetime> lifetimes);

/// The largest offset + size, in bytes.
std::int64_t height(const Sections& problem, std::span<const std::int64_t> offsets);

/// The smallest multiple of `alignment` at or above `offset`.
inline std::int64_t align_up(std::int64_t offset, std::int64_t alignment) {
  return alignment == 1 ? offset : (offset + alignment - 1) / alignment * alignment;
}

}  // namespace tecc
