#include "autotune/pick.h"

namespace tecc::autotune {

Result<Candidate> pick_candidate(const codegen::Workload& w, const codegen::Target& target) {
  Rng rng(0);
  std::optional<Refusal> why;
  constexpr int attempts = 64;  // the first is the prior's; then random points until one fits
  for (int n = 0; n < attempts; ++n) {
    auto candidate = propose(w.naive, target, n == 0 ? Chooser() : Chooser({}, &rng));
    if (!candidate) {
      if (!why) why = candidate.error();
      continue;
    }
    auto lowered = compiler::lower(candidate->state.program, target.limits);
    if (lowered) return candidate;
    if (!why) why = lowered.error();
  }
  return *why;
}

Result<schedule::Trace> pick(const codegen::Workload& w, const codegen::Target& target) {
  TECC_TRY(Candidate c, pick_candidate(w, target));
  return std::move(c.trace);
}

}  // namespace tecc::autotune
