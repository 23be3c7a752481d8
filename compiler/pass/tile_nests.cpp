#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/tile_cutter.h"

/// Loops and layouts of tile statements.
namespace tecc::compiler {

using namespace loop;

std::vector<Piece> pieces_of(const FragmentLayout& layout, int dim) {
  std::vector<Piece> out;
  for (const Piece& x : layout)
    if (x.dim == dim) out.push_back(x);
  std::sort(out.begin(), out.end(), [](const Piece& a, const Piece& b) { return a.stride < b.stride; });
  return out;
}
bool same(const std::vector<Piece>& a, const std::vector<Piece>& b) {
  const std::size_t common = std::min(a.size(), b.size());
  const bool agree = std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common), b.begin(), [](const Piece& x, const Piece& y) {
    return x.of == y.of && x.stride == y.stride && (x.of == Piece::Of::reg || (x.div == y.div && x.count == y.count));
  });
  // Where one ends it repeats in registers: the other may say so.
  const std::vector<Piece>& longer = a.size() > b.size() ? a : b;
  std::int64_t reach = common ? longer[common - 1].stride * longer[common - 1].count : 1;
  for (std::size_t n = common; n < longer.size(); reach *= longer[n++].count)
    if (common == 0 || longer[n].of != Piece::Of::reg || longer[n].stride != reach) return false;
  return agree;
}

/// True for `v + rest`, where the rest does not use v.
static bool runs_along(const Expr& e, VarId v) {
  if (const auto* x = e.as<Var>()) return x->id == v;
  const auto* x = e.as<Binary>();
  if (!x || (x->op != BinOp::add && x->op != BinOp::sub)) return false;
  return (runs_along(x->a, v) && !uses(x->b, v)) || (x->op == BinOp::add && runs_along(x->b, v) && !uses(x->a, v));
}
std::optional<std::size_t> dim_of(const std::vector<Expr>& index, VarId v) {
  for (std::size_t d = 0; d < index.size(); ++d)
    if (runs_along(index[d], v)) return d;
  return std::nullopt;
}

std::size_t fast_dim(const Buffer& b) { return b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back()); }

Result<TileSide> side_of(std::vector<TileAxis> axes, const std::string& block) {
  std::sort(axes.begin(), axes.end(), [](const TileAxis& a, const TileAxis& b) { return a.div < b.div; });
  TileSide out{axes, axes[0].loop, 1};
  for (const TileAxis& a : axes) {
    if (a.loop != out.loop || a.div != out.extent) return refuse(Code::tile_form, block, "axes of one side of the product lie in different loops; legal: fuse them");
    out.extent *= a.extent;
  }
  return out;
}

std::optional<FragmentLayout> shared_out(const FragmentLayout& layout, int side, const TileSide& axes, const std::vector<int>& dims) {
  FragmentLayout out;
  for (const Piece& x : layout) {
    if (x.dim != side) continue;
    const std::int64_t end = x.count ? x.stride * x.count : axes.extent;  // a piece without count takes what is left
    for (std::size_t n = 0; n < axes.axes.size(); ++n) {
      const TileAxis& a = axes.axes[n];
      const std::int64_t from = std::max(x.stride, a.div), to = std::min(end, n + 1 == axes.axes.size() ? end : a.div * a.extent);
      if (from >= to) continue;
      if (from % x.stride || to % from || from % a.div) return std::nullopt;  // radices that do not line up
      out.push_back({x.of, x.div * (from / x.stride), to / from, dims[n], from / a.div});
    }
  }
  return out;
}

// ---- loops --------------------------------------------------------------------------------------------------------------
StmtId TileCutter::top_of(BlockId id) const {
  const auto& tile = p_.block(id).tile;
  if (tile && p_.stmts.has(tile->top) && tile->top != StmtId{} && is_inside(p_, id, tile->top) && blocks_under(p_, tile->top).size() == 1) return tile->top;
  StmtId top = id;
  while (true) {
    const StmtId parent = p_[top].parent;
    const auto* l = p_[parent].as<Loop>();
    if (!l || p_[parent].children.size() != 1 || l->group != Group::none) return top;
    top = parent;
  }
}

std::vector<LoopId> TileCutter::chain(BlockId id, StmtId top) const {
  std::vector<LoopId> all = loops_around(p_, id);
  std::erase_if(all, [&](LoopId l) { return !is_inside(p_, l, top); });
  return all;
}

