#include <fmt/format.h>

#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

std::string kind_of(const Handle& h) {
  constexpr const char* words[] = {"absent", "a loop", "a block", "a buffer"};
  return words[h.index()];
}

std::string say_ref(const State& s, const Ref& r) {
  switch (r.base) {
    case Ref::Base::stage: return r.index < s.program.stages.size() ? s.program.stages[r.index].name : "?";
    case Ref::Base::input: return r.index < s.program.inputs.size() ? s.program[s.program.inputs[r.index]].name : "?";
    case Ref::Base::factor: return fmt::format("factor {}", r.index);
    case Ref::Base::step: return fmt::format("result {} of step {}", r.result + 1, r.index + 1);
  }
  return "?";
}

/// The loops that took the place of a retired one, for the message.
std::string successors(const Program& p, LoopId gone) {
  std::vector<std::string> names;
  for (StmtId k : p.kernels)
    for (BlockId b : loop::blocks_under(p, k))
      for (LoopId l : loop::loops_around(p, b)) {
        const bool made_of_it = p.loop(gone).retired && loop::depends_on(p, *p.loop(gone).retired, l);
        if (made_of_it && std::find(names.begin(), names.end(), say(p, l)) == names.end()) names.push_back(say(p, l));
      }
  return names.empty() ? "part of a nest that was moved" : say_list(names);
}

Result<Handle> resolve(const State& s, const Ref& r) {
  Handle base;
  switch (r.base) {
    case Ref::Base::stage:
      if (r.index >= s.program.stages.size()) return refuse(Code::unknown_handle, fmt::format("stage {}", r.index), "fewer stages");
      base = BlockHandle{s.program.stages[r.index].block};
      break;
    case Ref::Base::input:
      if (r.index >= s.program.inputs.size()) return refuse(Code::unknown_handle, fmt::format("input {}", r.index), "fewer inputs");
      base = BufferHandle{s.program.inputs[r.index]};
      break;
    case Ref::Base::factor: return refuse(Code::wrong_kind, say_ref(s, r), "a factor of a product", "a stage, an input or a result");
    case Ref::Base::step:
      if (r.index >= s.results.size() || r.result >= s.results[r.index].size())
        return refuse(Code::absent_result, r.index + 1, r.result + 1);
      base = s.results[r.index][r.result];
      break;
  }
  if (std::get_if<Absent>(&base)) return refuse(Code::absent_result, r.index + 1, r.result + 1);
  if (!r.axis) return base;
  const auto* b = std::get_if<BlockHandle>(&base);
  if (!b) return refuse(Code::wrong_kind, say_ref(s, r), kind_of(base), "a block with loops");
  if (!s.program.stmts.has(b->id)) return refuse(Code::block_gone, say_ref(s, r));
  const Block& block = s.program.block(b->id);
  if (*r.axis >= block.axes.size()) return refuse(Code::unknown_handle, fmt::format("{}.{}", block.name, *r.axis), "fewer loops");
  if (block.axes[*r.axis] == StmtId{}) return refuse(Code::absent_result, r.index + 1, *r.axis);
  return Handle{LoopHandle{block.axes[*r.axis]}};
}

bool is_present(const Program& p, LoopId l) { return p.stmts.has(l) && !p.loop(l).retired && !p[l].children.empty(); }

}  // namespace

std::optional<LoopId> present_loop(const State& s, const Ref& r) {
  const Result<Handle> h = resolve(s, r);
  const auto* l = h ? std::get_if<LoopHandle>(&*h) : nullptr;
  return l && is_present(s.program, l->id) ? std::optional(l->id) : std::nullopt;
}

Result<LoopId> loop_of(const State& s, const Ref& r) {
  TECC_TRY(const Handle h, resolve(s, r));
  const auto* l = std::get_if<LoopHandle>(&h);
  if (!l) return refuse(Code::wrong_kind, say_ref(s, r), kind_of(h), "a loop");
  const Program& p = s.program;
  if (is_present(p, l->id)) return l->id;
  const bool known = p.stmts.has(l->id), retired = known && p.loop(l->id).retired;
  return refuse(Code::loop_gone, known ? say(p, l->id) : "?", retired ? successors(p, l->id) : "part of a nest that was moved");
}

Result<BlockId> block_of(const State& s, const Ref& r) {
  TECC_TRY(const Handle h, resolve(s, r));
  const auto* b = std::get_if<BlockHandle>(&h);
  if (!b) return refuse(Code::wrong_kind, say_ref(s, r), kind_of(h), "a block");
  if (!s.program.stmts.has(b->id)) return refuse(Code::block_gone, say_ref(s, r));
  return b->id;
}

Result<TensorId> buffer_of(const State& s, const Ref& r) {
  TECC_TRY(const Handle h, resolve(s, r));
  if (const auto* b = std::get_if<BufferHandle>(&h)) return b->id;
  if (const auto* b = std::get_if<BlockHandle>(&h)) {
    if (!s.program.stmts.has(b->id)) return refuse(Code::block_gone, say_ref(s, r));
    return s.program.block(b->id).writes.back().buffer;
  }
  return refuse(Code::wrong_kind, say_ref(s, r), kind_of(h), "a buffer");
}

Result<std::vector<LoopId>> loops_of(const State& s, const std::vector<Ref>& refs) {
  std::vector<LoopId> out;
  for (const Ref& r : refs) {
    TECC_TRY(const LoopId l, loop_of(s, r));
    if (std::find(out.begin(), out.end(), l) != out.end()) return refuse(Code::named_twice, say(s.program, l));
    out.push_back(l);
  }
  return out;
}

Result<std::vector<BlockId>> blocks_of(const State& s, const std::vector<Ref>& refs) {
  std::vector<BlockId> out;
  for (const Ref& r : refs) {
    TECC_TRY(const BlockId b, block_of(s, r));
    if (std::find(out.begin(), out.end(), b) != out.end()) return refuse(Code::named_twice, say_block(s.program, b));
    out.push_back(b);
  }
  return out;
}

}  // namespace tecc::schedule
