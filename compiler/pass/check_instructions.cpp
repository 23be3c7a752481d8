#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/instruction/instruction.h"
#include "ir/loop/words.h"

/// Here and not where a pass first meets an instruction: channels decide what orders copies, and a program that was fed back has not gone
/// through the passes before.
namespace tecc::compiler {

using namespace loop;

namespace {

struct Need {
  std::string user;
  std::string_view instruction;
  CallSite at;
};

/// Everything that the program asks of the device, in program order.
std::vector<Need> needs_of(const Program& p) {
  std::vector<Need> out;
  for (BlockId id : all_blocks(p)) {
    const Block& b = p.block(id);
    const std::string user = fmt::format("'{}'", b.name);
    if (b.tile && b.tile->instruction) out.push_back({user, b.tile->instruction->name, p[id].at});
    else if (b.tile && b.tile->via > Via::vector && b.tile->via < Via::mma_sync) out.push_back({user, words::of(words::vias, b.tile->via), p[id].at});
    if (!sharers_of(p, id).empty()) out.push_back({user, "multicast", p[id].at});
  }
  for (StmtId root : p.kernels) {
    const std::string kernel = fmt::format("kernel '{}'", p[root].as<Root>()->name);
    if (blocks_of(ranks_of(p, root)) > 1) out.push_back({kernel, "cluster", p[root].at});
    if (const auto start = p[root].as<Root>()->start; start != Root::Start::ordered) out.push_back({fmt::format("{} that is {}", kernel, words::of(words::starts, start)), "griddepcontrol", p[root].at});
  }
  for (const Channel& c : p.channels)
    if (c.how == Channel::How::mbarrier || c.how == Channel::How::ahead) out.push_back({fmt::format("the pipeline of '{}'", p[c.buffers[0]].name), "mbarrier", {}});
  for (std::size_t r = 0; r < p.roles.size(); ++r)
    if (p.roles[r].registers) out.push_back({fmt::format("role {} with registers={}", r + 1, p.roles[r].registers), "setmaxnreg", {}});
  return out;
}

}  // namespace

bool Limits::has(std::string_view instruction) const {
  if (instructions) return std::find(instructions->begin(), instructions->end(), instruction) != instructions->end();
  for (const InstructionName& i : instruction_names())
    if (i.name == instruction) return came_with(i.since, arch);
  return false;
}

Result<Program> check_instructions(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (const Need& n : needs_of(p)) {
    if (limits.has(n.instruction)) continue;
    const auto names = instruction_names();
    const auto row = std::find_if(names.begin(), names.end(), [&](const InstructionName& i) { return i.name == n.instruction; });
    return at(n.at, refuse(Code::missing_instruction, n.user, n.instruction, fmt::format("this {}", limits.arch), row->instead));
  }
  return p;
}

}  // namespace tecc::compiler
