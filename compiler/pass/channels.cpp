#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/pass/ahead.h"
#include "compiler/pass/events.h"
#include "ir/loop/affine.h"
#include "ir/loop/roles.h"

/// Pipelines become channels: what carries one out follows from who writes and who reads its slots, and the four events are placed
/// around the statements that do. Then events become operations on barriers. The idea of asynchronous references between producers and
/// consumers: Triton pull requests 6288 and 6689; Tawa, 2025.
///
///   producer -> consumer                        realisation
///   bulk copies -> threads                      full barrier that expects bytes, empty barrier with an arrival a consumer
///   threads of one role -> threads of another   the same, with arrivals on both sides; those of cp.async come some iterations later
///   threads -> bulk stores of the same role     proxy fence and barrier; groups of bulk stores
///   cp.async -> the same threads                groups of copies and one barrier an iteration
///   plain copies -> the same threads            registers, one iteration ahead (pipeline_copies)
namespace tecc::compiler {

using namespace loop;

namespace {

bool is_cp_async(Via v) { return v == Via::cp_async; }
bool is_plain(Via v) { return v == Via::plain || v == Via::vector; }

class Realiser {
 public:
  Realiser(Program& p, std::uint32_t channel, const std::map<BlockId, StmtId>& awaited) : p_(p), n_(channel), awaited_(awaited) {}

