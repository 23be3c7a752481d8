#pragma once
#include "schedule/step.h"
#include "tests/fuzz/expressions.h"

/// Random legal schedules.
namespace tecc::fuzz {

/// A trace whose steps were all accepted, and whether the last one tried threw (its step is in the trace then).
struct Drawn {
  schedule::Trace trace;
  std::string fault;  // an exception's text
};
/// Steps over every primitive that works on loops and blocks, until `length` of them were accepted or many were refused. In a third
/// of the cases the loops of each kernel are bound to blocks and threads at the end; in another one something is staged in shared memory, and the
/// loops of each statement are fused and bound to threads.
Drawn random_steps(const loop::Program& naive, Random& r, std::size_t length);
/// Random choices of the rules of the search, which make tensor-core schedules; what they leave may get a few random steps more.
Drawn random_rules(const Case& c, Random& r);

/// One step, likely to be legal.
schedule::Step random_step(const schedule::State& s, const loop::Program& naive, Random& r);

}  // namespace tecc::fuzz
