#include "autotune/search/space.h"

#include "ir/base/sha256.h"

namespace tecc::autotune {

std::string program_hash(const loop::Program& scheduled) { return sha256(loop::print(scheduled)).substr(0, 32); }

Result<Point> ScheduleSpace::point(Candidate c) const {
  Point p;
  p.program_hash = program_hash(c.state.program);
  p.genome = std::move(c.genome);
  p.trace = std::move(c.trace);
  return p;
}

Result<Point> ScheduleSpace::make(Chooser choose) const {
  TECC_TRY(Candidate c, propose(workload_.naive, target_, std::move(choose)));
  if (const auto lowered = compiler::lower(c.state.program, target_.limits); !lowered) return lowered.error();
  return point(std::move(c));
}

Result<Point> ScheduleSpace::preferred() const {
  TECC_TRY(Candidate c, pick_candidate(workload_, target_));
  return point(std::move(c));
}

}  // namespace tecc::autotune
