#pragma once
#include "ir/loop/program.h"

namespace tecc::loop {

/// True if the statement stores zero where its guards do not hold, instead of nothing: what it makes for instructions that multiply
/// whole tiles, and the one copy out of global memory that a thread's own memory has. What reads these needs no guards.
bool fills_with_zero(const Program& p, const Block& b);

}  // namespace tecc::loop
