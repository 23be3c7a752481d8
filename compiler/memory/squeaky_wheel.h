#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "compiler/memory/budget.h"
#include "compiler/memory/first_fit.h"
#include "compiler/memory/sections.h"

namespace tecc {

/// Repeats first_fit with orders in which the buffers that ended above `wanted` have moved forward, until none does, no
/// pass has helped for long, or the budget ends. Returns the best offsets seen. Source: Joslin and Clements, "Squeaky
/// wheel optimization", JAIR 10, 1999.
std::vector<std::int64_t> squeaky_wheel(const Sections& problem, std::vector<std::int32_t> order, Fit fit,
                                        std::int64_t wanted, std::uint64_t seed, Budget& budget);

}  // namespace tecc
