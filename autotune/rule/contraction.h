#pragma once
#include <optional>
#include <vector>

#include "autotune/rule/tensor_tiles.h"

/// The rule tile_contractions in parts, for sums of products that no matrix instruction carries out. Internal to it:
///   register_tiles.cpp   on a GPU: a tile of the sum in the registers of each thread, operands in shared memory
///   vector_tiles.cpp     on a CPU: rows x vectors in registers, one operand packed
namespace tecc::autotune {

/// Elementwise blocks that read the finished sum and nothing unfinished, in order: they can follow it at once.
std::vector<std::uint32_t> followers_of(const Context& c, std::uint32_t s);
/// The dimension of the operand that the axis runs along, when that is all its index says.
std::optional<std::size_t> dimension_of(const loop::Block& b, const tecc::Read& r, std::size_t axis);

Check register_tiles(Context& c, std::uint32_t s, const Form& form);
Check vector_tiles(Context& c, std::uint32_t s, const Form& form);

}  // namespace tecc::autotune
