#include <algorithm>

#include "compiler/pass/events.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

/// Events of channels become operations on barriers and on groups of asynchronous work.
namespace tecc::compiler {

using namespace loop;

namespace {

/// True if threads load what the channel holds, each for itself; an instruction's reads are awaited by the whole warpgroup.
bool read_by_threads(const Program& p, const Channel& c) {
  for (TensorId t : c.buffers)
    for (BlockId b : readers_of(p, t))
      if (!p.block(b).tile || !p.block(b).tile->instruction) return true;
  return false;
}
/// True if what reads the channel's slots sees shared memory through the asynchronous proxy.
bool read_by_proxy(const Program& p, const Channel& c) {
  for (TensorId t : c.buffers)
    for (BlockId b : readers_of(p, t))
      if (const auto& tile = p.block(b).tile; tile && (tile->via == Via::wgmma || tile->via == Via::bulk || tile->via == Via::bulk_tensor)) return true;
  return false;
}
bool is_bulk(const Program& p, const Channel& c) {
  const auto& tile = p.block(writers_of(p, c.buffers[0])[0]).tile;
  return tile && (tile->via == Via::bulk || tile->via == Via::bulk_tensor);
}
/// True if all threads of a warpgroup of the n-th statement's role have met since they last touched memory.
bool have_met(const Program& p, StmtId parent, std::size_t n) {
  const std::vector<StmtId>& row = p[parent].children;
  const std::uint32_t role = p[row[n]].role;
  while (n-- > 0) {
    const Stmt& before = p[row[n]];
    if (const auto* b = before.as<Barrier>(); b && b->group <= Group::warpgroup && before.role == role) return true;
    const std::vector<BlockId> blocks = blocks_under(p, row[n]);
    if (std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return p[b].role == role; })) return false;
  }
  return false;
}
/// What bulk copies under the statement bring to a slot. The slot may be larger: products read beyond the tensor where nobody misses the result.
std::int64_t bytes_brought(const Program& p, const Channel& c, StmtId under) {
  std::int64_t sum = 0;
  for (TensorId t : c.buffers)
    for (BlockId w : writers_of(p, t)) {
      if (!is_inside(p, w, under)) continue;
      std::int64_t bytes = bytes_of(p[t].type);
      for (LoopId l : loops_around(p, w))
        if (is_inside(p, l, under) && under != StmtId(l)) bytes *= range_of(p, l).high + 1;
      sum += bytes;
    }
  return sum;
}

}  // namespace

bool becomes_barrier(const Program& p, const Event& e) {
  const Channel& c = p.channels[e.channel];
  switch (c.how) {
    case Channel::How::cp_async: return e.kind == Event::Kind::wait;
    case Channel::How::mbarrier: return e.kind == Event::Kind::commit && !is_bulk(p, c);
    case Channel::How::bulk_store: return e.kind == Event::Kind::commit;
    default: return false;
  }
}

bool runs_once(const Program& p, StmtId s) {
  const auto around = loops_around(p, s);
  return std::none_of(around.begin(), around.end(), [&](LoopId l) { return p.loop(l).persistent || (p.loop(l).group == Group::none && range_of(p, l).high > 0); });
}

