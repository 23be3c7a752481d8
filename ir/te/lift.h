#pragma once
#include "ir/te/kernel.h"

namespace tecc::te {

/// Sorts stages by first use from the outputs, depth first, drops the others, makes equal stages one and numbers variables
/// and tensors in that order: what was called or written first leaves no trace.
Lifted in_order_of_use(const Kernel& kernel, std::vector<LiftedStage> stages, const Bound& bound);

}  // namespace tecc::te
