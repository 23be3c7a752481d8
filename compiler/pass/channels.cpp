#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

/// Pipelines become channels: what carries one out follows from who writes and who reads its slots, and the four events are placed
/// around the statements that do. Then events become operations on barriers. The idea of asynchronous references between producers and
/// consumers: Triton pull requests 6288 and 6689; Tawa, 2025.
///
///   producer -> consumer                        realisation
///   bulk copies -> threads                      full barrier that expects bytes, empty barrier with an arrival a consumer
///   threads of one role -> threads of another   the same, with arrivals on both sides
///   threads -> bulk stores of the same role     proxy fence and barrier; groups of bulk stores
///   plain copies -> the same threads            registers, one iteration ahead (pipeline_copies)
namespace tecc::compiler {

using namespace loop;

namespace {

Via via_of(const Block& b) { return b.tile ? b.tile->via : Via::plain; }
bool is_bulk(Via v) { return v == Via::bulk || v == Via::bulk_tensor; }

class Realiser {
 public:
  Realiser(Program& p, std::uint32_t channel) : p_(p), n_(channel) {}

  Check run() {
    Channel& c = p_.channels[n_];
    for (TensorId t : c.buffers) {
      for (BlockId w : writers_of(p_, t)) add(writers_, w);
      for (BlockId r : readers_of(p_, t)) add(readers_, r);
    }
    const auto all = [&](const std::vector<BlockId>& blocks, auto&& f) { return std::all_of(blocks.begin(), blocks.end(), [&](BlockId b) { return f(via_of(p_.block(b))); }); };
    const auto one_role = [&](const std::vector<BlockId>& blocks) { return std::all_of(blocks.begin(), blocks.end(), [&](BlockId b) { return p_[b].role == p_[blocks[0]].role; }); };
    const std::string& name = p_[c.buffers[0]].name;
    if (!one_role(writers_)) return refuse(Code::channel_form, name, "several roles write it");
    const bool same_role = one_role(readers_) && p_[writers_[0]].role == p_[readers_[0]].role;
    if (all(writers_, is_bulk)) {
      if (same_role) return refuse(Code::channel_form, name, "bulk copies and their users share a role; legal: to specialize them into two");
      c.how = Channel::How::mbarrier;
    } else if (same_role && all(readers_, is_bulk)) {
      c.how = Channel::How::bulk_store;
    } else if (same_role && all(writers_, [](Via v) { return v == Via::plain || v == Via::vector; })) {
      c.how = Channel::How::registers;
      return Ok{};  // carried out by pipeline_copies
    } else {
      return refuse(Code::channel_form, name, "no realisation joins these producers and consumers");
    }
    for (TensorId t : c.buffers)
      p_.buffers.edit(t, [&](Buffer& b) {
        b.slots = c.slots;
        b.slot_loop = c.loop;
        b.channel = n_;
      });
    const std::vector<LoopId> groups = bound_loops(p_, c.loop, Group::warpgroup);
    if (!groups.empty()) {
      c.owner = Group::warpgroup;
      for (LoopId l : groups) c.owners *= constant_extent(p_, l).value_or(1);
    }
    if (c.how == Channel::How::mbarrier) {
      c.full_arrivals = 1;
      c.empty_arrivals = 0;
      for (std::uint32_t r : roles_of(readers_)) c.empty_arrivals += r == Stmt::every_role ? 1 : c.owner == Group::warpgroup ? 1 : p_.roles[r].warpgroups;
    }
    place_events();
    return Ok{};
  }

 private:
  Program& p_;
  std::uint32_t n_;
  std::vector<BlockId> writers_, readers_;

  static void add(std::vector<BlockId>& list, BlockId b) {
    if (std::find(list.begin(), list.end(), b) == list.end()) list.push_back(b);
  }
  std::vector<std::uint32_t> roles_of(const std::vector<BlockId>& blocks) const {
    std::vector<std::uint32_t> out;
    for (BlockId b : blocks)
      if (std::find(out.begin(), out.end(), p_[b].role) == out.end()) out.push_back(p_[b].role);
    return out;
  }

  void event(StmtId beside, bool after, Event::Kind kind, std::uint32_t role, std::int64_t lag = 0, LoopId not_first = {}) {
    const StmtId parent = p_[beside].parent;
    std::size_t at = position_in_parent(p_, beside) + (after ? 1 : 0);
    if (after)  // behind what waits for the statement to end
      while (at < p_[parent].children.size() && is_wait(p_[parent].children[at])) ++at;
    Stmt s{{}, {}, Event{n_, kind, lag, not_first}, p_[beside].at};
    s.role = role;
    add_stmt(p_, parent, at, std::move(s));
  }
  bool is_wait(StmtId s) const {
    const auto* sync = p_[s].as<Sync>();
    return sync && sync->op == Sync::Op::await_mma;
  }

  void place_events() {
    const LoopId loop = p_.channels[n_].loop;
    const auto ends = [&](const std::vector<BlockId>& blocks, std::uint32_t role) {  // the first and the last child of the loop that hold one
      std::pair<StmtId, StmtId> out{};
      bool first = true;
      for (StmtId c : p_[loop].children)
        if (std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return p_[b].role == role && is_inside(p_, b, c); })) {
          if (first) out.first = c;
          out.second = c;
          first = false;
        }
      return out;
    };
    for (std::uint32_t role : roles_of(writers_)) {
      const auto [first, last] = ends(writers_, role);
      event(first, false, Event::Kind::acquire, role);
      event(last, true, Event::Kind::commit, role);
    }
    for (std::uint32_t role : roles_of(readers_)) {
      const auto [first, last] = ends(readers_, role);
      event(first, false, Event::Kind::wait, role);
      // A product that adds up over the loop goes on while the next one is issued: its slot is free one iteration later.
      const bool lags = std::any_of(readers_.begin(), readers_.end(), [&](BlockId b) { return p_[b].role == role && runs_on(b, loop); });
      event(last, true, Event::Kind::release, role, lags ? 1 : 0, lags ? loop : LoopId{});
      if (lags) event(loop, true, Event::Kind::release, role);
    }
  }

