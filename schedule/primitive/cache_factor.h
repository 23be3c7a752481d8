#pragma once
#include "schedule/primitive/common.h"

/// cache_read with a factor of a product in the place of the tensor (cache_factor.cpp).
namespace tecc::schedule {

Check check_factor(const State& state, const CacheRead& step);
Applied apply_factor(const State& state, const CacheRead& step);
inline std::string fmt_factor(const Block& b, std::uint32_t n) { return b.name + ".factor" + std::to_string(n); }

}  // namespace tecc::schedule
