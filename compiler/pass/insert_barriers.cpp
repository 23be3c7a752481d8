#include <algorithm>
#include <map>
#include <set>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

/// A buffer's slot, counted from the iteration that is running; buffers without slots have slot 0 only.
using Place = std::pair<TensorId, std::int64_t>;
struct Pending {
  std::set<Place> reads, writes;
  void merge(const Pending& o) {
    reads.insert(o.reads.begin(), o.reads.end());
    writes.insert(o.writes.begin(), o.writes.end());
  }
};

class Inserter {
 public:
  Inserter(Program& p, StmtId root) : p_(p) {
    for (BlockId b : blocks_under(p, root))
      for (const Write& w : p.block(b).writes)
        if (p[w.buffer].scope == Scope::shared || (p[w.buffer].scope == Scope::global && readable(w.buffer, root))) handed_.insert(w.buffer);
    Pending start;
    sequence(root, start, true);
  }

 private:
  Program& p_;
  std::set<TensorId> handed_;  // what threads hand to each other through memory

  bool readable(TensorId b, StmtId root) const {
    const auto blocks = blocks_under(p_, root);
    return std::any_of(blocks.begin(), blocks.end(), [&](BlockId x) { return reads(p_.block(x), b); });
  }

  /// A statement that all threads pass as one: a nest bound to threads, or a block outside of any.
  bool is_unit(StmtId s) const {
    if (p_[s].as<Block>()) return true;
    const auto* l = p_[s].as<Loop>();
    return l && l->group == Group::thread;
  }

  Pending uses_of(StmtId unit) const {
    Pending out;
    for (BlockId id : blocks_under(p_, unit)) {
      const Block& b = p_.block(id);
      const auto place = [&](TensorId t) {
        const Buffer& buffer = p_[t];
        const bool in_loop = buffer.slots > 1 && is_inside(p_, id, buffer.slot_loop);
        return Place{t, in_loop && b.ahead ? b.ahead->by : 0};
      };
      for (const Write& w : b.writes)
        if (handed_.count(w.buffer)) out.writes.insert(place(w.buffer));
      for (TensorId t : read_buffers(b))
        if (handed_.count(t)) out.reads.insert(place(t));
    }
    return out;
  }

  bool conflict(const Pending& before, const Pending& now) const {
    const auto meets = [](const std::set<Place>& a, const std::set<Place>& b) {
      return std::any_of(a.begin(), a.end(), [&](const Place& x) { return b.count(x) > 0; });
    };
    return meets(before.writes, now.reads) || meets(before.reads, now.writes) || meets(before.writes, now.writes);
  }

  /// One iteration later, slots count one less.
  Pending next_iteration(const Pending& s, LoopId l) const {
    Pending out;
    const auto move = [&](const std::set<Place>& from, std::set<Place>& to) {
      for (auto [t, slot] : from) {
        if (p_[t].slots > 1 && p_[t].slot_loop == l) slot = floor_mod(slot - 1, p_[t].slots);
        to.insert({t, slot});
      }
    };
    move(s.reads, out.reads);
    move(s.writes, out.writes);
    return out;
  }

  void sequence(StmtId parent, Pending& state, bool insert) {
    for (std::size_t n = 0; n < p_[parent].children.size(); ++n) {
      const StmtId s = p_[parent].children[n];
      if (p_[s].as<Barrier>()) {
        state = {};
      } else if (p_[s].as<Combine>()) {
        if (const auto* c = p_[s].as<Combine>(); needs_scratch(*c)) state = {};  // it has barriers of its own
      } else if (is_unit(s)) {
        const Pending now = uses_of(s);
        if (conflict(state, now)) {
          if (insert) {
            add_stmt(p_, parent, n, Stmt{{}, {}, Barrier{}, p_[s].at});
            ++n;
          }
          state = {};
        }
        state.merge(now);
      } else {
        Pending end = state;
        sequence(s, end, false);  // what is pending after a round, to come in again at the top
        Pending in = state;
        in.merge(next_iteration(end, s));
        Pending out = in;
        sequence(s, out, insert);
        state.merge(out);
      }
    }
  }
};

}  // namespace

Result<Program> insert_barriers(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  for (StmtId root : std::vector<StmtId>(p.kernels)) Inserter(p, root);
  return p;
}

}  // namespace tecc::compiler
