#include "autotune/feature/facts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "autotune/model/prior.h"
#include "codegen/access.h"
#include "ir/instruction/instruction.h"
#include "ir/loop/affine.h"
#include "ir/number.h"

namespace tecc::autotune {

using namespace loop;
using codegen::Target;

namespace {

constexpr std::int64_t lanes = 32;
constexpr std::int64_t sector_bytes = 32, bank_bytes = 4, banks = 32;
constexpr double division_cost = 4;   // operations of a quotient or remainder by a constant
constexpr double general_cost = 12;   // of an index that is no sum of digits
constexpr double condition_cost = 2;  // of a comparison and what it selects
constexpr std::int64_t unrolls_up_to = 16;  // extents that end as straight code, by us or by the compiler behind

/// Values of loops, iteration variables and indices for one thread, everything but the thread number at 0.
class Lane {
 public:
  Lane(const Program& p, const Block& b, std::int64_t tid) : p_(p), b_(b), tid_(tid) {}

  std::int64_t value(const Binding& binding) const {
    std::int64_t v = binding.offset;
    for (const Digit& d : binding.digits) {
      std::int64_t x = loop(d.loop) / d.div;
      if (d.mod) x %= d.mod;
      v += x * d.stride;
    }
    return v;
  }
  std::optional<std::int64_t> value(const Expr& e) const {
    if (const auto c = constant_of(e)) return c;
    if (const auto* v = e.as<Var>()) {
      if (const Iter* i = iter_of(b_, v->id)) return value(i->binding);
      if (const auto dim = p_.dims.find(v->id); dim != p_.dims.end()) return dim->second.max;
      return std::nullopt;
    }
    const auto* x = e.as<Binary>();
    if (!x) return std::nullopt;
    const auto l = value(x->a), r = value(x->b);
    if (!l || !r) return std::nullopt;
    switch (x->op) {
      case BinOp::add: return *l + *r;
      case BinOp::sub: return *l - *r;
      case BinOp::mul: return *l * *r;
      case BinOp::div: return *r ? std::optional(floor_div(*l, *r)) : std::nullopt;
      case BinOp::mod: return *r ? std::optional(floor_mod(*l, *r)) : std::nullopt;
      case BinOp::min: return std::min(*l, *r);
      case BinOp::max: return std::max(*l, *r);
      default: return std::nullopt;
    }
  }
  /// In elements; nullopt where the data decide.
  std::optional<std::int64_t> value(const codegen::Address& a) const {
    std::int64_t at = value(a.linear);
    for (const auto& s : a.symbolic) {
      const auto stride = value(s.stride);
      if (!stride) return std::nullopt;
      at += value(s.index) * *stride;
    }
    for (const auto& g : a.general) {
      const auto index = value(g.index), stride = value(g.stride);
      if (!index || !stride) return std::nullopt;
      std::int64_t x = floor_div(*index - value(g.minus) - g.origin, std::max<std::int64_t>(g.unit, 1));
      if (g.count) x = floor_mod(x, g.count);
      at += x * *stride;
    }
    return at;
  }

 private:
  std::int64_t loop(LoopId l) const {
    const Loop& x = p_.loop(l);
    if (x.retired) return value(*x.retired);
    if (x.group != Group::thread) return 0;
    const auto digit = compiler::thread_digit(p_, Digit{l});
    if (!digit) return 0;
    const std::int64_t v = tid_ / digit->div;
    return (digit->mod ? v % digit->mod : v) * digit->stride;
  }
  const Program& p_;
  const Block& b_;
  std::int64_t tid_;
};

/// How many values an index takes while some loops hold still.
double count_of(const Program& p, const Block& b, const Expr& e, std::int64_t extent, const std::function<bool(LoopId)>& fixed) {
  const Region r = region_of(p, b, e, fixed);
  if (r.whole) return static_cast<double>(extent);
  double n = static_cast<double>(std::max<std::int64_t>(r.span, 1));
  if (r.exact && !r.varying.empty()) {
    n = 1;
    for (const Digit& d : r.varying) n *= static_cast<double>(range_of(p, Digit{d.loop, d.div, d.mod, 1}).high + 1);
  }
  return std::min(n, static_cast<double>(std::max<std::int64_t>(extent, 1)));
}

class Kernel {
 public:
  Kernel(const Program& p, StmtId root, const Target& t) : p_(p), root_(root), target_(t), gpu_(t.kind == Target::Kind::cuda) {}

