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

/// The order of a lowered program's statements in one line: blocks by name, `|` for a barrier, `combine`, and serial loops as
/// `name{...}`; loops bound to blocks and threads are left out.
inline std::string outline(const loop::Program& p, loop::StmtId s) {
  std::string out;
  for (loop::StmtId c : p[s].children) {
    std::string one;
    if (p[c].as<loop::Barrier>()) one = "|";
    else if (p[c].as<loop::Combine>()) one = "combine";
    else if (const auto* b = p[c].as<loop::Block>()) one = b->name;
    else one = p.loop(c).group == loop::Group::none ? loop::loop_name(p, c) + "{" + outline(p, c) + "}" : outline(p, c);
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
