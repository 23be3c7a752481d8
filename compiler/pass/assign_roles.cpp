#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/roles.h"

namespace tecc::compiler {

using namespace loop;

Result<Program> assign_roles(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (std::uint32_t r = 0; r < p.roles.size(); ++r) {
    for (BlockId b : p.roles[r].blocks) {
      p.stmts.edit(b, [&](Stmt& s) { s.role = r; });
      const Via via = via_of(p.block(b));
      for (LoopId l : bound_loops(p, b, Group::warpgroup))
        if (takes_in_turn(p, r, l) && via != Via::bulk && via != Via::bulk_tensor)
          return refuse(Code::role_group, r + 1, p.roles[r].warpgroups, loop_name(p, l), fmt::format("{} warpgroups", warpgroups_of(p, l)));
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