  KernelFacts run() {
    f_.threads = gpu_ ? static_cast<double>(compiler::threads_of(p_, root_)) : 1;
    if (gpu_) f_.lanes = f_.threads / (lanes * std::ceil(f_.threads / lanes));
    walk_tree(root_, 1, 1, 0);
    for (const auto& [b, blocks] : blocks_at_) f_.blocks = std::max(f_.blocks, blocks);
    totals();
    occupancy();
    return std::move(f_);
  }

 private:
  const Program& p_;
  StmtId root_;
  const Target& target_;
  bool gpu_;
  KernelFacts f_;
  std::map<StmtId, double> blocks_at_;
  std::set<TensorId> private_;

  bool outside(const Loop& l) const { return gpu_ ? l.group == Group::block || l.group == Group::cluster : l.kind == LoopKind::parallel; }
  /// Iterations that run on different threads.
  bool on_threads(const Loop& l) const { return gpu_ && (l.group == Group::thread || l.group == Group::warp || l.group == Group::warpgroup); }
  double extent(LoopId l) const { return static_cast<double>(std::max<std::int64_t>(largest(p_, p_.loop(l).extent), 1)); }

  /// `times`: how often a thread gets here; `blocks`: extents of block loops so far.
  void walk_tree(StmtId s, double times, double blocks, int depth) {
    if (const auto* l = p_[s].as<Loop>()) {
      const double n = extent(s);
      if (outside(*l)) blocks *= n;
      else if (!on_threads(*l)) times *= n;
      if (l->group == Group::cluster) f_.cluster = std::max(f_.cluster, n);
      if (l->raster) f_.band = std::max(f_.band, static_cast<double>(l->raster->group));
      if (l->persistent) f_.persistent = 1;
      f_.skewed = std::max(f_.skewed, static_cast<double>(l->stages));
      if (l->kind == LoopKind::vectorized) f_.vector = std::max(f_.vector, n);
      ++depth;
    } else if (p_[s].as<Block>()) {
      block(s, times, blocks, depth);
    } else if (p_[s].as<Barrier>()) {
      f_.barriers += times;
    } else if (p_[s].as<Combine>()) {
      f_.combines += times;
    } else if (const auto* y = p_[s].as<Sync>()) {
      if (y->op == Sync::Op::await_turn) f_.turns = 1;
    }
    for (StmtId c : p_[s].children) walk_tree(c, times, blocks, depth);
  }

  void block(BlockId id, double times, double blocks, int depth) {
    const Block& b = p_.block(id);
    blocks_at_[id] = blocks;
    f_.depth = std::max<double>(f_.depth, depth);
    f_.serial += times;
    ++f_.statements;
    f_.guards += static_cast<double>(b.guards.size());
    const std::vector<LoopId> around = loops_around(p_, id);
    double all = times * blocks, straight = 1, apart = 1;
    for (LoopId l : around)
      if (on_threads(p_.loop(l))) all *= extent(l);
    if (b.tile && b.tile->instruction) return product(b, all);
    if (b.tile && (b.tile->via == Via::bulk || b.tile->via == Via::bulk_tensor)) return bulk_copy(id, b, all);
    for (auto l = around.rbegin(); l != around.rend() && is_straight(*l); ++l) {
      straight *= extent(*l);
      if (feeds(p_, *l, b, IterKind::spatial)) apart *= extent(*l);
    }
    f_.unrolled = std::max(f_.unrolled, straight);
    if (b.combiner) f_.independent = std::max(f_.independent, apart);
    arithmetic(b, all);
    for (const Write& w : b.writes) {
      access(id, b, around, w.buffer, w.index, true, times, all);
      walk(w.value, [&](const Expr& e) {
        const auto* r = e.as<Read>();
        if (!r || r->index.empty()) return true;
        access(id, b, around, r->tensor, r->index, false, times, all);
        const std::vector<Expr> conditions = codegen::in_bounds(p_, b, *r);
        for (const Expr& c : conditions) f_.integer_operations += condition_cost * all / kept(b, around, c);
        // Straight code asks for all of its elements at once, but for those behind a branch; copies into slots run ahead.
        if (p_[r->tensor].scope == Scope::global && !p_[r->tensor].by_value && p_[w.buffer].slots <= 1) f_.rounds += conditions.empty() ? times / straight : f_.accesses.back().instructions;
        return true;
      });
    }
  }

