#include "ir/simulate/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "ir/loop/fill.h"

namespace tecc::simulator {

using interpreter::Best;

namespace {

/// The grid's loops from the number of the tile: mixed radix, or in bands where two loops form a raster.
void decode_grid(const Kernel& k, std::int64_t tile, Frame& f) {
  for (std::size_t n = k.grid.size(); n-- > 0;) {
    const auto& raster = k.p->loop(k.grid[n]).raster;
    const std::int64_t inner = k.grid_extents[n];
    if (!raster) {
      f.counters[k.grid[n].n] = tile % inner;
      tile /= inner;
      continue;
    }
    const std::int64_t outer = k.grid_extents[n - 1], t = tile % (outer * inner), per = raster->group * inner, g0 = t / per * raster->group, high = std::min(raster->group, outer - g0);
    f.counters[k.grid[n - 1].n] = g0 + t % per % high;
    f.counters[k.grid[n].n] = raster->longest_first ? inner - 1 - t % per / high : t % per / high;
    tile /= outer * inner;
    --n;
  }
}

}  // namespace

Machine::Machine(const Kernel& k, const SimulateOptions& options, std::vector<GlobalMemory>& global, std::mt19937_64& random, std::int64_t number, std::int64_t blocks,
                 std::uint32_t id, std::uint32_t first_id, SimulateRun& counts)
    : k_(k), options_(options), global_(global), random_(random), number_(number), blocks_(blocks), id_(id), first_id_(first_id), counts_(counts) {
  agents_.warps = static_cast<std::uint16_t>(k.warps * k.cluster);
  agents_.barriers = static_cast<std::uint16_t>(k.barriers * static_cast<std::size_t>(k.cluster));
  granules_ = static_cast<std::size_t>((k.shared_bytes + k.granule - 1) / k.granule);
  const std::size_t rows = k.loops.size(), ranks = static_cast<std::size_t>(k.cluster), warpgroups = static_cast<std::size_t>((k.warps + 3) / 4);
  shared_ = Shadow(granules_ * ranks);
  shared_values_.resize(granules_ * ranks);
  iters_.resize(k.most_iters);
  const Clock none(agents_.count());
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (std::size_t n = 0; n < k.channels.size(); ++n) {
      if (!k.channels[n].live) continue;
      const Channel& c = k.p->channels[n];
      for (std::int64_t i = 0; i < c.slots * c.owners; ++i) {
        full_.push_back({c.full_arrivals, c.full_arrivals, 0, 0, none, none, 0, 0, 0, agents_.loads(full_.size())});
        empty_.push_back({c.empty_arrivals, c.empty_arrivals, 0, 0, none, none, 0, 0, 0, agents_.releases(empty_.size())});
      }
    }
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (const RoleCode& role : k.roles)
      for (std::int64_t i = 0; i < role.warps; ++i) {
        Warp w;
        w.number = warps_.size();
        w.rank = rank;
        w.group = rank * warpgroups + static_cast<std::size_t>(role.first_warp + i) / 4;
        w.role = &role;
        w.in_role = i;
        for (int lane = 0; lane < 32; ++lane)
          if (w.thread(lane) < role.threads) w.exists |= 1u << lane;
        w.mask = w.exists;
        w.frame.counters.resize(rows);
        w.frame.counts.resize(rows);
        w.frame.stages = k.most_stages + 1;
        w.frame.begun.resize(rows * w.frame.stages);
        w.clock = none;
        w.clock[static_cast<Agent>(w.number)] = 1;
        w.saved_masks.resize(rows);
        w.extents.resize(rows);
        w.lane_extents.resize(rows);
        w.registers.resize(static_cast<std::size_t>(k.registers) * 32);
        w.done = role.elected && i > 0;  // its first warp does all there is to do
        warps_.push_back(std::move(w));
      }
  meetings_.resize(ranks * (k.roles.size() + warpgroups));
  for (Meeting& m : meetings_) m.clock = none;
  turns_.resize(ranks * warpgroups);
  for (Turn& t : turns_) t.clock = none;
  for (const Turns& t : k.p->turns)  // the first warpgroup finds its turn
    if (k.p->stmts.has(t.loop) && root_of(*k.p, t.loop) == k.root)
      for (const Warp& w : warps_)
        if (w.in_role == 0 && (w.role->role == Stmt::every_role || w.role->role == k.p->stmts[t.critical[0]].role)) turns_[w.group].passed = 4;
  products_.resize(ranks * warpgroups);
}

// ---- the scheduler --------------------------------------------------------------------------------------------------------
Check Machine::run() {
  const auto draw = [&](std::size_t n) { return static_cast<std::size_t>(random_() % n); };
  const auto land_one = [&] {
    std::vector<std::size_t> can;
    for (std::size_t n = 0; n < flying_.size(); ++n)
      if (flying_[n]->may_land(*this)) can.push_back(n);
    if (can.empty()) return false;
    const std::size_t n = can[draw(can.size())];
    std::unique_ptr<Asynchronous> op = std::move(flying_[n]);
    flying_.erase(flying_.begin() + static_cast<std::ptrdiff_t>(n));
    if (!op->land(*this)) flying_.push_back(std::move(op));
    return true;
  };
  using Order = SimulateOptions::Order;
  std::vector<std::size_t> turn(warps_.size());
  for (std::size_t n = 0; n < turn.size(); ++n) turn[n] = n;
  if (options_.order == Order::last) std::reverse(turn.begin(), turn.end());
  if (options_.order == Order::producers_late || options_.order == Order::producers_early)
    std::stable_sort(turn.begin(), turn.end(), [&](std::size_t a, std::size_t b) {
      const bool x = warps_[a].role->produces, y = warps_[b].role->produces;
      return options_.order == Order::producers_late ? x < y : x > y;
    });
  while (!failed_) {
    bool done = true, moved = false;
    for (const Warp& w : warps_) done &= w.done;
    if (done) break;
    if (options_.landing == SimulateOptions::Landing::random && !flying_.empty() && draw(4) == 0) moved = land_one();
    if (options_.order == Order::random) {
      std::shuffle(turn.begin(), turn.end(), random_);
      for (std::size_t n = 0; n < turn.size() && !moved; ++n) {
        Warp& w = warps_[turn[n]];
        for (std::size_t steps = 1 + draw(8); steps > 0 && !w.done && !failed_ && step(w); --steps) moved = true;
      }
    } else {
      for (std::size_t n = 0; n < turn.size() && !moved; ++n)
        while (!warps_[turn[n]].done && !failed_ && step(warps_[turn[n]])) moved = true;
    }
    if (!moved && !failed_ && !land_one()) fail(stuck());
  }
  while (!failed_ && land_one()) {}  // what bulk stores have yet to write
  if (!failed_ && !flying_.empty()) fail(stuck());
  for (std::size_t n = 0; n < full_.size() && !failed_; ++n)
    if (full_[n].used > full_[n].awaited)
      fail(refuse(Code::sim_in_flight, k_.name, "the block ends", fmt::format("a bulk copy that the full barrier {} counts", barrier_name(n, true)), "a wait_full that covers it"));
  if (failed_) return *failed_;
  return Ok{};
}

void Machine::start(std::unique_ptr<Asynchronous> op) {
  ++counts_.operations;
  if (options_.landing == SimulateOptions::Landing::early && op->may_land(*this)) {
    while (!failed_ && !op->land(*this)) {}
    return;
  }
  flying_.push_back(std::move(op));
}

Actor Machine::actor(const Warp& w, int lane, StmtId site) const {
  const auto agent = static_cast<Agent>(w.number);
  return {{agent, static_cast<std::uint8_t>(lane), false, w.clock[agent], site.n, id_}, &w.clock, first_id_};
}
Clock Machine::issued_by(const Warp& w) const {
  Clock c = w.clock;
  ++c[static_cast<Agent>(w.number)];
  return c;
}

bool Machine::is_elected(const Warp& w, Group group) const {
  return group == Group::block ? w.in_role == 0 : group == Group::warpgroup ? w.in_role % 4 == 0 : true;
}

/// A statement that lags counts the iterations that it takes part in.
/// The next iteration of the grid that is the block's. Where copies run ahead, a round has two passes: the copies, and what came some rounds
/// before.
bool Machine::next_tile(Warp& w) {
  const std::int64_t mine = number_ >= k_.tiles() ? 0 : k_.persistent ? (k_.tiles() - number_ + blocks_ - 1) / blocks_ : 1, stages = k_.grid_stages;
  while (true) {
    if (++w.pass > (stages ? 1 : 0)) w.pass = 0, ++w.round;
    if (w.round >= mine + stages) return false;
    const std::int64_t round = w.round - (w.pass ? stages : 0);
    if (round < 0 || round >= mine) continue;
    w.tile = number_ + round * blocks_;
    w.passing = !stages ? ~0u : w.pass ? 1u << stages : 1u;
    decode_grid(k_, w.tile, w.frame);
    for (const RankLoop& r : k_.ranks) w.frame.counters[r.loop.n] = w.frame.counts[r.loop.n] = static_cast<std::int64_t>(w.rank) / r.stride % r.extent;
    for (LoopId g : k_.grid) {
      w.frame.counts[g.n] = round;
      begin(w, g, 0, stages ? std::optional(g) : std::nullopt);
    }
    return true;
  }
}

void Machine::begin(Warp& w, LoopId l, std::uint32_t stages, std::optional<LoopId> skewed) {
  const std::uint32_t bits = stages ? running(w, l) : skewed ? running(w, *skewed) : ~0u;
  for (std::uint32_t s = 0; s < w.frame.stages; ++s) w.frame.begins(l, s) += bits >> s & 1;
}

void Machine::pass_over(Warp& w, LoopId l, bool before) {
  const LoopInfo& info = k_.loops[l.n];
  const std::int64_t own = w.thread(0) / info.weight % info.threads_extent, others = before ? own : info.threads_extent - 1 - own;
  for (const LoopInfo::Counted& counted : info.alternates) {
    std::int64_t iterations = others;
    Thread t{w, w.frame, std::countr_zero(w.mask), w.thread(0), iters_, nullptr, actor(w, 0, l)};
    for (LoopId r : counted.extents) iterations *= eval(k_.loops[r.n].extent, t).integer;
    for (std::uint32_t s = 0; s < w.frame.stages; ++s) w.frame.begins(counted.loop, s) += iterations;
  }
}

std::uint32_t Machine::running(const Warp& w, LoopId skewed) const {
  if (std::find(k_.grid.begin(), k_.grid.end(), skewed) != k_.grid.end()) return w.passing;
  std::uint32_t bits = 0;
  for (std::uint32_t s = 0; s < w.frame.stages; ++s)
    if (const std::int64_t n = w.frame.counts[skewed.n] - s; n >= 0 && n < w.extents[skewed.n]) bits |= 1u << s;
  return bits;
}

// ---- statements -------------------------------------------------------------------------------------------------------------

void Machine::join(Warp& w, std::size_t l) {
  w.mask = w.saved_masks[l];
  for (int lane = 0; lane < 32; ++lane)
    if (w.lane_extents[l][static_cast<std::size_t>(lane)] <= w.frame.counters[l]) w.mask &= ~(1u << lane);
}

bool Machine::step(Warp& w) {
  if (++steps_ > options_.steps) return fail(refuse(Code::sim_stuck, k_.name, fmt::format("it has not ended after {} steps", options_.steps))), true;
  if (w.pc == w.role->code.size()) {
    finish(w);
    w.done = true;
    return true;
  }
  const Op& op = w.role->code[w.pc];
  const std::size_t l = op.stmt.n;
  if (op.skewed && !(op.runs & running(w, *op.skewed)) && op.kind != Op::Kind::next && op.kind != Op::Kind::end_threads) {
    w.pc = op.kind == Op::Kind::loop || op.kind == Op::Kind::threads ? op.other : w.pc + 1;
    return true;
  }
  const auto here = [&](int lane) { return Thread{w, w.frame, lane, w.thread(lane), iters_, nullptr, actor(w, lane, op.stmt)}; };
  switch (op.kind) {
    case Op::Kind::grid:
      w.round = 0;
      w.pass = -1;
      if (!next_tile(w)) {
        w.pc = op.other;
        return true;
      }
      break;
    case Op::Kind::next_tile:
      if (next_tile(w)) {
        w.pc = op.other + 1;
        return true;
      }
      break;
    case Op::Kind::loop: {
      w.saved_masks[l] = w.mask;
      w.frame.counters[l] = w.frame.counts[l] = 0;
      if (k_.loops[l].follows_threads) {
        w.lane_extents[l].assign(32, 0);
        for (int lane = 0; lane < 32; ++lane)
          if (w.mask >> lane & 1) {
            Thread t = here(lane);
            w.lane_extents[l][static_cast<std::size_t>(lane)] = eval(k_.loops[l].extent, t).integer;
            if (w.lane_extents[l][static_cast<std::size_t>(lane)] < 1) w.mask &= ~(1u << lane);
          }
        w.extents[l] = *std::max_element(w.lane_extents[l].begin(), w.lane_extents[l].end());
      } else {
        Thread t = here(std::countr_zero(w.mask));
        w.extents[l] = eval(k_.loops[l].extent, t).integer;
      }
      if (w.mask == 0 || (!k_.loops[l].follows_threads && w.extents[l] < 1)) {
        w.mask = w.saved_masks[l];
        w.pc = op.other;
        return true;
      }
      if (k_.p->loop(op.stmt).reversed) {
        w.frame.counters[l] = w.extents[l] - 1;
        if (k_.loops[l].follows_threads) join(w, l);
      }
      begin(w, op.stmt, op.stages, op.skewed);
      break;
    }
    case Op::Kind::next: {
      const std::int64_t i = ++w.frame.counts[l];
      w.frame.counters[l] = k_.p->loop(op.stmt).reversed ? w.extents[l] - 1 - i : i;
      bool again = i < w.extents[l] + op.stages;
      if (k_.loops[l].follows_threads && k_.p->loop(op.stmt).reversed) {
        if (again) join(w, l);
      } else if (k_.loops[l].follows_threads) {
        for (int lane = 0; lane < 32; ++lane)
          if (w.lane_extents[l][static_cast<std::size_t>(lane)] <= i) w.mask &= ~(1u << lane);
        again = w.mask != 0;
      }
      if (again) {
        begin(w, op.stmt, op.stages, op.skewed);
        w.pc = op.other + 1;
        return true;
      }
      w.frame.counters[l] = w.frame.counts[l] = 0;
      w.mask = w.saved_masks[l];
      break;
    }
    case Op::Kind::threads: {
      w.saved_masks[l] = w.mask;
      if (const std::int64_t reach = k_.loops[l].reach; reach >= 0)
        for (int lane = 0; lane < 32; ++lane)
          if (w.thread(lane) >= reach) w.mask &= ~(1u << lane);
      if (w.mask == 0) {
        w.mask = w.saved_masks[l];
        w.pc = op.other;
        return true;
      }
      pass_over(w, op.stmt, true);
      begin(w, op.stmt, 0, op.skewed);
      break;
    }
    case Op::Kind::end_threads:
      pass_over(w, op.stmt, false);
      w.mask = w.saved_masks[l];
      break;
    case Op::Kind::block: {
      const Statement& st = k_.statements[op.other];
      for (int lane = 0; lane < 32 && !failed_; ++lane) {
        if (!(w.mask >> lane & 1)) continue;
        if (st.who != Statement::Who::all && !(lane == 0 && is_elected(w, st.who == Statement::Who::one ? Group::block : Group::warpgroup))) continue;
        Thread t = here(lane);
        t.statement = &st;
        instance(t, st);
      }
      break;
    }
    case Op::Kind::tile:
      if (!tile(w, k_.statements[op.other])) return false;
      break;
    case Op::Kind::barrier:
      if (!barrier(w, op.stmt, k_.p->stmts[op.stmt].as<Barrier>()->group)) return false;
      break;
    case Op::Kind::combine: {
      const auto& c = *k_.p->stmts[op.stmt].as<Combine>();
      if (w.mask != w.exists) {
        fail_form(op.stmt, "threads of a warp part where they combine");
        return true;
      }
      if (needs_scratch(c)) {
        if (!barrier(w, op.stmt, Group::block)) return false;
      } else {
        combine(w, op.stmt, {&w});
      }
      break;
    }
    case Op::Kind::sync:
      if (!sync(w, op.stmt, *k_.p->stmts[op.stmt].as<Sync>())) return false;
      break;
  }
  ++w.pc;
  return true;
}

/// What lies beyond the domains may be made where nothing but this thread block can see it.
bool Machine::keeps_surplus(const Block& b) const {
  return std::all_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return (*k_.p)[w.buffer].scope != Scope::global; });
}