  Check run() {
    Channel& c = p_.channels[n_];
    for (TensorId t : c.buffers) {
      for (BlockId w : writers_of(p_, t)) add(writers_, w);
      for (BlockId r : readers_of(p_, t)) add(readers_, r);
    }
    const auto all = [&](const std::vector<BlockId>& blocks, auto&& f) { return std::all_of(blocks.begin(), blocks.end(), [&](BlockId b) { return f(via_of(p_.block(b))); }); };
    const auto one_role = [&](const std::vector<BlockId>& blocks) { return std::all_of(blocks.begin(), blocks.end(), [&](BlockId b) { return p_[b].role == p_[blocks[0]].role; }); };
    const std::string name = p_[c.buffers[0]].name;
    if (!one_role(writers_)) return refuse(Code::channel_form, name, "several roles write it");
    for (BlockId a : readers_)
      for (BlockId b : readers_)
        if (p_[a].role == p_[b].role && p_[a].stage < p_[b].stage)
          return refuse(Code::channel_form, name, fmt::format("'{}' uses it an iteration before '{}' does, which lags in a skewed loop; legal: a pipeline for each of its buffers", p_.block(a).name, p_.block(b).name));
    const bool same_role = one_role(readers_) && p_[writers_[0]].role == p_[readers_[0]].role;
    if (all(writers_, is_bulk)) {
      const auto& loop = p_.loop(c.loop);
      if (same_role && (p_[writers_[0]].role != Stmt::every_role || !loop.persistent || loop.stages)) return refuse(Code::channel_form, name, "bulk copies and their users are the same threads; legal: to specialize them into two roles, or one pipeline at a persistent loop");
      if (same_role && c.slots == 1) return refuse(Code::channel_form, name, "1 slot holds nothing ahead of what is being used; legal: 2 slots or more");
      c.how = same_role ? Channel::How::ahead : Channel::How::mbarrier;
    } else if (!same_role && one_role(writers_) && (all(writers_, is_cp_async) || all(writers_, is_plain))) {
      if (p_.loop(c.loop).stages) return refuse(Code::channel_form, name, "threads of another role fill it in a skewed loop");
      c.how = Channel::How::mbarrier;
    } else if (same_role && all(readers_, is_bulk)) {
      c.how = Channel::How::bulk_store;
    } else if (same_role && all(writers_, is_cp_async)) {
      c.how = Channel::How::cp_async;
    } else if (same_role && all(writers_, is_plain)) {
      for (std::uint32_t other = 0; other < n_; ++other)
        if (p_.channels[other].loop == c.loop && p_.channels[other].how == Channel::How::registers)
          return refuse(Code::channel_form, name, "plain copies of one loop go ahead together; legal: all its buffers in one pipeline");
      c.how = Channel::How::registers;
      return Ok{};  // carried out by pipeline_copies
    } else {
      return refuse(Code::channel_form, name, "no realisation joins these producers and consumers");
    }
    std::vector<TensorId> rotating = c.buffers;
    for (std::uint32_t t = 0; t < p_.buffers.size(); ++t)  // what lies in the same slots
      if (p_.buffers.has({t}) && p_[TensorId{t}].reuses && std::find(c.buffers.begin(), c.buffers.end(), *p_[TensorId{t}].reuses) != c.buffers.end()) rotating.push_back({t});
    for (TensorId t : rotating)
      p_.buffers.edit(t, [&](Buffer& b) {
        b.slots = c.slots;
        b.slot_loop = c.loop;
        b.channel = n_;
      });
    if (c.how == Channel::How::cp_async) return run_in_groups();
    if (c.how == Channel::How::ahead) {
      run_ahead(std::vector<TensorId>(rotating.begin() + static_cast<std::ptrdiff_t>(c.buffers.size()), rotating.end()));
      return Ok{};
    }
    StmtId home = writers_[0];  // slots belong to the innermost warpgroup around all that use them
    for (BlockId b : writers_) home = common_ancestor(p_, home, b);
    for (BlockId b : readers_) home = common_ancestor(p_, home, b);
    std::vector<LoopId> groups = bound_loops(p_, home, Group::warpgroup);
    TECC_CHECK(check_alternating());
    const std::vector<LoopId> alternating = alternating_loops(p_, c);  // one ring for all of their iterations
    std::erase_if(groups, [&](LoopId l) { return std::find(alternating.begin(), alternating.end(), l) != alternating.end(); });
    if (!groups.empty()) {
      c.owner = Group::warpgroup;
      for (LoopId l : groups) c.owners *= constant_extent(p_, l).value_or(1);
    }
    if (c.how == Channel::How::mbarrier) {
      // What is handed on late at both ends takes a slot each.
      const std::int64_t late = (all(writers_, is_cp_async) ? 1 : 0) + released_late();
      if (c.slots <= late) return refuse(Code::channel_form, name, fmt::format("{} slots, and {} of them at a time {} handed on an iteration later; legal: {} slots or more", c.slots, late, late > 1 ? "are" : "is", late + 1));
      c.full_arrivals = 1;
      c.empty_arrivals = 0;
      c.cluster = static_cast<std::int64_t>(senders_to(0, sharings_of(p_, c)).size());
      for (std::uint32_t r : roles_of(readers_)) {
        std::int64_t warpgroups = r == Stmt::every_role || c.owner == Group::warpgroup ? 1 : p_.roles[r].warpgroups;
        for (LoopId l : alternating)
          if (!takes_in_turn(p_, r, l)) warpgroups /= *constant_extent(p_, l);  // a round is one iteration's
        c.empty_arrivals += warpgroups;
      }
      c.empty_arrivals *= c.cluster;
    }
    place_events();
    return Ok{};
  }

 private:
  Program& p_;
  std::uint32_t n_;
  const std::map<BlockId, StmtId>& awaited_;  // wgmma statements and what waits for their end
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

  void event(StmtId beside, bool after, Event::Kind kind, std::uint32_t role, std::uint32_t stage, std::int64_t lag = 0, LoopId not_first = {}) {
    Stmt s{{}, {}, Event{n_, kind, lag, not_first}, p_[beside].at};
    s.role = role;
    s.stage = stage;
    add_stmt(p_, p_[beside].parent, position_in_parent(p_, beside) + (after ? 1 : 0), std::move(s));
  }

