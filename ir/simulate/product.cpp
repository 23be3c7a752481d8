#include <fmt/format.h>

#include <map>
#include <tuple>

#include "ir/loop/affine.h"
#include "ir/simulate/machine.h"

/// Matrix instructions: sums of products of two tiles, at once (mma.sync, by a warp) or while the threads go on (wgmma, by four).
namespace tecc::simulator {

namespace {

/// A warp's part in an instruction: what it was at when it issued it.
struct Member {
  Warp* warp;
  Frame frame;
};

/// Where an element of an operand lies.
struct Source {
  Warp* warp = nullptr;  // null: shared memory
  std::size_t at = 0;    // granule, or place * 32 + lane
};

/// What one execution of the statement does, ready to be done.
struct Work {
  const Statement* st = nullptr;
  std::vector<Member> members;
  bool starts = false;  // the sums begin anew
  struct Sum {
    Register* to;
    std::uint32_t row, column;
  };
  bool fast = false;
  std::vector<Sum> sums;
  std::size_t rows = 0, columns = 0, depth = 0;
  std::vector<Source> operand[2];  // [row or column][depth]
  std::unordered_map<Tag, Thread::Held> held;
};

class Multiplier {
 public:
  Multiplier(Machine& m, Work& w, const Actor& who, std::uint32_t group) : m_(m), k_(m.k_), w_(w), st_(*w.st), plan_(*w.st->product), who_(who), group_(group) {}

  void prepare() {
    const Frame& frame = w_.members[0].frame;
    w_.starts = st_.block->init == Init::fused && std::all_of(st_.reduce_loops.begin(), st_.reduce_loops.end(), [&](LoopId l) {
      return std::find(st_.tile.begin(), st_.tile.end(), l) != st_.tile.end() || Machine::iteration_of(st_, frame, l) == 0;
    });
    for (int side = 0; side < 2; ++side)
      if (k_.buffers[k_.places[plan_.factor[side]].buffer.n].is_private) hold(k_.places[plan_.factor[side]].buffer);
    if (const Instruction* i = st_.block->tile->instruction) {
      const std::int64_t first = w_.members[0].warp->thread(0) / i->threads * i->threads;
      for (std::size_t d : st_.iters) origin_.push_back(m_.value(k_.digits[d], frame, first));
    }
    w_.fast = m_.options_.fast_products && plan_.separable;
    if (w_.fast) prepare_fast();
    else prepare_slow();
  }

 private:
  Machine& m_;
  const Kernel& k_;
  Work& w_;
  const Statement& st_;
  const ProductPlan& plan_;
  const Actor& who_;
  std::uint32_t group_;  // 1 + the number of the wgmma group; 0: done at once

  Thread thread(Member& member, int lane) { return {*member.warp, member.frame, lane, member.warp->thread(lane), m_.iters_, &st_, who_}; }

  /// Every lane's iterations of `loops`, with the iteration variables set.
  template <class F>
  void each(const std::vector<LoopId>& loops, F&& f) {
    for (Member& member : w_.members)
      for (int lane = 0; lane < 32 && !m_.failed(); ++lane) {
        Thread t = thread(member, lane);
        bool reached = true;
        for (LoopId l : st_.tile) reached &= k_.loops[l.n].reach < 0 || t.number < k_.loops[l.n].reach;
        if (!reached) continue;
        m_.for_each(loops, 0, member.frame, t.number, [&] {
          m_.iterations(t, st_);
          f(t);
        });
      }
  }

  /// Which thread has which element of an operand in registers.
  void hold(TensorId t) {
    const BufferInfo& info = k_.buffers[t.n];
    for (Member& member : w_.members)
      for (std::int64_t e = 0; e < info.elements * info.row->slots; ++e)
        for (int lane = 0; lane < 32; ++lane) {
          const std::size_t place = info.file + static_cast<std::size_t>(e);
          if (const Register& r = member.warp->reg(place, lane); r.written) w_.held[r.tag] = {member.warp, lane, place};
        }
  }

