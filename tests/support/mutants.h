#pragma once
#include "ir/loop/words.h"
#include "tests/support/simulated.h"

/// Programs with one thing wrong in what orders their threads, or in what their copies move: the simulator must see each.
/// docs/mutants.md lists the operators.
namespace tecc::test {

struct Mutant {
  std::string name;  // what was done, "drop wait_full c0"
  loop::Program program;
};

class Mutations {
 public:
  explicit Mutations(const loop::Program& p) : p_(p) {}

  std::vector<Mutant> all() {
    for (loop::StmtId k : p_.kernels) visit(k);
    for (std::size_t c = 0; c < p_.channels.size(); ++c) channel(c);
    return std::move(out_);
  }

 private:
  using Op = loop::Sync::Op;

  template <class F>
  void make(const std::string& name, F&& change) {
    Mutant m{name, p_};
    change(m.program);
    for (int n = 2; std::any_of(out_.begin(), out_.end(), [&](const Mutant& o) { return o.name == m.name; }); ++n) m.name = name + " (" + std::to_string(n) + ")";
    out_.push_back(std::move(m));
  }
  void drop(const std::string& name, loop::StmtId s) {
    make("drop " + name, [&](loop::Program& q) { loop::detach(q, s); });
  }
  template <class F>
  void change(const std::string& name, loop::StmtId s, F&& how) {
    make(name, [&](loop::Program& q) { q.stmts.edit(s, [&](loop::Stmt& row) { how(std::get<loop::Sync>(row.node)); }); });
  }

  void visit(loop::StmtId parent) {
    for (std::size_t n = 0; n < p_[parent].children.size(); ++n) {
      const loop::StmtId s = p_[parent].children[n];
      visit(s);
      if (const auto* b = p_[s].as<loop::Barrier>()) barrier(s, *b);
      if (const auto* y = p_[s].as<loop::Sync>()) sync(s, *y);
      if (const auto* b = p_[s].as<loop::Block>()) copy(s, *b);
    }
  }

  /// True if the statement's role is one warpgroup: its threads are those of the role.
  bool is_one_warpgroup(loop::StmtId s) const { return p_[s].role != loop::Stmt::every_role && p_.roles[p_[s].role].warpgroups == 1; }

  // ---- moves ----------------------------------------------------------------------------------------------------------------
  static bool waits(Op op) {
    return op == Op::wait_full || op == Op::wait_empty || op == Op::await_mma || op == Op::await_bulk_read || op == Op::await_bulk || op == Op::await_copies || op == Op::await_turn;
  }
  static bool gives(Op op) {
    return op == Op::expect || op == Op::arrive_empty || op == Op::arrive_full || op == Op::commit_bulk || op == Op::commit_copies || op == Op::pass_turn;
  }
  bool runs_in(loop::StmtId s, std::uint32_t role) const {
    const loop::Stmt& row = p_[s];
    if (row.children.empty()) return role == loop::Stmt::every_role || row.role == loop::Stmt::every_role || row.role == role;
    return std::any_of(row.children.begin(), row.children.end(), [&](loop::StmtId c) { return runs_in(c, role); });
  }
  /// True if no other thread can see what the statement does.
  bool is_private(loop::StmtId s) const {
    if (p_[s].as<loop::Sync>() || p_[s].as<loop::Barrier>() || p_[s].as<loop::Combine>()) return false;
    const auto is_shared = [&](TensorId t) { return p_[t].scope == loop::Scope::shared || (p_[t].scope == loop::Scope::global && p_[t].role != loop::Role::input); };
    if (const auto* b = p_[s].as<loop::Block>()) {
      const std::vector<TensorId> read = loop::read_buffers(*b);
      return std::none_of(read.begin(), read.end(), is_shared) && std::none_of(b->writes.begin(), b->writes.end(), [&](const loop::Write& w) { return is_shared(w.buffer); });
    }
    return std::all_of(p_[s].children.begin(), p_[s].children.end(), [&](loop::StmtId c) { return is_private(c); });
  }
  /// The statement changes places with the next one that its role runs (the one before), with what stands in between. Those that `passed`
  /// accepts change nothing by themselves: two waits in a row may come in any order, and a barrier has nothing to say of what a thread keeps to itself.
  template <class F>
  void move(const std::string& name, loop::StmtId s, bool later, F&& passed) {
    const std::vector<loop::StmtId>& row = p_[p_[s].parent].children;
    const auto from = static_cast<std::ptrdiff_t>(loop::position_in_parent(p_, s)), step = static_cast<std::ptrdiff_t>(later ? 1 : -1);
    for (std::ptrdiff_t to = from + step; to >= 0 && to < static_cast<std::ptrdiff_t>(row.size()); to += step) {
      if (!runs_in(row[static_cast<std::size_t>(to)], p_[s].role) || passed(row[static_cast<std::size_t>(to)])) continue;
      make(name + (later ? " behind the next statement" : " before the statement before"), [&](loop::Program& q) {
        q.stmts.edit(p_[s].parent, [&](loop::Stmt& parent) {
          parent.children.erase(parent.children.begin() + from);
          parent.children.insert(parent.children.begin() + to, s);
        });
      });
      return;
    }
  }