  /// Who passes over the rounds of another iteration must know how many these are.
  Check check_alternating() const {
    const Channel& c = p_.channels[n_];
    const std::string name = p_[c.buffers[0]].name;
    for (const auto* list : {&writers_, &readers_})
      for (BlockId b : *list)
        for (LoopId l : bound_loops(p_, b, Group::warpgroup))
          if (takes_in_turn(p_, p_[b].role, l) && !is_inside(p_, c.loop, l))
            return refuse(Code::channel_form, name, fmt::format("a role takes the iterations of '{}' in turn, inside of the loop of the pipeline; legal: a pipeline at a loop inside of it", loop_name(p_, l)));
    for (LoopId l : alternating_loops(p_, c))
      if (!rounds_are_equal(p_, c, l)) return refuse(Code::channel_form, name, fmt::format("warpgroups alternate over '{}', whose iterations differ in how often '{}' runs", loop_name(p_, l), loop_name(p_, c.loop)));
    return Ok{};
  }

  /// The statements that one iteration of the channel's loop runs in sequence: below loops over warpgroups that hold all of the uses. Of a
  /// chain of such loops with one statement each, the outermost will do.
  StmtId sequence_of(const std::vector<BlockId>& uses) const {
    StmtId sequence = p_.channels[n_].loop;
    for (StmtId at = sequence;;) {
      at = child_towards(p_, at, uses[0]);
      const auto* l = p_[at].as<Loop>();
      if (!l || (l->group != Group::warpgroup && l->group != Group::warp)) return sequence;
      if (!std::all_of(uses.begin(), uses.end(), [&](BlockId b) { return is_inside(p_, b, at); })) return sequence;
      if (p_[at].children.size() > 1) sequence = at;
    }
  }

  /// The copies into the slots stay in their iteration, everything else runs as many iterations later as the other slots can hold.
  void run_ahead(const std::vector<TensorId>& reusing) {
    const Channel& c = p_.channels[n_];
    const auto stage = static_cast<std::uint32_t>(c.slots - 1);
    const auto holds = [&](StmtId s, const std::vector<BlockId>& blocks) { return std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return is_inside(p_, b, s); }); };
    const std::function<void(StmtId)> later = [&](StmtId s) {
      p_.stmts.edit(s, [&](Stmt& row) { row.stage = stage; });
      for (StmtId child : p_[s].children) later(child);
    };
    std::vector<BlockId> stores;
    for (TensorId t : reusing)
      for (BlockId r : readers_of(p_, t)) add(stores, r);
    StmtId first_copy{}, last_copy{}, first_use{}, last_use{}, store{};
    const std::vector<StmtId> sequence = p_[c.loop].children;
    bool copies = false, used = false;
    for (StmtId s : sequence) {
      if (holds(s, writers_)) {
        if (!copies) first_copy = s;
        last_copy = s, copies = true;
        continue;
      }
      later(s);
      if (holds(s, readers_)) {
        if (!used) first_use = s;
        last_use = s, used = true;
      }
      if (holds(s, stores)) store = s;
    }
    p_.stmts.edit(c.loop, [&](Stmt& s) { std::get<Loop>(s.node).stages = stage; });
    const std::uint32_t role = Stmt::every_role;
    const auto put = [&](StmtId beside, bool after, std::variant<Sync, Barrier> op) {
      Stmt s{{}, {}, Barrier{}, p_[beside].at};
      if (const auto* sync = std::get_if<Sync>(&op)) s.node = *sync;
      s.stage = stage;
      add_stmt(p_, c.loop, position_in_parent(p_, beside) + (after ? 1 : 0), std::move(s));
    };
    event(first_copy, false, Event::Kind::acquire, role, 0);
    event(first_use, false, Event::Kind::wait, role, stage);
    if (store == StmtId{}) {
      put(last_use, true, Barrier{});  // all have read the slot that the next copy fills
      return;
    }
    // The slot goes out again: written by threads, read by bulk stores, free when those have read it.
    put(store, false, Sync{Sync::Op::fence_async, n_});
    put(store, false, Barrier{});
    put(store, true, Sync{Sync::Op::commit_bulk, n_});
    Stmt await{{}, {}, Sync{Sync::Op::await_bulk_read, n_}, p_[first_copy].at};
    add_stmt(p_, c.loop, position_in_parent(p_, first_copy), std::move(await));
  }