/// One thread's part of a block, its element by element.
void Machine::instance(Thread& t, const Statement& st) {
  const Block& b = *st.block;
  iterations(t, st);
  bool guarded = true;
  for (NodeId g : st.guards) guarded = guarded && eval(g, t).integer;
  if (!b.tile) {  // a tile may run over its domain where that does no harm
    bool exists = true;
    for (std::size_t n = 0; n < b.iters.size(); ++n) exists = exists && t.iters[n] >= b.iters[n].lower && t.iters[n] < eval(st.uppers[n], t).integer;
    for (NodeId c : st.predicate) exists = exists && eval(c, t).integer;
    if (exists ? !guarded : guarded && !keeps_surplus(b)) return fail(at(k_.p->stmts[st.id].at, refuse(Code::bug_program, k_.p->name, b.name, "is guarded by other conditions than its domain")));
  }
  if (!guarded && !failed_ && st.via != Via::cp_async && fills_with_zero(*k_.p, b)) return store(k_.places[st.writes[0].place], t, Scalar{});
  if (st.via == Via::cp_async && !failed_) return copy_async(t, st, guarded);
  if (!guarded || failed_) return;
  ++counts_.instances;
  Scalar made[2];
  for (std::size_t n = 0; n < st.writes.size() && n < 2; ++n) made[n] = eval(st.writes[n].value, t);
  if (failed_) return;
  const Place& first = k_.places[st.writes[0].place];
  if (!b.combiner) {
    for (std::size_t n = 0; n < st.writes.size(); ++n) store(k_.places[st.writes[n].place], t, n < 2 ? made[n] : eval(st.writes[n].value, t));
    return;
  }
  const DType type = k_.buffers[first.buffer.n].row->type;
  if (b.writes.size() == 2) {
    const Place& second = k_.places[st.writes[1].place];
    const Best old{load(first, t), load(second, t).integer};
    if (failed_) return;
    const Best best = interpreter::better(*b.combiner, type, old, {made[0], made[1].integer});
    store(first, t, best.value);
    store(second, t, {.integer = best.position});
    return;
  }
  Scalar before = eval(st.identity, t);
  if (st.scan) {
    if (std::int64_t& position = t.iters[*st.scan]; position > b.iters[*st.scan].lower) {
      --position;
      before = load(first, t);
      ++position;
    }
  } else {
    const bool starts = b.init == Init::fused && std::all_of(st.reduce_loops.begin(), st.reduce_loops.end(), [&](LoopId l) { return iteration_of(st, t.frame, l) == 0; });
    if (!starts) before = load(first, t);
  }
  if (failed_) return;
  store(first, t, interpreter::combine(*b.combiner, type, before, made[0]));
}

}  // namespace tecc::simulator