  // ---- operands -------------------------------------------------------------------------------------------------------------
  std::optional<Source> source(const Place& p, Thread& t) {
    const BufferInfo& info = k_.buffers[p.buffer.n];
    if (info.is_private) return held(p, t);
    const auto a = m_.address(p, t);
    if (!a || !m_.note_read(p, *a, who_)) return std::nullopt;
    return Source{nullptr, a->at};
  }

  std::optional<Source> held(const Place& p, Thread& t) {
    Machine::Address a;
    const Tag tag = m_.tag_of(p, t, a);
    const auto wrong = [&](Code code, const std::string& what, const std::string& more) {
      m_.fail(at(k_.p->stmts[st_.id].at, code == Code::sim_unwritten ? refuse(code, k_.name, m_.said(st_.id.n), m_.element(p, a), what)
                                                                      : refuse(code, k_.name, fmt::format("{} reads {}", m_.said(st_.id.n), m_.element(p, a)), what, more)));
      return std::nullopt;
    };
    const auto found = w_.held.find(tag);
    if (found == w_.held.end()) return wrong(Code::sim_unwritten, "no thread of the instruction holds in its registers", "");
    const Thread::Held& h = found->second;
    if (!fits(p, t, h)) return std::nullopt;
    Register& r = h.warp->reg(h.place, h.lane);
    if (r.sums > h.warp->clock[m_.agents_.products(h.warp->group)]) return wrong(Code::sim_in_flight, "the wgmma that adds to it", "await_mma");
    if (group_) r.reads = group_;
    return Source{h.warp, h.place * 32 + static_cast<std::size_t>(h.lane)};
  }

  /// The instruction's table says which thread and which register hold an element of an operand.
  bool fits(const Place& p, const Thread& t, const Thread::Held& h) {
    const Instruction* i = st_.block->tile->instruction;
    if (!i) return true;
    const int side = &p == &k_.places[plan_.factor[0]] ? 0 : 1;
    std::int64_t at[2] = {0, 0}, base[2];
    if (!operand_weight_[side]) operand_weight_[side] = weights(side, st_.tile);
    for (std::size_t n : plan_.iters[side]) at[0] += (t.iters[n] - origin_[n]) * operand_weight_[side]->at(n);
    for (std::size_t n : plan_.depth) at[1] += t.iters[n] - origin_[n];
    const std::int64_t extents[2] = {side == 0 ? i->m : i->n_most, i->k};
    for (int d = 0; d < 2; ++d) {
      base[d] = at[d] / extents[d];
      at[d] %= extents[d];
    }
    std::int64_t thread = 0, reg = 0;
    for (const Piece& x : side == 0 ? a_fragment_of(*i) : b_fragment_of(*i, i->n_most)) (x.of == Piece::Of::thread ? thread : reg) += at[x.dim] / x.stride % x.count * x.div;
    const std::int64_t own = h.warp->thread(h.lane) % i->threads;
    const std::int64_t first = static_cast<std::int64_t>(h.place) - reg;
    const auto [known, fresh] = first_.try_emplace({side, h.warp->number * 32 + static_cast<std::size_t>(h.lane), base[0], base[1]}, first);
    if (thread == own && (fresh || known->second == first)) return true;
    m_.fail_form(st_.id, fmt::format("{} finds element ({}, {}) of its {} in register {} of thread {}; {} wants it in register {} of thread {}", m_.said(st_.id.n), at[0], at[1],
                                     side == 0 ? "rows" : "columns", static_cast<std::int64_t>(h.place) - (fresh ? static_cast<std::int64_t>(k_.buffers[p.buffer.n].file) : known->second), own, i->name, reg, thread));
    return false;
  }

