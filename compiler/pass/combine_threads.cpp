#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

Result<Program> combine_threads(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (const CrossThread& c : std::vector<CrossThread>(p.cross_threads)) {
    const Block& b = p.block(c.block);
    // The reduction's thread loops must be neighbours in the mixed radix of thread numbers.
    const std::vector<LoopId> bound = bound_loops(p, c.block, Group::thread);
    std::int64_t threads = 1, stride = 1;
    bool after = false, gap = false;
    for (auto l = bound.rbegin(); l != bound.rend(); ++l) {
      const std::int64_t extent = constant_extent(p, *l).value_or(1);
      if (feeds(p, *l, b, IterKind::reduce)) {
        if (after) gap = true;
        threads *= extent;
      } else if (threads > 1) {
        after = true;
      } else {
        stride *= extent;
      }
    }
    if (gap) return refuse(Code::scattered_threads, b.name);
    if (threads == 1) continue;
    Combine combine{{}, *b.combiner, threads, stride, {}};
    for (const Write& w : b.writes) combine.buffers.push_back(w.buffer);
    Buffer scratch;  // 8 bytes an element hold any type; one a warp where warps come first, else one a thread
    scratch.name = b.name + ".scratch";
    scratch.type = DType::i64;
    const std::int64_t elements = !needs_scratch(combine) ? 1 : stride == 1 && threads % 32 == 0 ? 32 : limits.threads_per_block;
    scratch.shape = {index_literal(elements * static_cast<std::int64_t>(b.writes.size()))};
    scratch.scope = Scope::shared;
    combine.scratch = p.buffers.add(scratch);
    const std::size_t position = position_in_parent(p, child_towards(p, c.at, c.block)) + 1;
    add_stmt(p, c.at, position, Stmt{{}, {}, std::move(combine), p[c.block].at});
  }
  return p;
}

}  // namespace tecc::compiler