  /// Iterations of straight code for which one answer to a condition does.
  double kept(const Block& b, const std::vector<LoopId>& around, const Expr& condition) const {
    double n = 1;
    for (auto l = around.rbegin(); l != around.rend() && is_straight(*l); ++l)
      if (!codegen::varies(p_, b, condition, *l)) n *= extent(*l);
    return n;
  }

  /// Integer operations that find an element: quotients and remainders that change while serial loops run. What depends on the thread
  /// and the block alone is found once, a sum goes on from one iteration to the next, and straight code has constants.
  double addressing(const codegen::Address& a) const {
    double n = general_cost * static_cast<double>(a.general.size());
    for (const Digit& d : a.linear.digits) n += radix(d);
    for (const auto& s : a.symbolic)
      for (const Digit& d : s.index.digits) n += radix(d);
    return n;
  }
  double radix(const Digit& d) const {
    const Loop& l = p_.loop(d.loop);
    const double own = d.div > 1 || d.mod ? division_cost : 0;
    if (!l.retired) return outside(l) || on_threads(l) || is_straight(d.loop) ? 0 : own;
    double n = 0;
    bool moves = false;
    for (const Digit& made : l.retired->digits) {
      n += radix(made);
      const Loop& x = p_.loop(made.loop);
      moves |= !x.retired && !outside(x) && !on_threads(x) && !is_straight(made.loop);
    }
    return n + (moves ? own : 0);
  }

  bool is_straight(LoopId l) const {
    const Loop& x = p_.loop(l);
    if (outside(x) || on_threads(x)) return false;
    const auto n = constant_extent(p_, l);
    return n && (*n <= unrolls_up_to || x.kind == LoopKind::unrolled || x.kind == LoopKind::vectorized);
  }

  /// A product of tiles: its loops are executed by the instruction, whose operands come from shared memory or registers.
  void product(const Block& b, double all) {
    const Instruction& i = *b.tile->instruction;
    double width = 1;
    for (LoopId l : inside(b.tile->atom)) {
      if (p_.loop(l).group != Group::thread) width *= extent(l);
    }
    width = width * static_cast<double>(i.threads) / static_cast<double>(i.m * i.k);  // columns: elements of one execution over rows and depth
    f_.tensor_operations += 2 * all;
    f_.tensor_width = std::max(f_.tensor_width, width);
    const auto read = product_of(b);
    double bytes = 0;
    for (int n = 0; read && n < 2; ++n) {
      const bool rows = (n == 0) != b.tile->swap;
      f_.element_bytes = static_cast<double>(bytes_of(read->factor[n].type));
      if (p_[read->factor[n].read->tensor].scope == Scope::shared) bytes += (rows ? static_cast<double>(i.m) : width) * static_cast<double>(i.k) * f_.element_bytes;
    }
    f_.tensor_shared_bytes += all / (static_cast<double>(i.m) * width * static_cast<double>(i.k)) * bytes;
  }
  std::vector<LoopId> inside(StmtId top) const {
    std::vector<LoopId> out;
    for (StmtId s = top; p_[s].as<Loop>();) {
      out.push_back(s);
      s = p_[s].children[0];
    }
    return out;
  }

