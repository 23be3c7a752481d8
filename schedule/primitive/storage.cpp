/// set_scope(blocks, scope): where the blocks' results live (also called: memory space, address space).
/// set_layout(buffer, order, pad): how a buffer's elements lie: `order` lists its dimensions from slowest to fastest, `pad`
/// elements are added to every run of the fastest (against bank conflicts).
/// Results  none.
/// Keeps    every value.
/// Refuses  E0327 inputs and outputs live in global memory; E0328 the order is no permutation; E0344 the pad; E0355 a copy with a rim
///          cannot live in global memory.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const SetScope& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  for (BlockId b : blocks)
    for (const Write& w : state.program.block(b).writes) {
      const Buffer& buffer = state.program[w.buffer];
      if (step.scope == Scope::global && has_rim(state.program, b)) return refuse(Code::copy_with_rim, buffer.name);
      if (buffer.role != loop::Role::workspace) return refuse(Code::scope_global, buffer.name, buffer.role == loop::Role::output ? "an output" : "an input");
    }
  return Ok{};
}

Applied apply(const State& state, const SetScope& step) {
  Applied out{state.program, {}};
  for (BlockId b : *blocks_of(state, step.blocks))
    for (const Write& w : state.program.block(b).writes)
      out.program.buffers.edit(w.buffer, [&](Buffer& buffer) { buffer.scope = step.scope; });
  return out;
}

Check check(const State& state, const SetLayout& step) {
  TECC_TRY(const TensorId id, buffer_of(state, step.buffer));
  const Buffer& b = state.program[id];
  if (b.role != loop::Role::workspace) return refuse(Code::scope_global, b.name, "an input or output");
  const auto rank = static_cast<std::int64_t>(b.shape.size());
  std::vector<std::int64_t> sorted = step.order;
  std::sort(sorted.begin(), sorted.end());
  bool permutation = sorted.empty() || static_cast<std::int64_t>(sorted.size()) == rank;
  for (std::size_t n = 0; n < sorted.size(); ++n) permutation &= sorted[n] == static_cast<std::int64_t>(n);
  if (step.pad < 0 || step.pad > (1 << 20)) return refuse(Code::pad_range, step.pad);
  if (!permutation) return refuse(Code::bad_order, b.name, rank, rank - 1);
  return Ok{};
}

Applied apply(const State& state, const SetLayout& step) {
  Applied out{state.program, {}};
  out.program.buffers.edit(*buffer_of(state, step.buffer), [&](Buffer& b) {
    b.order.assign(step.order.begin(), step.order.end());
    b.pad = step.pad;
  });
  return out;
}

}  // namespace tecc::schedule
