#include "autotune/pick.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace tecc::autotune {

Result<Candidate> pick_candidate(const codegen::Workload& w, const codegen::Target& target) {
  Rng rng(0);
  std::optional<Refusal> why;
  const char* log = std::getenv("TECC_LOG");  // words: passes, timing, search
  const bool logs = log && std::string_view(log).find("search") != std::string_view::npos;
  const auto note = [&](int n, const Refusal& refusal) {
    if (logs) std::cerr << "candidate " << n << ": " << render(refusal) << "\n";
    if (!why) why = refusal;
  };
  constexpr int attempts = 64;  // the first is the prior's; then random points until one fits
  for (int n = 0; n < attempts; ++n) {
    auto candidate = propose(w.naive, target, n == 0 ? Chooser() : Chooser({}, &rng));
    if (!candidate) {
      note(n, candidate.error());
      continue;
    }
    auto lowered = compiler::lower(candidate->state.program, target.limits);
    if (lowered) return candidate;
    note(n, lowered.error());
  }
  return *why;
}

Result<schedule::Trace> pick(const codegen::Workload& w, const codegen::Target& target) {
  TECC_TRY(Candidate c, pick_candidate(w, target));
  return std::move(c.trace);
}

}  // namespace tecc::autotune
