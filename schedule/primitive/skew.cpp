/// skew(loop, stage={block: n}, order=[blocks]): statements of a loop lag behind the others, so that what one iteration issued goes on
/// while the next one runs (also called: software pipelining)
///   for j: s(j) ; f(j) ; o(j)    stage={o: 1}, order=[s, o, f]   ->   s(0) f(0) ; for j: s(j) o(j-1) f(j) ; o(n-1)
/// take_turns(loop, critical=[blocks]): the warpgroups of `loop` pass from the first to the last of these statements one after the other.
/// Results  none.
/// Keeps    every instance; lowering makes the beginning and the end.
/// Refuses  E0366 a stage that a value would not survive, an order that breaks a use; E0367 no warpgroups take turns.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The statements that one iteration runs in sequence and that hold these blocks: children of one loop.
Result<StmtId> sequence_of(const Program& p, LoopId l, const std::vector<BlockId>& blocks) {
  StmtId meet = blocks[0];
  for (BlockId b : blocks) {
    if (!loop::is_inside(p, b, l)) {
      std::vector<std::string> names;
      for (LoopId m : loop::loops_around(p, b)) names.push_back(say(p, m));
      return refuse(Code::not_inside, say_block(p, b), say(p, l), say_list(names));
    }
    meet = loop::common_ancestor(p, meet, b);
  }
  return p[meet].as<Block>() ? p[meet].parent : meet;
}

struct Plan {
  StmtId sequence;
  std::vector<StmtId> order;  // its children
  std::map<StmtId, std::int64_t> stage;
};

Result<Plan> plan(const State& state, const Skew& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  TECC_TRY(const std::vector<BlockId> order, blocks_of(state, step.order));
  const Program& p = state.program;
  if (order.size() < 2) return refuse(Code::missing_argument, "skew", "order");
  TECC_TRY(const StmtId sequence, sequence_of(p, l, order));
  Plan out{sequence, {}, {}};
  for (BlockId b : order) out.order.push_back(loop::child_towards(p, sequence, b));
  for (StmtId c : p[sequence].children)
    if (std::find(out.order.begin(), out.order.end(), c) == out.order.end())
      return refuse(Code::missing_argument, "skew", "order: " + say_block(p, loop::blocks_under(p, c)[0]));
  for (const Stage& s : step.stage) {
    TECC_TRY(const BlockId b, block_of(state, s.block));
    if (s.by < 0 || s.by > 1) return refuse(Code::skew_stage, say_block(p, b), s.by, "0 or 1");
    if (std::find(order.begin(), order.end(), b) == order.end()) return refuse(Code::skew_stage, say_block(p, b), s.by, "a block of the order");
    out.stage[loop::child_towards(p, sequence, b)] = s.by;
  }
  // In one iteration, in the new order: what a statement uses must be there. Time of a statement: (iteration + stage, place in the order).
  const auto place = [&](StmtId c) { return std::find(out.order.begin(), out.order.end(), c) - out.order.begin(); };
  const auto old = [&](StmtId c) { return static_cast<std::ptrdiff_t>(loop::position_in_parent(p, c)); };
  for (StmtId a : out.order)
    for (StmtId b : out.order) {
      if (old(a) >= old(b)) continue;
      bool depends = false;
      for (BlockId x : loop::blocks_under(p, a))
        for (BlockId y : loop::blocks_under(p, b)) {
          for (const Write& w : p.block(x).writes) depends |= loop::reads(p.block(y), w.buffer) || loop::writes(p.block(y), w.buffer);
          for (const Write& w : p.block(y).writes) depends |= loop::reads(p.block(x), w.buffer);
        }
      if (!depends) continue;
      // a before b in iteration n; and b of iteration n before a of iteration n + 1.
      const std::int64_t lag = out.stage[b] - out.stage[a];
      const bool first = lag > 0 || (lag == 0 && place(a) < place(b));
      const bool then = lag < 1 || (lag == 1 && place(b) < place(a));
      if (!first || !then) {
        const BlockId late = loop::blocks_under(p, b)[0], early = loop::blocks_under(p, a)[0];
        return refuse(Code::skew_stage, say_block(p, late), out.stage[b],
                      first ? "to stand before '" + say_block(p, early) + "', which makes the next iteration's value" : "to stand behind '" + say_block(p, early) + "', on which it depends");
      }
    }
  return out;
}

}  // namespace

Check check(const State& state, const Skew& step) {
  TECC_CHECK(plan(state, step));
  return Ok{};
}
Applied apply(const State& state, const Skew& step) {
  Applied out{state.program, {}};
  loop::Skewing skew{*loop_of(state, step.loop), {}};
  for (BlockId b : *blocks_of(state, step.order)) skew.order.push_back({b, 0});
  for (const Stage& s : step.stage)
    for (auto& entry : skew.order)
      if (entry.block == *block_of(state, s.block)) entry.stage = s.by;
  out.program.skews.push_back(std::move(skew));
  return out;
}

Check check(const State& state, const TakeTurns& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.critical));
  const Program& p = state.program;
  if (p.loop(l).group != Group::warpgroup) return refuse(Code::turns_loop, say(p, l));
  if (blocks.empty()) return refuse(Code::missing_argument, "take_turns", "critical");
  for (BlockId b : blocks)
    if (!loop::is_inside(p, b, l)) return refuse(Code::turns_loop, say(p, l));
  return Ok{};
}
Applied apply(const State& state, const TakeTurns& step) {
  Applied out{state.program, {}};
  out.program.turns.push_back({*loop_of(state, step.loop), *blocks_of(state, step.critical)});
  return out;
}

}  // namespace tecc::schedule
