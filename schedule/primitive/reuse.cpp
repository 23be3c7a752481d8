/// reuse(output, input): what `output` holds lies in the slot that `input` came in (also called: in place).
/// Results  none.
/// Keeps    every value: the input's last reader runs before the output's first writer; the slot is free when the output has left it.
/// Refuses  E0369 the shapes or types differ, one is not in shared memory, or the input is read after the output is written.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const Reuse& step) {
  TECC_TRY(const TensorId out, buffer_of(state, step.output));
  TECC_TRY(const TensorId in, buffer_of(state, step.input));
  const Program& p = state.program;
  const Buffer &x = p[in], &y = p[out];
  const auto no = [&](const std::string& why) { return refuse(Code::reuse_form, y.name, x.name, why); };
  if (x.scope != Scope::shared || y.scope != Scope::shared) return no("both must be in shared memory");
  if (x.type != y.type || x.shape.size() != y.shape.size()) return no("they have different shapes or types");
  for (std::size_t d = 0; d < x.shape.size(); ++d)
    if (!same_value(x.shape[d], y.shape[d])) return no("they have different shapes or types");
  for (BlockId w : loop::writers_of(p, out))
    for (BlockId r : loop::readers_of(p, in))
      if (r != w && loop::compare_order(p, r, w) > 0) return no("'" + say_block(p, r) + "' still reads the input then");
  return Ok{};
}
Applied apply(const State& state, const Reuse& step) {
  Applied out{state.program, {}};
  const TensorId in = *buffer_of(state, step.input);
  out.program.buffers.edit(*buffer_of(state, step.output), [&](Buffer& b) { b.reuses = in; });
  return out;
}

}  // namespace tecc::schedule