  /// The copies stay in their iteration, everything else runs slots - 1 iterations later.
  Check run_in_groups() {
    const Channel c = p_.channels[n_];
    const std::string name = p_[c.buffers[0]].name;
    const auto no = [&](const std::string& why) { return refuse(Code::channel_form, name, why); };
    if (c.slots < 2) return no("cp.async runs ahead of its users; legal: 2 slots or more");
    for (std::uint32_t other = 0; other < n_; ++other)
      if (p_.channels[other].loop == c.loop && p_.channels[other].how == Channel::How::cp_async) return no("copies of one loop go ahead together; legal: all its buffers in one pipeline");
    const auto stage = static_cast<std::uint32_t>(c.slots - 1);
    const auto holds = [&](StmtId s, const std::vector<BlockId>& blocks) { return std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return is_inside(p_, b, s); }); };
    std::vector<StmtId> copies, rest;
    for (StmtId s : p_[c.loop].children) (holds(s, writers_) ? copies : rest).push_back(s);
    for (StmtId s : copies) {
      if (holds(s, readers_)) return no(fmt::format("copies and their users stand in one loop inside of '{}'", loop_name(p_, c.loop)));
    }
    TECC_CHECK(check_ahead(p_, c, copies));
    for (StmtId s : rest) TECC_CHECK(check_extents(p_, c, s));
    for (StmtId s : rest) TECC_CHECK(lag(s, c.loop, stage));
    std::vector<StmtId> order = copies;
    order.insert(order.end(), rest.begin(), rest.end());
    p_.stmts.edit(c.loop, [&](Stmt& s) {
      s.children = order;
      std::get<Loop>(s.node).stages = stage;
    });
    const std::uint32_t role = p_[writers_[0]].role;
    event(copies.back(), true, Event::Kind::commit, role, 0);
    if (std::any_of(readers_.begin(), readers_.end(), [&](BlockId b) { return adds_up(b); })) {  // the copies fill the slot that the last products read
      Stmt await{{}, {}, Sync{Sync::Op::await_mma, 0, 0, 0, Group::warpgroup, {}}, p_[copies.front()].at};
      await.role = role;
      await.stage = stage;
      add_stmt(p_, c.loop, position_in_parent(p_, copies.front()), std::move(await));
    }
    event(copies.front(), false, Event::Kind::wait, role, stage);
    return Ok{};
  }

  /// The statements under `s` do the work of `stage` iterations before the one that their loop `l` is in.
  Check lag(StmtId s, LoopId l, std::uint32_t stage) {
    if (const auto* b = p_[s].as<Block>()) {
      if (b->ahead) return refuse(Code::channel_form, p_[p_.channels[n_].buffers[0]].name, fmt::format("'{}' runs ahead of another loop", b->name));
      for (const Iter& i : b->iters)
        for (const Digit& d : i.binding.digits)
          if (p_.loop(d.loop).retired && depends_on(p_, *p_.loop(d.loop).retired, l)) return refuse(Code::pipeline_lines_up, loop_name(p_, l), b->name);
    }
    p_.stmts.edit(s, [&](Stmt& row) {
      row.stage = stage;
      if (auto* b = std::get_if<Block>(&row.node)) b->ahead = Block::Ahead{l, -static_cast<std::int64_t>(stage)};
    });
    for (StmtId child : p_[s].children) TECC_CHECK(lag(child, l, stage));
    return Ok{};
  }

  /// A product that goes on into the next iteration of the loop: the slot that it reads is free one iteration later.
  bool adds_up(BlockId b) const { return awaited_.count(b) && p_[awaited_.at(b)].as<Sync>()->not_first == p_.channels[n_].loop; }

  /// How many iterations later its readers give a slot back.
  std::int64_t released_late() const {
    return std::any_of(readers_.begin(), readers_.end(), [&](BlockId b) { return adds_up(b); }) ? 1 : 0;
  }

  /// How many groups of cp.async run while an older one is awaited: half of the slots that readers leave, so that the other half hides how long
  /// readers and writers take to hear of each other. No more than every run of the loop has iterations.
  std::int64_t groups_ahead() const {
    const Channel& c = p_.channels[n_];
    const auto rounds = p_.loop(c.loop).persistent ? std::nullopt : constant_extent(p_, c.loop);
    return std::min((c.slots - released_late() + 1) / 2, std::max<std::int64_t>(rounds.value_or(1), 1));
  }

  /// The statement, or what waits for its products.
  StmtId behind(StmtId s) const {
    const auto& after = p_[p_[s].parent].children;
    const std::size_t next = position_in_parent(p_, s) + 1;
    const auto* sync = next < after.size() ? p_[after[next]].as<Sync>() : nullptr;
    return sync && sync->op == Sync::Op::await_mma ? after[next] : s;
  }

  void place_events() {
    const LoopId loop = p_.channels[n_].loop;
    for (std::uint32_t role : all_roles()) {
      std::vector<BlockId> uses;
      for (const auto* list : {&writers_, &readers_})
        for (BlockId b : *list)
          if (p_[b].role == role) add(uses, b);
      const StmtId sequence = sequence_of(uses);
      const auto ends = [&](const std::vector<BlockId>& blocks) {  // the first and the last statement of the sequence that hold one
        std::pair<StmtId, StmtId> out{};
        bool first = true;
        for (StmtId c : p_[sequence].children)
          if (std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return p_[b].role == role && is_inside(p_, b, c); })) {
            if (first) out.first = c;
            out.second = c;
            first = false;
          }
        return out;
      };
      const auto in_role = [&](const std::vector<BlockId>& blocks) { return std::find_if(blocks.begin(), blocks.end(), [&](BlockId b) { return p_[b].role == role; }); };
      if (const auto w = in_role(writers_); w != writers_.end()) {
        const auto [first, last] = ends(writers_);
        event(first, false, Event::Kind::acquire, role, p_[*w].stage);
        const std::int64_t lag = is_cp_async(via_of(p_.block(*w))) ? groups_ahead() : 0;  // while one group is awaited, the next ones run
        event(last, true, Event::Kind::commit, role, p_[*w].stage, lag, lag ? loop : LoopId{});
        for (std::int64_t n = 0; n < lag; ++n) event(behind(loop), true, Event::Kind::commit, role, p_[*w].stage, n);
      }
      if (const auto r = in_role(readers_); r != readers_.end()) {
        const auto [first, last] = ends(readers_);
        const std::uint32_t stage = p_[*r].stage;
        // Behind the last use, and behind what waits for the end of asynchronous ones.
        StmtId end = last;
        bool lags = false;
        for (BlockId b : readers_) {
          if (p_[b].role != role || !awaited_.count(b)) continue;
          StmtId await = awaited_.at(b);
          if (p_[await].parent != sequence && is_inside(p_, await, sequence)) await = behind(child_towards(p_, sequence, await));
          if (p_[await].parent == sequence && position_in_parent(p_, await) > position_in_parent(p_, end)) end = await;
          lags |= adds_up(b);
        }
        event(first, false, Event::Kind::wait, role, stage);
        event(end, true, Event::Kind::release, role, stage, lags ? 1 : 0, lags ? loop : LoopId{});
        // Nobody fills the last slot again where a block comes past the loop once.
        if (lags && (!runs_once(p_, loop) || !alternating_loops(p_, p_.channels[n_]).empty())) event(behind(loop), true, Event::Kind::release, role, stage);
      }
    }
  }

  std::vector<std::uint32_t> all_roles() const {
    std::vector<BlockId> all = writers_;
    for (BlockId b : readers_) add(all, b);
    return roles_of(all);
  }
};

