#pragma once
#include "tests/support/replayed.h"

/// Lowering for a GPU, seen from tests.
namespace tecc::test {

inline Result<loop::Program> try_lower(const Operator& op, const compiler::Limits& limits = {}) {
  const te::Lifted lifted = te::lift(bind(op.text, op.dims, op.types));
  const loop::Program naive = loop::naive(lifted);
  const schedule::Trace trace = require(schedule::parse({intern("s"), op.schedule}, naive));
  const loop::Program scheduled = require(schedule::replay(naive, trace)).program;
  loop::Program p = scheduled;  // its text reads back after every pass
  for (const compiler::Pass& pass : limits.gpu ? compiler::gpu_pipeline() : compiler::cpu_pipeline()) {
    reread(p);
    auto after = pass.function(std::move(p), limits);
    if (!after) break;
    p = *std::move(after);
  }
  auto lowered = compiler::lower(scheduled, limits);
  if (lowered) reread(*lowered);
  return lowered;
}
/// The refusal's text; "" if the program is lowered.
inline std::string lowering_refused(const Operator& op, const compiler::Limits& limits = {}) {
  const auto p = try_lower(op, limits);
  return p ? "" : render(p.error());
}

/// The order of a lowered program's statements in one line: blocks by name, `|` for a barrier, `combine`, operations on barriers by
/// theirs, and loops as `name{...}`; loops bound to blocks and threads, and those of a tile, are left out. With roles, `1:` is role 1's.
inline bool in_tile(const loop::Program& p, loop::StmtId l) {
  for (loop::BlockId b : loop::blocks_under(p, l))
    if (const auto& t = p.block(b).tile; t && t->atom != loop::StmtId{} && loop::is_inside(p, l, t->via == loop::Via::stmatrix ? t->atom : t->top)) return true;
  return false;
}
inline std::string outline(const loop::Program& p, loop::StmtId s) {
  constexpr const char* words[] = {"wait_full",   "wait_empty",      "expect",     "arrive_full",   "arrive_empty", "fence_async", "await_mma",
                                   "commit_bulk", "await_bulk_read", "await_bulk", "commit_copies", "await_copies", "await_turn",  "pass_turn"};
  std::string out;
  for (loop::StmtId c : p[s].children) {
    std::string one;
    if (p[c].as<loop::Barrier>()) one = "|";
    else if (p[c].as<loop::Combine>()) one = "combine";
    else if (const auto* b = p[c].as<loop::Block>()) one = b->name;
    else if (const auto* op = p[c].as<loop::Sync>()) one = words[static_cast<int>(op->op)];
    else if (in_tile(p, c)) one = outline(p, c);
    else one = p.loop(c).group == loop::Group::none ? loop::loop_name(p, c) + "{" + outline(p, c) + "}" : outline(p, c);
    if (p[c].children.empty() && p[c].role != loop::Stmt::every_role) one = std::to_string(p[c].role) + ":" + one;
    out += (out.empty() ? "" : " ") + one;
  }
  return out;
}
inline std::string outline(const loop::Program& p) {
  std::string out;
  for (loop::StmtId k : p.kernels) out += (out.empty() ? "" : " ; ") + outline(p, k);
  return out;
}

}  // namespace tecc::test
