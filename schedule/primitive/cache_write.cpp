/// cache_write(block, tensor, scope, at): the block writes a buffer of its own; what it made in one iteration of `at` is then
/// copied to the tensor
///   for i0: for i1: C[i0*4+i1] = v      ->   for i0: for i1: cl[i0*4+i1] = v
///                                                    for x in 0..4: C[i0*4+x] = cl[i0*4+x]
/// Results  the new buffer and the copying block, whose loops are the tensor's dimensions.
/// Keeps    every element of the tensor, written once.
/// Refuses  E0347 the block does not write the tensor; E0323 it is not inside `at`; E0320 a loop around would repeat the copy
///          (it cuts a reduction of the block); E0348 the tensor is read inside of `at`; E0354 another block
///          writes it too; E0355 the block writes outside of the tensor, too.
#include "schedule/primitive/made_region.h"

namespace tecc::schedule {
namespace {

std::optional<std::vector<Region>> written(const Program& p, const Block& b, TensorId tensor, LoopId at) {
  const auto w = std::find_if(b.writes.begin(), b.writes.end(), [&](const Write& each) { return each.buffer == tensor; });
  return made_region(p, b, w->index, fixed_around(p, at));
}

}  // namespace

Check check(const State& state, const CacheWrite& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const TensorId tensor, buffer_of(state, step.tensor));
  TECC_TRY(const LoopId l, loop_of(state, step.at));
  const Program& p = state.program;
  const Block& b = p.block(id);
  if (!loop::writes(b, tensor)) return refuse(Code::not_writer, b.name, p[tensor].name, say_list({p[b.writes.back().buffer].name}));
  for (BlockId w : loop::writers_of(p, tensor))
    if (w != id) return refuse(Code::other_writer, b.name, p[tensor].name, say_block(p, w));
  if (has_rim(p, id)) return refuse(Code::copy_with_rim, p[tensor].name);
  if (!loop::is_inside(p, id, l)) {
    std::vector<std::string> names;
    for (LoopId m : loop::loops_around(p, id)) names.push_back(say(p, m));
    return refuse(Code::not_inside, b.name, say(p, l), say_list(names));
  }
  std::vector<LoopId> around = loop::loops_around(p, l);
  around.push_back(l);
  for (LoopId m : around)
    if (loop::feeds(p, m, b, IterKind::reduce) || loop::feeds(p, m, b, IterKind::scan))
      return refuse(Code::repeats, b.name, say(p, m), "it cuts the block's reduction");
  for (BlockId r : loop::readers_of(p, tensor))
    if (r != id && loop::is_inside(p, r, l)) return refuse(Code::read_inside, b.name, say_block(p, r), say(p, l));
  if (!written(p, b, tensor, l)) return refuse(Code::repeats, b.name, say(p, l), "the part that it writes is not known");
  return Ok{};
}

Applied apply(const State& state, const CacheWrite& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const TensorId tensor = *buffer_of(state, step.tensor);
  const LoopId l = *loop_of(state, step.at);
  const std::vector<Region> regions = *written(p, p.block(id), tensor, l);

  Copy copy = make_copy(p, tensor, step.scope == Scope::shared ? "shared" : "local", step.scope, regions);
  const TensorId buffer = copy.buffer;
  copy.block.name = p[tensor].name + ".store";
  follow_ragged(p.block(id), tensor, copy);
  const std::size_t position = loop::position_in_parent(p, loop::child_towards(p, l, id)) + 1;
  const Expr element = make(tecc::Read{buffer, copy.index, Expr()}, p[tensor].type);
  const BlockId store = place_copy(p, std::move(copy), tensor, element, l, position);
  p.stmts.edit(id, [&](Stmt& s) {
    for (Write& w : std::get<Block>(s.node).writes)
      if (w.buffer == tensor) w.buffer = buffer;
  });
  out.results = {BufferHandle{buffer}, BlockHandle{store}};
  return out;
}

}  // namespace tecc::schedule
