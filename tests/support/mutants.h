#pragma once
#include "ir/loop/words.h"
#include "tests/support/simulated.h"

/// Programs with one thing wrong in what orders their threads: the simulator must see each.
namespace tecc::test {

struct Mutant {
  std::string name;  // what was done, "drop wait_full c0"
  loop::Program program;
};

inline std::vector<Mutant> mutants(const loop::Program& p) {
  using namespace loop;
  std::vector<Mutant> out;
  const auto make = [&](const std::string& name, auto&& change) {
    Mutant m{name, p};
    change(m.program);
    for (int n = 2; std::any_of(out.begin(), out.end(), [&](const Mutant& o) { return o.name == m.name; }); ++n) m.name = name + " (" + std::to_string(n) + ")";
    out.push_back(std::move(m));
  };
  const auto sync = [](Program& q, StmtId s) -> Sync {
    return *q[s].as<Sync>();
  };
  const auto set = [](Program& q, StmtId s, const Sync& to) { q.stmts.edit(s, [&](Stmt& row) { row.node = to; }); };
  const auto exchange = [](Program& q, StmtId parent, std::size_t a, std::size_t b) { q.stmts.edit(parent, [&](Stmt& row) { std::swap(row.children[a], row.children[b]); }); };
  const std::function<void(StmtId)> visit = [&](StmtId parent) {
    for (std::size_t n = 0; n < p[parent].children.size(); ++n) {
      const StmtId s = p[parent].children[n];
      visit(s);
      if (const auto* b = p[s].as<Barrier>()) {
        const std::string name = b->group == Group::block ? "barrier" : "barrier warpgroup";
        make("drop " + name, [&](Program& q) { detach(q, s); });
        if (b->group == Group::block) make("barrier of the warpgroup only", [&](Program& q) { q.stmts.edit(s, [](Stmt& row) { row.node = Barrier{Group::warpgroup}; }); });
      }
      const auto* y = p[s].as<Sync>();
      if (!y) continue;
      using Op = Sync::Op;
      std::string name(words::of(words::syncs, y->op));
      if (words::has_channel(y->op)) name += " c" + std::to_string(y->channel);
      make("drop " + name, [&](Program& q) { detach(q, s); });
      if (words::has_channel(y->op) && y->op != Op::expect) {
        make(name + " one iteration later", [&](Program& q) {
          Sync to = sync(q, s);
          ++to.lag;
          set(q, s, to);
        });
        make(name + " one iteration later, but the first", [&](Program& q) {
          Sync to = sync(q, s);
          ++to.lag;
          to.not_first = q.channels[to.channel].loop;
          if (!is_inside(q, s, to.not_first)) to.not_first = y->not_first;
          set(q, s, to);
        });
        if (y->lag > 0)
          make(name + " one iteration earlier", [&](Program& q) {
            Sync to = sync(q, s);
            --to.lag;
            set(q, s, to);
          });
      }
      if (y->not_first != LoopId{})
        make(name + " in the first iteration, too", [&](Program& q) {
          Sync to = sync(q, s);
          to.not_first = {};
          set(q, s, to);
        });
      if (y->op == Op::expect)
        for (const std::int64_t by : {-16, 16, -512})
          make(fmt::format("{} {} bytes", name, by), [&](Program& q) {
            Sync to = sync(q, s);
            to.count += by;
            set(q, s, to);
          });
      else if (words::has_count(y->op))
        make(name + " with one more on its way", [&](Program& q) {
          Sync to = sync(q, s);
          ++to.count;
          set(q, s, to);
        });
      const bool waits = y->op == Op::wait_full || y->op == Op::wait_empty || y->op == Op::await_mma || y->op == Op::await_bulk_read || y->op == Op::await_copies;
      const bool gives = y->op == Op::arrive_empty || y->op == Op::arrive_full || y->op == Op::commit_bulk || y->op == Op::commit_copies;
      if ((waits || y->op == Op::fence_async) && n + 1 < p[parent].children.size()) make(name + " behind the next statement", [&](Program& q) { exchange(q, parent, n, n + 1); });
      if (gives && n > 0) make(name + " before the statement before", [&](Program& q) { exchange(q, parent, n, n - 1); });
      if ((y->op == Op::arrive_empty || y->op == Op::arrive_full) && y->group == Group::warpgroup)
        make(name + " by one thread of the role", [&](Program& q) {
          Sync to = sync(q, s);
          to.group = Group::block;
          set(q, s, to);
        });
      if ((y->op == Op::arrive_empty || y->op == Op::arrive_full) && y->group == Group::block)
        make(name + " by every warp", [&](Program& q) {
          Sync to = sync(q, s);
          to.group = Group::warp;
          set(q, s, to);
        });
    }
  };
  for (StmtId k : p.kernels) visit(k);
  for (std::size_t c = 0; c < p.channels.size(); ++c) {
    const std::string name = "c" + std::to_string(c);
    for (const int by : {-1, 1}) {
      const std::string how = by < 0 ? " one less" : " one more";
      if (p.channels[c].slots + by > 0) make(name + " slots" + how, [&](Program& q) { q.channels[c].slots += by; });
      for (TensorId t : p.channels[c].buffers)
        if (p[t].slots + by > 0) make("'" + p[t].name + "' slots" + how, [&](Program& q) { q.buffers.edit(t, [&](Buffer& b) { b.slots += by; }); });
      if (p.channels[c].how == Channel::How::cp_async)
        make(name + (by < 0 ? " copies one iteration less ahead" : " copies one iteration more ahead"), [&](Program& q) {
          const LoopId l = q.channels[c].loop;
          const std::uint32_t stage = q.loop(l).stages;
          q.stmts.edit(l, [&](Stmt& row) { std::get<Loop>(row.node).stages += static_cast<std::uint32_t>(by); });
          const std::function<void(StmtId)> move = [&](StmtId at) {
            for (StmtId child : q[at].children) {
              if (q[child].stage == stage)
                q.stmts.edit(child, [&](Stmt& row) {
                  row.stage += static_cast<std::uint32_t>(by);
                  if (auto* b = std::get_if<Block>(&row.node); b && b->ahead) b->ahead->by -= by;
                });
              move(child);
            }
          };
          move(l);
        });
      if (p.channels[c].how != Channel::How::mbarrier) continue;
      if (p.channels[c].full_arrivals + by > 0) make(name + " full arrivals" + how, [&](Program& q) { q.channels[c].full_arrivals += by; });
      if (p.channels[c].empty_arrivals + by > 0) make(name + " empty arrivals" + how, [&](Program& q) { q.channels[c].empty_arrivals += by; });
    }
  }
  return out;
}

/// The names of the mutants that no option shows to be wrong; `report`, if given, gets what was seen of the others.
inline std::vector<std::string> survivors(const loop::Program& p, const std::vector<Array>& inputs, const std::vector<Array>& want, const std::vector<SimulateOptions>& all,
                                          std::string* report = nullptr, std::size_t* count = nullptr) {
  std::vector<std::string> out;
  for (const Mutant& m : mutants(p)) {
    if (count) ++*count;
    const std::string fault = simulation_fault(m.program, {}, inputs, want, all);
    if (fault.empty()) out.push_back(m.name);
    if (report) *report += m.name + ": " + fault + "\n";
  }
  return out;
}

}  // namespace tecc::test
