#pragma once
#include <map>
#include <span>

#include "ir/interpret/array.h"
#include "ir/loop/program.h"

namespace tecc {

/// What running a program gave and cost.
struct LoopRun {
  std::vector<Array> outputs;
  std::int64_t instances = 0;   // of blocks: iterations within their domain
  std::int64_t operations = 0;  // unary and binary operations on elements, and steps of reductions
};

/// In which order the iterations run that may run at once (of parallel, vectorized and bound loops).
enum class AtOnce : std::uint8_t { forwards, backwards };

/// Runs a program in series: the naive one, a scheduled one, or one lowered for a CPU. Slow and obvious. `inputs` and `outputs` in call order, scalars as arrays of rank 0; `dims` by name.
///
/// B0903 if a block reads an element that nobody wrote (since its buffer was allocated), leaves a buffer or its storage,
/// or runs although its guards say otherwise; if an element of an output is never written.
Result<LoopRun> interpret(const loop::Program& program, const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs,
                          AtOnce order = AtOnce::forwards);

}  // namespace tecc
