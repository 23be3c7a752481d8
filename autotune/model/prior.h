#pragma once
#include "autotune/feature/facts.h"

namespace tecc::autotune {

/// Microseconds that a kernel should take, from first principles: the slowest of arithmetic, memory, L2 and shared memory, slowed
/// down where too few warps hide latency and where the last wave leaves the device idle, plus a launch. Meant to order candidates
/// before anything was measured, and as features of the cost model; it is not a prediction. `k.estimate` is not read.
Estimate estimate(const KernelFacts& k, const codegen::Target& target);
/// Of a candidate: the sum of its kernels' estimates.
double prior_us(const std::vector<KernelFacts>& kernels);

}  // namespace tecc::autotune
