#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/tile_cutter.h"

/// Statements on registers that an instruction laid out: plain ones, and moves of 8 x 8 matrices to and from shared memory.
namespace tecc::compiler {

using namespace loop;

/// Cuts a statement that touches registers with a layout; true if it did.
Result<bool> TileCutter::spread(BlockId id) {
  if (std::find(done_.begin(), done_.end(), id) != done_.end()) return false;
  const Block b = p_.block(id);
  std::map<VarId, std::vector<Piece>> pieces;  // of the iterations that index laid out registers
  std::optional<Refusal> why;
  bool touches = false;
  const auto visit = [&](TensorId t, const std::vector<Expr>& index) {
    const auto known = layouts_.find(t);
    if (known == layouts_.end() || why) return;
    touches = true;
    for (std::size_t d = 0; d < index.size(); ++d) {
      const std::vector<Piece> here = pieces_of(known->second, static_cast<int>(d));
      if (here.empty()) continue;
      const auto* v = index[d].as<Var>();
      if (!v) { why = refuse(Code::tile_form, b.name, fmt::format("it reads '{}' at {}, which is no plain axis", p_[t].name, print(index[d], names_of(p_)))); return; }
      const auto [found, fresh] = pieces.emplace(v->id, here);
      if (!fresh && found->second.size() < here.size() && same(found->second, here)) found->second = here;
      if (!fresh && !same(found->second, here)) why = refuse(Code::layout_differs, p_[t].name, p_.block(laid_by_.at(t)).name, b.name);
    }
  };
  for (const Write& w : b.writes) {
    visit(w.buffer, w.index);
    walk(w.value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>()) visit(r->tensor, r->index);
      return true;
    });
  }
  if (why) return *why;
  if (!touches) return false;
  const StmtId top = top_of(id);
  TECC_TRY(const std::vector<TileAxis> axes, axes_of(id, top));
  const Via via = b.tile ? b.tile->via : Via::plain;
  std::int64_t threads = 1;
  for (const auto& [v, list] : pieces)
    for (const Piece& x : list)
      if (x.of == Piece::Of::thread) threads = std::max(threads, x.div * x.count);

  std::vector<NewLoop> repeats, registers;
  bool unit_stride = false;  // of the first of them
  std::map<LoopId, std::vector<std::pair<std::size_t, Part>>> drafts;  // 0: repeats, 1: thread, 2: registers
  std::map<VarId, std::vector<Piece>> used;
  for (auto a = axes.rbegin(); a != axes.rend(); ++a) {  // the last axis is the fastest
    const TileAxis& axis = *a;
    if (axis.loop == LoopId{}) continue;
    const Iter& i = b.iters[axis.iter];
    const std::string& name = p_.vars[i.var].name;
    const auto found = pieces.find(i.var);
    if (found == pieces.end()) {  // an axis that registers do not know: every thread runs all of it
      drafts[axis.loop].push_back({0, {repeats.size(), 1, 0, axis.div}});
      repeats.push_back({name, axis.extent, Group::none, LoopKind::serial});
      continue;
    }
    std::int64_t unit = 1;
    for (std::size_t n = 0; n < found->second.size(); ++n) {
      Piece x = found->second[n];
      if (x.stride != unit) return refuse(Code::tile_form, b.name, fmt::format("the layout of axis '{}' has gaps", name));
      const bool slowest = n + 1 == found->second.size();
      if (slowest && x.of == Piece::Of::reg) x.count = axis.extent / unit;
      if (axis.extent % (unit * x.count) || x.count == 0)
        return refuse(Code::tile_extent, b.name, axis.extent, fmt::format("elements along '{}'", name), fmt::format("the registers that it uses hold them in runs of {}", unit * std::max<std::int64_t>(found->second[n].count, 1)));
      if (x.of == Piece::Of::thread) {
        const bool covered = std::any_of(p_.cross_threads.begin(), p_.cross_threads.end(), [&](const CrossThread& c) { return c.block == id; });
        if (i.kind == IterKind::reduce && x.count > 1 && !covered) return refuse(Code::uncovered_reduction, name, b.name);
        drafts[axis.loop].push_back({1, {0, x.div, x.count, x.stride * axis.div}});
      } else {
        drafts[axis.loop].push_back({2, {registers.size(), 1, 0, x.stride * axis.div}});
        unit_stride |= registers.empty() && x.stride == 1;
        registers.push_back({name + "r", x.count});
      }
      used[i.var].push_back(x);
      unit *= x.count;
    }
    if (axis.extent > unit) {
      drafts[axis.loop].push_back({0, {repeats.size(), 1, 0, unit * axis.div}});
      repeats.push_back({name + "r", axis.extent / unit});
    }
  }
  for (const auto& [v, list] : pieces) {  // what threads share along an axis, the tile has to hold: a loop outside of it runs in all of them
    const auto shared = std::find_if(list.begin(), list.end(), [](const Piece& x) { return x.of == Piece::Of::thread && x.count > 1; });
    if (shared != list.end() && !used.count(v))
      return refuse(Code::tile_extent, b.name, 1, fmt::format("elements along '{}'", p_.vars[v].name), fmt::format("the registers that it uses hold them in runs of {}", shared->stride * shared->count));
  }
  for (TensorId t : read_buffers(b))
    if (std::any_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return layouts_.count(w.buffer) > 0; })) TECC_CHECK(spread_banks(t));
  for (const Write& w : b.writes) TECC_CHECK(spread_banks(w.buffer));
  // Of the registers, those of one execution stand innermost.
  if (via == Via::stmatrix) return store_matrices(id, b, top, axes, pieces, threads);
  if (via == Via::ldmatrix) return load_matrices(id, b, top, axes, pieces);
  // Neighbours in memory move together where the emitter finds that they may.
  if (!registers.empty() && !b.combiner && unit_stride) registers[0].kind = LoopKind::vectorized;

  // Axis by axis, in each the slow digits outside: neighbours in a row are neighbours in the text.
  std::vector<NewLoop> nest;
  nest.push_back({"t", threads, Group::thread});
  nest.insert(nest.end(), repeats.begin(), repeats.end());
  const std::size_t first = nest.size();
  nest.insert(nest.end(), registers.rbegin(), registers.rend());
  std::map<LoopId, std::vector<Part>> parts;
  for (const auto& [l, list] : drafts)
    for (const auto& [where, part] : list) {
      Part x = part;
      x.loop = where == 0 ? x.loop + 1 : where == 1 ? 0 : first + registers.size() - 1 - x.loop;
      parts[l].push_back(x);
    }
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  set_tile(id, made.front(), made.front(), nullptr);
  TECC_CHECK(lay_out_others(id, b, pieces));
  return true;
}

