#pragma once
#include "ir/instruction/instruction.h"
#include "ir/layout/layout.h"
#include "ir/loop/program.h"

/// Layouts of what programs and instructions say in their own words.
namespace tecc::layout {

/// (register, thread) -> coordinates of a tile of `dims` dimensions. Registers count elements. Threads: those that take part.
Layout of_fragment(const FragmentLayout& fragment, std::int64_t threads, std::size_t dims = 2);

/// Coordinates inside of the storage (what holds still and the origin subtracted, a place for each element of `dims`) -> byte of one
/// slot, the swizzle included. nullopt before place_buffers, and where a swizzled buffer's elements are no power of two wide.
std::optional<Layout> of_storage(const loop::Buffer& b);

}  // namespace tecc::layout
