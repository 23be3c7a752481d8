#pragma once
#include "autotune/rule/rules.h"
#include "codegen/build.h"

namespace tecc::autotune {

/// The schedule to use when nobody measured: the prior's choice for every decision, with a few fallbacks for what does not fit
/// (registers, shared memory). E03xx, E04xx of the last attempt.
Result<schedule::Trace> pick(const codegen::Workload& workload, const codegen::Target& target);
/// The same with the choices that led there: where a search begins.
Result<Candidate> pick_candidate(const codegen::Workload& workload, const codegen::Target& target);

}  // namespace tecc::autotune
