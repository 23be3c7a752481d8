#include "schedule/step.h"

#include "ir/base/errors.h"

namespace tecc::schedule {

Check run(State& state, const Step& step) {
  return std::visit(
      [&](const auto& s) -> Check {
        TECC_CHECK(check(state, s));
        Applied done = apply(state, s);
        state.program = std::move(done.program);
        state.results.push_back(std::move(done.results));
        return Ok{};
      },
      step);
}

Result<State> replay(const loop::Program& naive, const Trace& trace) {
  State state{naive, {}};
  for (const Traced& t : trace)
    if (Check done = run(state, t.step); !done) return at(t.at, done.error());
  return state;
}

}  // namespace tecc::schedule
