/// fuse_kernels(first, second): the outermost loops of two kernels become one, whose iterations do the work of both; or two loops that stand in
/// one sequence (also called: horizontal fusion, loop fusion)
///   for i: a[i] = f(x[i]);  for k: b[k] = g(x[k])      ->      for i: { a[i] = f(x[i]); b[i] = g(x[i]) }
/// Results  none: `first` carries both.
/// Keeps    every instance, once; those of `second` come before what stood between the two.
/// Refuses  E0399 with the reason: neither extents nor what the loops are bound to may differ, and nothing may order the two.
#include <fmt/format.h>

#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// What two blocks share that one of them writes.
std::optional<std::string> shared(const Program& p, BlockId a, BlockId b) {
  for (const auto& [writer, other] : {std::pair{a, b}, std::pair{b, a}})
    for (const Write& w : p.block(writer).writes)
      if (loop::writes(p.block(other), w.buffer) || loop::reads(p.block(other), w.buffer)) return p[w.buffer].name;
  return std::nullopt;
}

/// What the second comes before when it moves up to the first: the first itself, and the statements between.
Result<std::vector<StmtId>> passed(const Program& p, LoopId first, LoopId second) {
  const StmtId above = p[first].parent, other = p[second].parent;
  const auto no = [&](const std::string& why) { return refuse(Code::not_beside, say(p, first), say(p, second), why); };
  const auto between = [](const std::vector<StmtId>& row, StmtId from, StmtId to) -> std::optional<std::vector<StmtId>> {
    const auto begin = std::find(row.begin(), row.end(), from), end = std::find(row.begin(), row.end(), to);
    return begin < end ? std::optional(std::vector<StmtId>(begin, end)) : std::nullopt;
  };
  std::optional<std::vector<StmtId>> out;
  if (above == other) out = between(p[above].children, first, second);
  else if (p[above].as<Root>() && p[other].as<Root>() && p[above].children.size() == 1 && p[other].children.size() == 1) out = between(p.kernels, above, other);
  else return no("they are neither the outermost loops of two kernels nor in one sequence");
  if (!out) return no(fmt::format("'{}' comes first", say(p, second)));
  return *out;
}

}  // namespace

Check check(const State& state, const FuseKernels& step) {
  TECC_TRY(const LoopId first, loop_of(state, step.first));
  TECC_TRY(const LoopId second, loop_of(state, step.second));
  const Program& p = state.program;
  if (first == second) return refuse(Code::named_twice, say(p, first));
  for (LoopId l : {first, second})
    if (const auto other = loop::raster_partner(p, l)) return refuse(Code::rastered, say(p, l), say(p, *other));
  const auto no = [&](const std::string& why) { return refuse(Code::not_beside, say(p, first), say(p, second), why); };
  TECC_TRY(const std::vector<StmtId> before, passed(p, first, second));
  const Loop &a = p.loop(first), &b = p.loop(second);
  if (!same_value(a.extent, b.extent)) return no(fmt::format("their extents are {} and {}", print(a.extent, loop::names_of(p)), print(b.extent, loop::names_of(p))));
  if (a.group != b.group || a.kind != b.kind || a.persistent != b.persistent || a.reversed != b.reversed || a.stages || b.stages) return no("they are not bound alike, or one of them is skewed");
  for (StmtId s : before)
    for (BlockId x : loop::blocks_under(p, s))
      for (BlockId y : loop::blocks_under(p, second))
        if (const auto tensor = shared(p, x, y)) return no(fmt::format("'{}' and '{}' share '{}', which one of them writes; legal: compute_at or reverse_compute_at", say_block(p, x), say_block(p, y), *tensor));
  return Ok{};
}

Applied apply(const State& state, const FuseKernels& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const LoopId first = *loop_of(state, step.first), second = *loop_of(state, step.second);
  const std::vector<StmtId> children = p[second].children;
  loop::detach(p, second);
  p.stmts.edit(first, [&](Stmt& s) { s.children.insert(s.children.end(), children.begin(), children.end()); });
  for (StmtId c : children) p.stmts.edit(c, [&](Stmt& s) { s.parent = first; });
  retire(p, second, {{Digit{first}}, 0}, first);
  return out;
}

}  // namespace tecc::schedule