/// Register buffers that the block writes, or reads and nobody has laid out (row scales of a weight that it computes), take the layout of the
/// axes that index them; of a dimension that no such axis indexes every thread holds all.
Check TileCutter::lay_out_others(BlockId id, const Block& b, const PiecesOf& pieces) {
  const auto lay_out = [&](TensorId t, const std::vector<Expr>& index) -> Check {
    FragmentLayout layout;
    for (std::size_t d = 0; d < index.size(); ++d)
      if (const auto* v = index[d].as<Var>())
        if (const auto found = pieces.find(v->id); found != pieces.end())
          for (Piece x : found->second) {
            x.dim = static_cast<int>(d);
            layout.push_back(x);
          }
    return lay_out_registers(t, std::move(layout), id);
  };
  for (const Write& w : b.writes) {
    if (p_[w.buffer].scope == Scope::reg) TECC_CHECK(lay_out(w.buffer, w.index));
    std::vector<Read> fresh;
    walk(w.value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>(); r && p_[r->tensor].scope == Scope::reg && !layouts_.count(r->tensor)) fresh.push_back(*r);
      return true;
    });
    for (const Read& r : fresh) TECC_CHECK(lay_out(r.tensor, r.index));
  }
  return Ok{};
}

/// Registers of an accumulator to shared memory, 16 x 16 elements of a warp at a time.
Result<bool> TileCutter::store_matrices(BlockId id, const Block& b, StmtId top, const std::vector<TileAxis>& axes, const std::map<VarId, std::vector<Piece>>& pieces, std::int64_t threads) {
  const Write& w = b.writes[0];
  const Buffer& to = p_[w.buffer];
  if (to.scope != Scope::shared || bytes_of(to.type) != 2)
    return refuse(Code::copy_form, to.name, "stmatrix", to.scope != Scope::shared ? "it is not in shared memory" : "its elements are not 16 bits wide");
  std::optional<TileAxis> row, column;  // of the accumulator; in shared memory either may be the contiguous one
  for (const TileAxis& axis : axes) {
    const auto found = pieces.find(b.iters[axis.iter].var);
    if (axis.loop == LoopId{}) continue;
    if (found == pieces.end() || axis.div != 1) return refuse(Code::copy_form, to.name, "stmatrix", fmt::format("axis '{}' is no loop of its own over rows or columns of registers", p_.vars[b.iters[axis.iter].var].name));
    const bool rows = std::any_of(found->second.begin(), found->second.end(), [](const Piece& x) { return x.of == Piece::Of::thread && x.div == 4; });
    (rows ? row : column) = axis;
  }
  const MatrixMove move = matrix_move(4);
  const auto fits = [&](const std::optional<TileAxis>& axis, int dim, std::int64_t extent) {
    if (!axis || !pieces.count(b.iters[axis->iter].var) || axis->extent % extent) return false;
    const std::vector<Piece>& have = pieces.at(b.iters[axis->iter].var);
    const std::vector<Piece> want = pieces_of(move.fragment, dim);
    const std::int64_t reach = have.empty() ? 1 : have.back().stride * have.back().count;  // from here on the tile repeats in registers
    for (const Piece& x : want)
      if (!(x.of == Piece::Of::reg && x.stride >= reach) && std::none_of(have.begin(), have.end(), [&](const Piece& y) { return y.of == x.of && y.stride == x.stride && (x.of == Piece::Of::reg || (x.div == y.div && x.count == y.count)); })) return false;
    return true;
  };
  const std::int64_t rows = 16 * (threads / 32);
  if (!fits(row, 0, rows) || !fits(column, 1, 16))
    return refuse(Code::copy_form, to.name, "stmatrix", fmt::format("it stores tiles of {} rows by multiples of 16 columns out of an accumulator's registers", rows));
  std::vector<NewLoop> nest;
  std::map<LoopId, std::vector<Part>> parts;
  const auto repeat = [&](const TileAxis& axis, std::int64_t unit) {
    if (axis.extent == unit) return;
    parts[axis.loop].push_back({nest.size(), 1, 0, unit});
    nest.push_back({p_.vars[b.iters[axis.iter].var].name + "r", axis.extent / unit});
  };
  repeat(*row, rows), repeat(*column, 16);
  const std::size_t atom = nest.size();
  nest.push_back({"t", threads, Group::thread});
  FragmentLayout all = move.fragment;
  if (threads > 32) all.push_back({Piece::Of::thread, 32, threads / 32, 0, 16});
  const LoopId of[] = {row->loop, column->loop};
  cut(all, of, atom, nest, parts);
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  set_tile(id, made.front(), made[atom], nullptr);
  TECC_CHECK(lay_out_shared(w.buffer, "stmatrix"));
  return true;
}

