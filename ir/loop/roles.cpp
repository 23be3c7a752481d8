#include "ir/loop/roles.h"

#include <algorithm>

#include "ir/loop/affine.h"

namespace tecc::loop {

namespace {

/// The most iterations that loops bound to warpgroups make together inside `s`, on one path; beyond what any block has it no longer matters.
std::int64_t inside_of(const Program& p, StmtId s) {
  constexpr std::int64_t many = 1 << 20;
  std::int64_t most = 1;
  for (StmtId c : p[s].children) {
    const auto* l = p[c].as<Loop>();
    const std::int64_t own = l && l->group == Group::warpgroup ? std::clamp<std::int64_t>(constant_extent(p, c).value_or(1), 1, many) : 1;
    most = std::max(most, std::min(own * inside_of(p, c), many));
  }
  return most;
}

}  // namespace

std::int64_t warpgroups_of(const Program& p, LoopId l) { return constant_extent(p, l).value_or(1) * inside_of(p, l); }

bool takes_in_turn(const Program& p, std::uint32_t role, LoopId l) {
  const Loop& loop = p.loop(l);
  return role < p.roles.size() && !loop.retired && loop.group == Group::warpgroup && warpgroups_of(p, l) > p.roles[role].warpgroups;
}

bool is_shared_out(const Program& p, StmtId s) {
  const std::vector<LoopId> around = loops_around(p, s);
  return std::any_of(around.begin(), around.end(), [&](LoopId l) { return is_thread_group(p.loop(l).group) && !takes_in_turn(p, p[s].role, l); });
}

std::vector<LoopId> alternating_loops(const Program& p, const Channel& c) {
  std::vector<LoopId> out;
  if (p.roles.empty() || !p.stmts.has(c.loop)) return out;
  for (LoopId l : loops_around(p, c.loop)) {
    if (p.loop(l).group != Group::warpgroup) continue;  // no role takes it in turn
    const auto in_turn = [&](BlockId b) { return takes_in_turn(p, p[b].role, l); };
    const bool any = std::any_of(c.buffers.begin(), c.buffers.end(), [&](TensorId t) {
      const auto writers = writers_of(p, t), readers = readers_of(p, t);
      return std::any_of(writers.begin(), writers.end(), in_turn) || std::any_of(readers.begin(), readers.end(), in_turn);
    });
    if (any) out.push_back(l);
  }
  return out;
}

std::vector<LoopId> rounds_within(const Program& p, const Channel& c, LoopId l) {
  std::vector<LoopId> out = loops_around(p, c.loop);
  out.push_back(c.loop);
  std::erase_if(out, [&](LoopId x) { return x == l || !is_inside(p, x, l) || is_thread_group(p.loop(x).group); });
  return out;
}

bool rounds_are_equal(const Program& p, const Channel& c, LoopId l) {
  bool equal = true;
  for (LoopId r : rounds_within(p, c, l))
    walk(p.loop(r).extent, [&](const Expr& e) {
      const auto* v = e.as<Var>();
      const auto from = v ? loop_of_var(p, v->id) : std::nullopt;
      equal &= !from || (*from != l && !depends_on(p, Binding{{Digit{*from}}}, l));
      return true;
    });
  return equal;
}

}  // namespace tecc::loop