  using Weights = std::map<std::size_t, std::int64_t>;  // by iteration
  /// What an iteration of each axis adds to the number of a row (or column). The number counts the axes as the operand has them in memory;
  /// where it lies in registers, as a tile in memory would have them.
  Weights weights(int side, const std::vector<LoopId>& moving) const {
    Weights out;
    std::vector<std::size_t> iters;  // that move within one execution
    for (std::size_t n : plan_.iters[side]) {
      out[n] = 1;
      if (std::any_of(moving.begin(), moving.end(), [&](LoopId l) { return depends_on(*k_.p, st_.block->iters[n].binding, l); })) iters.push_back(n);
    }
    const auto product = product_of(*st_.block);
    if (iters.size() < 2 || !product) return out;
    const tecc::Read& read = *product->factor[(side == 1) != st_.block->tile->swap].read;
    const Buffer& b = (*k_.p)[read.tensor];
    std::int64_t weight = 1;
    for (std::size_t d = read.index.size(); d-- > 0;)
      for (std::size_t n : iters) {
        if (!uses(read.index[d], st_.block->iters[n].var)) continue;
        out[n] = weight;
        if (k_.buffers[read.tensor.n].is_private) weight *= reach(n);
        else if (b.storage) weight *= b.storage->dims[d].extent();
      }
    return out;
  }
  /// Values that an axis takes within the statement.
  std::int64_t reach(std::size_t iter) const {
    std::int64_t last = 0;
    for (const Digit& d : normal(*k_.p, st_.block->iters[iter].binding).digits)
      if (std::find(st_.tile.begin(), st_.tile.end(), d.loop) != st_.tile.end()) last += range_of(*k_.p, d).high;
    return last + 1;
  }

  // ---- sums -------------------------------------------------------------------------------------------------------------------
  Register* sum(Thread& t) {
    const Place& p = k_.places[st_.writes[0].place];
    const auto a = m_.address(p, t);
    if (!a) return nullptr;
    Register& r = t.warp.reg(a->at, t.lane);
    const auto wrong = [&](const char* what) {
      m_.fail(at(k_.p->stmts[st_.id].at, refuse(Code::sim_unwritten, k_.name, m_.said(st_.id.n), m_.element(p, *a), what)));
      return nullptr;
    };
    const std::uint32_t seen = t.warp.clock[m_.agents_.products(t.warp.group)];
    if (r.reads > seen && r.reads != group_) {
      m_.fail(at(k_.p->stmts[st_.id].at, refuse(Code::sim_in_flight, k_.name, fmt::format("{} adds to {}", m_.said(st_.id.n), m_.element(p, *a)), "a wgmma that reads it", "await_mma")));
      return nullptr;
    }
    if (!w_.starts) {
      if (!r.written) return wrong("nobody has written in this thread");
      if (r.tag != a->tag) return wrong("lies in a register that holds another element");
      if (r.generation != a->generation) return wrong("was written for another iteration");
    }
    if (!group_ && r.sums > seen) {
      m_.fail(at(k_.p->stmts[st_.id].at, refuse(Code::sim_in_flight, k_.name, fmt::format("{} adds to {}", m_.said(st_.id.n), m_.element(p, *a)), "the wgmma that adds to it", "await_mma")));
      return nullptr;
    }
    r.tag = a->tag;
    r.generation = a->generation;
    r.written = true;
    if (group_) r.sums = group_;
    place_ = a->at;
    return &r;
  }

  // ---- by tile ------------------------------------------------------------------------------------------------------------------
  struct Keys {  // rows or columns, numbered as they are met
    std::map<std::vector<std::int64_t>, std::uint32_t> numbers;
    std::vector<std::vector<std::int64_t>> iters;  // of one instance of each, all of them
    std::vector<std::pair<Member*, int>> who;
  };
  std::uint32_t number(Keys& keys, const std::vector<std::size_t>& of, const Thread& t) {
    key_.clear();
    for (std::size_t n : of) key_.push_back(t.iters[n]);
    const auto [found, fresh] = keys.numbers.emplace(key_, static_cast<std::uint32_t>(keys.iters.size()));
    if (fresh) {
      keys.iters.push_back(t.iters);
      for (Member& member : w_.members)
        if (member.warp == &t.warp) keys.who.push_back({&member, t.lane});
    }
    return found->second;
  }

