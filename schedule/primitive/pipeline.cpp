/// pipeline(loop, buffers, slots): the buffers, filled by copies inside `loop`, get `slots` places, so that the copies of the
/// next iterations run ahead of the work on this one (also called: double buffering, multistage)
///   for k: { as = A[k]; work(as) }   ->   as0 = A[0]; for k: { as1 = A[k+1] ahead; work(as0); swap }
/// Results  the channel (absent for now: nothing names it later).
/// Keeps    every instance; the copies move to earlier iterations, their order is kept.
/// Refuses  E0338 slots; E0339 a buffer is not filled by a copy directly inside the loop; E0349 the loop has a pipeline.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

bool fills_ahead(const Program& p, LoopId l, TensorId b) {
  const std::vector<BlockId> writers = loop::writers_of(p, b);
  if (writers.size() != 1 || !loop::is_inside(p, writers[0], l) || p.block(writers[0]).combiner || p[b].role != loop::Role::workspace) return false;
  const std::vector<BlockId> readers = loop::readers_of(p, b);
  return std::all_of(readers.begin(), readers.end(), [&](BlockId r) {
    if (!loop::is_inside(p, r, l)) return false;
    StmtId at = l;  // statements of one warpgroup follow each other, too
    while (loop::child_towards(p, at, r) == loop::child_towards(p, at, writers[0])) {
      at = loop::child_towards(p, at, r);
      if (!p[at].as<Loop>() || (p.loop(at).group != Group::warpgroup && p.loop(at).group != Group::warp)) return false;
    }
    return true;
  });
}

Check check(const State& state, const Pipeline& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  if (step.slots < 1 || step.slots > 8) return refuse(Code::slots_range, step.slots);
  if (step.buffers.empty()) return refuse(Code::missing_argument, "pipeline", "buffers");
  for (const Ref& r : step.buffers) {
    TECC_TRY(const TensorId b, buffer_of(state, r));
    if (!fills_ahead(p, l, b)) return refuse(Code::not_copied_in, p[b].name, say(p, l));
  }
  for (const loop::Channel& c : p.channels)
    for (const Ref& r : step.buffers)
      if (const TensorId b = *buffer_of(state, r); std::find(c.buffers.begin(), c.buffers.end(), b) != c.buffers.end()) return refuse(Code::pipelined_already, say(p, c.loop), p[b].name);
  return Ok{};
}

Applied apply(const State& state, const Pipeline& step) {
  Applied out{state.program, {Absent{}}};
  loop::Channel channel{*loop_of(state, step.loop), {}, step.slots};
  for (const Ref& r : step.buffers) {
    const TensorId b = *buffer_of(state, r);
    channel.buffers.push_back(b);
  }
  out.program.channels.push_back(std::move(channel));
  return out;
}

}  // namespace tecc::schedule