  void bulk_copy(BlockId id, const Block& b, double all) {
    double shared_out = 1;  // ranks of a cluster that get the same
    for (LoopId l : loops_around(p_, id))
      if (p_.loop(l).group == Group::cluster && !feeds(p_, l, b, IterKind::spatial)) shared_out *= extent(l);
    const auto* read = b.writes[0].value.as<tecc::Read>();
    const bool load = p_[b.writes[0].buffer].scope == Scope::shared;
    f_.bulk_bytes += all / shared_out * static_cast<double>(bytes_of(p_[b.writes[0].buffer].type));
    AccessFacts a;
    a.buffer = load ? read->tensor : b.writes[0].buffer;
    a.is_write = !load;
    a.bytes = bytes_of(p_[a.buffer].type);
    a.width = target_.vector_bytes / a.bytes;
    footprints(b, p_[a.buffer], load ? read->index : b.writes[0].index, a);
    f_.accesses.push_back(a);
  }

  void arithmetic(const Block& b, double all) {
    if (b.combiner) f_.float_operations += all * static_cast<double>(b.writes.size());
    for (const Write& w : b.writes)
      walk(w.value, [&](const Expr& e) {
        if (e.as<Read>() || number_of(e)) return false;
        const bool real = is_float(e->type) || e->type == DType::tf32;
        if (const auto* u = e.as<Unary>()) {
          const bool cheap = u->op == UnOp::neg || u->op == UnOp::abs || u->op == UnOp::square || u->op == UnOp::logical_not;
          (cheap ? (real ? f_.float_operations : f_.integer_operations) : f_.functions) += all;
        } else if (const auto* x = e.as<Binary>()) {
          const bool divides = x->op == BinOp::div && real, by_number = divides && number_of(x->b);  // by a number: a product
          if (x->op == BinOp::pow || (divides && !by_number)) f_.functions += all;
          else (real ? f_.float_operations : f_.integer_operations) += all;
          if ((x->op == BinOp::mul && real) || by_number) f_.products += all;
        } else if (e.as<Cast>()) {
          f_.casts += all;
        } else if (e.as<Select>()) {
          f_.selects += all;
        }
        return true;
      });
  }

  void access(BlockId id, const Block& b, const std::vector<LoopId>& around, TensorId t, const std::vector<Expr>& index, bool is_write, double times, double all) {
    const Buffer& buffer = p_[t];
    if (buffer.by_value) return;
    if (buffer.scope == Scope::local || buffer.scope == Scope::reg || (buffer.storage && buffer.storage->private_to_thread)) {
      private_.insert(t);
      return;
    }
    AccessFacts a;
    a.buffer = t;
    a.scope = buffer.scope;
    a.is_write = is_write;
    a.bytes = bytes_of(buffer.type);
    const codegen::Address address = codegen::address_of(p_, id, t, index);
    a.instructions = times;
    double row = 1;  // elements that straight code reads
    const bool moves = b.tile && (b.tile->via == Via::cp_async || b.tile->via == Via::ldmatrix);  // one instruction takes what its atom holds
    for (auto l = around.rbegin(); l != around.rend() && is_straight(*l); ++l) {
      const std::int64_t n = *constant_extent(p_, *l);
      if (moves && is_inside(p_, *l, b.tile->atom)) {
        a.width *= n, row *= static_cast<double>(n);
        a.instructions /= static_cast<double>(n);
        continue;
      }
      if (!codegen::is_uniform(p_, b, address, *l)) row *= static_cast<double>(n);
      if (codegen::is_uniform(p_, b, address, *l)) a.instructions /= static_cast<double>(n);  // once in a register, for all iterations
      else if (p_.loop(*l).kind == LoopKind::vectorized && a.width == 1 && codegen::is_vector(p_, address, *l, n)) {
        // A GPU reads no wider than the pointer's alignment.
        const std::int64_t most = gpu_ && a.scope == Scope::global ? std::min(target_.vector_bytes, buffer.alignment) : target_.vector_bytes;
        a.width = std::min(n, std::max<std::int64_t>(1, most / a.bytes));
        a.instructions /= static_cast<double>(a.width);
      }
    }
    if (gpu_) warp(b, address, a);
    footprints(b, buffer, index, a);
    const double warps = std::max(1.0, all / std::max(times, 1.0) / (gpu_ ? lanes * f_.lanes : 1));  // of the kernel, at this statement
    const double moved = a.instructions * warps * a.sectors * sector_bytes;
    if (a.scope == Scope::shared) f_.shared_bytes_moved += a.instructions * warps * a.sectors * banks * bank_bytes;
    else if (gpu_) (is_write ? f_.global_write_bytes : f_.global_read_bytes) += moved;
    else (is_write ? f_.global_write_bytes : f_.global_read_bytes) += a.instructions * warps * static_cast<double>(a.width * a.bytes);
    if (gpu_ && a.scope == Scope::global && b.hint == Hint::evict_first) (is_write ? f_.write_once_bytes : f_.read_once_bytes) += moved;
    f_.load_instructions += a.instructions * warps * (gpu_ ? lanes : 1);
    f_.integer_operations += addressing(address) * a.instructions * warps * (gpu_ ? lanes : 1);
    constexpr double most_in_flight = 256;  // registers of a thread that wait for memory
    if (a.scope == Scope::global && !is_write) {
      double asked = std::min(row * static_cast<double>(a.bytes), most_in_flight);
      if (const Buffer& to = p_[b.writes[0].buffer]; moves && to.storage && to.slots > 1)  // all slots but the one in use are on their way
        asked = static_cast<double>((to.slots - 1) * to.storage->elements * bytes_of(to.type)) / std::max(f_.threads, 1.0);
      f_.flight_bytes = std::max(f_.flight_bytes, asked);
    }
    f_.accesses.push_back(a);
  }

