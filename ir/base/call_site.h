#pragma once
#include <cstdint>

namespace tecc {

/// Where a thing came from: a line of C++ (DSL calls, schedule steps) or of a `.te` or `.schedule` text.
/// `file` points to storage that lives as long as the process (a literal or intern()).
struct CallSite {
  const char* file = nullptr;
  std::uint32_t line = 0;
  std::uint32_t column = 0;  // 1-based; 0 when unknown (C++ call sites)
  bool operator==(const CallSite&) const = default;
};

constexpr CallSite here(const char* file = __builtin_FILE(), std::uint32_t line = __builtin_LINE()) {
  return {file, line, 0};
}

/// A pointer that stays valid for the life of the process; equal texts give equal pointers. Thread-safe.
const char* intern(const char* text);

}  // namespace tecc
