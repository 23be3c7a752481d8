#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "compiler/pass/tile_cutter.h"
#include "ir/number.h"

/// Copies of tiles between global and shared memory: boxes of bulk copies, runs, and what the threads share out among themselves.
namespace tecc::compiler {

using namespace loop;

/// One contiguous run, copied without a tensor map.
Check TileCutter::run_of_memory(BlockId id, const Block& b, StmtId top, const std::vector<TileAxis>& axes, TensorId global) {
  const Buffer& g = p_[global];
  std::int64_t elements = 1;
  for (const TileAxis& axis : axes) {
    if (axis.loop == LoopId{}) continue;
    if (dim_of(b.writes[0].index, b.iters[axis.iter].var) != g.shape.size() - 1)
      return refuse(Code::copy_form, g.name, "bulk", "it takes more than one row; legal: bulk_tensor");
    elements = axis.extent;
    if (!stays_below(p_, b, b.iters[axis.iter])) return refuse(Code::copy_form, g.name, "bulk", "its last part is shorter than the others; legal: bulk_tensor");
  }
  const std::int64_t bytes = elements * bytes_of(g.type), row = known_divisor(p_, g.shape.back()) * bytes_of(g.type);
  if (bytes % 16 || row % 16) return refuse(Code::copy_form, g.name, "bulk", fmt::format("{} bytes in rows of {}; legal: multiples of 16", bytes, row));
  set_tile(id, top, top, nullptr);
  return Ok{};
}

Check TileCutter::box(BlockId id) {
  const Block b = p_.block(id);
  const Write& w = b.writes[0];
  const auto* read = w.value.as<Read>();
  const bool load = p_[w.buffer].scope == Scope::shared;
  const TensorId shared = load ? w.buffer : read->tensor, global = load ? read->tensor : w.buffer;
  const std::string via = b.tile->via == Via::bulk ? "bulk" : "bulk_tensor";
  if (p_[shared].scope != Scope::shared || p_[global].scope != Scope::global)
    return refuse(Code::copy_form, p_[w.buffer].name, via, "bulk copies go between global and shared memory");
  for (LoopId l : thread_loops(p_, id))
    if (p_.loop(l).group != Group::warpgroup) return refuse(Code::copy_form, p_[w.buffer].name, via, fmt::format("one thread issues it, and loop '{}' is bound to several", loop_name(p_, l)));
  if (read->otherwise && (!load || !is_zero(read->otherwise))) return refuse(Code::copy_form, p_[shared].name, via, "outside of the tensor it must hold another value than zero");
  const StmtId top = top_of(id);
  TECC_TRY(const std::vector<TileAxis> axes, axes_of(id, top));
  if (b.tile->via == Via::bulk) return run_of_memory(id, b, top, axes, global);
  TECC_CHECK(lay_out_shared(shared, via));
  const Buffer& s = p_[shared];
  const Buffer& g = p_[global];
  const std::size_t rank = g.shape.size();
  if (rank > 5) return refuse(Code::copy_form, g.name, via, fmt::format("it has {} dimensions; legal: up to 5", rank));
  const std::size_t fast = fast_dim(s);
  if (fast != rank - 1) return refuse(Code::copy_form, g.name, via, "its contiguous dimension is another than that of the copy");
  std::int64_t stride = bytes_of(g.type);
  for (std::size_t d = rank; d-- > 1;) {
    stride *= known_divisor(p_, g.shape[d]);
    if (stride % 16) return refuse(Code::copy_form, g.name, via, fmt::format("its rows are {} bytes apart; legal: a multiple of 16", stride));
    stride = 16;  // what divides an inner stride divides the outer ones
  }
  std::vector<NewLoop> nest;
  std::map<LoopId, std::vector<Part>> parts;
  constexpr std::int64_t longest = 256;  // of a box, in elements
  std::map<std::size_t, std::int64_t> inner;  // by iteration
  bool in_panels = false;                     // a box is as wide as a panel: its rows lie side by side there
  for (const TileAxis& axis : axes) {
    if (axis.loop == LoopId{}) continue;
    const auto d = dim_of(w.index, b.iters[axis.iter].var);
    std::int64_t unit = axis.extent;
    if (d == fast) unit = std::min(unit, s.panel);
    else while (unit > longest || axis.extent % unit) --unit;
    if (d == fast && axis.extent % s.panel) return refuse(Code::copy_form, s.name, via, fmt::format("{} elements of a row are no multiple of the panel of {}", axis.extent, s.panel));
    if (unit != axis.extent) {
      parts[axis.loop].push_back({nest.size(), 1, 0, unit * axis.div});
      nest.push_back({p_.vars[b.iters[axis.iter].var].name + "p", axis.extent / unit});
    }
    in_panels |= d == fast;
    inner[axis.iter] = unit;
  }
  if (!in_panels) return refuse(Code::copy_form, s.name, via, fmt::format("one element of a row is no multiple of the panel of {}", s.panel));
  const std::size_t atom = nest.size();
  for (const TileAxis& axis : axes) {
    if (axis.loop == LoopId{}) continue;
    parts[axis.loop].push_back({nest.size(), 1, 0, axis.div});
    nest.push_back({p_.vars[b.iters[axis.iter].var].name, inner[axis.iter], Group::none, LoopKind::serial});
  }
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  set_tile(id, made.empty() ? StmtId(id) : StmtId(made.front()), atom < made.size() ? StmtId(made[atom]) : StmtId(id), nullptr);
  return Ok{};
}

/// How many neighbouring elements one access may move: up to 16 bytes that begin at multiples of their size on both sides, in rows that hold
/// whole ones.
std::int64_t TileCutter::widest(const Block& b, const Axes& axes, TensorId global, TensorId shared) const {
  const Buffer &g = p_[global], &s = p_[shared];
  const bool load = b.writes[0].buffer == shared;
  const std::vector<Expr>&from = b.writes[0].value.as<Read>()->index, &to = b.writes[0].index;
  const std::int64_t size = bytes_of(g.type);
  for (const TileAxis& axis : axes) {
    const Iter& i = b.iters[axis.iter];
    if (axis.loop == LoopId{} || dim_of(load ? from : to, i.var) != g.shape.size() - 1 || dim_of(load ? to : from, i.var) != fast_dim(s)) continue;
    for (const std::int64_t bytes : {16, 8, 4, 2}) {
      const std::int64_t n = bytes / size;
      if (n <= 1) continue;
      bool fits = axis.extent % n == 0 && known_divisor(p_, g.shape.back()) % n == 0 && known_divisor(p_, i.upper) % n == 0 && i.lower % n == 0 && i.binding.offset % n == 0 &&
                  g.alignment % bytes == 0 && s.pad % n == 0;
      for (const Digit& d : i.binding.digits) fits &= d.loop == axis.loop || d.stride % n == 0;
      if (fits) return n;
    }
  }
  return 1;
}

/// There is no cp.async of fewer than four bytes. Where rows begin at such places runs are loaded as the words that they lie in, and shifted: how
/// many elements make 16 bytes of the copy; 1: single elements are loaded and stored.
std::int64_t TileCutter::run(const Block& b, const Axes& axes, TensorId shared) const {
  const std::int64_t n = 16 / bytes_of(p_[shared].type);
  for (const TileAxis& axis : axes) {
    const Iter& i = b.iters[axis.iter];
    const auto to = dim_of(b.writes[0].index, i.var), from = dim_of(b.writes[0].value.as<Read>()->index, i.var);
    if (axis.loop != LoopId{} && to == fast_dim(p_[shared]) && from == to && to == p_[shared].shape.size() - 1 && axis.extent % n == 0 && p_[shared].pad % n == 0 && stays_above(p_, i)) return n;
  }
  return 1;
}

/// The threads that share out a copy: what the loops around it leave to it.
std::int64_t TileCutter::threads_for(BlockId id, StmtId top) const {
  const std::vector<LoopId> around = thread_loops(p_, p_[top].parent);
  if (!around.empty()) return p_.loop(around.back()).group == Group::warpgroup ? 128 : p_.loop(around.back()).group == Group::warp ? 32 : 1;
  return p_[id].role != Stmt::every_role ? 128 * p_.roles[p_[id].role].warpgroups : threads_of(p_, root_of(p_, id));
}

/// A copy that all threads make together, neighbouring threads the neighbours of a row: by cp.async, or by wide loads and stores.
Check TileCutter::share_out(BlockId id) {
  const Block b = p_.block(id);
  const Write& w = b.writes[0];
  const auto* read = w.value.as<Read>();
  const bool async = b.tile->via == Via::cp_async;
  const bool load = read && p_[read->tensor].scope == Scope::global && p_[w.buffer].scope == Scope::shared, store = read && p_[read->tensor].scope == Scope::shared && p_[w.buffer].scope == Scope::global;
  if (async && !load) return refuse(Code::copy_form, p_[w.buffer].name, "cp_async", "it copies from global to shared memory");
  if (async && read->otherwise && !is_zero(read->otherwise)) return refuse(Code::copy_form, p_[w.buffer].name, "cp_async", "outside of the tensor it must hold another value than zero");
  const bool cut_already = std::find(done_.begin(), done_.end(), id) != done_.end();  // by the layout of registers that it touches
  if ((!load && !store) || cut_already) return Ok{};
  const StmtId top = top_of(id);
  TECC_TRY(const Axes axes, axes_of(id, top));
  const TensorId shared = load ? w.buffer : read->tensor, global = load ? read->tensor : w.buffer;
  std::int64_t width = widest(b, axes, global, shared);
  if (async && width * bytes_of(p_[shared].type) < 4) width = read->otherwise ? 1 : run(b, axes, shared);

  // From the contiguous axis on, each takes threads as far as they divide it; what is left of it is repeated.
  std::vector<const TileAxis*> order;
  for (auto a = axes.rbegin(); a != axes.rend(); ++a)
    if (a->loop != LoopId{}) order.push_back(&*a);
  const auto dim = [&](const TileAxis* a) { return dim_of(load ? w.index : read->index, b.iters[a->iter].var); };
  std::stable_partition(order.begin(), order.end(), [&](const TileAxis* a) { return dim(a) == fast_dim(p_[shared]); });
  std::int64_t left = threads_for(id, top), taken = 1;
  std::vector<NewLoop> nest;
  std::map<LoopId, std::vector<Part>> parts;
  std::vector<std::int64_t> lanes;
  for (const TileAxis* a : order) {
    const std::int64_t unit = a == order[0] ? width : 1, count = a->extent / unit;
    lanes.push_back(std::gcd(left, count));
    left /= lanes.back();
    if (count == lanes.back()) continue;
    parts[a->loop].push_back({nest.size(), 1, 0, unit * lanes.back() * a->div});
    nest.push_back({p_.vars[b.iters[a->iter].var].name + "r", count / lanes.back()});
  }
  for (std::size_t n = 0; n < order.size(); taken *= lanes[n++])
    if (lanes[n] > 1) parts[order[n]->loop].push_back({nest.size(), taken, lanes[n], (n == 0 ? width : 1) * order[n]->div});
  if (taken > 1) nest.push_back({"t", taken, Group::thread});
  if (width > 1) {
    parts[order[0]->loop].push_back({nest.size(), 1, 0, order[0]->div});
    nest.push_back({"v", width, Group::none, async ? LoopKind::serial : LoopKind::vectorized});
  }
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  const StmtId atom = width > 1 ? StmtId(made.back()) : StmtId(id);
  set_tile(id, made.empty() ? StmtId(id) : StmtId(made.front()), async ? atom : made.empty() ? StmtId(id) : StmtId(made.front()), nullptr);
  return Ok{};
}

}  // namespace tecc::compiler
