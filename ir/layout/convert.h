#pragma once
#include "ir/layout/layout.h"

/// How what lies in one register layout gets into another one.
namespace tecc::layout {

struct Conversion {
  /// From cheap to dear: nothing moves; every thread renames its registers, all in the same way; values stay in their warp; values
  /// change warps, through shared memory.
  enum class Kind : std::uint8_t { nothing, registers, shuffles, shared } kind = Kind::nothing;
  /// Of `registers`: register n of the result is what register from[n] held.
  std::vector<std::int64_t> from;
};
/// Both (register, thread) -> coordinates; elements may be held several times. nullopt where `to` has an element that `from` lacks.
std::optional<Conversion> plan_conversion(const Layout& from, const Layout& to);

}  // namespace tecc::layout
