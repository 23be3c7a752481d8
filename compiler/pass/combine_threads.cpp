#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

TensorId add_scratch(Program& p, const std::string& name, const Combine& combine, const Limits& limits) {
  Buffer scratch;  // 8 bytes an element hold any type; one a warp where warps come first, else one a thread
  scratch.name = name + ".scratch";
  scratch.type = DType::i64;
  const std::int64_t elements = !needs_scratch(combine) ? 1 : combine.stride == 1 && combine.threads % 32 == 0 ? 32 : limits.threads_per_block;
  scratch.shape = {index_literal(elements * static_cast<std::int64_t>(combine.buffers.size()))};
  scratch.scope = Scope::shared;
  return p.buffers.add(std::move(scratch));
}

Result<Program> combine_threads(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (const CrossThread& c : std::vector<CrossThread>(p.cross_threads)) {
    const Block& b = p.block(c.block);
    // The digits of thread numbers that feed the reduction must be neighbours.
    std::vector<ThreadDigit> digits;
    for (const Iter& i : b.iters) {
      if (i.kind != IterKind::reduce) continue;
      for (const Digit& d : normal(p, i.binding).digits) {
        if (const auto one = thread_digit(p, d)) digits.push_back({one->div, one->mod, 1});
        if (const auto& retired = p.loop(d.loop).retired)
          for (LoopId l : thread_loops(p, c.block))
            if (depends_on(p, *retired, l)) digits.push_back({thread_weight(p, l), constant_extent(p, l).value_or(1), 1});
      }
    }
    std::sort(digits.begin(), digits.end());
    digits.erase(std::unique(digits.begin(), digits.end()), digits.end());
    std::int64_t threads = 1;
    const std::int64_t stride = digits.empty() ? 1 : digits[0].div;
    for (const ThreadDigit& d : digits) {
      if (d.div != stride * threads) return refuse(Code::scattered_threads, b.name);
      threads *= d.mod;
    }
    if (threads == 1) continue;
    for (LoopId l : thread_loops(p, c.block))  // a team lies within one iteration of the loops around it
      if (const std::int64_t weight = thread_weight(p, l); weight >= stride * threads && weight % (stride * threads)) return refuse(Code::scattered_threads, b.name);
    Combine combine{{}, *b.combiner, threads, stride, {}, {}};
    for (const Write& w : b.writes) combine.buffers.push_back(w.buffer);
    combine.scratch = add_scratch(p, b.name, combine, limits);
    const std::size_t position = position_in_parent(p, child_towards(p, c.at, c.block)) + 1;
    Stmt made{{}, {}, std::move(combine), p[c.block].at};
    made.role = p[c.block].role;
    made.stage = p[c.block].stage;
    add_stmt(p, c.at, position, std::move(made));
  }
  return p;
}

}  // namespace tecc::compiler
