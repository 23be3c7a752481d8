#pragma once
#include "autotune/feature/facts.h"

namespace tecc::autotune {

/// Microseconds that a candidate should take, from first principles: for every kernel the slowest of arithmetic, memory, L2 and
/// shared memory, slowed down where too few warps hide latency and where the last wave leaves the device idle, plus a launch.
/// Meant to order candidates before anything was measured; it is not a prediction.
double prior_us(const std::vector<KernelFacts>& kernels, const codegen::Target& target);

}  // namespace tecc::autotune