/// True if channels keep what the block reads in shared memory until it was read; else nothing may touch it before the block is done.
bool handed_over(const Program& p, const Block& b) {
  const std::vector<TensorId> from = read_buffers(b);
  return std::all_of(from.begin(), from.end(), [&](TensorId t) {
    return p[t].scope != Scope::shared || std::any_of(p.channels.begin(), p.channels.end(), [&](const Channel& c) { return std::find(c.buffers.begin(), c.buffers.end(), t) != c.buffers.end(); });
  });
}

/// A wgmma statement is a group that goes on while its warpgroup does. It is awaited before anything else touches its accumulator, or writes the
/// registers that it reads; if nothing in the loop does, because the loop adds up, one iteration later, and after the loop. Returns what waits for each.
std::map<BlockId, StmtId> await_products(Program& p, StmtId root) {
  std::map<BlockId, StmtId> out;
  const auto await = [&](StmtId beside, bool after, std::int64_t pending, BlockId of, std::uint32_t stage, LoopId not_first) {
    Stmt s{{}, {}, Sync{Sync::Op::await_mma, 0, 0, pending, Group::warpgroup, not_first}, p[of].at};
    s.role = p[of].role;
    s.stage = stage;
    return add_stmt(p, p[beside].parent, position_in_parent(p, beside) + (after ? 1 : 0), std::move(s));
  };
  for (BlockId id : blocks_under(p, root)) {
    const Block b = p.block(id);
    if (via_of(b) != Via::wgmma) continue;
    const TensorId acc = b.writes[0].buffer;
    // The sequence that the tile stands in: its other statements run before and after. Tiles of a loop whose iterations add to different
    // sums are issued one after the other, and awaited together.
    StmtId tile = b.tile->top;
    std::int64_t tiles = 1;
    for (LoopId around = p[tile].parent; p[around].as<Loop>() && p[around].children.size() == 1; around = p[tile].parent) {
      const bool apart = p.loop(around).group == Group::none && constant_extent(p, around) && !feeds(p, around, b, IterKind::reduce);
      if (!apart && !is_thread_group(p.loop(around).group)) break;
      if (apart) tiles *= *constant_extent(p, around);
      tile = around;
    }
    const StmtId loop = p[tile].parent;
    const std::vector<StmtId> order = p[loop].children;
    const auto uses = [&](StmtId s) {
      for (BlockId other : blocks_under(p, s)) {
        if (other == id || p[other].role != p[id].role) continue;
        const Block& o = p.block(other);
        if (reads(o, acc) || std::any_of(o.writes.begin(), o.writes.end(), [&](const Write& w) { return p[w.buffer].scope == Scope::reg && (writes(b, w.buffer) || reads(b, w.buffer)); })) return true;
      }
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
      out[id] = await(*user, false, issued, id, p[id].stage, {});
    } else if (p[loop].as<Loop>() && !is_thread_group(p.loop(loop).group) && handed_over(p, b)) {
      std::int64_t all = 0;
      for (BlockId other : blocks_under(p, loop)) all += p[other].role == p[id].role && via_of(p.block(other)) == Via::wgmma;
      all += tiles - 1;
      out[id] = await(tile, true, all, id, p[id].stage, loop);
      await(loop, true, 0, id, 0, {});
    } else {
      out[id] = await(tile, true, 0, id, p[id].stage, {});
    }
  }
  return out;
}

