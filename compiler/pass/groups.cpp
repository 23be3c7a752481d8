#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/hand_over.h"
#include "compiler/pass/passes.h"
#include "ir/loop/digits.h"

namespace tecc::compiler {

using namespace loop;

std::vector<LoopId> bound_loops(const Program& p, StmtId s, Group group) {
  std::vector<LoopId> out = loops_around(p, s);
  if (p[s].as<Loop>()) out.push_back(s);
  std::erase_if(out, [&](LoopId l) { return p.loop(l).group != group; });
  return out;
}

std::vector<RankLoop> sharers_of(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  if (!b.tile || b.tile->via != Via::bulk_tensor || p[b.writes[0].buffer].scope != Scope::shared) return {};
  std::vector<RankLoop> out = ranks_of(p, root_of(p, id));
  std::erase_if(out, [&](const RankLoop& r) { return r.extent == 1 || std::any_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) { return depends_on(p, i.binding, r.loop); }); });
  return out;
}

std::vector<std::vector<RankLoop>> sharings_of(const Program& p, const Channel& c) {
  std::vector<std::vector<RankLoop>> out;
  for (TensorId t : c.buffers)
    for (BlockId w : writers_of(p, t))
      if (auto sharers = sharers_of(p, w); !sharers.empty()) out.push_back(std::move(sharers));
  return out;
}

std::vector<LoopId> thread_loops(const Program& p, StmtId s) {
  std::vector<LoopId> out = loops_around(p, s);
  if (p[s].as<Loop>()) out.push_back(s);
  std::erase_if(out, [&](LoopId l) { return !is_thread_group(p.loop(l).group); });
  return out;
}

std::optional<LoopId> thread_nest(const Program& p, StmtId s) {
  const std::vector<LoopId> bound = thread_loops(p, s);
  return bound.empty() ? std::nullopt : std::optional(bound.front());
}

std::int64_t threads_at(const Program& p, StmtId s) {
  // The slowest loop spans the whole nest; groups inside of it may take fewer threads than it gives them.
  const auto nest = thread_nest(p, s);
  if (!nest) return 1;
  return constant_extent(p, *nest).value_or(1) * thread_weight(p, *nest);
}

std::int64_t threads_of(const Program& p, StmtId root) {
  std::int64_t threads = 1;
  for (BlockId b : blocks_under(p, root)) threads = std::max(threads, threads_at(p, b));
  return threads;
}

namespace {

/// The most iterations that loops of this group make together inside `s`, on one path.
std::int64_t inside_of(const Program& p, StmtId s, Group group) {
  std::int64_t most = 1;
  for (StmtId c : p[s].children) {
    const auto* l = p[c].as<Loop>();
    const std::int64_t own = l && l->group == group ? constant_extent(p, c).value_or(1) : 1;
    most = std::max(most, own * inside_of(p, c, group));
  }
  return most;
}

}  // namespace

std::int64_t thread_weight(const Program& p, LoopId l) {
  const Group group = p.loop(l).group;
  return inside_of(p, l, group) * (group == Group::warpgroup ? 128 : group == Group::warp ? 32 : 1);
}

Check check_threads_fit(const Program& p, StmtId root) {
  for (BlockId b : blocks_under(p, root)) {
    const std::vector<LoopId> around = thread_loops(p, b);
    for (std::size_t n = 1; n < around.size(); ++n) {
      const std::int64_t has = thread_weight(p, around[n - 1]), wants = constant_extent(p, around[n]).value_or(1) * thread_weight(p, around[n]);
      if (wants > has) return refuse(Code::threads_fit, loop_name(p, around[n]), wants, loop_name(p, around[n - 1]), has);
    }
  }
  return Ok{};
}

std::optional<ThreadDigit> thread_digit(const Program& p, const Digit& d) {
  const Loop& l = p.loop(d.loop);
  if (l.retired || !is_thread_group(l.group)) return std::nullopt;
  const std::int64_t extent = constant_extent(p, d.loop).value_or(1);
  const std::int64_t values = d.mod ? d.mod : (extent + d.div - 1) / d.div;
  return ThreadDigit{thread_weight(p, d.loop) * d.div, values, d.stride};
}

