#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

/// A buffer that needs `size` bytes while lower <= t < upper (live range, lifespan). Buffers whose intervals only touch
/// may share bytes. Time has no unit: the planner compares times and never adds them.
struct Lifetime {
  std::string id;                     // the user's name for it, not interpreted
  std::int64_t lower = 0, upper = 0;  // half-open [lower, upper), lower < upper
  std::int64_t size = 0;              // bytes, 0 or more
  std::int64_t alignment = 1;         // bytes, 1 or more; the offset is a multiple of it
  bool operator==(const Lifetime&) const = default;
};

/// All sizes with their alignments together stay at or below this many bytes, so no sum of offsets overflows.
constexpr std::int64_t total_bytes_limit = std::int64_t{1} << 61;

/// Reads `id,lower,upper,size` with one header line, the format of MiniMalloc (Moffitt, ASPLOS 2023). Further columns
/// are ignored but for `alignment`; empty lines are skipped; lines end in \n or \r\n. `file` names the text in errors.
/// E0250 header; E0251 count of columns; E0252 not an integer; E0253 not 64 bits; E0254 upper <= lower; E0255 negative
/// size; E0256 alignment below 1; E0257 sizes add up beyond total_bytes_limit.
Result<std::vector<Lifetime>> parse_lifetimes(std::string_view text, const char* file);
/// The same from a file; E0601 if it cannot be read.
Result<std::vector<Lifetime>> read_lifetimes(const std::string& path);

/// `id,lower,upper,size,offset`, rows in the order given; offsets in bytes, one a lifetime. A column `alignment` stands
/// before `offset` when any alignment is not 1. parse_lifetimes reads it back.
std::string print_placed(std::span<const Lifetime> lifetimes, std::span<const std::int64_t> offsets);

/// The largest sum of sizes live at one time, in bytes (load, peak). No placement is lower; many problems have none
/// this low. Alignment is not counted.
std::int64_t lower_bound(std::span<const Lifetime> lifetimes);

}  // namespace tecc
