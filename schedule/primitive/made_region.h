#pragma once
#include "schedule/primitive/common.h"

namespace tecc::schedule {

/// The part of each index that `b` makes while `fixed` loops hold still: every element of it that is in the domain of `b`, so that another
/// block may run over the same part. nullopt where that is not known.
std::optional<std::vector<Region>> made_region(const Program& p, const Block& b, const std::vector<Expr>& index, const std::function<bool(LoopId)>& fixed);

}  // namespace tecc::schedule
