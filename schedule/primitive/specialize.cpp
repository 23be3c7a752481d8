/// specialize([role(blocks, warpgroups, registers), ...]): the kernel's threads split into roles; each runs its own copy of the loops
/// around its statements (also called: warp specialization, producer and consumer warps).
/// Results  none.
/// Keeps    every instance; what one role makes and another uses must be handed over by a pipeline's slots (E0421 when lowered).
/// Refuses  E0360 a block of the kernel has no role; E0361 a block has two; E0362, E0363 the size of a role.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

namespace {

/// The reduction that the block starts; it goes where the reduction goes, whether it is named or not.
std::optional<BlockId> starts(const Program& p, BlockId id) {
  for (BlockId b : loop::writers_of(p, p.block(id).writes[0].buffer))
    if (b != id && p.block(b).combiner && p.block(b).init == loop::Init::apart && loop::compare_order(p, id, b) < 0) return b;
  return std::nullopt;
}

}  // namespace

Check check(const State& state, const Specialize& step) {
  const Program& p = state.program;
  constexpr std::int64_t register_file = 65536;
  std::vector<BlockId> named;
  std::int64_t registers = 0;
  for (const Role& r : step.roles) {
    const bool known = r.registers == 0 || (r.registers >= 24 && r.registers <= 256 && r.registers % 8 == 0);
    if (r.warpgroups < 1 || r.warpgroups > 8 || !known) return refuse(Code::role_size, r.warpgroups, r.registers);
    registers += r.warpgroups * 128 * r.registers;
    TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, r.blocks));
    for (BlockId b : blocks) {
      if (std::find(named.begin(), named.end(), b) != named.end()) return refuse(Code::role_twice, say_block(p, b));
      named.push_back(b);
    }
  }
  if (named.empty()) return refuse(Code::missing_argument, "specialize", "roles");
  if (registers > register_file) return refuse(Code::role_registers, registers, register_file);
  for (BlockId b : loop::blocks_under(p, loop::root_of(p, named[0])))
    if (std::find(named.begin(), named.end(), b) == named.end() && !starts(p, b)) return refuse(Code::role_missing, say_block(p, b));
  return Ok{};
}

Applied apply(const State& state, const Specialize& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  for (const Role& r : step.roles) p.roles.push_back({*blocks_of(state, r.blocks), r.warpgroups, r.registers});
  const auto role_of = [&](BlockId b) -> loop::WarpRole* {
    for (loop::WarpRole& r : p.roles)
      if (std::find(r.blocks.begin(), r.blocks.end(), b) != r.blocks.end()) return &r;
    return nullptr;
  };
  for (BlockId b : loop::blocks_under(p, loop::root_of(p, p.roles[0].blocks[0])))
    if (!role_of(b)) role_of(*starts(p, b))->blocks.push_back(b);
  return out;
}

}  // namespace tecc::schedule
