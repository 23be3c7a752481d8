#pragma once
#include <optional>
#include <string>
#include <vector>

#include "autotune/pick.h"

namespace tecc::autotune {

/// A legal candidate that fits the target, with what a search wants to know before measuring it.
struct Point {
  Genome genome;
  schedule::Trace trace;
  std::string program_hash;     // of the printed scheduled program: equal programs are one candidate
  std::vector<float> features;  // empty: none
  double prior_us = 0;          // the analytic estimate
};

/// A point with what became of it.
struct TimedPoint {
  Point point;
  std::optional<double> us;  // nothing: the candidate failed
};

/// What a search looks for points in. Pure: may be asked from several threads at once.
class Space {
 public:
  virtual ~Space() = default;
  /// The point that these choices lead to; a refusal means that they do not go together or do not fit.
  virtual Result<Point> make(Chooser choose) const = 0;
  /// Where an expert would begin.
  virtual Result<Point> preferred() const { return make(Chooser()); }
};

/// The schedules of a workload on a target.
class ScheduleSpace final : public Space {
 public:
  ScheduleSpace(const codegen::Workload& workload, const codegen::Target& target) : workload_(workload), target_(target) {}
  Result<Point> make(Chooser choose) const override;
  Result<Point> preferred() const override;
  /// Lowers a candidate and states its features: what make() does with what the rules propose.
  Result<Point> point(Candidate c) const;

 private:
  const codegen::Workload& workload_;
  codegen::Target target_;
};

std::string program_hash(const loop::Program& scheduled);

}  // namespace tecc::autotune