  void prepare_fast() {
    Keys keys[2];
    Layout layout(*this);
    each(plan_.spatial_loops, [&](Thread& t) {
      Register* to = sum(t);
      if (!to) return;
      layout.sum(t, place_);
      w_.sums.push_back({to, number(keys[0], plan_.iters[0], t), number(keys[1], plan_.iters[1], t)});
    });
    if (m_.failed()) return;
    std::vector<std::vector<std::int64_t>> depth;
    Thread any = thread(w_.members[0], 0);
    m_.for_each(plan_.reduce_loops, 0, w_.members[0].frame, any.number, [&] {
      m_.iterations(any, st_);
      depth.push_back(any.iters);
    });
    w_.rows = keys[0].iters.size();
    w_.columns = keys[1].iters.size();
    w_.depth = depth.size();
    for (int side = 0; side < 2; ++side)
      for (std::size_t n = 0; n < keys[side].iters.size(); ++n) {
        Thread t = thread(*keys[side].who[n].first, keys[side].who[n].second);
        t.iters = keys[side].iters[n];
        for (const auto& d : depth) {
          for (std::size_t i : plan_.depth) t.iters[i] = d[i];
          const auto from = source(k_.places[plan_.factor[side]], t);
          if (!from) return;
          w_.operand[side].push_back(*from);
        }
      }
  }

  void prepare_slow() {
    Layout layout(*this);
    each(plan_.spatial_loops, [&](Thread& t) {
      if (sum(t)) layout.sum(t, place_);
    });
    each(st_.tile, [&](Thread& t) {
      for (int side = 0; side < 2 && !m_.failed(); ++side) source(k_.places[plan_.factor[side]], t);
    });
  }

  /// The instruction's table says which thread holds which element in which register: so must the loops.
  class Layout {
   public:
    explicit Layout(Multiplier& of) : x_(of), i_(of.st_.block->tile->instruction) {
      if (!i_) return;
      zero_ = of.w_.members[0].frame;
      std::fill(zero_.counters.begin(), zero_.counters.end(), 0);
      base_ = zero_;
      std::int64_t n = 1;  // columns of one execution
      for (std::size_t l = 0; l < of.st_.tile.size(); ++l) {
        const LoopId loop = of.st_.tile[l];
        if (!of.st_.in_atom[l]) continue;
        atom_.push_back(loop);
        for (std::size_t c : of.plan_.iters[1])
          if (of.k_.p->loop(loop).group == Group::none && depends_on(*of.k_.p, of.st_.block->iters[c].binding, loop)) n *= *constant_extent(*of.k_.p, loop);
      }
      if (atom_.empty()) i_ = nullptr;
      else layout_ = accumulator_of(*i_, 4 * n);  // four neighbours share a row of eight columns
      for (int side = 0; i_ && side < 2; ++side) weight_[side] = of.weights(side, atom_);
    }
    void sum(const Thread& t, std::size_t place) {
      if (!i_ || x_.m_.failed()) return;
      for (LoopId l : atom_) zero_.counters[l.n] = t.frame.counters[l.n];
      const std::int64_t own = t.number % i_->threads;
      std::int64_t at[2] = {0, 0};
      for (int side = 0; side < 2; ++side)
        for (std::size_t n : x_.plan_.iters[side]) {
          const Digits& d = x_.k_.digits[x_.st_.iters[n]];
          at[side] += (x_.m_.value(d, zero_, own) - x_.m_.value(d, base_, 0)) * weight_[side][n];
        }
      std::int64_t thread = 0, reg = 0;
      for (const Piece& p : layout_) (p.of == Piece::Of::thread ? thread : reg) += at[p.dim] / p.stride % p.count * p.div;
      if (reg == 0 && thread == own) first_ = place;
      if (thread != own || place != first_ + static_cast<std::size_t>(reg))
        x_.m_.fail_form(x_.st_.id, fmt::format("{} has element ({}, {}) of the instruction in register {} of thread {}; {} has it in register {} of thread {}", x_.m_.said(x_.st_.id.n), at[0], at[1],
                                               place - first_, own, i_->name, reg, thread));
    }