  // ---- operations -----------------------------------------------------------------------------------------------------------
  void barrier(loop::StmtId s, const loop::Barrier& b) {
    const std::string name = b.group == loop::Group::block ? "barrier" : "barrier " + std::string(loop::words::of(loop::words::groups, b.group));
    drop(name, s);
    for (const loop::Group narrower : {loop::Group::warpgroup, loop::Group::warp})
      if (narrower > b.group && !(narrower == loop::Group::warpgroup && is_one_warpgroup(s)))
        make(fmt::format("{} of the {} only", name, loop::words::of(loop::words::groups, narrower)), [&](loop::Program& q) { q.stmts.edit(s, [&](loop::Stmt& row) { row.node = loop::Barrier{narrower}; }); });
    for (const bool later : {true, false}) move(name, s, later, [&](loop::StmtId other) { return is_private(other); });
  }

  void sync(loop::StmtId s, const loop::Sync& y) {
    std::string name(loop::words::of(loop::words::syncs, y.op));
    if (loop::words::has_channel(y.op)) name += " c" + std::to_string(y.channel);
    drop(name, s);
    phase(name, s, y);
    if (y.op == Op::expect) {
      for (const std::int64_t by : {-16, 16, -512}) change(fmt::format("{} {} bytes", name, by), s, [&](loop::Sync& to) { to.count += by; });
    } else if (loop::words::has_count(y.op)) {
      change(name + " with one more on its way", s, [](loop::Sync& to) { ++to.count; });
    }
    if (y.op == Op::await_bulk) change(name + " until it was read", s, [](loop::Sync& to) { to.op = Op::await_bulk_read; });
    const auto same_kind = [&](loop::StmtId other) {
      const auto* o = p_[other].as<loop::Sync>();
      return o && (waits(y.op) ? waits(o->op) : gives(y.op) && gives(o->op) && y.op != Op::expect);
    };
    if (waits(y.op) || y.op == Op::fence_async) move(name, s, true, same_kind);
    if (gives(y.op)) move(name, s, false, same_kind);
    if (y.op != Op::arrive_empty && y.op != Op::arrive_full) return;
    if (y.count > 1) change(name + " of its own block only", s, [](loop::Sync& to) { to.count = 0; });
    if (y.group == loop::Group::warpgroup && !is_one_warpgroup(s)) change(name + " by one thread of the role", s, [](loop::Sync& to) { to.group = loop::Group::block; });
    if (y.group == loop::Group::block) change(name + " by every warp", s, [](loop::Sync& to) { to.group = loop::Group::warp; });
  }