Result<std::vector<TileAxis>> TileCutter::axes_of(BlockId id, StmtId top) const {
  const Block& b = p_.block(id);
  const std::vector<LoopId> loops = top == id ? std::vector<LoopId>() : chain(id, top);
  for (const CrossThread& c : p_.cross_threads)
    if (c.block == id && std::find(loops.begin(), loops.end(), c.at) != loops.end())
      return refuse(Code::tile_form, b.name, fmt::format("it is combined across threads at loop '{}', inside of it", loop_name(p_, c.at)));
  std::vector<TileAxis> out;
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    TileAxis axis{n, {}};
    bool plain = true, found = false;
    for (const Digit& d : b.iters[n].binding.digits) {
      const bool inside = std::find(loops.begin(), loops.end(), d.loop) != loops.end();
      const auto& retired = p_.loop(d.loop).retired;
      if (retired) plain &= std::none_of(loops.begin(), loops.end(), [&](LoopId l) { return depends_on(p_, *retired, l); });
      if (!inside) continue;
      const auto extent = constant_extent(p_, d.loop);
      if (!extent) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' has no constant extent", loop_name(p_, d.loop)));
      if (*extent < 1) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' has no iteration", loop_name(p_, d.loop)));
      plain &= !found && d.stride == 1 && *extent % d.div == 0;
      found = true;
      axis.loop = d.loop;
      axis.div = d.div;
      axis.extent = d.mod ? d.mod : *extent / d.div;
    }
    if (!plain) return refuse(Code::tile_form, b.name, fmt::format("axis '{}' is not one loop inside of it", p_.vars[b.iters[n].var].name));
    out.push_back(axis);
  }
  for (LoopId l : loops) {  // the digits of a loop are shared out, none is left
    std::int64_t digits = 1;
    for (const TileAxis& a : out) digits *= a.loop == l ? a.extent : 1;
    const auto users = std::count_if(out.begin(), out.end(), [&](const TileAxis& a) { return a.loop == l; });
    if (users == 0 || digits != constant_extent(p_, l)) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' cuts {} axes", loop_name(p_, l), users));
  }
  return out;
}

/// Puts a new nest in the place of the old loops, which become retired. Returns the new loops, outermost first.
std::vector<LoopId> TileCutter::recut(BlockId id, StmtId top, const std::vector<NewLoop>& nest, const std::map<LoopId, std::vector<Part>>& parts) {
  const std::vector<LoopId> old = top == id ? std::vector<LoopId>() : chain(id, top);
  const StmtId parent = p_[top].parent;
  const std::size_t position = position_in_parent(p_, top);
  const CallSite at = p_[id].at;
  p_.stmts.edit(parent, [&](Stmt& s) { std::erase(s.children, top); });
  std::vector<LoopId> made;
  StmtId place = parent;
  for (const NewLoop& n : nest) {
    const LoopId l = add_loop(p_, place, place == parent ? position : 0, n.name, index_literal(n.extent), at);
    p_.stmts.edit(l, [&](Stmt& s) {
      std::get<Loop>(s.node).group = n.group;
      std::get<Loop>(s.node).kind = n.group == Group::none ? n.kind : LoopKind::serial;
    });
    made.push_back(l);
    place = l;
  }
  p_.stmts.edit(id, [&](Stmt& s) { s.parent = place; });
  p_.stmts.edit(place, [&](Stmt& s) { s.children.insert(place == parent ? s.children.begin() + static_cast<std::ptrdiff_t>(position) : s.children.end(), id); });
  for (LoopId l : old) {
    Binding digits;
    if (const auto found = parts.find(l); found != parts.end())
      for (const Part& x : found->second) digits.digits.push_back({made[x.loop], x.div, x.mod, x.stride});
    retire(p_, l, std::move(digits), made.empty() ? StmtId(id) : StmtId(made.front()));
  }
  return made;
}

void TileCutter::set_tile(BlockId id, StmtId top, StmtId atom, const Instruction* instruction) {
  p_.stmts.edit(id, [&](Stmt& s) {
    auto& tile = std::get<Block>(s.node).tile;
    if (!tile) tile = Tile{};
    tile->top = top;
    tile->atom = atom;
    tile->instruction = instruction;
  });
  done_.push_back(id);
}

