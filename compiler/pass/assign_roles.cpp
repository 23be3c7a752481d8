#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/passes.h"

namespace tecc::compiler {

using namespace loop;

Result<Program> assign_roles(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (std::uint32_t r = 0; r < p.roles.size(); ++r) {
    std::int64_t warpgroups = 0;
    for (BlockId b : p.roles[r].blocks) {
      p.stmts.edit(b, [&](Stmt& s) { s.role = r; });
      for (LoopId l : bound_loops(p, b, Group::warpgroup)) {
        const std::int64_t here = constant_extent(p, l).value_or(0) * (thread_weight(p, l) / 128);
        warpgroups = std::max(warpgroups, here);
        if (here > p.roles[r].warpgroups) return refuse(Code::role_group, r + 1, p.roles[r].warpgroups, loop_name(p, l), fmt::format("{} warpgroups", here));
      }
    }
  }
  return p;
}

Result<Program> skew_statements(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (const Skewing& skew : p.skews) {
    StmtId sequence = skew.order[0].block;
    for (const auto& e : skew.order) sequence = common_ancestor(p, sequence, e.block);
    std::vector<StmtId> order;
    for (const auto& e : skew.order) order.push_back(child_towards(p, sequence, e.block));
    p.stmts.edit(sequence, [&](Stmt& s) { s.children = order; });
    std::int64_t most = 0;
    for (const auto& e : skew.order) {
      most = std::max(most, e.stage);
      if (e.stage == 0) continue;
      p.stmts.edit(e.block, [&](Stmt& s) {
        s.stage = static_cast<std::uint32_t>(e.stage);
        std::get<Block>(s.node).ahead = Block::Ahead{skew.loop, -e.stage};
      });
    }
    p.stmts.edit(skew.loop, [&](Stmt& s) { std::get<Loop>(s.node).stages = static_cast<std::uint32_t>(most); });
  }
  return p;
}

}  // namespace tecc::compiler