  /// The slot of another iteration, or of another round.
  void phase(const std::string& name, loop::StmtId s, const loop::Sync& y) {
    if (loop::words::has_channel(y.op) && y.op != Op::expect) {
      change(name + " one iteration later", s, [](loop::Sync& to) { ++to.lag; });
      make(name + " one iteration later, but the first", [&](loop::Program& q) {
        q.stmts.edit(s, [&](loop::Stmt& row) {
          loop::Sync& to = std::get<loop::Sync>(row.node);
          ++to.lag;
          const loop::LoopId l = p_.channels[to.channel].loop;
          if (loop::is_inside(p_, s, l)) to.not_first = l;
        });
      });
      if (y.lag > 0) change(name + " one iteration earlier", s, [](loop::Sync& to) { --to.lag; });
      if (waits(y.op)) change(name + " for the next phase", s, [&](loop::Sync& to) { to.lag -= p_.channels[to.channel].slots; });
    }
    if (y.not_first != loop::LoopId{}) change(name + " in the first iteration, too", s, [](loop::Sync& to) { to.not_first = {}; });
  }

  /// The box in global memory begins an element further, or one before.
  void copy(loop::StmtId s, const loop::Block& b) {
    const loop::Via via = loop::via_of(b);
    if (!loop::is_bulk(via) && via != loop::Via::cp_async) return;
    const auto* read = b.writes[0].value.as<Read>();
    if (!read) return;
    const bool loads = p_[read->tensor].scope == loop::Scope::global;
    const std::vector<Expr>& index = loads ? read->index : b.writes[0].index;
    for (std::size_t d = 0; d < index.size(); ++d)
      for (const std::int64_t by : {-1, 1})
        make(fmt::format("'{}' from {} in dimension {}", b.name, by, d), [&](loop::Program& q) {
          q.stmts.edit(s, [&](loop::Stmt& row) {
            loop::Write& w = std::get<loop::Block>(row.node).writes[0];
            if (!loads) {
              w.index[d] = w.index[d] + by;
              return;
            }
            Read shifted = *w.value.as<Read>();
            shifted.index[d] = shifted.index[d] + by;
            w.value = tecc::make(std::move(shifted), w.value->type, w.value->at);
          });
        });
  }

  // ---- slots ----------------------------------------------------------------------------------------------------------------
  void channel(std::size_t c) {
    const loop::Channel& row = p_.channels[c];
    const std::string name = "c" + std::to_string(c);
    for (const int by : {-1, 1}) {
      const std::string how = by < 0 ? " one less" : " one more";
      if (p_[row.buffers[0]].channel && row.slots + by > 0) make(name + " slots" + how, [&](loop::Program& q) { q.channels[c].slots += by; });
      for (TensorId t : row.buffers)
        if (p_[t].slots + by > 0) make("'" + p_[t].name + "' slots" + how, [&](loop::Program& q) { q.buffers.edit(t, [&](loop::Buffer& b) { b.slots += by; }); });
      if (row.how == loop::Channel::How::cp_async) make(name + (by < 0 ? " copies one iteration less ahead" : " copies one iteration more ahead"), [&](loop::Program& q) { run_ahead(q, row.loop, by); });
      if (row.how != loop::Channel::How::mbarrier) continue;
      if (row.full_arrivals + by > 0) make(name + " full arrivals" + how, [&](loop::Program& q) { q.channels[c].full_arrivals += by; });
      if (row.empty_arrivals + by > 0) make(name + " empty arrivals" + how, [&](loop::Program& q) { q.channels[c].empty_arrivals += by; });
    }
  }
  /// What lags behind the copies does so by `by` iterations more.
  static void run_ahead(loop::Program& q, loop::LoopId l, int by) {
    const std::uint32_t stage = q.loop(l).stages;
    q.stmts.edit(l, [&](loop::Stmt& row) { std::get<loop::Loop>(row.node).stages += static_cast<std::uint32_t>(by); });
    const std::function<void(loop::StmtId)> all = [&](loop::StmtId at) {
      for (loop::StmtId child : q[at].children) {
        if (q[child].stage == stage)
          q.stmts.edit(child, [&](loop::Stmt& row) {
            row.stage += static_cast<std::uint32_t>(by);
            if (auto* b = std::get_if<loop::Block>(&row.node); b && b->ahead) b->ahead->by -= by;
          });
        all(child);
      }
    };
    all(l);
  }

  const loop::Program& p_;
  std::vector<Mutant> out_;
};

inline std::vector<Mutant> mutants(const loop::Program& p) { return Mutations(p).all(); }

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