  /// The 32 threads of the first warp, one by one.
  void warp(const Block& b, const codegen::Address& address, AccessFacts& a) {
    const auto active = static_cast<std::int64_t>(std::min<double>(lanes, f_.threads));
    if (p_[a.buffer].swizzle) {  // laid out for what touches it
      a.sectors = static_cast<double>(std::max<std::int64_t>(1, active * a.width * a.bytes / (banks * bank_bytes)));
      return;
    }
    std::set<std::int64_t> sectors;
    std::array<std::set<std::int64_t>, banks> words;
    std::optional<std::int64_t> first;
    for (std::int64_t tid = 0; tid < active; ++tid) {
      const auto at = Lane(p_, b, tid).value(address);
      if (!at) {
        a.sectors = static_cast<double>(active);  // anywhere
        return;
      }
      if (tid == 0) first = at;
      if (tid == 1) a.lane_stride = std::abs(*at - *first);
      const std::int64_t from = *at * a.bytes, to = from + a.width * a.bytes - 1;
      if (a.scope == Scope::shared)
        for (std::int64_t w = floor_div(from, bank_bytes); w <= floor_div(to, bank_bytes); ++w) words[static_cast<std::size_t>(floor_mod(w, banks))].insert(w);
      else
        for (std::int64_t s = floor_div(from, sector_bytes); s <= floor_div(to, sector_bytes); ++s) sectors.insert(s);
    }
    if (a.scope != Scope::shared) {
      a.sectors = static_cast<double>(sectors.size());
      return;
    }
    std::size_t most = 1;
    for (const auto& bank : words) most = std::max(most, bank.size());
    a.sectors = static_cast<double>(most);
  }

  void footprints(const Block& b, const Buffer& buffer, const std::vector<Expr>& index, AccessFacts& a) {
    const auto block_fixed = [&](LoopId l) { return outside(p_.loop(l)); };
    const auto none = [](LoopId) { return false; };
    a.block_footprint = a.footprint = static_cast<double>(a.bytes);
    for (std::size_t d = 0; d < index.size(); ++d) {
      const std::int64_t extent = largest(p_, buffer.shape[d]);
      a.block_footprint *= count_of(p_, b, index[d], extent, block_fixed);
      a.footprint *= count_of(p_, b, index[d], extent, none);
    }
  }