Result<Program> lower_events(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  const std::function<void(StmtId)> visit = [&](StmtId parent) {
    for (std::size_t n = 0; n < p[parent].children.size(); ++n) {
      const StmtId s = p[parent].children[n];
      if (!p[s].as<Event>()) {
        visit(s);
        continue;
      }
      const Event e = *p[s].as<Event>();
      const Channel& c = p.channels[e.channel];
      std::vector<std::variant<Sync, Barrier>> into;
      using Op = Sync::Op;
      const auto sync = [&](Op op, Group group, std::int64_t count = 0) { into.push_back(Sync{op, e.channel, e.lag, count, group, e.not_first}); };
      if (c.how == Channel::How::ahead) {
        if (e.kind == Event::Kind::acquire) sync(Op::expect, c.owner, bytes_brought(p, c, parent));
        if (e.kind == Event::Kind::wait) sync(Op::wait_full, c.owner);
      } else if (c.how == Channel::How::mbarrier) {
        const auto& tile = p.block(writers_of(p, c.buffers[0])[0]).tile;
        const bool bulk = is_bulk(p, c), groups = tile && tile->via == Via::cp_async;
        switch (e.kind) {
          case Event::Kind::acquire:
            sync(Op::wait_empty, c.owner);
            if (bulk) sync(Op::expect, c.owner, bytes_brought(p, c, parent));
            break;
          case Event::Kind::commit:
            if (bulk) break;  // the copies themselves arrive
            if (groups && e.not_first != LoopId{}) into.push_back(Sync{Op::commit_copies, e.channel, 0, 0, c.owner, {}});  // behind the loop nothing is new
            if (groups) into.push_back(Sync{Op::await_copies, e.channel, 0, e.lag, c.owner, {}});
            into.push_back(Sync{Op::fence_async, e.channel, 0, 0, c.owner, {}}), into.push_back(Barrier{c.owner});
            sync(Op::arrive_full, c.owner);
            break;
          case Event::Kind::wait: sync(Op::wait_full, c.owner); break;
          case Event::Kind::release:  // one thread arrives for its warpgroup: what the others read themselves must be done
            if (read_by_threads(p, c) && !have_met(p, parent, n)) into.push_back(Barrier{Group::warpgroup});
            sync(Op::arrive_empty, Group::warpgroup, c.cluster);
            break;
        }
      } else if (c.how == Channel::How::cp_async) {
        // Each thread awaits its own copies, then all meet: what the others copied is there, and the slot before is free.
        if (e.kind == Event::Kind::wait) {
          sync(Op::await_copies, c.owner, c.slots - 2);
          if (read_by_proxy(p, c)) into.push_back(Sync{Op::fence_async, e.channel, 0, 0, c.owner, {}});
          into.push_back(Barrier{c.owner});
        }
        if (e.kind == Event::Kind::commit) sync(Op::commit_copies, c.owner);
      } else {
        switch (e.kind) {
          case Event::Kind::acquire:  // of a slot that was stored from before
            if (!runs_once(p, s)) sync(Op::await_bulk_read, c.owner, c.slots - 1), into.push_back(Barrier{c.owner});
            break;
          case Event::Kind::commit: sync(Op::fence_async, c.owner), into.push_back(Barrier{c.owner}); break;
          case Event::Kind::wait: break;
          case Event::Kind::release: sync(Op::commit_bulk, c.owner); break;
        }
      }
      const std::uint32_t role = p[s].role, stage = p[s].stage;
      const CallSite at = p[s].at;
      p.stmts.edit(parent, [&](Stmt& row) { std::erase(row.children, s); });
      for (const auto& op : into) {
        Stmt made{{}, {}, Barrier{}, at};
        if (const auto* b = std::get_if<Barrier>(&op)) made.node = *b;
        else made.node = std::get<Sync>(op);
        made.role = role;
        made.stage = stage;
        add_stmt(p, parent, n++, std::move(made));
      }
      --n;
    }
  };
  for (StmtId root : p.kernels) {
    visit(root);
    // What bulk stores have yet to read and write must be done before the block ends and its shared memory goes.
    std::vector<std::pair<std::uint32_t, Group>> stores;
    for (const Channel& c : p.channels)
      if ((c.how == Channel::How::bulk_store || c.how == Channel::How::ahead) && root_of(p, c.loop) == root) {
        const std::pair<std::uint32_t, Group> one{p[writers_of(p, c.buffers[0])[0]].role, c.owner};
        if (std::find(stores.begin(), stores.end(), one) == stores.end()) stores.push_back(one);
      }
    for (const auto& [role, group] : stores) {
      Stmt end{{}, {}, Sync{Sync::Op::await_bulk, 0, 0, 0, group, {}}, p[root].at};
      end.role = role;
      add_stmt(p, root, p[root].children.size(), std::move(end));
    }
  }
  return p;
}

}  // namespace tecc::compiler