/// True if the block uses a channel whose rounds belong to one iteration of `l` each.
bool alternates(const Program& p, BlockId b, LoopId l) {
  return std::any_of(p.channels.begin(), p.channels.end(), [&](const Channel& c) {
    const bool uses = std::any_of(c.buffers.begin(), c.buffers.end(), [&](TensorId t) { return reads(p.block(b), t) || writes(p.block(b), t); });
    const std::vector<LoopId> loops = uses ? alternating_loops(p, c) : std::vector<LoopId>{};
    return std::find(loops.begin(), loops.end(), l) != loops.end();
  });
}

/// Warpgroups that alternate take turns at their rounds: the parity of a slot's barrier tells one round from the next, not from those behind it.
Check alternate(Program& p, StmtId root) {
  for (BlockId b : blocks_under(p, root))
    for (LoopId l : bound_loops(p, b, Group::warpgroup)) {
      if (takes_in_turn(p, p[b].role, l) || !alternates(p, b, l)) continue;
      if (warpgroups_of(p, l) != constant_extent(p, l)) return refuse(Code::role_group, p[b].role + 1, p.roles[p[b].role].warpgroups, loop_name(p, l), "groups of several that alternate; legal: one warpgroup an iteration");
      auto turns = std::find_if(p.turns.begin(), p.turns.end(), [&](const Turns& t) { return t.loop == l; });
      if (turns == p.turns.end()) turns = p.turns.insert(turns, Turns{l, {}});
      if (std::find(turns->critical.begin(), turns->critical.end(), b) == turns->critical.end()) turns->critical.push_back(b);
    }
  return Ok{};
}