/// Shared memory to registers of an operand, up to four matrices of eight rows of 16 bytes by a warp at a time. Rows run along the depth, or,
/// of 16-bit elements, across it: then the matrices are transposed on the way.
Result<bool> TileCutter::load_matrices(BlockId id, const Block& b, StmtId top, const Axes& axes, const PiecesOf& pieces) {
  const Write& w = b.writes[0];
  const auto* read = w.value.as<Read>();
  const Buffer& from = p_[read->tensor];
  const std::string& name = p_[w.buffer].name;
  if (from.scope != Scope::shared || !layouts_.count(w.buffer)) return refuse(Code::copy_form, name, "ldmatrix", "it copies from shared memory to registers that a product reads");
  std::optional<TileAxis> row, depth;  // of the operand: its rows lie eight lanes apart, neighbours in the depth in one lane
  std::vector<TileAxis> further;       // of rows that are several axes: registers tell them apart
  for (const TileAxis& axis : axes) {
    if (axis.loop == LoopId{}) continue;
    const auto found = pieces.find(b.iters[axis.iter].var);
    const auto of_lanes = [&](std::int64_t div) { return found != pieces.end() && std::any_of(found->second.begin(), found->second.end(), [&](const Piece& x) { return x.of == Piece::Of::thread && x.div == div; }); };
    if (axis.div != 1) return refuse(Code::copy_form, name, "ldmatrix", fmt::format("axis '{}' shares its loop with another", p_.vars[b.iters[axis.iter].var].name));
    if (of_lanes(4)) row = axis;
    else if (of_lanes(1)) depth = axis;
    else further.push_back(axis);
  }
  const std::int64_t size = bytes_of(from.type), wide = 16 / size, pair = 4 / size;
  if (!row || !depth || row->extent % 8 || depth->extent % wide) return refuse(Code::copy_form, name, "ldmatrix", fmt::format("it loads tiles of 8 rows by {} terms of depth", wide));
  const auto along = dim_of(read->index, b.iters[depth->iter].var), across = dim_of(read->index, b.iters[row->iter].var);
  if (along != fast_dim(from) && (across != fast_dim(from) || size != 2))
    return refuse(Code::copy_form, name, "ldmatrix", fmt::format("the depth is not contiguous in '{}', and elements of {} bits are not transposed on the way; legal: plain", from.name, 8 * size));
  if (!from.panel && (storage_of(p_, read->tensor, true)->dims[fast_dim(from)].extent() + from.pad) * size % 16) return refuse(Code::copy_form, name, "ldmatrix", fmt::format("rows of '{}' begin at places that are no multiple of 16 bytes", from.name));

  // The matrices of one execution are the first two bits of the registers behind the pair that a lane holds of each.
  struct Bits { const TileAxis* axis; std::int64_t stride, count; };
  std::vector<Bits> order;
  std::map<int, const TileAxis*> axis_of;
  std::map<const TileAxis*, std::int64_t> reach;
  const auto enter = [&](const TileAxis& axis, std::int64_t within) { axis_of[static_cast<int>(*dim_of(w.index, b.iters[axis.iter].var))] = &axis, reach[&axis] = within; };
  enter(*row, 8), enter(*depth, wide);
  for (const TileAxis& axis : further) enter(axis, 1);
  for (const Buffer::Fragment& f : p_[w.buffer].fragment) {
    const auto known = axis_of.find(f.dim);
    if (known == axis_of.end()) continue;  // an axis of one iteration
    const TileAxis* axis = known->second;
    if (f.unit < reach.at(axis)) continue;  // inside of a matrix
    const std::int64_t count = std::min(f.count, axis->extent / f.unit);
    order.push_back({axis, f.unit, count});
    reach[axis] = f.unit * count;
  }
  for (auto d = axis_of.rbegin(); d != axis_of.rend(); ++d) order.push_back({d->second, reach[d->second], d->second->extent / reach[d->second]});
  std::vector<NewLoop> nest, matrices;
  std::map<LoopId, std::vector<Part>> parts;
  std::vector<std::pair<const TileAxis*, std::int64_t>> bits;
  for (Bits& x : order)
    for (; bits.size() < 2 && x.count % 2 == 0; x.count /= 2, x.stride *= 2) bits.push_back({x.axis, x.stride});
  for (const Bits& x : order) {
    if (x.count == 1) continue;
    parts[x.axis->loop].push_back({nest.size(), 1, 0, x.stride});
    nest.push_back({p_.vars[b.iters[x.axis->iter].var].name + "r", x.count});
  }
  const std::size_t atom = nest.size();
  nest.push_back({"t", 32, Group::thread});
  parts[row->loop].push_back({atom, 4, 8, 1});
  parts[depth->loop].push_back({atom, 1, 4, pair});
  for (auto x = bits.rbegin(); x != bits.rend(); ++x) {
    parts[x->first->loop].push_back({nest.size(), 1, 0, x->second});
    nest.push_back({"m", 2});
  }
  if (pair > 1) {
    parts[depth->loop].push_back({nest.size(), 1, 0, 1});
    nest.push_back({"r", pair});
  }
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  set_tile(id, made.front(), made[atom], nullptr);
  return true;
}

}  // namespace tecc::compiler
