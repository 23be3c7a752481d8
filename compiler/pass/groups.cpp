#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

std::vector<LoopId> bound_loops(const Program& p, StmtId s, Group group) {
  std::vector<LoopId> out = loops_around(p, s);
  if (p[s].as<Loop>()) out.push_back(s);
  std::erase_if(out, [&](LoopId l) { return p.loop(l).group != group; });
  return out;
}

std::optional<LoopId> thread_nest(const Program& p, StmtId s) {
  const std::vector<LoopId> bound = bound_loops(p, s, Group::thread);
  return bound.empty() ? std::nullopt : std::optional(bound.front());
}

std::int64_t threads_at(const Program& p, StmtId s) {
  std::int64_t threads = 1;
  for (LoopId l : bound_loops(p, s, Group::thread)) threads *= constant_extent(p, l).value_or(1);
  return threads;
}

std::int64_t threads_of(const Program& p, StmtId root) {
  std::int64_t threads = 1;
  for (BlockId b : blocks_under(p, root)) threads = std::max(threads, threads_at(p, b));
  return threads;
}

std::optional<ThreadDigit> thread_digit(const Program& p, const Digit& d) {
  const Loop& l = p.loop(d.loop);
  if (l.retired || l.group != Group::thread) return std::nullopt;
  std::int64_t weight = 1;  // product of the thread loops inside of it
  StmtId s = d.loop;
  while (true) {  // down the chain: thread loops of one nest stand on one path
    const auto& children = p[s].children;
    if (children.empty() || !p[children[0]].as<Loop>()) break;
    s = children[0];
    if (p.loop(s).group == Group::thread) weight *= constant_extent(p, s).value_or(1);
  }
  const std::int64_t extent = constant_extent(p, d.loop).value_or(1);
  const std::int64_t values = d.mod ? d.mod : (extent + d.div - 1) / d.div;
  return ThreadDigit{weight * d.div, values, d.stride};
}

bool holds_still(const Program& p, const Buffer& b, LoopId l) {
  const Storage& st = *b.storage;
  if (p.loop(l).retired)
    return std::all_of(p.loop(l).retired->digits.begin(), p.loop(l).retired->digits.end(), [&](const Digit& d) { return holds_still(p, b, d.loop); });
  if (b.slots > 1 && l == b.slot_loop) return true;
  if (st.private_to_thread && p.loop(l).group == Group::thread) return true;
  return is_inside(p, st.at, l);
}

Result<Program> check_groups(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (StmtId root : p.kernels) {
    const std::string& name = p[root].as<Root>()->name;
    // Walk down the chain of block loops; below it none may remain.
    StmtId s = root;
    while (p[s].children.size() == 1 && p[p[s].children[0]].as<Loop>() && p.loop(p[s].children[0]).group == Group::block) s = p[s].children[0];
    for (BlockId b : blocks_under(p, root)) {
      for (LoopId l : bound_loops(p, b, Group::block))
        if (!is_inside(p, s, l)) return refuse(Code::block_loops, name);
      for (LoopId l : bound_loops(p, b, Group::thread)) {
        if (!constant_extent(p, l)) return refuse(Code::thread_extent, loop_name(p, l), print(p.loop(l).extent, names_of(p)));
        const bool covered = std::any_of(p.cross_threads.begin(), p.cross_threads.end(), [&](const CrossThread& c) { return c.block == b; });
        if (feeds(p, l, p.block(b), IterKind::reduce) && !covered) return refuse(Code::uncovered_reduction, loop_name(p, l), p.block(b).name);
      }
    }
    if (const std::int64_t threads = threads_of(p, root); threads > limits.threads_per_block)
      return refuse(Code::too_many_threads, name, threads, limits.threads_per_block);
  }
  return p;
}

}  // namespace tecc::compiler