   private:
    Multiplier& x_;
    const Instruction* i_;
    FragmentLayout layout_;
    Weights weight_[2];
    std::vector<LoopId> atom_;
    Frame zero_, base_;  // at the first iteration of all but the atom's loops, and of these, too
    std::size_t first_ = 0;
  };

  std::vector<std::int64_t> key_, origin_;
  std::map<std::tuple<int, std::size_t, std::int64_t, std::int64_t>, std::int64_t> first_;  // registers of an operand begin here
  std::optional<Weights> operand_weight_[2];
  std::size_t place_ = 0;
};

Scalar fetch(const Machine& m, const Source& s) { return s.warp ? s.warp->registers[s.at].value : m.shared_values_[s.at]; }

template <class T>
void add_up(Machine& m, Work& w) {
  const ProductPlan& plan = *w.st->product;
  std::vector<T> factor[2];
  for (int side = 0; side < 2; ++side) {
    const Node& cast = m.k_.nodes[plan.value[side]];
    for (const Source& s : w.operand[side]) {
      const Scalar v = interpreter::cast(fetch(m, s), cast.operand, cast.type);
      if constexpr (std::is_floating_point_v<T>) factor[side].push_back(static_cast<T>(v.real));
      else factor[side].push_back(static_cast<T>(v.integer));
    }
  }
  for (const Work::Sum& s : w.sums) {
    T total{};
    if constexpr (std::is_floating_point_v<T>) total = w.starts ? T{} : static_cast<T>(s.to->value.real);
    else total = w.starts ? T{} : static_cast<T>(s.to->value.integer);
    const T *a = &factor[0][s.row * w.depth], *b = &factor[1][s.column * w.depth];
    for (std::size_t k = 0; k < w.depth; ++k) total += a[k] * b[k];
    if constexpr (std::is_floating_point_v<T>) s.to->value.real = total;
    else s.to->value.integer = static_cast<std::int32_t>(total);
  }
}

void perform(Machine& m, Work& w) {
  const Statement& st = *w.st;
  const DType type = m.k_.buffers[m.k_.places[st.writes[0].place].buffer.n].row->type;
  if (w.fast) {
    if (type == DType::f32) add_up<float>(m, w);
    else if (type == DType::f64) add_up<double>(m, w);
    else add_up<std::uint32_t>(m, w);
    return;
  }
  for (Member& member : w.members)
    for (int lane = 0; lane < 32; ++lane) {
      Thread t{*member.warp, member.frame, lane, member.warp->thread(lane), m.iters_, &st, {}};
      t.held = &w.held;
      t.raw = true;
      m.for_each(st.tile, 0, member.frame, t.number, [&] {
        m.iterations(t, st);
        const auto a = m.address(m.k_.places[st.writes[0].place], t);
        if (!a) return;
        Register& r = member.warp->reg(a->at, lane);
        const bool first = w.starts && std::all_of(st.reduce_loops.begin(), st.reduce_loops.end(), [&](LoopId l) { return Machine::iteration_of(st, t.frame, l) == 0; });
        const Scalar before = first ? m.eval(st.identity, t) : r.value;
        r.value = interpreter::combine(*st.block->combiner, type, before, m.eval(st.writes[0].value, t));
      });
    }
}

}  // namespace

/// A wgmma statement of one warpgroup. Its warps issue it one by one; it begins when all have.
struct WarpgroupProduct : Asynchronous {
  Work work;
  std::size_t warpgroup = 0;
  std::uint32_t number = 0;  // of the warpgroup's groups
  std::optional<Clock> clock;
  bool may_land(const Machine& m) const override { return m.products_[warpgroup].landed == number; }
  bool land(Machine& m) override {
    perform(m, work);
    ++m.products_[warpgroup].landed;
    return true;
  }
};

Machine::ProductQueue::ProductQueue() = default;
Machine::ProductQueue::ProductQueue(ProductQueue&&) noexcept = default;
Machine::ProductQueue::~ProductQueue() = default;

bool Machine::tile(Warp& w, const Statement& st) {
  if (st.via == Via::bulk || st.via == Via::bulk_tensor) {
    if (w.mask & 1 && (w.role->elected || is_elected(w, st.who == Statement::Who::one ? Group::block : Group::warpgroup))) bulk(w, st);
    return true;
  }
  if (w.mask != 0xffffffffu) return fail_form(st.id, fmt::format("{} needs all threads of a warp; {} has {}", said(st.id.n), role_name(w), w.mask == w.exists ? "fewer" : "parted")), true;
  if (st.via == Via::wgmma) return issue_product(w, st), true;
  if (st.via == Via::mma_sync) return multiply_at_once(w, st), true;
  Frame frame = w.frame;
  for (int lane = 0; lane < 32 && !failed_; ++lane) {
    Thread t{w, frame, lane, w.thread(lane), iters_, &st, actor(w, lane, st.id)};
    for_each(st.tile, 0, frame, t.number, [&] {
      if ((st.via != Via::stmatrix || stores_as_table(t, frame, st)) && (st.via != Via::ldmatrix || loads_as_table(t, frame, st))) instance(t, st);
    });
  }
  return true;
}

/// stmatrix takes its elements from the threads and registers that matrix_move() says; its loops must say the same.
bool Machine::stores_as_table(Thread& t, Frame& frame, const Statement& st) {
  std::int64_t threads = 0, registers = 1, reg = 0;
  Frame zero = frame;
  for (std::size_t l = 0; l < st.tile.size(); ++l) {
    if (!st.in_atom[l]) continue;
    const std::int64_t extent = *constant_extent(*k_.p, st.tile[l]);
    if (k_.p->loop(st.tile[l]).group != Group::none) {
      threads = std::max<std::int64_t>(threads, 1) * extent;
      continue;
    }
    reg = reg * extent + frame.counters[st.tile[l].n];
    registers *= extent;
    zero.counters[st.tile[l].n] = 0;
  }
  if (threads % 32 || threads == 0 || (registers != 2 && registers != 4 && registers != 8)) return true;  // not cut for the instruction
  const Place& to = k_.places[st.writes[0].place];
  const Buffer& b = *k_.buffers[to.buffer.n].row;
  const std::size_t fast = b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back());
  std::int64_t at[2] = {0, 0};
  const auto add = [&](const Frame& f, std::int64_t number, std::int64_t sign) {
    Thread own{t.warp, f, t.lane, number, iters_, &st, t.actor};
    iterations(own, st);
    Address a;
    tag_of(to, own, a);
    for (std::size_t d = 0; d < a.rank; ++d) at[d == fast] += sign * a.coordinates[d];
  };
  add(frame, t.number, 1);
  add(zero, t.number / threads * threads, -1);
  std::int64_t thread = 0, wanted = 0;
  const auto held_by = [&](std::int64_t row, std::int64_t column) {
    const std::int64_t element[] = {row % 16, column};
    thread = row / 16 * 32, wanted = 0;
    for (const Piece& p : matrix_move(registers / 2).fragment) (p.of == Piece::Of::thread ? thread : wanted) += element[p.dim] / p.stride % p.count * p.div;
    return thread == t.number % threads && wanted == reg;
  };
  if (held_by(at[1], at[0]) || held_by(at[0], at[1])) return true;  // transposed on the way, or not
  at[0] %= 16;
  fail_form(st.id, fmt::format("{} has element ({}, {}) of a tile of 16 rows in register {} of thread {}; stmatrix has it in register {} of thread {}", said(st.id.n), at[0], at[1], reg, t.number % threads, wanted, thread));
  return false;
}

