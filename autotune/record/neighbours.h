#pragma once
#include "autotune/record/database.h"
#include "codegen/build.h"

namespace tecc::autotune {

/// Choices that were fast for the same expression and types at other sizes on this target: the best of each of the nearest sizes
/// (by the sum of the doublings between their dims), nearest first, at most `count`. A search begins with them. E05xx.
Result<std::vector<Genome>> neighbours(const Database& records, const codegen::Workload& workload, const codegen::Target& target, std::size_t count);

}  // namespace tecc::autotune
