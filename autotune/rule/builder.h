#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedule/step.h"

namespace tecc::autotune {

/// A trace being written: every step is applied at once, so that a rule can look at what it has made.
class Builder {
 public:
  explicit Builder(const loop::Program& naive);

  /// Applies a step and returns its results as handles for later steps; a refusal leaves everything as it was. With `names`
  /// the results print under these.
  Result<std::vector<schedule::Ref>> add(schedule::Step step, std::vector<std::string> names = {});
  bool try_add(schedule::Step step) { return static_cast<bool>(add(std::move(step))); }

  /// The loops that are present as one, from the outermost; nullopt if there are none, or they do not fuse.
  std::optional<schedule::Ref> fuse_all(const std::vector<schedule::Ref>& loops, const std::string& name);

  const schedule::State& state() const { return state_; }
  const loop::Program& program() const { return state_.program; }
  const schedule::Trace& trace() const { return trace_; }

  /// True if the result exists (an axis that would run once is absent).
  bool present(const schedule::Ref& r) const;
  static schedule::Ref stage(std::uint32_t n) { return {schedule::Ref::Base::stage, n, 0, {}}; }
  static schedule::Ref axis(schedule::Ref block, std::size_t n) {
    block.axis = static_cast<std::uint32_t>(n);
    return block;
  }
  static std::vector<schedule::Ref> axes(const schedule::Ref& block, std::size_t rank);
  /// The handle of an input, of the buffer that a stage writes, or of a copy that a step made.
  std::optional<schedule::Ref> tensor(TensorId t) const;
  std::int64_t extent(const schedule::Ref& loop) const;  // the largest

 private:
  std::string free_name(std::string name);

  schedule::State state_;
  schedule::Trace trace_;
  std::set<std::string> taken_;  // names of results, stages and inputs
};

}  // namespace tecc::autotune