/// ldmatrix leaves in each lane four bytes of each of up to four matrices, of eight rows of 16 bytes that begin at multiples of 16 bytes; or of
/// 16-bit elements, transposed. Its loops must say the same: of the register's bits the fastest are those inside of the four bytes.
bool Machine::loads_as_table(Thread& t, Frame& frame, const Statement& st) {
  const Place& from = k_.places[k_.nodes[st.writes[0].value].index];
  const BufferInfo& info = k_.buffers[from.buffer.n];
  const auto wrong = [&](const std::string& what) { return fail_form(st.id, fmt::format("ldmatrix of {} {}", said(st.id.n), what)), false; };
  Frame first = frame;  // of the pair that holds the element
  std::int64_t pair = 0, elements = 1;
  for (std::size_t l = st.tile.size(); l-- > 0 && st.in_atom[l];) {
    if (k_.p->loop(st.tile[l]).group != Group::none || elements * info.bytes >= 4) continue;
    pair += frame.counters[st.tile[l].n] * elements;
    elements *= *constant_extent(*k_.p, st.tile[l]);
    first.counters[st.tile[l].n] = 0;
  }
  if (elements * info.bytes != 4) return wrong(fmt::format("has {} bytes of a matrix in a lane, not 4", elements * info.bytes));
  const auto byte_at = [&](const Frame& f, std::int64_t number) -> std::int64_t {
    Thread own{t.warp, f, t.lane, number, iters_, &st, t.actor};
    iterations(own, st);
    const auto a = address(from, own);
    return a ? static_cast<std::int64_t>(a->at % granules_) * k_.granule : -1;
  };
  const std::int64_t lane = t.number % 32, warp = t.number - lane, own = byte_at(frame, t.number);
  // Lanes 4r to 4r + 3 have row r. Transposed, lane 4c + q has of column c what rows 2q and 2q + 1 have.
  const std::int64_t row = byte_at(first, warp + lane / 4 * 4), line = byte_at(frame, warp + lane % 4);
  if (failed_) return false;
  if (row % 16 == 0 && own - row == lane % 4 * 4 + pair * info.bytes) return true;
  if (info.bytes == 2 && line % 16 == 0 && own - line == lane / 4 * 2) return true;
  return wrong(fmt::format("has the element at byte {} of shared memory in element {} of lane {}; eight lanes share no row of 16 bytes there", own, pair, lane));
}

