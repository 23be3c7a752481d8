#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "compiler/pass/events.h"
#include "compiler/pass/hand_over.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

/// A buffer's slot, counted from the iteration that is running; buffers without slots have slot 0 only.
using Place = std::pair<TensorId, std::int64_t>;
struct Pending {
  std::set<std::pair<Place, BlockId>> reads, writes;  // and who does: the instances of one block write different elements
  void merge(const Pending& o) {
    reads.insert(o.reads.begin(), o.reads.end());
    writes.insert(o.writes.begin(), o.writes.end());
  }
  bool operator==(const Pending&) const = default;
};

/// What no barrier has settled yet, in each kind of round: the rounds of a loop with stages differ in whose statements run in them, those of the stages
/// from `first` to `last`, and so do their barriers. Outside of such a loop there is one kind, and all run.
struct Round {
  std::uint32_t first = 0, last = UINT32_MAX;
  Pending open;
  bool runs(std::uint32_t stage) const { return first <= stage && stage <= last; }
  bool operator==(const Round&) const = default;
};
struct State {
  std::vector<Round> rounds{Round{}};
  void settle(std::uint32_t stage) {
    for (Round& r : rounds)
      if (r.runs(stage)) r.open = {};
  }
  void add(std::uint32_t stage, const Pending& more) {
    for (Round& r : rounds)
      if (r.runs(stage)) r.open.merge(more);
  }
  void merge(const State& o) {
    for (std::size_t n = 0; n < rounds.size(); ++n) rounds[n].open.merge(o.rounds[n].open);
  }
  /// The same rounds, with nothing open.
  State empty() const {
    State out = *this;
    for (Round& r : out.rounds) r.open = {};
    return out;
  }
  Pending all() const {
    Pending out;
    for (const Round& r : rounds) out.merge(r.open);
    return out;
  }
  bool operator==(const State&) const = default;
};
/// The kinds of rounds of a loop, from the first one, and which may follow which.
struct Course {
  State rounds;  // nothing is open
  std::vector<std::pair<std::size_t, std::size_t>> next;
  std::size_t last = 0;
};

class Inserter {
 public:
  /// Of a kernel with roles, one role's statements at a time: what roles share goes through channels.
  Inserter(Program& p, StmtId root, std::uint32_t role) : p_(p), role_(role) {
    for (BlockId b : mine_under(root))
      for (const Write& w : p.block(b).writes)
        if (p[w.buffer].channel) continue;  // events order it
        else if (p[w.buffer].scope == Scope::shared || (p[w.buffer].scope == Scope::global && (readable(w.buffer, root) || rewritten(w.buffer, root)))) handed_.insert(w.buffer);
    const std::set<TensorId> shared = shared_in(root);
    for (TensorId t : shared)
      if (std::any_of(shared.begin(), shared.end(), [&](TensorId other) { return share_bytes(p, t, other); })) sharing_.insert(t);
    if (handed_.empty() && sharing_.empty()) return;
    fences_ = crosses_proxies(root);
    State start;
    sequence(root, start, true);
  }

 private:
  Program& p_;
  std::uint32_t role_;
  std::set<TensorId> handed_;  // what threads hand to each other through memory
  std::set<TensorId> sharing_;  // what lies where another buffer lies at other times
  bool fences_ = false;  // barriers come with a fence before them
  std::map<StmtId, bool> matters_;  // what is known of statements: a barrier changes none
  /// How many barriers a sequence would get, and what it leaves, until one is inserted: each loop asks that of its body several times, so that
  /// nests would take time exponential in their depth.
  struct Tried {
    std::optional<LoopId> owner;
    State before, after;
    int barriers;
  };
  std::map<StmtId, std::vector<Tried>> tried_;
  std::optional<LoopId> owner_;  // of what is looked at now: loops bound to warps or warpgroups have buffers of their own

  std::vector<BlockId> mine_under(StmtId s) const {
    std::vector<BlockId> out = blocks_under(p_, s);
    std::erase_if(out, [&](BlockId b) { return p_[b].role != role_; });
    return out;
  }

  std::set<TensorId> shared_in(StmtId root) const {
    std::set<TensorId> out;
    for (BlockId b : mine_under(root)) {
      for (const Write& w : p_.block(b).writes) out.insert(w.buffer);
      for (TensorId t : read_buffers(p_.block(b))) out.insert(t);
    }
    std::erase_if(out, [&](TensorId t) { return p_[t].scope != Scope::shared; });
    return out;
  }