bool rotates(const Buffer& b) { return b.slots > 1 || b.channel; }

std::int64_t copies_of(const Program& p, const Buffer& b) {
  std::int64_t copies = 1;
  for (LoopId l : b.storage->owners) copies *= constant_extent(p, l).value_or(1);
  return copies;
}

bool holds_still(const Program& p, const Buffer& b, LoopId l) {
  const Storage& st = *b.storage;
  if (p.loop(l).retired)
    return std::all_of(p.loop(l).retired->digits.begin(), p.loop(l).retired->digits.end(), [&](const Digit& d) { return holds_still(p, b, d.loop); });
  if (rotates(b) && l == b.slot_loop) return true;
  if (st.private_to_thread && is_thread_group(p.loop(l).group)) return true;
  return is_inside(p, st.at, l);
}

namespace {

/// Bulk copies take nothing less than 16 bytes; what narrower accesses can do is the emitter's choice.
Check check_pointers(const Program& p, const Block& b) {
  if (!b.tile || (b.tile->via != Via::bulk && b.tile->via != Via::bulk_tensor)) return Ok{};
  std::vector<TensorId> touched = read_buffers(b);
  for (const Write& w : b.writes) touched.push_back(w.buffer);
  for (TensorId t : touched)
    if (p[t].scope == Scope::global && p[t].alignment < 16)
      return refuse(Code::copy_form, p[t].name, b.tile->via == Via::bulk ? "bulk" : "bulk_tensor", fmt::format("its pointer is {}-byte aligned; legal: 16", p[t].alignment));
  return Ok{};
}

/// A block that adds to what is in memory, or writes it along with another, must do so once: not in every thread of a nest, or block of a
/// grid, that it does not follow.
Check check_repeated(const Program& p, StmtId root, BlockId id) {
  const Block& b = p.block(id);
  const Scope scope = p[b.writes[0].buffer].scope;
  if (scope != Scope::global && scope != Scope::shared) return Ok{};
  const auto writers = writers_of(p, b.writes[0].buffer);
  const bool again = b.combiner || std::any_of(writers.begin(), writers.end(), [&](BlockId w) { return w != id && root_of(p, w) == root; });
  if (!again) return Ok{};
  const bool covered = std::any_of(p.cross_threads.begin(), p.cross_threads.end(), [&](const CrossThread& c) { return c.block == id; });
  std::vector<Digit> spatial;
  for (const Iter& i : b.iters)
    if (i.kind == IterKind::spatial) spatial.insert(spatial.end(), i.binding.digits.begin(), i.binding.digits.end());
  const auto repeats = [&](LoopId l) {
    return constant_extent(p, l).value_or(2) > 1 && !tell(p, spatial, l) && !(covered && (feeds(p, l, b, IterKind::reduce) || feeds(p, l, b, IterKind::scan)));
  };
  if (scope == Scope::global)
    for (LoopId l : grid_of(p, root))
      if (repeats(l)) return refuse(Code::repeated_reduction, loop_name(p, l), "blocks", b.name, "set_scope(…, shared) or a kernel of its own");
  const auto nest = thread_nest(p, id);
  std::vector<StmtId> stack;
  if (nest && (!b.tile || b.tile->via == Via::plain)) stack.push_back(*nest);
  while (!stack.empty()) {
    const StmtId s = stack.back();
    stack.pop_back();
    if (p[s].as<Loop>() && is_thread_group(p.loop(s).group) && repeats(s))
      return refuse(Code::repeated_reduction, loop_name(p, s), "threads", b.name, "set_scope(…, local), or a loop of '" + b.name + "' bound to as many threads");
    stack.insert(stack.end(), p[s].children.begin(), p[s].children.end());
  }
  return Ok{};
}

/// Who makes a block outside of loops bound to threads follows from where its results live: they live alike.
Check check_scopes(const Program& p, StmtId root, BlockId id) {
  const Block& b = p.block(id);
  const std::vector<LoopId> around = thread_loops(p, id);
  if (threads_of(p, root) == 1 || !std::all_of(around.begin(), around.end(), [&](LoopId l) { return p.loop(l).group == Group::warpgroup; })) return Ok{};
  std::optional<TensorId> kept, common;
  for (const Write& w : b.writes) (p[w.buffer].scope == Scope::local || p[w.buffer].scope == Scope::reg ? kept : common) = w.buffer;
  if (kept && common) return refuse(Code::mixed_scopes, b.name, p[*kept].name, p[*common].name);
  return Ok{};
}

}  // namespace