  /// True if the wgmma statement is awaited only in the next iteration of `loop` (await_products put the wait there).
  bool runs_on(BlockId b, LoopId loop) const {
    if (via_of(p_.block(b)) != Via::wgmma) return false;
    const StmtId parent = p_[child_towards(p_, loop, b)].parent;
    for (StmtId c : p_[parent].children)
      if (const auto* s = p_[c].as<Sync>(); s && s->op == Sync::Op::await_mma && p_[c].role == p_[b].role && s->not_first == loop) return true;
    return false;
  }
};

/// A wgmma statement is a group that goes on while its warpgroup does. It is awaited before anything else touches its accumulator; if
/// nothing in the loop does, because the loop adds up, one iteration later, and after the loop.
void await_products(Program& p, StmtId root) {
  const auto await = [&](StmtId beside, bool after, std::int64_t pending, std::uint32_t role, LoopId not_first) {
    Stmt s{{}, {}, Sync{Sync::Op::await_mma, 0, 0, pending, Group::warpgroup, not_first}, p[beside].at};
    s.role = role;
    add_stmt(p, p[beside].parent, position_in_parent(p, beside) + (after ? 1 : 0), std::move(s));
  };
  for (BlockId id : blocks_under(p, root)) {
    const Block b = p.block(id);
    if (via_of(b) != Via::wgmma) continue;
    const TensorId acc = b.writes[0].buffer;
    // The innermost loop around the tile that is none of its own: its children are what runs before and after.
    StmtId tile = p[id].as<Block>()->tile->top;
    while (p[p[tile].parent].as<Loop>() && is_thread_group(p.loop(p[tile].parent).group) && p[p[tile].parent].children.size() == 1) tile = p[tile].parent;
    const StmtId loop = p[tile].parent;
    const std::vector<StmtId> order = p[loop].children;
    const auto uses = [&](StmtId s) {
      for (BlockId other : blocks_under(p, s))
        if (other != id && p[other].role == p[id].role && (reads(p.block(other), acc) || writes(p.block(other), acc))) return true;
      return false;
    };
    const auto own = static_cast<std::size_t>(std::find(order.begin(), order.end(), tile) - order.begin());
    std::int64_t issued = 0;  // wgmma statements after this one
    std::optional<StmtId> user;
    for (std::size_t n = own + 1; n < order.size() && !user; ++n) {
      if (uses(order[n])) user = order[n];
      else
        for (BlockId other : blocks_under(p, order[n])) issued += p[other].role == p[id].role && via_of(p.block(other)) == Via::wgmma;
    }
    if (user) {
      await(*user, false, issued, p[id].role, {});
    } else if (p[loop].as<Loop>()) {
      std::int64_t all = 0;
      for (BlockId other : blocks_under(p, loop)) all += p[other].role == p[id].role && via_of(p.block(other)) == Via::wgmma;
      await(tile, true, all, p[id].role, loop);
      await(loop, true, 0, p[id].role, {});
    } else {
      await(tile, true, 0, p[id].role, {});
    }
  }
}

}  // namespace

Result<Program> realise_channels(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (StmtId root : std::vector<StmtId>(p.kernels)) await_products(p, root);
  for (std::uint32_t n = 0; n < p.channels.size(); ++n) TECC_CHECK(Realiser(p, n).run());
  return p;
}

Result<Program> lower_events(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  const auto bytes_of_slot = [&](const Channel& c) {
    std::int64_t bytes = 0;
    for (TensorId t : c.buffers) bytes += p[t].storage->elements * bytes_of(p[t].type);
    return bytes;
  };
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
      if (c.how == Channel::How::mbarrier) {
        switch (e.kind) {
          case Event::Kind::acquire: sync(Op::wait_empty, c.owner), sync(Op::expect, c.owner, bytes_of_slot(c)); break;
          case Event::Kind::commit: break;  // the copies themselves arrive
          case Event::Kind::wait: sync(Op::wait_full, c.owner); break;
          case Event::Kind::release: sync(Op::arrive_empty, Group::warpgroup); break;
        }
      } else {
        switch (e.kind) {
          case Event::Kind::acquire: sync(Op::await_bulk_read, c.owner, c.slots - 1), into.push_back(Barrier{c.owner}); break;
          case Event::Kind::commit: sync(Op::fence_async, c.owner), into.push_back(Barrier{c.owner}); break;
          case Event::Kind::wait: break;
          case Event::Kind::release: sync(Op::commit_bulk, c.owner); break;
        }
      }
      const std::uint32_t role = p[s].role;
      const CallSite at = p[s].at;
      p.stmts.edit(parent, [&](Stmt& row) { std::erase(row.children, s); });
      for (const auto& op : into) {
        Stmt made{{}, {}, Barrier{}, at};
        if (const auto* b = std::get_if<Barrier>(&op)) made.node = *b;
        else made.node = std::get<Sync>(op);
        made.role = role;
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
      if (c.how == Channel::How::bulk_store && root_of(p, c.loop) == root) {
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
