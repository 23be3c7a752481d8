#pragma once
#include <functional>

#include "autotune/search/space.h"

namespace tecc::autotune {

/// Asks a space for every combination of choices, depth first, each question's preferred answer before its others. `visit` gets
/// the point or the refusal of each (several genomes may lead to one program) and says whether to go on. Returns how many
/// genomes there are, nothing when `visit` ended it.
std::optional<std::int64_t> enumerate(const Space& space, const std::function<bool(Result<Point>)>& visit);

}  // namespace tecc::autotune