  void totals() {
    std::map<TensorId, std::pair<double, double>> by_buffer;  // several statements touch the same elements (a pipeline's first copy)
    for (const AccessFacts& a : f_.accesses) {
      if (a.scope != Scope::global) continue;
      auto& [all, block] = by_buffer[a.buffer];
      all = std::max(all, a.footprint);
      block = std::max(block, a.block_footprint);
    }
    for (const auto& [buffer, bytes] : by_buffer) {
      f_.footprint_bytes += bytes.first;
      f_.block_bytes += bytes.second * f_.blocks;
    }
  }

  void occupancy() {
    double values = 0;
    for (TensorId t : private_)
      if (const auto& s = p_[t].storage) values += std::ceil(static_cast<double>(s->elements * p_[t].slots * bytes_of(p_[t].type)) / 4);  // narrow ones are packed
    // What kernels use besides the data they keep. Matrix instructions find tiles by descriptors: 232 values a thread fit into 240 registers.
    const double addresses = f_.tensor_operations > 0 ? 8 : 24;
    f_.values = values;
    const double most = gpu_ ? std::min(255.0, static_cast<double>(target_.registers_per_sm) / std::max(f_.threads, 1.0)) : 255.0;
    f_.registers = std::min(most, values + addresses);
    f_.roles = static_cast<double>(p_.roles.size());
    constexpr double warpgroup = 128;
    if (f_.tensor_operations > 0) f_.consumers = std::max(1.0, f_.threads / warpgroup);
    for (const Channel& c : p_.channels)
      if (root_of(p_, c.loop) == root_) f_.slots = std::max(f_.slots, static_cast<double>(c.slots));
    for (std::uint32_t n = 0; n < p_.buffers.size(); ++n) {
      const TensorId t{n};
      if (!p_.buffers.has(t) || p_[t].scope != Scope::shared || !p_[t].storage || root_of(p_, p_[t].storage->at) != root_) continue;
      f_.shared_bytes = std::max(f_.shared_bytes, static_cast<double>(p_[t].storage->offset_bytes + p_[t].storage->elements * p_[t].slots * bytes_of(p_[t].type)));
    }
    const auto sms = static_cast<double>(std::max<std::int64_t>(target_.sm_count, 1));
    if (!gpu_) {
      f_.waves = std::ceil(f_.blocks / sms);
      f_.last_wave = f_.blocks / sms / f_.waves;
      return;
    }
    const double warps = std::ceil(f_.threads / lanes);
    double fit = std::floor(static_cast<double>(target_.threads_per_sm) / std::max(f_.threads, 1.0));
    fit = std::min(fit, 32.0);
    if (f_.shared_bytes > 0) fit = std::min(fit, std::floor(static_cast<double>(target_.shared_per_sm) / (f_.shared_bytes + 1024)));
    double registers = f_.registers * warps * lanes;
    if (!p_.roles.empty() && f_.tensor_operations > 0) {
      registers = f_.registers = 0;
      for (const WarpRole& r : p_.roles) registers += static_cast<double>(r.warpgroups * 128 * r.registers), f_.registers = std::max(f_.registers, static_cast<double>(r.registers));
    }
    f_.spilled = std::max(0.0, values + addresses - f_.registers);
    fit = std::min(fit, std::floor(static_cast<double>(target_.registers_per_sm) / std::max(registers, 1.0)));
    f_.blocks_per_sm = std::max(fit, 1.0);
    f_.warps_per_sm = std::min(f_.blocks_per_sm, std::ceil(f_.blocks / sms)) * warps;
    f_.waves = std::ceil(f_.blocks / (sms * f_.blocks_per_sm));
    f_.last_wave = f_.blocks / (sms * f_.blocks_per_sm) / f_.waves;
  }
};

}  // namespace

std::vector<KernelFacts> facts_of(const Program& lowered, const Target& target) {
  std::vector<KernelFacts> out;
  for (StmtId root : lowered.kernels) {
    out.push_back(Kernel(lowered, root, target).run());
    out.back().estimate = estimate(out.back(), target);
  }
  return out;
}

}  // namespace tecc::autotune