/// Rows of a shared buffer that an instruction or a bulk copy touches are cut into panels of the widest swizzle that divides them.
Check TileCutter::lay_out_shared(TensorId t, const std::string& user) {
  if (p_[t].panel) return Ok{};
  TECC_TRY(const Storage st, storage_of(p_, t, limits_.gpu));
  const Buffer& b = p_[t];
  const std::int64_t extent = st.dims[fast_dim(b)].extent(), bytes = extent * bytes_of(b.type);
  for (const std::int64_t span : {128, 64, 32})
    if (bytes % span == 0) {
      p_.buffers.edit(t, [&](Buffer& row) {
        row.swizzle = span;
        row.panel = span / bytes_of(row.type);
      });
      return Ok{};
    }
  return refuse(Code::operand_place, b.name, fmt::format("{} bytes wide", bytes), fmt::format("{} needs a multiple of 32 bytes", user));
}

/// The same for rows that threads load to their registers: a swizzle where one fits and no pad was asked for.
Check TileCutter::spread_banks(TensorId t) {
  const Buffer& b = p_[t];
  if (b.panel || b.pad || b.scope != Scope::shared) return Ok{};
  TECC_TRY(const Storage st, storage_of(p_, t, limits_.gpu));
  return st.dims[fast_dim(b)].extent() * bytes_of(b.type) % 32 ? Check(Ok{}) : lay_out_shared(t, b.name);
}

namespace {

/// The pieces that are registers, in the order in which these lie.
std::vector<Piece> registers_of(const FragmentLayout& layout) {
  std::vector<Piece> out;
  for (const Piece& x : layout)
    if (x.of == Piece::Of::reg) out.push_back(x);
  std::sort(out.begin(), out.end(), [](const Piece& a, const Piece& b) { return a.div < b.div; });
  return out;
}

/// True if registers that lie as in one lie as in the other, as far as both go: what one execution takes, it takes one behind another.
bool same_order(const std::vector<Piece>& a, const std::vector<Piece>& b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t n = 0; n < common; ++n) {
    if (a[n].dim != b[n].dim || a[n].stride != b[n].stride) return false;
    const std::vector<Piece>& fewer = a[n].count < b[n].count ? a : b;
    if (a[n].count != b[n].count && n + 1 < fewer.size()) return false;
  }
  return true;
}

}  // namespace

Check TileCutter::lay_out_registers(TensorId t, FragmentLayout layout, BlockId by) {
  const std::vector<Piece> registers = registers_of(layout);
  if (const auto known = layouts_.find(t); known != layouts_.end()) {
    bool agree = same_order(registers_of(known->second), registers);
    for (int d = 0; d < static_cast<int>(p_[t].shape.size()); ++d) agree &= same(pieces_of(known->second, d), pieces_of(layout, d));
    if (!agree) return refuse(Code::layout_differs, p_[t].name, p_.block(laid_by_.at(t)).name, p_.block(by).name);
    return Ok{};
  }
  std::vector<Buffer::Fragment> fragment;
  std::int64_t place = 1;  // a dimension may be missing: a row's sum needs no registers for columns
  for (const Piece& x : registers) {
    fragment.push_back({x.dim, x.stride, x.count, place});
    place *= x.count;
  }
  p_.buffers.edit(t, [&](Buffer& b) { b.fragment = std::move(fragment); });
  layouts_[t] = std::move(layout);
  laid_by_[t] = by;
  return Ok{};
}

/// Loops for the registers of a layout, slowest first; digits for what they and the thread loop `thread` make of the loops of dims 0 and 1.
void TileCutter::cut(const FragmentLayout& layout, const LoopId* of, std::size_t thread, std::vector<NewLoop>& nest, std::map<LoopId, std::vector<Part>>& parts) {
  FragmentLayout slow_first = layout;
  std::sort(slow_first.begin(), slow_first.end(), [](const Piece& a, const Piece& b) { return a.div > b.div; });
  for (const Piece& x : slow_first) {
    if (x.of == Piece::Of::thread) {
      parts[of[x.dim]].push_back({thread, x.div, x.count, x.stride});
    } else {
      parts[of[x.dim]].push_back({nest.size(), 1, 0, x.stride});
      nest.push_back({"r", x.count});
    }
  }
}

}  // namespace tecc::compiler
