#pragma once
#include "autotune/measure/inject.h"
#include "autotune/measure/measurer.h"
#include "autotune/measure/process.h"

namespace tecc::autotune {

/// The parent's side of a runner: keeps one prepared process at hand, replaces it when it dies or hangs, turns its answers into
/// outcomes. What a candidate and a preparation look like is the caller's business (cuda.cpp, cpu.cpp).
class Runner {
 public:
  Runner(const MeasureOptions& options, Message prepare, std::string what);

  /// Starts and prepares if that is not done. E0523; E0528 when the preparation fails.
  Check ready();
  const std::string& device() const { return device_; }
  const std::string& uuid() const { return uuid_; }
  /// Times one candidate. A refusal means that no runner can be had any more.
  Result<Outcome> time(const Message& candidate, std::optional<double> best_us, Fault fault);
  Result<std::vector<Outcome>> finals(const std::vector<Message>& candidates, std::uint64_t seed);
  const RunnerProcess& process() const { return process_; }

 private:
  MeasureOptions options_;
  Message prepare_;
  std::string what_, device_, uuid_;
  RunnerProcess process_;
  bool prepared_ = false;
  std::int64_t timed_ = 0;
};

/// {"us": [...], "chip": {...}} or {"failed": {...}} as an outcome; what the chip did is left out where nobody knows. E0522.
Result<Outcome> outcome_of(const Message& answer);

}  // namespace tecc::autotune
