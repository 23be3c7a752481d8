/// split_reduction(loop, parts, multiple=1): `parts` blocks share out a reduction, each leaves partial sums in global memory, and a kernel
/// of its own combines them (also called: split-K, split along the reduction). The parts are equally long, a multiple of `multiple`.
///   for i: for k: C[i] += v      ->      for ko: for i: for ki: rf[ko, i] += v
///                                        kernel: for i: for ko: C[i] += rf[ko, i]
/// Results  the loop over the parts (outermost, may be bound to blocks), the loop inside a part, the block that combines. The stage's
///          handle goes on naming the block that multiplies and adds.
/// Keeps    the sum but for its association; results do not depend on the order in which blocks run.
/// Refuses  what split, reorder and rfactor refuse of the loops that they are given here; E0305 parts or multiple below 1; E0313 the sum is
///          read in its own kernel.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// A handle for anything: as the result of a step that nobody else sees.
Ref lend(State& state, Handle handle) {
  state.results.push_back({handle});
  return {Ref::Base::step, static_cast<std::uint32_t>(state.results.size() - 1), 0, {}};
}

template <class Step>
Result<std::vector<Handle>> take(State& state, const Step& step) {
  TECC_CHECK(check(state, step));
  Applied applied = apply(state, step);
  state.program = std::move(applied.program);
  return std::move(applied.results);
}

Result<Applied> carry_out(State state, const SplitReduction& step) {
  TECC_TRY(const LoopId whole, loop_of(state, step.loop));
  if (step.parts < 1 || step.multiple < 1) return refuse(Code::factor_below_one, say(state.program, whole), std::min(step.parts, step.multiple));
  const std::vector<BlockId> blocks = loop::blocks_under(state.program, whole);
  if (blocks.size() != 1) return refuse(Code::not_alone, say_block(state.program, blocks[0]), say_block(state.program, blocks.back()));
  const BlockId id = blocks[0];
  for (const Write& w : state.program.block(id).writes)  // the sum is there when the next kernel has run
    for (BlockId r : loop::readers_of(state.program, w.buffer))
      if (r != id && loop::root_of(state.program, r) == loop::root_of(state.program, id)) return refuse(Code::not_alone, say_block(state.program, id), say_block(state.program, r));
  const std::int64_t extent = loop::largest(state.program, state.program.loop(whole).extent);
  const std::int64_t unit = step.parts * step.multiple, part = (extent + unit - 1) / unit * step.multiple;
  TECC_TRY(const auto cut, take(state, Split{step.loop, {part}}));
  const LoopId over = std::get<LoopHandle>(cut[0]).id;
  std::vector<Ref> order{lend(state, cut[0])};
  for (LoopId l : loop::loops_around(state.program, id))
    if (l != over) order.push_back(lend(state, LoopHandle{l}));
  TECC_CHECK(take(state, Reorder{order}));
  TECC_TRY(const auto combined, take(state, Rfactor{lend(state, BlockHandle{id}), order[0]}));

  // What combines becomes the next kernel.
  Program& p = state.program;
  const BlockId made = std::get<BlockHandle>(combined[0]).id;
  const StmtId root = loop::root_of(p, made), nest = loop::child_towards(p, root, made);
  const StmtId next = p.stmts.add(Stmt{{}, {nest}, loop::Root{p[root].as<loop::Root>()->name}, p[root].at});
  p.stmts.edit(next, [&](Stmt& s) { s.parent = next; });
  p.stmts.edit(root, [&](Stmt& s) { std::erase(s.children, nest); });
  p.stmts.edit(nest, [&](Stmt& s) { s.parent = next; });
  p.kernels.insert(std::find(p.kernels.begin(), p.kernels.end(), root) + 1, next);
  return Applied{std::move(state.program), {cut[0], cut[1], combined[0]}};
}

}  // namespace

Check check(const State& state, const SplitReduction& step) {
  TECC_TRY(const Applied done, carry_out(state, step));
  (void)done;
  return Ok{};
}
Applied apply(const State& state, const SplitReduction& step) { return *carry_out(state, step); }

}  // namespace tecc::schedule
