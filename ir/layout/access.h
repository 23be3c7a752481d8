#pragma once
#include <span>

#include "ir/layout/layout.h"

/// What a layout (register, thread) -> byte costs when threads load or store through it.
namespace tecc::layout {

/// The widest access of a thread, in bytes up to `most`: so many bytes are neighbours both in the registers, from every register whose
/// number is a multiple of them, and in memory, at an address that is a multiple of them. At least one element.
std::int64_t widest_access(const Layout& places, std::int64_t element_bytes, std::int64_t most = 16);

/// How a warp's access to shared memory falls onto the 32 banks of 4 bytes. It runs in phases: all threads up to 4 bytes a thread, half
/// a warp for 8, a quarter for 16. A phase takes as many cycles as the busiest bank has different words.
struct BankConflicts {
  std::int64_t phases = 1;
  std::int64_t cycles = 1;  // of all phases; equal to `phases` where nothing conflicts
  std::int64_t ways = 1;    // of the worst phase: 1 is none
};
/// `bytes[n]` is where thread n of the warp starts; up to 32 threads, `width` bytes each (1, 2, 4, 8 or 16).
BankConflicts bank_conflicts(std::span<const std::int64_t> bytes, std::int64_t width);
/// The worst access that the first `threads` threads make through the layout, over all registers and warps.
BankConflicts bank_conflicts(const Layout& places, std::int64_t element_bytes, std::int64_t width);

}  // namespace tecc::layout