Result<Program> check_groups(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (StmtId root : p.kernels) {
    const std::string& name = p[root].as<Root>()->name;
    // Below the chain of loops bound to blocks none may remain.
    const std::vector<LoopId> grid = grid_of(p, root);
    const StmtId s = grid.empty() ? root : grid.back();
    for (std::size_t n = 0; n < grid.size(); ++n)  // ranks of a cluster may stand inside
      if (p.loop(grid[n]).persistent && std::any_of(grid.begin() + static_cast<std::ptrdiff_t>(n) + 1, grid.end(), [&](LoopId l) { return p.loop(l).group == Group::block; }))
        return refuse(Code::block_loops, name);
    for (const Channel& c : p.channels)
      for (TensorId t : c.buffers)
        if (p[t].scope != Scope::shared) return refuse(Code::channel_form, p[t].name, "its slots lie in shared memory; legal: set_scope(…, shared)");
    // Between roles a slot of a loop that runs once in each block is handed over once; who copies ahead would copy another block's.
    const auto between_roles = [&](TensorId t) {
      std::vector<BlockId> users = writers_of(p, t);
      const std::vector<BlockId> readers = readers_of(p, t);
      users.insert(users.end(), readers.begin(), readers.end());
      return !p.roles.empty() && std::any_of(users.begin(), users.end(), [&](BlockId b) { return p.block(b).tile && (p.block(b).tile->via == Via::bulk || p.block(b).tile->via == Via::bulk_tensor); });
    };
    for (const Channel& c : p.channels)
      if (std::find(grid.begin(), grid.end(), c.loop) != grid.end() && !p.loop(c.loop).persistent && !std::all_of(c.buffers.begin(), c.buffers.end(), between_roles))
        return refuse(Code::channel_form, p[c.buffers[0]].name, fmt::format("loop '{}' is bound to blocks and does not run in one of them; legal: persist", loop_name(p, c.loop)));
    for (BlockId b : blocks_under(p, root)) {
      if (!is_inside(p, b, s)) return refuse(Code::block_loops, name);
      TECC_CHECK(check_pointers(p, p.block(b)));
      for (LoopId l : loops_around(p, b)) {
        const Group group = p.loop(l).group;
        if ((group == Group::block || group == Group::cluster) && !is_inside(p, s, l)) return refuse(Code::block_loops, name);
      }
      for (LoopId l : thread_loops(p, b)) {
        if (!constant_extent(p, l)) return refuse(Code::thread_extent, loop_name(p, l), print(p.loop(l).extent, names_of(p)));
        const bool covered = std::any_of(p.cross_threads.begin(), p.cross_threads.end(), [&](const CrossThread& c) { return c.block == b; });
        if (feeds(p, l, p.block(b), IterKind::reduce) && !covered) return refuse(Code::uncovered_reduction, loop_name(p, l), p.block(b).name);
        if (feeds(p, l, p.block(b), IterKind::scan) && !covered) return refuse(Code::uncovered_scan, loop_name(p, l), p.block(b).name);
      }
      TECC_CHECK(check_repeated(p, root, b));
      TECC_CHECK(check_scopes(p, root, b));
    }
    TECC_CHECK(check_blocks_apart(p, root));
    if (const std::int64_t threads = threads_of(p, root); threads > limits.threads_per_block)
      return refuse(Code::too_many_threads, name, threads, limits.threads_per_block);
  }
  return p;
}

}  // namespace tecc::compiler
