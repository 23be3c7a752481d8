#include "compiler/pass/ahead.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

Refusal no(const Program& p, const Channel& c, const std::string& why) { return refuse(Code::channel_form, p[c.buffers[0]].name, why); }

}  // namespace

Check check_ahead(const Program& p, const Channel& c, std::span<const StmtId> ahead) {
  const Loop& loop = p.loop(c.loop);
  if (loop.group != Group::none || loop.stages || loop.reversed) return no(p, c, fmt::format("loop '{}' is bound, skewed or reversed", loop_name(p, c.loop)));
  for (StmtId s : ahead)
    for (BlockId b : blocks_under(p, s)) {
      if (is_scan(p.block(b)) && feeds(p, c.loop, p.block(b), IterKind::scan)) return no(p, c, fmt::format("'{}' goes on from the iteration before", p.block(b).name));
      for (const Write& w : p.block(b).writes) {  // the iteration behind the last has a slot, and no place elsewhere
        const bool own = p[w.buffer].scope == Scope::local || p[w.buffer].scope == Scope::reg;
        if (!own && std::find(c.buffers.begin(), c.buffers.end(), w.buffer) == c.buffers.end()) return no(p, c, fmt::format("the statements that fill it write '{}', too", p[w.buffer].name));
      }
      for (const Write& w : p.block(b).writes)  // a reduction goes on from what another block stored
        for (BlockId init : p.block(b).init == Init::apart ? writers_of(p, w.buffer) : std::vector<BlockId>{})
          if (std::none_of(ahead.begin(), ahead.end(), [&](StmtId a) { return is_inside(p, init, a); }))
            return no(p, c, fmt::format("'{}' goes on from what '{}' stores outside of loop '{}'; legal: decompose_reduction at a loop inside of it", p.block(b).name, p.block(init).name, loop_name(p, c.loop)));
      for (TensorId t : read_buffers(p.block(b))) {
        // The iteration behind the last reads, too: what the kernel makes holds no more than its own iterations need.
        bool fetched = p[t].scope == Scope::global, along = false;
        for (BlockId w : writers_of(p, t)) {
          const bool copied = std::any_of(ahead.begin(), ahead.end(), [&](StmtId a) { return is_inside(p, w, a); });
          if (!copied && is_inside(p, w, c.loop)) return no(p, c, fmt::format("'{}' is made in loop '{}', too", p[t].name, loop_name(p, c.loop)));
          along |= copied;
          fetched &= root_of(p, w) != root_of(p, c.loop);
        }
        if (!fetched && !along) return no(p, c, fmt::format("its copies read '{}', which {}", p[t].name, p[t].scope == Scope::global ? "the same kernel makes" : "is not in global memory"));
      }
    }
  return Ok{};
}

Check check_extents(const Program& p, const Channel& c, StmtId s) {
  if (const auto* inner = p[s].as<Loop>()) {
    bool follows = false;
    walk(inner->extent, [&](const Expr& e) {
      const auto* v = e.as<Var>();
      const auto from = v ? loop_of_var(p, v->id) : std::nullopt;
      follows |= from && (*from == c.loop || depends_on(p, Binding{{Digit{*from}}}, c.loop));
      return true;
    });
    if (follows) return no(p, c, fmt::format("the extent of loop '{}' follows '{}'", loop_name(p, s), loop_name(p, c.loop)));
  }
  for (StmtId child : p[s].children) TECC_CHECK(check_extents(p, c, child));
  return Ok{};
}

}  // namespace tecc::compiler
