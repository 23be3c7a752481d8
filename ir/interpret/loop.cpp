#include "ir/interpret/loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "ir/interpret/scalar.h"
#include "ir/loop/affine.h"

namespace tecc {
namespace {

using namespace loop;
using interpreter::Scalar;

struct HashOfPlace {
  std::size_t operator()(const std::vector<std::int64_t>& at) const {
    std::uint64_t out = 0;
    for (const std::int64_t x : at) out = (out ^ static_cast<std::uint64_t>(x)) * 0x9e3779b97f4a7c15u, out ^= out >> 32;
    return out;
  }
};

/// A buffer's elements by their index; in storage, by their place.
struct Memory {
  std::vector<std::int64_t> extents;  // of a buffer without storage
  std::vector<Scalar> elements;
  std::vector<bool> written;
  std::unordered_map<std::vector<std::int64_t>, Scalar, HashOfPlace> sparse;  // not global, no storage yet: copies reach beyond the tensor's shape
};

class Machine {
 public:
  Machine(const Program& p, AtOnce order) : p_(p), order_(order), variables_(p.vars.size()), memory_(p.buffers.size()), loops_(p.stmts.size()) {
    for (std::uint32_t n = 0; n < p.stmts.size(); ++n)
      if (p.stmts.has({n}))
        if (const auto* l = p[StmtId{n}].as<Loop>(); l && l->retired) retired_.push_back({n});
    for (BlockId b : all_blocks(p)) {
      lowered_ |= !p.block(b).guards.empty();
      note_empty(b);
      for (LoopId l : loops_around(p, b))
        if (feeds(p, l, p.block(b), IterKind::reduce)) {
          restarts_[l].push_back(b);
          begun_[b];
          break;
        }
    }
  }

  Result<LoopRun> run(const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs) {
    for (const auto& [v, range] : p_.dims) {
      const auto found = dims.find(p_.vars[v].name);
      if (found == dims.end()) return refuse(Code::dim_missing, "runtime dim", p_.vars[v].name);
      variables_[v.n] = found->second;
    }
    if (inputs.size() != p_.inputs.size()) return refuse(Code::input_count, p_.name, p_.inputs.size(), inputs.size());
    for (std::uint32_t t = 0; t < p_.buffers.size(); ++t)
      if (p_.buffers.has({t})) allocate({t});
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      Memory& m = memory_[p_.inputs[n].n];
      if (static_cast<std::int64_t>(m.elements.size()) != inputs[n].size()) return refuse(Code::input_count, p_[p_.inputs[n]].name, m.elements.size(), inputs[n].size());
      for (std::size_t i = 0; i < m.elements.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        if (is_float(inputs[n].type)) m.elements[i].real = inputs[n].get(at);
        else m.elements[i].integer = inputs[n].get_integer(at);
        m.written[i] = true;
      }
    }
    for (StmtId root : p_.kernels) {
      renew(root);
      for (StmtId c : p_[root].children) statement(c);
    }
    for (TensorId t : p_.outputs) {
      Memory& m = memory_[t.n];
      if (const auto empty = neutral_.find(t); empty != neutral_.end())
        for (std::size_t i = 0; i < m.elements.size(); ++i)
          if (!m.written[i]) m.elements[i] = empty->second, m.written[i] = true;
      if (!failed_ && !std::all_of(m.written.begin(), m.written.end(), [](bool w) { return w; })) fail(fmt::format("is not run for every element of the output '{}'", p_[t].name), writers_of(p_, t)[0]);
      Array a(p_[t].type, m.extents);
      for (std::size_t i = 0; i < m.elements.size(); ++i) {
        if (is_float(a.type)) a.set(static_cast<std::int64_t>(i), m.elements[i].real);
        else a.set_integer(static_cast<std::int64_t>(i), m.elements[i].integer);
      }
      out_.outputs.push_back(std::move(a));
    }
    if (failed_) return *failed_;
    return out_;
  }

