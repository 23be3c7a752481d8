/// blockize(loop): the loops from `loop` down and the one block inside are one statement over a tile.
/// tensorize(blocks, mma_sync | wgmma, swap): a product of tiles is done by matrix instructions; with `swap` the second factor gives the rows.
/// copy_with(blocks, vector | cp_async | bulk | bulk_tensor | ldmatrix | stmatrix): how a copy moves its tile.
///   for i2: for j1: for k1: acc[..] += A[..] * B[..]   ->   the same loops, carried out by one instruction or a few
/// Results  blockize: the block; others none.
/// Keeps    everything: a tile statement keeps its loops and its body. What an instruction cannot do is refused when it is lowered (E04).
/// Refuses  E0356 several blocks inside; E0357 no product; E0358 the instruction is not for such a block.
#include <fmt/format.h>

#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The loops directly around the block that hold nothing else and are bound to nothing; the block itself if there is none.
StmtId own_loops(const Program& p, BlockId b) {
  StmtId top = b;
  while (true) {
    const StmtId parent = p[top].parent;
    const auto* l = p[parent].as<Loop>();
    if (!l || p[parent].children.size() != 1 || l->group != Group::none) return top;
    top = parent;
  }
}

Applied carry_out(const State& state, const std::vector<Ref>& blocks, Via via, bool swap) {
  Applied out{state.program, {}};
  for (BlockId b : *blocks_of(state, blocks)) {
    const StmtId top = own_loops(out.program, b);
    out.program.stmts.edit(b, [&](Stmt& s) {
      auto& tile = std::get<Block>(s.node).tile;
      if (!tile) tile = Tile{top, via, swap};
      tile->via = via;
      tile->swap = swap;
    });
  }
  return out;
}

constexpr std::pair<Via, std::string_view> words[] = {{Via::plain, "plain"}, {Via::vector, "vector"}, {Via::cp_async, "cp_async"},
    {Via::bulk, "bulk"}, {Via::bulk_tensor, "bulk_tensor"}, {Via::ldmatrix, "ldmatrix"}, {Via::stmatrix, "stmatrix"},
    {Via::mma_sync, "mma_sync"}, {Via::wgmma, "wgmma"}};
std::string word(Via v) { return std::string(words[static_cast<int>(v)].second); }

/// A copy proper: what it writes is what it reads.
bool is_copy(const Block& b) { return !b.combiner && b.writes.size() == 1 && b.writes[0].value.as<tecc::Read>(); }

}  // namespace

Check check(const State& state, const Blockize& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  const std::vector<BlockId> blocks = loop::blocks_under(p, l);
  if (blocks.size() != 1) {
    std::vector<std::string> names;
    for (BlockId b : blocks) names.push_back(say_block(p, b));
    return refuse(Code::not_one_block, say(p, l), say_list(names));
  }
  return Ok{};
}
Applied apply(const State& state, const Blockize& step) {
  Applied out{state.program, {}};
  const LoopId l = *loop_of(state, step.loop);
  const BlockId b = loop::blocks_under(out.program, l)[0];
  out.program.stmts.edit(b, [&](Stmt& s) { std::get<Block>(s.node).tile = Tile{l}; });
  out.results = {BlockHandle{b}};
  return out;
}

Check check(const State& state, const Tensorize& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  for (BlockId id : blocks) {
    const Block& b = state.program.block(id);
    if (step.via != Via::mma_sync && step.via != Via::wgmma) return refuse(Code::wrong_via, b.name, word(step.via), "mma_sync or wgmma");
    if (!loop::product_of(b)) return refuse(Code::not_product, b.name);
  }
  return Ok{};
}
Applied apply(const State& state, const Tensorize& step) { return carry_out(state, step.blocks, step.via, step.swap); }

Check check(const State& state, const CopyWith& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  for (BlockId id : blocks) {
    const Block& b = state.program.block(id);
    if (step.via == Via::mma_sync || step.via == Via::wgmma)
      return refuse(Code::wrong_via, b.name, word(step.via), "vector, cp_async, bulk, bulk_tensor, ldmatrix or stmatrix");
    const bool moves_only = step.via == Via::bulk || step.via == Via::bulk_tensor || step.via == Via::cp_async || step.via == Via::ldmatrix;
    if (b.combiner || b.writes.size() != 1) return refuse(Code::wrong_via, b.name, word(step.via), "a block that is no reduction and writes one buffer");
    if (b.hint != loop::Hint::none && step.via == Via::cp_async) return refuse(Code::hint_form, b.name, "it is copied by cp_async", "vector, bulk or bulk_tensor");
    if (moves_only && !is_copy(b)) return refuse(Code::wrong_via, b.name, word(step.via), "vector, or stmatrix: it computes what it writes");
  }
  return Ok{};
}
Applied apply(const State& state, const CopyWith& step) { return carry_out(state, step.blocks, step.via, false); }

}  // namespace tecc::schedule
