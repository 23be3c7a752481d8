#include <fmt/format.h>

#include <bit>
#include <map>

#include "ir/loop/words.h"
#include "ir/simulate/machine.h"

namespace tecc::simulator {

bool Machine::blocked(Warp& w, StmtId s, std::string why) {
  w.waits_at = s;
  w.waits_for = std::move(why);
  return false;
}

std::size_t Machine::meeting_of(const Warp& w, Group group) const {
  const std::size_t role = static_cast<std::size_t>(w.role - k_.roles.data()), roles = k_.roles.size();
  return group == Group::block ? w.rank * roles + role : static_cast<std::size_t>(k_.cluster) * roles + w.group;
}

// ---- threads among themselves -------------------------------------------------------------------------------------------
bool Machine::barrier(Warp& w, StmtId s, Group group) {
  if (w.mask != w.exists) return fail_form(s, fmt::format("threads of a warp of {} part at a barrier", role_name(w))), true;
  if (group == Group::warp || group == Group::thread) {
    if (group == Group::warp) ++w.clock[static_cast<Agent>(w.number)];
    return true;
  }
  Meeting& m = meetings_[meeting_of(w, group)];
  const std::int64_t members = w.role->elected ? 1 : group == Group::block ? w.role->warps : std::min<std::int64_t>(4, w.role->warps - w.in_role / 4 * 4);
  if (w.arrived == 0) {
    if (!m.arrived.empty() && m.at != s)
      return fail(at(k_.p->stmts[s].at, refuse(Code::sim_form, k_.name, fmt::format("warps of {} meet at different barriers, {} and {}", role_name(w), said(m.at.n), said(s.n))))), true;
    m.at = s;
    m.arrived.push_back(&w);
    ++w.clock[static_cast<Agent>(w.number)];
    m.clock.join(w.clock);
    w.arrived = m.ticket;
    if (static_cast<std::int64_t>(m.arrived.size()) == members) {
      if (k_.p->stmts[s].as<Combine>()) combine(w, s, m.arrived);
      for (Warp* each : m.arrived) each->clock.join(m.clock);
      m.open = m.ticket++;
      m.arrived.clear();
      m.clock.clear();
    }
  }
  if (w.arrived > m.open) return blocked(w, s, fmt::format("{}: {} of {} warps have arrived", k_.p->stmts[s].as<Combine>() ? "a combination of threads" : group == Group::block ? "a barrier" : "a barrier of the warpgroup", m.arrived.size(), members));
  w.arrived = 0;
  return true;
}

void Machine::combine(Warp&, StmtId s, const std::vector<Warp*>& members) {
  const Combine& c = *k_.p->stmts[s].as<Combine>();
  const BufferInfo& first = k_.buffers[c.buffers[0].n];
  const DType type = first.row->type;
  std::vector<std::pair<std::int64_t, Warp*>> threads;  // number, warp
  for (Warp* w : members)
    for (int lane = 0; lane < 32; ++lane)
      if (w->exists >> lane & 1) threads.push_back({w->thread(lane), w});
  std::sort(threads.begin(), threads.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (c.scan) return scan(c, k_.p->stmts[s].stage, threads);
  struct Sum {
    Scalar value;
    std::int64_t position = -1;
    bool started = false, written = true;
    Tag tag = 0;
  };
  for (std::int64_t e = 0; e < first.elements; ++e) {
    std::map<std::int64_t, Sum> sums;
    const auto team = [&](std::int64_t t) { return t / (c.stride * c.threads) * c.stride + t % c.stride; };
    for (const auto& [t, w] : threads) {
      Sum& sum = sums[team(t)];
      const int lane = static_cast<int>(t % 32);
      const Register& r = w->reg(first.file + static_cast<std::size_t>(e), lane);
      sum.written &= r.written;
      if (sum.started && sum.written && sum.tag != r.tag)
        return fail(at(k_.p->stmts[s].at, refuse(Code::sim_form, k_.name, fmt::format("threads that combine '{}' hold different elements of it", first.row->name))));
      if (c.buffers.size() == 2) {
        const Register& position = w->reg(k_.buffers[c.buffers[1].n].file + static_cast<std::size_t>(e), lane);
        const interpreter::Best best = interpreter::better(c.op, type, {sum.value, sum.position}, {r.value, position.value.integer});
        sum.value = best.value;
        sum.position = best.position;
        sum.written &= position.written;
      } else {
        sum.value = sum.started ? interpreter::combine(c.op, type, sum.value, r.value) : r.value;
      }
      sum.started = true;
      sum.tag = r.tag;
    }
    for (const auto& [t, w] : threads) {
      const Sum& sum = sums[team(t)];
      const int lane = static_cast<int>(t % 32);
      Register& r = w->reg(first.file + static_cast<std::size_t>(e), lane);
      r.value = sum.value;
      r.written = sum.written;
      if (c.buffers.size() == 2) w->reg(k_.buffers[c.buffers[1].n].file + static_cast<std::size_t>(e), lane).value = {.integer = sum.position};
    }
  }
}

/// What came before a thread's own part, team by team in order of thread numbers; then everyone carries the whole on.
void Machine::scan(const Combine& c, std::uint32_t stage, const std::vector<std::pair<std::int64_t, Warp*>>& threads) {
  const DType type = k_.buffers[c.buffers[0].n].row->type;
  const auto cell = [&](TensorId t, std::int64_t thread, Warp* w) -> Register& { return w->reg(k_.buffers[t.n].file, static_cast<int>(thread % 32)); };
  std::map<std::int64_t, Register> running;  // by team
  const auto team = [&](std::int64_t t) { return t / (c.stride * c.threads) * c.stride + t % c.stride; };
  for (const auto& [t, w] : threads) {
    Register& so_far = running.try_emplace(team(t), cell(c.scan->carry, t, w)).first->second;
    const Register& own = cell(c.buffers[0], t, w);
    Register& before = cell(c.scan->before, t, w);
    before = so_far;
    before.tag = c.scan->before.n;  // the one element of a scalar
    before.generation = generation(k_.buffers[c.scan->before.n], w->frame, stage);
    so_far.value = interpreter::combine(c.op, type, so_far.value, own.value);
    so_far.written &= own.written;
  }
  for (const auto& [t, w] : threads) cell(c.scan->carry, t, w) = running.at(team(t));
}

// ---- barriers in shared memory --------------------------------------------------------------------------------------------
/// The slot's barrier, the round and the slot; nullopt after a failure.
std::optional<std::size_t> Machine::barrier_of(const Warp& w, StmtId s, std::uint32_t channel, std::int64_t lag, std::int64_t& round, std::int64_t& slot) {
  const Channel& c = k_.p->channels[channel];
  const std::int64_t iteration = w.frame.begins(c.loop, k_.p->stmts[s].stage) - 1 - lag;
  const std::int64_t owner = c.owner == Group::block ? 0 : w.in_role / 4;
  if (iteration < 0) {
    fail_form(s, fmt::format("{} concerns the slot of an iteration before the first one of channel c{}", said(s.n), channel));
    return std::nullopt;
  }
  if (owner >= c.owners) {
    fail_form(s, fmt::format("{} runs in warpgroup {}, channel c{} has slots for {}", said(s.n), owner, channel, c.owners));
    return std::nullopt;
  }
  slot = iteration % c.slots;
  round = iteration / c.slots;
  return w.rank * k_.barriers + k_.channels[channel].first_barrier + static_cast<std::size_t>(owner * c.slots + slot);
}

std::string Machine::barrier_name(std::size_t barrier, bool full) const {
  const std::size_t rank = barrier / k_.barriers;
  barrier %= k_.barriers;
  for (std::size_t n = 0; n < k_.channels.size(); ++n) {
    const Channel& c = k_.p->channels[n];
    if (!k_.channels[n].live || barrier < k_.channels[n].first_barrier || barrier >= k_.channels[n].first_barrier + static_cast<std::size_t>(c.slots * c.owners)) continue;
    const auto at = static_cast<std::int64_t>(barrier - k_.channels[n].first_barrier);
    std::string out = fmt::format("the {} barrier of slot {} of channel c{} ('{}')", full ? "full" : "empty", at % c.slots, n, (*k_.p)[c.buffers[0]].name);
    if (c.owners > 1) out += fmt::format(" of warpgroup {}", at / c.slots);
    return k_.cluster > 1 ? out + fmt::format(" of block {} of the cluster", rank) : out;
  }
  return "a barrier";
}

bool Machine::wait(Warp& w, StmtId s, std::size_t barrier, bool full, std::int64_t round, std::uint32_t, std::int64_t) {
  Counter& c = (full ? full_ : empty_)[barrier];
  const std::int64_t wanted = full ? round : round - 1, last = static_cast<std::int64_t>(c.phases) - 1;  // a fresh empty barrier counts as complete
  if (last == wanted) {
    w.clock.join(c.done);
    c.awaited = std::max(c.awaited, c.phases);
    return true;
  }
  const auto wrong = [&](const std::string& what) {
    fail(at(k_.p->stmts[s].at, refuse(Code::sim_phase, k_.name, fmt::format("{} of {} waits for phase {} of {}", said(s.n), role_name(w), wanted + 1, barrier_name(barrier, full)), what)));
    return true;
  };
  if (last > wanted) return wrong(fmt::format("phase {} is complete: the parity has come round again", last + 1));
  if ((wanted - last) % 2 == 0) return wrong(last < 0 ? "a fresh barrier has the parity of that phase: the wait does not wait" : fmt::format("phase {}, which is complete, has the same parity: the wait does not wait", last + 1));
  return blocked(w, s, fmt::format("{}: phase {} has {} of {} arrivals{}", barrier_name(barrier, full), c.phases + 1, c.needed - c.pending, c.needed,
                                   c.bytes == 0 ? "" : c.bytes > 0 ? fmt::format(" and lacks {} bytes", c.bytes) : fmt::format(" and got {} bytes more than were expected", -c.bytes)));
}

void Machine::complete(Counter& c, StmtId s, const std::string& name) {
  if (c.pending || c.bytes) return;
  if (c.loads)
    return fail(at(k_.p->stmts[s].at, refuse(Code::sim_phase, k_.name, fmt::format("{} completes its phase {} before all copies into the slot have landed", name, c.phases + 1), "expect announces fewer bytes than they bring")));
  ++c.phases;
  c.done = c.arriving;
  c.done[c.agent] = c.phases;
  c.pending = c.needed;
  c.arriving.clear();
}

void Machine::arrive(Warp& w, StmtId s, Counter& c, std::int64_t round, const std::string& name) {
  if (w.clock[c.agent] < round)
    return fail(at(k_.p->stmts[s].at, refuse(Code::sim_phase, k_.name, fmt::format("{} of {} arrives for phase {} of {} where it cannot know that phase {} is complete", said(s.n), role_name(w), round + 1, name, round),
                                             "a wait before it must see that")));
  if (c.phases > round) return fail(at(k_.p->stmts[s].at, refuse(Code::sim_phase, k_.name, fmt::format("{} of {} arrives for phase {} of {}", said(s.n), role_name(w), round + 1, name), "others have completed it")));
  if (c.pending == 0) return fail(at(k_.p->stmts[s].at, refuse(Code::sim_phase, k_.name, fmt::format("{} of {} arrives once too often at {}", said(s.n), role_name(w), name), fmt::format("a phase counts {} arrivals", c.needed))));
  ++w.clock[static_cast<Agent>(w.number)];
  c.arriving.join(w.clock);
  --c.pending;
  complete(c, s, name);
}

void Machine::bytes_arrive(std::size_t barrier, std::int64_t bytes, StmtId s, const Clock& issued) {
  Counter& c = full_[barrier];
  // A copy ends after it began: whoever sees its end knows of the phases that its issuer knew of. That says nothing of memory.
  for (std::size_t a = agents_.loads(0); a < agents_.count(); ++a) c.arriving[a] = std::max(c.arriving[a], issued[a]);
  c.bytes -= bytes;
  --c.loads;
  complete(c, s, barrier_name(barrier, true));
}

// ---- Sync -------------------------------------------------------------------------------------------------------------------
bool Machine::sync(Warp& w, StmtId s, const Sync& op) {
  if (w.mask != w.exists) return fail_form(s, fmt::format("threads of a warp of {} part at {}", role_name(w), said(s.n))), true;
  const Op& here = w.role->code[w.pc];
  if (op.not_first != LoopId{} && w.frame.counts[op.not_first.n] - (here.skewed == op.not_first ? k_.p->stmts[s].stage : 0) < std::max<std::int64_t>(op.lag, 1)) return true;
  using Kind = Sync::Op;
  std::size_t barrier = 0;
  std::int64_t round = 0, slot = 0;
  if (words::has_channel(op.op)) {
    const auto found = barrier_of(w, s, op.channel, op.lag, round, slot);
    if (!found) return true;
    barrier = *found;
  }
  const bool mine = w.role->elected || is_elected(w, op.group);
  const auto committed = [&](const auto& groups) { return static_cast<std::int64_t>(groups.size()) - 1; };
  const auto raise = [&](Agent a, std::int64_t n) { w.clock[a] = std::max(w.clock[a], static_cast<std::uint32_t>(n)); };
  switch (op.op) {
    case Kind::wait_full: return wait(w, s, barrier, true, round, op.channel, slot);
    case Kind::wait_empty: return wait(w, s, barrier, false, round, op.channel, slot);
    case Kind::expect: {
      if (!mine) return true;
      constexpr std::int64_t most = (1 << 20) - 1;  // of an mbarrier's count of bytes
      if (op.count < 0 || op.count > most) return fail_form(s, fmt::format("{} announces {} bytes; a barrier counts up to {}", said(s.n), op.count, most)), true;
      full_[barrier].bytes += op.count;
      arrive(w, s, full_[barrier], round, barrier_name(barrier, true));
      return true;
    }
    case Kind::arrive_full:
    case Kind::arrive_empty: {
      const bool full = op.op == Kind::arrive_full;
      if (!mine) return true;
      if (op.count > k_.cluster) return fail_form(s, fmt::format("{} arrives in {} blocks of a cluster of {}", said(s.n), op.count, k_.cluster)), true;
      const std::size_t own = barrier % k_.barriers;
      std::vector<std::int64_t> at{static_cast<std::int64_t>(w.rank)};  // its own barrier, or those of all whose copies land here
      if (const auto sharings = k_.sharings.find(op.channel); op.count > 1 && sharings != k_.sharings.end()) at = senders_to(at[0], sharings->second);
      if (op.count > 1 && op.count != static_cast<std::int64_t>(at.size())) return fail_form(s, fmt::format("{} arrives in {} blocks of a cluster; copies of {} land here", said(s.n), op.count, at.size())), true;
      for (std::int64_t rank : at) {
        const std::size_t there = static_cast<std::size_t>(rank) * k_.barriers + own;
        for (int n = op.group == Group::thread ? std::popcount(w.exists) : 1; n > 0 && !failed_; --n) arrive(w, s, (full ? full_ : empty_)[there], round, barrier_name(there, full));
      }
      return true;
    }
    case Kind::fence_async: w.clock[agents_.fences(w.number)] = ++w.fences; return true;
    case Kind::await_mma: {
      // At the two ends of a skewed loop fewer groups run: none may go on.
      const bool at_end = here.skewed && k_.p->loop(*here.skewed).group == Group::none && running(w, *here.skewed) != (2u << k_.p->loop(*here.skewed).stages) - 1;
      const std::int64_t wanted = std::max<std::int64_t>(w.products - (at_end ? 0 : op.count), 0);
      if (products_[w.group].landed < wanted) return blocked(w, s, "the end of a wgmma, which other warps of its warpgroup have yet to issue");
      raise(agents_.products(w.group), wanted);
      return true;
    }
    case Kind::commit_bulk:
      if (mine) w.stores.push_back({});
      return true;
    case Kind::await_bulk_read:
    case Kind::await_bulk: {
      if (!mine) return true;
      const std::int64_t wanted = std::max<std::int64_t>(committed(w.stores) - op.count, 0);
      for (std::int64_t n = 0; n < wanted; ++n)
        if (const StoreGroup& g = w.stores[static_cast<std::size_t>(n)]; g.reads || (op.op == Kind::await_bulk && g.writes)) return blocked(w, s, "bulk stores");
      raise(agents_.store_reads(w.number), wanted);
      if (op.op == Kind::await_bulk) raise(agents_.store_writes(w.number), wanted);
      return true;
    }
    case Kind::await_turn:
    case Kind::pass_turn: return turn(w, s, op);
    case Kind::commit_copies: w.copies.push_back({}); return true;
    case Kind::await_copies: {
      const std::int64_t wanted = std::max<std::int64_t>(committed(w.copies) - op.count, 0);
      for (std::int64_t n = 0; n < wanted; ++n)
        if (w.copies[static_cast<std::size_t>(n)].pending) return blocked(w, s, "copies by cp.async");
      for (std::int64_t n = 0; n < wanted; ++n) convert_copies(w, static_cast<std::size_t>(n));
      return true;
    }
  }
  return true;
}

/// Two warpgroups meet at a turn: the one that passes it on does not wait.
bool Machine::turn(Warp& w, StmtId s, const Sync& op) {
  const std::int64_t own = w.in_role / 4;
  if (own >= op.count || op.count > w.role->warps / 4 || w.role->warps % 4)
    return fail_form(s, fmt::format("{} of {} counts {} warpgroups, {} has {}", said(s.n), role_name(w), op.count, w.role->role == Stmt::every_role ? "the block" : "the role", w.role->warps / 4)), true;
  const auto open = [&](Turn& t) {
    if (t.passed != 4 || t.awaiting != 4) return;
    t.passed = t.awaiting = 0;
    t.open = t.ticket++;
  };
  if (op.op == Sync::Op::pass_turn) {
    Turn& t = turns_[w.group - static_cast<std::size_t>(own) + static_cast<std::size_t>((own + 1) % op.count)];
    if (t.passed == 4) return fail_form(s, fmt::format("{} of {} passes on a turn that has not been taken since the last time", said(s.n), role_name(w))), true;
    ++w.clock[static_cast<Agent>(w.number)];
    t.clock.join(w.clock);
    ++t.passed;
    open(t);
    return true;
  }
  Turn& t = turns_[w.group];
  if (w.arrived == 0) {
    ++w.clock[static_cast<Agent>(w.number)];
    t.clock.join(w.clock);
    w.arrived = t.ticket;
    ++t.awaiting;
    open(t);
  }
  if (w.arrived > t.open) return blocked(w, s, fmt::format("its turn: {} of 4 warps have passed it on, {} of 4 await it", t.passed, t.awaiting));
  w.clock.join(t.clock);
  w.arrived = 0;
  return true;
}

/// What must not go on when a warp ends: shared memory goes with its block.
void Machine::finish(Warp& w) {
  const auto ends = [&](const std::string& what, const std::string& missing) { fail(refuse(Code::sim_in_flight, k_.name, fmt::format("{} ends", role_name(w)), what, missing)); };
  if (w.products > w.clock[agents_.products(w.group)]) ends("a wgmma of it", "await_mma 0");
  for (std::size_t n = w.clock[agents_.store_reads(w.number)]; n < w.stores.size(); ++n)
    if (w.stores[n].issued) return ends("a bulk store of it", n + 1 == w.stores.size() ? "commit_bulk and await_bulk_read 0" : "await_bulk_read 0");
  for (const CopyGroup& g : w.copies)
    if (!g.written.empty()) return ends("a copy by cp.async of it", "await_copies 0");
}

}  // namespace tecc::simulator