 private:
  const Program& p_;
  AtOnce order_;
  std::vector<std::int64_t> variables_;
  std::vector<Memory> memory_;
  std::vector<std::int64_t> loops_;  // values by row
  std::vector<LoopId> retired_;
  std::map<StmtId, std::vector<TensorId>> allocated_at_;
  std::map<std::pair<const void*, std::size_t>, Binding> still_;  // by index expression and buffer: the part that holds still
  std::map<LoopId, bool> carries_scan_;
  std::map<LoopId, std::vector<BlockId>> restarts_;  // the reductions whose outermost reduction loop it is
  std::map<BlockId, std::unordered_set<std::vector<std::int64_t>, HashOfPlace>> begun_;
  std::map<TensorId, Scalar> neutral_;  // written by a reduction that may run over nothing and would then not run at all
  bool lowered_ = false;
  BlockId block_{};
  std::optional<Refusal> failed_;
  LoopRun out_;

  void note_empty(BlockId id) {
    const Block& b = p_.block(id);
    if (!b.combiner || b.init == Init::apart) return;
    for (const Iter& i : b.iters) {
      const auto upper = range_of(p_, nullptr, i.upper);
      if (i.kind != IterKind::reduce || (upper && upper->low > 0 && b.predicate.empty())) continue;
      for (std::size_t n = 0; n < b.writes.size(); ++n)
        neutral_[b.writes[n].buffer] = n == 1 ? Scalar{.integer = -1} : eval(identity_of(*b.combiner, p_[b.writes[n].buffer].type));
    }
  }

  void fail(const std::string& what, BlockId b) {
    if (!failed_) failed_ = at(p_[b].at, refuse(Code::bug_program, p_.name, p_.block(b).name, what));
  }

  void allocate(TensorId t) {
    const Buffer& b = p_[t];
    Memory& m = memory_[t.n];
    std::size_t size = 1;
    if (b.storage) {
      size = static_cast<std::size_t>(b.storage->elements * b.slots);
      allocated_at_[b.storage->at].push_back(t);
    } else if (b.scope == Scope::global) {
      for (const Expr& e : b.shape) {
        m.extents.push_back(std::max<std::int64_t>(index(e), 0));
        size *= static_cast<std::size_t>(m.extents.back());
      }
    } else {
      size = 0;
    }
    m.elements.resize(size);
    m.written.resize(size);
  }

  // ---- loops ----------------------------------------------------------------------------------------------------------
  std::int64_t value(LoopId l) const { return p_.loop(l).retired ? value(*p_.loop(l).retired) : loops_[l.n]; }
  std::int64_t value(const Binding& b) const {
    std::int64_t sum = b.offset;
    for (const Digit& d : b.digits) {
      std::int64_t v = floor_div(value(d.loop), d.div);
      if (d.mod) v = floor_mod(v, d.mod);
      sum += v * d.stride;
    }
    return sum;
  }

  /// Buffers that live in one iteration of `s` start empty.
  void renew(StmtId s) {
    const auto here = allocated_at_.find(s);
    if (here == allocated_at_.end()) return;
    for (TensorId t : here->second) std::fill(memory_[t.n].written.begin(), memory_[t.n].written.end(), false);
  }

  void statement(StmtId s) {
    if (failed_) return;
    if (p_[s].as<Block>()) return block(s);
    const auto* l = p_[s].as<Loop>();
    invariant(l != nullptr, "the loop interpreter runs programs for a CPU");
    for (LoopId r : retired_) variables_[p_.loop(r).var.n] = reachable(r) ? value(r) : 0;  // ragged extents may name them
    if (const auto here = restarts_.find(s); here != restarts_.end())
      for (BlockId b : here->second) begun_.at(b).clear();
    const std::int64_t extent = index(l->extent);
    const bool at_once = (l->kind == LoopKind::parallel || l->kind == LoopKind::vectorized || l->group != Group::none) && !carries_scan(s);
    const bool backwards = at_once && order_ == AtOnce::backwards;
    for (std::int64_t i = 0; i < extent && !failed_; ++i) {
      loops_[s.n] = variables_[l->var.n] = backwards ? extent - 1 - i : i;
      renew(s);
      for (StmtId c : p_[s].children) statement(c);
    }
    loops_[s.n] = variables_[l->var.n] = 0;
  }
  /// Threads that share a scan keep its order: what is one after the other in the text becomes so by the step `scan`, when lowered.
  bool carries_scan(LoopId l) {
    const auto [known, fresh] = carries_scan_.emplace(l, false);
    if (fresh && p_.loop(l).group == Group::thread)
      for (BlockId b : blocks_under(p_, l)) known->second |= is_scan(p_.block(b)) && feeds(p_, l, p_.block(b), IterKind::scan);
    return known->second;
  }
  bool reachable(LoopId l) const {
    return std::all_of(p_.loop(l).retired->digits.begin(), p_.loop(l).retired->digits.end(), [&](const Digit& d) { return p_.stmts.has(d.loop); });
  }

