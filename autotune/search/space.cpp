#include "autotune/search/space.h"

#include "autotune/feature/feature.h"
#include "autotune/model/prior.h"
#include "ir/base/sha256.h"

namespace tecc::autotune {

std::string program_hash(const loop::Program& scheduled) { return sha256(loop::print(scheduled)).substr(0, 32); }

/// Without the verifier, which runs when a candidate is built: this is the scoring loop.
Result<Point> ScheduleSpace::point(Candidate c) const {
  loop::Program lowered = c.state.program;
  for (const compiler::Pass& pass : target_.limits.gpu ? compiler::gpu_pipeline() : compiler::cpu_pipeline()) {
    auto after = pass.function(std::move(lowered), target_.limits);
    if (!after) return after.error();
    lowered = *std::move(after);
  }
  Point p;
  const std::vector<KernelFacts> facts = facts_of(lowered, target_);
  p.features = features_of(facts);
  p.prior_us = prior_us(facts);
  p.program_hash = program_hash(c.state.program);
  p.genome = std::move(c.genome);
  p.trace = std::move(c.trace);
  return p;
}

Result<Point> ScheduleSpace::make(Chooser choose) const {
  TECC_TRY(Candidate c, propose(workload_.naive, target_, std::move(choose)));
  return point(std::move(c));
}

Result<Point> ScheduleSpace::preferred() const {
  TECC_TRY(Candidate c, pick_candidate(workload_, target_));
  return point(std::move(c));
}

}  // namespace tecc::autotune
