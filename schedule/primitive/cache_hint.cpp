/// cache_hint(blocks, evict_first | evict_last | none): how long what they touch in global memory should stay in L2 (also called: eviction
/// priority, streaming loads and stores). Of what is used once, evict_first leaves the cache to others.
/// Results  none.
/// Keeps    every value.
/// Refuses  E0397 the block touches no global memory, is copied by cp_async, or moves elements by itself and asks for evict_last.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const CacheHint& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  const Program& p = state.program;
  for (BlockId id : blocks) {
    const Block& b = p.block(id);
    std::vector<TensorId> touched = loop::read_buffers(b);
    for (const Write& w : b.writes) touched.push_back(w.buffer);
    const Via via = b.tile ? b.tile->via : Via::plain;
    if (std::none_of(touched.begin(), touched.end(), [&](TensorId t) { return p[t].scope == Scope::global; })) return refuse(Code::hint_form, b.name, "it touches no global memory", "a block that does");
    if (via == Via::cp_async) return refuse(Code::hint_form, b.name, "it is copied by cp_async", "vector, bulk or bulk_tensor");
    const bool bulk = via == Via::bulk_tensor;
    if (step.hint == loop::Hint::evict_last && !bulk) return refuse(Code::hint_form, b.name, "its threads load and store for themselves", "evict_first, or copy_with(…, bulk_tensor) before it");
  }
  return Ok{};
}

Applied apply(const State& state, const CacheHint& step) {
  Applied out{state.program, {}};
  for (BlockId id : *blocks_of(state, step.blocks)) out.program.stmts.edit(id, [&](Stmt& s) { std::get<Block>(s.node).hint = step.hint; });
  return out;
}

}  // namespace tecc::schedule