  void block(BlockId id) {
    block_ = id;
    const Block& b = p_.block(id);
    bool exists = true;
    for (const Iter& i : b.iters) {
      const std::int64_t v = variables_[i.var.n] = value(i.binding);
      exists = exists && v >= i.lower && v < index(i.upper);
    }
    for (const Expr& e : b.predicate) exists = exists && eval(e).integer;
    if (lowered_) {
      bool guarded = true;
      for (const Expr& e : b.guards) guarded = guarded && eval(e).integer;
      if (guarded != exists) return fail("is guarded by other conditions than its domain", id);
    }
    if (!exists) return;
    ++out_.instances;
    write(b);
  }

  // ---- memory ---------------------------------------------------------------------------------------------------------
  bool holds_still(const Buffer& b, LoopId l) const {
    if (const auto& retired = p_.loop(l).retired)
      return std::all_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return holds_still(b, d.loop); });
    return (b.slots > 1 && l == b.slot_loop) || is_inside(p_, b.storage->at, l);
  }

  const Binding& still_part(TensorId t, const Expr& e) {
    const auto [entry, fresh] = still_.try_emplace({&*e, t.n});
    if (fresh) entry->second = Binding{region_of(p_, p_.block(block_), e, [&](LoopId l) { return holds_still(p_[t], l); }).fixed.digits, 0};
    return entry->second;
  }

  /// The element's cell; null after a failure.
  Scalar* cell(TensorId t, const std::vector<Expr>& index_exprs, bool write) {
    const Buffer& b = p_[t];
    Memory& m = memory_[t.n];
    std::vector<std::int64_t> at;
    for (const Expr& e : index_exprs) at.push_back(index(e));
    const auto element = [&] { return fmt::format("'{}[{}]'", b.name, fmt::join(at, ", ")); };
    std::int64_t place = 0;
    if (b.storage) {
      const Storage& st = *b.storage;
      for (std::size_t d = 0; d < at.size(); ++d) {
        const std::int64_t rest = at[d] - st.dims[d].origin - (st.dims[d].relative ? value(still_part(t, index_exprs[d])) : 0);
        const auto placed = st.dims[d].place_of(rest);
        if (!placed) return fail("uses " + element() + " outside of its storage", block_), nullptr;
        place += *placed;
      }
      if (b.slots > 1) {
        const auto& ahead = p_.block(block_).ahead;
        place += floor_mod(value(b.slot_loop) + (ahead && ahead->loop == b.slot_loop ? ahead->by : 0), b.slots) * st.elements;
      }
    } else if (b.scope != Scope::global) {
      if (write) return &m.sparse[std::move(at)];
      const auto found = m.sparse.find(at);
      if (found == m.sparse.end()) return fail("reads " + element() + ", which nobody wrote", block_), nullptr;
      return &found->second;
    } else {
      for (std::size_t d = 0; d < at.size(); ++d) {
        if (at[d] < 0 || at[d] >= m.extents[d]) return fail("uses " + element() + " outside of the buffer", block_), nullptr;
        place = place * m.extents[d] + at[d];
      }
    }
    const auto n = static_cast<std::size_t>(place);
    if (!write && !m.written[n]) return fail("reads " + element() + ", which nobody wrote", block_), nullptr;
    if (write) m.written[n] = true;
    return &m.elements[n];
  }
  Scalar load(TensorId t, const std::vector<Expr>& index_exprs) {
    if (const auto empty = neutral_.find(t); empty != neutral_.end()) {
      const auto before = failed_;
      if (const Scalar* from = cell(t, index_exprs, false)) return *from;
      failed_ = before;
      return empty->second;
    }
    const Scalar* from = cell(t, index_exprs, false);
    return from ? *from : Scalar{};
  }
  void store(const Write& w, Scalar value) {
    if (Scalar* to = cell(w.buffer, w.index, true)) *to = value;
  }

  void write(const Block& b) {
    const Write& w = b.writes[0];
    const DType type = p_[w.buffer].type;
    std::vector<Scalar> made;
    for (const Write& each : b.writes) made.push_back(eval(each.value));
    if (!b.combiner) {
      for (std::size_t n = 0; n < made.size(); ++n) store(b.writes[n], made[n]);
      return;
    }
    ++out_.operations;
    const bool first = b.init == Init::fused && begins(w);
    if (b.writes.size() == 2) {
      const interpreter::Best old = first ? interpreter::Best{{}, -1} : interpreter::Best{load(w.buffer, w.index), load(b.writes[1].buffer, b.writes[1].index).integer};
      const interpreter::Best best = better(*b.combiner, type, old, {made[0], made[1].integer});
      store(w, best.value);
      store(b.writes[1], Scalar{.integer = best.position});
      return;
    }
    Scalar before = eval(identity_of(*b.combiner, type));
    const auto scan = std::find_if(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::scan; });
    if (scan != b.iters.end()) {
      std::int64_t& position = variables_[scan->var.n];
      if (position > scan->lower) {
        --position;
        before = load(w.buffer, w.index);
        ++position;
      }
    } else if (!first) {
      before = load(w.buffer, w.index);
    }
    store(w, interpreter::combine(*b.combiner, type, before, made[0]));
  }
  /// A reduction that initialises itself starts each element anew whenever the outermost of its reduction loops does.
  bool begins(const Write& w) {
    const auto begun = begun_.find(block_);
    if (begun == begun_.end()) return true;  // it has a single iteration
    std::vector<std::int64_t> at;
    for (const Expr& e : w.index) at.push_back(index(e));
    return begun->second.insert(at).second;
  }

  // ---- expressions ----------------------------------------------------------------------------------------------------
  std::int64_t index(const Expr& e) { return eval(e).integer; }

  Scalar eval(const Expr& e) {
    const DType type = e->type;
    return match(
        e, [&](const Literal& l) { return interpreter::constant(l, type); },
        [&](const Var& v) { return Scalar{.integer = variables_[v.id.n]}; },
        [&](const Unary& u) {
          out_.operations += type != DType::i64;
          return interpreter::unary(u.op, eval(u.a), u.a->type, type);
        },
        [&](const Binary& x) {
          const Scalar a = eval(x.a);
          if (x.op == BinOp::logical_and && !a.integer) return a;
          if (x.op == BinOp::logical_or && a.integer) return a;
          out_.operations += x.a->type != DType::i64 && x.a->type != DType::boolean;
          return interpreter::binary(x.op, a, eval(x.b), x.a->type, type);
        },
        [&](const Select& s) { return eval(s.condition).integer ? eval(s.then) : eval(s.otherwise); },
        [&](const Cast& c) { return interpreter::cast(eval(c.a), c.a->type, c.to.concrete()); },
        [&](const Read& r) {
          if (r.otherwise)
            for (std::size_t d = 0; d < r.index.size(); ++d)
              if (const std::int64_t x = index(r.index[d]); x < 0 || x >= index(p_[r.tensor].shape[d])) return eval(r.otherwise);
          return load(r.tensor, r.index);
        },
        [&](const Reduce&) {
          fail("has a reduction in its body", block_);
          return Scalar{};
        });
  }
};

}  // namespace

Result<LoopRun> interpret(const Program& program, const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs, AtOnce order) {
  return Machine(program, order).run(dims, inputs);
}

}  // namespace tecc
