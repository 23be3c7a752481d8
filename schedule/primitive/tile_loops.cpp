/// tile([l1, .., ln], [f1, .., fn]): each loop of a chain is split by its factor, and the inner parts stand inside of all the outer ones
///   for i: for j: S   ->   for i0: for j0: for i1 in 0..f1: for j1 in 0..f2: S
/// Results  the outer loops, then the inner ones.
/// Keeps    what split and reorder keep; it is those steps in a row.
/// Refuses  E0371 not as many factors as loops; what split and reorder refuse.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The state behind the splits and the order of the new loops; the results of the splits stand behind those of the steps so far.
Result<std::pair<State, Reorder>> cut(const State& state, const TileLoops& step) {
  if (step.loops.size() != step.factors.size()) return refuse(Code::tile_factors, step.factors.size(), step.loops.size());
  std::pair<State, Reorder> out{state, {}};
  std::vector<Ref> inner;
  for (std::size_t n = 0; n < step.loops.size(); ++n) {
    const Split split{step.loops[n], {step.factors[n]}};
    TECC_CHECK(check(out.first, split));
    Applied done = apply(out.first, split);
    const auto at = static_cast<std::uint32_t>(out.first.results.size());
    out.second.loops.push_back({Ref::Base::step, at, 0, {}});
    inner.push_back({Ref::Base::step, at, 1, {}});
    out.first.program = std::move(done.program);
    out.first.results.push_back(std::move(done.results));
  }
  out.second.loops.insert(out.second.loops.end(), inner.begin(), inner.end());
  return out;
}

}  // namespace

Check check(const State& state, const TileLoops& step) {
  TECC_TRY(const auto parts, cut(state, step));
  return check(parts.first, parts.second);
}

Applied apply(const State& state, const TileLoops& step) {
  const auto parts = *cut(state, step);
  Applied out = apply(parts.first, parts.second);
  out.results.clear();
  for (const Ref& r : parts.second.loops) out.results.push_back(parts.first.results[r.index][r.result]);
  return out;
}

}  // namespace tecc::schedule