  bool readable(TensorId b, StmtId root) const {
    const auto blocks = mine_under(root);
    return std::any_of(blocks.begin(), blocks.end(), [&](BlockId x) { return reads(p_.block(x), b); });
  }

  /// True if the identity of a reduction is stored by a block of its own, say, perhaps by other threads than those that add to it.
  bool rewritten(TensorId b, StmtId root) const {
    const auto blocks = mine_under(root);
    return std::count_if(blocks.begin(), blocks.end(), [&](BlockId x) { return writes(p_.block(x), b); }) > 1;
  }

  /// True if bulk copies or wgmma read shared memory that threads wrote: they see it behind a fence of the writers and a barrier. Which
  /// barrier that is depends on what stands between; a fence before each costs little.
  bool crosses_proxies(StmtId root) const {
    const auto blocks = mine_under(root);
    const auto by_threads = [&](BlockId w) {
      const auto& t = p_.block(w).tile;
      return !t || !is_bulk(t->via);
    };
    return std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) {
      const auto& t = p_.block(b).tile;
      if (!t || (t->via != Via::wgmma && !is_bulk(t->via))) return false;
      const auto from = read_buffers(p_.block(b));
      return std::any_of(from.begin(), from.end(), [&](TensorId x) {
        return p_[x].scope == Scope::shared && handed_.count(x) && std::any_of(blocks.begin(), blocks.end(), [&](BlockId w) { return by_threads(w) && writes(p_.block(w), x); });
      });
    });
  }

  /// A statement that all threads pass as one: a nest bound to threads, or a block outside of any.
  bool is_unit(StmtId s) const {
    if (p_[s].as<Block>()) return true;
    const auto* l = p_[s].as<Loop>();
    return l && is_thread_group(l->group);
  }

  /// The loop whose warps or warpgroups have a copy of their own of the buffer, and hand it over among their own threads.
  std::optional<LoopId> owner_of(TensorId t) const {
    const auto& st = p_[t].storage;
    return st && !st->owners.empty() ? std::optional(st->owners.back()) : std::nullopt;
  }
  bool has_owned(StmtId s) const {
    return std::any_of(handed_.begin(), handed_.end(), [&](TensorId t) { return owner_of(t) && is_inside(p_, *owner_of(t), s); });
  }

  /// Barriers among the threads of one iteration of `s`, whose statements may follow those of its iteration before: in the same round of the loop
  /// with stages around it, in the next one, or when that loop begins again.
  void inside(StmtId s) {
    const auto outer = std::exchange(owner_, s);
    std::optional<LoopId> staged;
    bool between = false;
    for (LoopId l : loops_around(p_, s)) {
      if (p_.loop(l).stages) staged = l, between = false;
      else between |= !is_thread_group(p_.loop(l).group);
    }
    Course course = staged ? course_of(*staged) : Course{};
    if (!staged || between)
      for (std::size_t n = 0; n < course.rounds.rounds.size(); ++n) course.next.push_back({n, n});
    if (staged) course.next.push_back({course.last, 0});
    State state = runs_once(p_, s) ? course.rounds : at_begin(s, course, staged, {});
    sequence(s, state, true);
    owner_ = outer;
  }

  Course course_of(LoopId l) const {
    const std::int64_t stages = p_.loop(l).stages, most = stages + 2;  // with further iterations the rounds in which all run repeat
    Course out;
    std::vector<Round>& rounds = out.rounds.rounds;
    rounds.clear();
    const auto run = [&](std::int64_t iterations) {
      for (std::int64_t n = 0; n < iterations + stages; ++n) {
        const Round round{static_cast<std::uint32_t>(std::max<std::int64_t>(n - iterations + 1, 0)), static_cast<std::uint32_t>(std::min(n, stages)), {}};
        const auto at = static_cast<std::size_t>(std::find(rounds.begin(), rounds.end(), round) - rounds.begin());
        if (at == rounds.size()) rounds.push_back(round);
        if (n > 0) out.next.push_back({out.last, at});
        out.last = at;
      }
    };
    const auto extent = p_.loop(l).persistent ? std::nullopt : constant_extent(p_, l);
    const std::int64_t longest = std::clamp<std::int64_t>(extent.value_or(most), 1, most);
    for (std::int64_t n = extent ? longest : 1; n <= longest; ++n) run(n);
    std::sort(out.next.begin(), out.next.end());
    out.next.erase(std::unique(out.next.begin(), out.next.end()), out.next.end());
    return out;
  }

  /// What may be open at the beginning of each round, if `before` is at that of the first one.
  State at_begin(StmtId parent, const Course& course, std::optional<LoopId> l, const Pending& before) {
    State in = course.rounds;
    in.rounds.front().open = before;
    while (true) {
      State out = in, more = in;
      sequence(parent, out, false);
      for (const auto& [from, to] : course.next) more.rounds[to].open.merge(l ? next_iteration(out.rounds[from].open, *l) : out.rounds[from].open);
      if (more == in) return in;
      in = std::move(more);
    }
  }

  /// The stage of a block among the statements around `unit`, which a loop with stages of its own inside has as a whole.
  std::uint32_t stage_in(StmtId unit, BlockId id) const {
    for (LoopId l : loops_around(p_, id))
      if (is_inside(p_, l, unit) && p_.loop(l).stages) return p_[l].stage;
    return p_[id].stage;
  }
  std::set<std::uint32_t> stages_of(StmtId unit) const {
    std::set<std::uint32_t> out;
    for (BlockId b : mine_under(unit)) out.insert(stage_in(unit, b));
    return out;
  }

  Pending uses_of(StmtId unit, std::uint32_t stage) const {
    Pending out;
    for (BlockId id : mine_under(unit)) {
      if (stage_in(unit, id) != stage) continue;
      const Block& b = p_.block(id);
      const auto place = [&](TensorId t) {
        const Buffer& buffer = p_[t];
        const bool in_loop = buffer.slots > 1 && is_inside(p_, id, buffer.slot_loop);
        return Place{t, in_loop && b.ahead ? b.ahead->by : 0};
      };
      // Buffers that share bytes do so where all threads of the role meet, whoever owns them.
      const auto here = [&](TensorId t) { return (handed_.count(t) && owner_of(t) == owner_) || (!owner_ && sharing_.count(t)); };
      for (const Write& w : b.writes)
        if (here(w.buffer)) out.writes.insert({place(w.buffer), id});
      for (TensorId t : read_buffers(b))
        if (here(t)) out.reads.insert({place(t), id});
    }
    return out;
  }

  /// True if what is open in a round in which the stage runs is touched.
  bool conflict(const State& state, std::uint32_t stage, const Pending& now) const {
    return std::any_of(state.rounds.begin(), state.rounds.end(), [&](const Round& r) { return r.runs(stage) && conflict(r.open, now); });
  }
  bool conflict(const Pending& before, const Pending& now) const {
    const auto meet = [&](const auto& first, const auto& second, bool both_write) {
      return std::any_of(first.begin(), first.end(), [&](const auto& x) {
        return std::any_of(second.begin(), second.end(), [&](const auto& y) {
          if (x.first.first != y.first.first) return sharing_.count(x.first.first) && sharing_.count(y.first.first) && share_bytes(p_, x.first.first, y.first.first);
          return is_handed(x.first.first) && x.first == y.first && !(both_write && x.second == y.second) && !same_thread(x.first.first, x.second, y.second);
        });
      });
    };
    return meet(before.writes, now.reads, false) || meet(before.writes, now.writes, true) || meet(before.reads, now.writes, false);
  }

  /// False for what is in the sets on account of the bytes that it shares alone.
  bool is_handed(TensorId t) const { return handed_.count(t) && owner_of(t) == owner_; }

  /// True if one thread alone touches each element of the buffer in both blocks, the same in both.
  bool same_thread(TensorId t, BlockId a, BlockId b) const {
    const auto x = toucher(t, a);
    return x && x == (a == b ? x : toucher(t, b));
  }

  /// Which thread touches an element, read off the element's coordinates: (x / stride) % mod in each dimension, times div, all added up, is the
  /// number of the thread. nullopt where the coordinates do not tell.
  using Toucher = std::vector<std::vector<ThreadDigit>>;
  std::optional<Toucher> toucher(TensorId t, BlockId id) const {
    const Block& b = p_.block(id);
    if (b.tile || b.ahead || owner_) return std::nullopt;
    std::vector<LoopId> threads;
    for (LoopId l : loops_around(p_, id)) {
      if (is_thread_group(p_.loop(l).group)) threads.push_back(l);
      if (p_.loop(l).group == Group::warp || p_.loop(l).group == Group::warpgroup) return std::nullopt;  // several threads an iteration
    }
    if (threads.empty()) return std::nullopt;
    std::optional<Toucher> all;
    const auto accept = [&](const std::vector<Expr>& index) {
      const auto one = toucher(b, index, threads);
      const bool same = one && (!all || all == one);
      all = one;
      return same;
    };
    for (const Write& w : b.writes) {
      if (w.buffer == t && !accept(w.index)) return std::nullopt;
      bool good = true;
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<tecc::Read>(); r && r->tensor == t) good = good && accept(r->index);
        return good;
      });
      if (!good) return std::nullopt;
    }
    return all;
  }
  std::optional<Toucher> toucher(const Block& b, const std::vector<Expr>& index, const std::vector<LoopId>& threads) const {
    Toucher out;
    std::map<LoopId, std::map<std::int64_t, std::int64_t>> told;  // of each loop over threads: the digits by div, with how many values they have
    for (const Expr& e : index) {
      const auto a = affine_of(e);
      const auto binding = a ? binding_of(b, *a) : std::nullopt;
      if (!binding || binding->offset) return std::nullopt;
      std::vector<Digit> digits = normal(p_, *binding).digits;
      std::sort(digits.begin(), digits.end(), [](const Digit& x, const Digit& y) { return x.stride < y.stride; });
      std::vector<ThreadDigit>& here = out.emplace_back();
      __int128 below = 0;  // the largest sum of the faster digits
      for (const Digit& d : digits) {
        const Interval reach = range_of(p_, d);
        if (p_.loop(d.loop).retired || reach.low < 0 || d.stride <= below) return std::nullopt;
        // x / stride % mod is a digit of threads only if what is slower comes in whole rounds of it.
        if (!here.empty() && d.stride % (here.back().stride * here.back().mod)) return std::nullopt;
        if (const auto part = thread_digit(p_, d)) {
          if (!told[d.loop].emplace(d.div, part->mod).second) return std::nullopt;
          here.push_back(*part);
        }
        below += reach.high;
      }
    }
    for (LoopId l : threads) {  // every thread is told from the others
      std::int64_t known = 1;
      for (const auto& [div, values] : told[l])
        if (div == known) known *= values;
      if (known != constant_extent(p_, l)) return std::nullopt;
    }
    return out;
  }

  /// One iteration later, slots count one less.
  State next_iteration(State s, LoopId l) const {
    for (Round& r : s.rounds) r.open = next_iteration(r.open, l);
    return s;
  }
  Pending next_iteration(const Pending& s, LoopId l) const {
    Pending out;
    const auto later = [&](Place x) {
      if (p_[x.first].slots > 1 && p_[x.first].slot_loop == l) x.second = floor_mod(x.second - 1, p_[x.first].slots);
      return x;
    };
    for (const auto& [x, who] : s.reads) out.reads.insert({later(x), who});
    for (const auto& [x, who] : s.writes) out.writes.insert({later(x), who});
    return out;
  }

  /// An event at which the threads looked at will meet.
  bool meets(StmtId s) const {
    const auto* e = p_[s].as<Event>();
    if (!e || p_[s].role != role_ || !becomes_barrier(p_, *e)) return false;
    const Group owner = p_.channels[e->channel].owner;
    return owner == Group::block || (owner_ && owner == p_.loop(*owner_).group);
  }

  /// False for a loop in which nothing is handed over and nobody meets: it leaves what is pending as it was. Loops are walked several times
  /// a level, so most of a tree should be passed by.
  bool matters(StmtId s) {
    if (const auto known = matters_.find(s); known != matters_.end()) return known->second;
    bool yes = p_[s].as<Barrier>() || p_[s].as<Combine>() || meets(s);
    if (const auto* b = p_[s].as<Block>(); b && p_[s].role == role_) {
      yes = std::any_of(b->writes.begin(), b->writes.end(), [&](const Write& w) { return handed_.count(w.buffer) + sharing_.count(w.buffer) > 0; });
      for (TensorId t : read_buffers(*b)) yes |= handed_.count(t) + sharing_.count(t) > 0;
    }
    for (StmtId c : p_[s].children) yes |= matters(c);
    return matters_[s] = yes;
  }

  /// Walks the statements of `parent` with what is pending before them; inserts barriers, or only counts them.
  int sequence(StmtId parent, State& state, bool insert) {
    if (insert) return pass_through(parent, state, true);
    for (const Tried& t : tried_[parent])
      if (t.owner == owner_ && t.before == state) {
        state = t.after;
        return t.barriers;
      }
    const State before = state;
    const int barriers = pass_through(parent, state, false);
    tried_[parent].push_back({owner_, before, state, barriers});
    return barriers;
  }
  int pass_through(StmtId parent, State& state, bool insert) {
    int barriers = 0;
    const auto barrier = [&](std::size_t& n, StmtId before, std::uint32_t stage) {
      ++barriers;
      state.settle(stage);
      if (!insert) return;
      tried_.clear();
      if (fences_) {
        Stmt fence{{}, {}, Sync{Sync::Op::fence_async}, p_[before].at};
        fence.role = role_;
        fence.stage = stage;
        add_stmt(p_, parent, n++, std::move(fence));
      }
      Stmt made{{}, {}, Barrier{owner_ ? p_.loop(*owner_).group : Group::block}, p_[before].at};
      made.role = role_;
      made.stage = stage;
      add_stmt(p_, parent, n++, std::move(made));
    };
    for (std::size_t n = 0; n < p_[parent].children.size(); ++n) {
      const StmtId s = p_[parent].children[n];
      if (p_[s].as<Sync>() || !matters(s)) continue;
      if (p_[s].as<Event>()) {
        if (!fences_ && meets(s)) state.settle(p_[s].stage);
      } else if (p_[s].as<Barrier>()) {
        if (!fences_) state.settle(p_[s].stage);
      } else if (const auto* c = p_[s].as<Combine>()) {
        if (needs_scratch(*c) && !fences_) state.settle(p_[s].stage);  // it has barriers of its own
      } else if (is_unit(s)) {
        if (insert && has_owned(s)) inside(s);
        std::map<std::uint32_t, Pending> now;
        for (const std::uint32_t stage : stages_of(s)) now[stage] = uses_of(s, stage);
        for (const auto& [stage, uses] : now)
          if (conflict(state, stage, uses)) barrier(n, s, stage);
        for (const auto& [stage, uses] : now) state.add(stage, uses);
      } else if (const auto* l = p_[s].as<Loop>(); l && l->group == Group::block && !l->persistent) {
        barriers += sequence(s, state, insert);  // its iterations run in different blocks of threads
      } else {
        // What a round leaves pending comes in again at the top. What was pending before the loop is settled before it, where
        // that saves a barrier in every round.
        const bool staged = l->stages != 0, runs = constant_extent(p_, s).value_or(0) > 0;  // the row is another one once something was inserted
        const Course course = staged ? course_of(s) : Course{};
        State alone;
        if (staged) {
          alone = at_begin(s, course, s, {});
        } else {
          State round = state.empty();
          sequence(s, round, false);
          alone = l->persistent || range_of(p_, s).high > 0 ? next_iteration(round, s) : state.empty();
        }
        const auto with = [&] {
          State out = alone;
          if (staged) out = at_begin(s, course, s, state.all());
          else out.merge(state);
          return out;
        };
        State in = with();
        State out = in, out_alone = alone;
        if (sequence(s, out, false) > sequence(s, out_alone, false)) {
          for (const std::uint32_t stage : stages_of(s)) barrier(n, s, stage);
          in = with();
        }
        barriers += sequence(s, in, insert);
        if (staged) {
          for (Round& r : state.rounds) {
            if (runs && state.rounds.size() == 1) r.open = {};
            r.open.merge(in.rounds[course.last].open);
          }
        } else if (runs) {
          state = std::move(in);
        } else {
          state.merge(in);
        }
      }
    }
    return barriers;
  }
};

}  // namespace

Result<Program> insert_barriers(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (StmtId root : std::vector<StmtId>(p.kernels)) {
    TECC_CHECK(check_threads_apart(p, root));
    std::set<std::uint32_t> roles;
    for (BlockId b : blocks_under(p, root)) roles.insert(p[b].role);
    for (std::uint32_t r : roles) Inserter(p, root, r);
  }
  return p;
}

}  // namespace tecc::compiler