void Machine::issue_product(Warp& w, const Statement& st) {
  ProductQueue& queue = products_[w.group];
  if (w.role->warps - w.in_role / 4 * 4 < 4 || w.role->warps % 4) return fail_form(st.id, fmt::format("{} needs a warpgroup of 128 threads", said(st.id.n)));
  const std::uint32_t number = w.products++;
  while (queue.formed + queue.forming.size() <= number) {
    auto fresh = std::make_unique<WarpgroupProduct>();
    fresh->warpgroup = w.group;
    fresh->number = static_cast<std::uint32_t>(queue.formed + queue.forming.size());
    fresh->site = st.id;
    fresh->work.st = &st;
    queue.forming.push_back(std::move(fresh));
  }
  WarpgroupProduct& p = *queue.forming[number - queue.formed];
  if (p.work.st != &st) return fail_form(st.id, fmt::format("warps of one warpgroup issue {} and {} at the same place", said(p.site.n), said(st.id.n)));
  const Clock own = issued_by(w);
  if (p.clock) p.clock->meet(own);
  else p.clock = own;
  p.work.members.push_back({&w, w.frame});
  if (p.work.members.size() < 4) return;
  const Actor who{{agents_.products(w.group), 0, true, number, st.id.n, id_}, &*p.clock, first_id_, true};
  Multiplier(*this, p.work, who, number + 1).prepare();
  if (failed_) return;
  std::unique_ptr<WarpgroupProduct> done = std::move(queue.forming.front());
  queue.forming.pop_front();
  ++queue.formed;
  start(std::move(done));
}

bool Machine::is_issued(const Warp& w, TensorId sums) const {
  const ProductQueue& queue = products_[w.group];
  for (std::size_t n = queue.formed; n < w.products; ++n)
    if (k_.places[queue.forming[n - queue.formed]->work.st->writes[0].place].buffer == sums) return true;
  return false;
}

void Machine::multiply_at_once(Warp& w, const Statement& st) {
  Work work;
  work.st = &st;
  work.members.push_back({&w, w.frame});
  const Actor who = actor(w, 0, st.id);
  Multiplier(*this, work, who, 0).prepare();
  if (!failed_) perform(*this, work);
}

}  // namespace tecc::simulator