/// The critical statements of warpgroups that take turns stand between a wait for the turn and its passing on.
void place_turns(Program& p) {
  for (const Turns& t : p.turns) {
    StmtId meet = t.critical[0];
    for (BlockId b : t.critical) meet = common_ancestor(p, meet, b);
    if (p[meet].as<Block>()) meet = p[meet].parent;
    if (std::any_of(t.critical.begin(), t.critical.end(), [&](BlockId b) { return alternates(p, b, t.loop); })) meet = t.loop;
    std::vector<StmtId> all;
    for (StmtId c : p[meet].children)
      if (std::any_of(t.critical.begin(), t.critical.end(), [&](BlockId b) { return is_inside(p, b, c); })) all.push_back(c);
    const std::int64_t warpgroups = constant_extent(p, t.loop).value_or(1);
    const auto turn = [&](StmtId beside, bool after, Sync::Op op) {
      Stmt s{{}, {}, Sync{op, 0, 0, warpgroups, Group::warpgroup, {}}, p[t.critical[0]].at};
      s.role = p[t.critical[0]].role;
      add_stmt(p, meet, position_in_parent(p, beside) + (after ? 1 : 0), std::move(s));
    };
    turn(all.front(), false, Sync::Op::await_turn);
    turn(all.back(), true, Sync::Op::pass_turn);
  }
}

}  // namespace

Result<Program> realise_channels(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  std::map<BlockId, StmtId> awaited;
  for (StmtId root : std::vector<StmtId>(p.kernels)) awaited.merge(await_products(p, root));
  for (std::uint32_t n = 0; n < p.channels.size(); ++n) TECC_CHECK(Realiser(p, n, awaited).run());
  for (BlockId b : all_blocks(p)) {  // asynchronous copies are awaited by the channel of their side in shared memory
    const Via via = via_of(p.block(b));
    if (!is_cp_async(via) && !is_bulk(via)) continue;
    const TensorId to = p.block(b).writes[0].buffer, slot = p[to].scope == Scope::shared ? to : read_buffers(p.block(b))[0];
    if (!p[slot].channel) return refuse(Code::copy_form, p[slot].name, via == Via::cp_async ? "cp_async" : via == Via::bulk ? "bulk" : "bulk_tensor", "nothing waits for it; legal: a pipeline that names it");
  }
  for (StmtId root : std::vector<StmtId>(p.kernels)) TECC_CHECK(alternate(p, root));
  place_turns(p);
  return p;
}

}  // namespace tecc::compiler
