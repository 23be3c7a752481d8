#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/pass/passes.h"
#include "ir/instruction/instruction.h"
#include "ir/loop/affine.h"

/// The loops of a tile statement become a nest over threads and registers, cut as its instruction wants them: what an instruction does is
/// then said twice, by the loops (which anything can run) and by its name. Products come first, they fix the layouts of what they touch;
/// layouts spread from there to every statement that touches the same registers; bulk copies follow the layouts of shared memory.
namespace tecc::compiler {

using namespace loop;

namespace {

/// An iteration of a tile statement and the loop of the tile that feeds it, if any.
struct TileAxis {
  std::size_t iter;
  LoopId loop;  // row 0: none, the axis is one element long
  std::int64_t extent = 1;
};

/// A loop of the new nest.
struct NewLoop {
  std::string name;
  std::int64_t extent;
  Group group = Group::none;
  LoopKind kind = LoopKind::unrolled;
};
/// One digit of an old loop: (new loop / div % mod) * stride.
struct Part {
  std::size_t loop;  // index into the new nest
  std::int64_t div = 1, mod = 0, stride = 1;
};

/// The pieces of a layout that cut one iteration, from the smallest stride.
std::vector<Piece> pieces_of(const FragmentLayout& layout, int dim) {
  std::vector<Piece> out;
  for (const Piece& x : layout)
    if (x.dim == dim) out.push_back(x);
  std::sort(out.begin(), out.end(), [](const Piece& a, const Piece& b) { return a.stride < b.stride; });
  return out;
}
bool same(const std::vector<Piece>& a, const std::vector<Piece>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Piece& x, const Piece& y) {
    return x.of == y.of && x.stride == y.stride && (x.of == Piece::Of::reg || (x.div == y.div && x.count == y.count));
  });
}

class Chooser {
 public:
  Chooser(Program& p, const Limits& limits) : p_(p), limits_(limits) {}

  Check run() {
    for (BlockId b : all_blocks(p_))
      if (const auto& t = p_.block(b).tile; t && (t->via == Via::wgmma || t->via == Via::mma_sync)) TECC_CHECK(product(b));
    for (bool more = true; more;) {
      more = false;
      for (BlockId b : all_blocks(p_)) {
        TECC_TRY(const bool done, spread(b));
        more |= done;
      }
    }
    for (BlockId b : all_blocks(p_))
      if (const auto& t = p_.block(b).tile; t && (t->via == Via::bulk_tensor || t->via == Via::bulk)) TECC_CHECK(box(b));
    return Ok{};
  }

 private:
  Program& p_;
  const Limits& limits_;
  std::map<TensorId, FragmentLayout> layouts_;  // of register buffers, in their dimensions
  std::map<TensorId, BlockId> laid_by_;
  std::vector<BlockId> done_;

  // ---- loops ------------------------------------------------------------------------------------------------------------
  StmtId top_of(BlockId id) const {
    const auto& tile = p_.block(id).tile;
    if (tile && p_.stmts.has(tile->top) && tile->top != StmtId{} && is_inside(p_, id, tile->top)) return tile->top;
    StmtId top = id;
    while (true) {
      const StmtId parent = p_[top].parent;
      const auto* l = p_[parent].as<Loop>();
      if (!l || p_[parent].children.size() != 1 || l->group != Group::none) return top;
      top = parent;
    }
  }

  std::vector<LoopId> chain(BlockId id, StmtId top) const {
    std::vector<LoopId> all = loops_around(p_, id);
    std::erase_if(all, [&](LoopId l) { return !is_inside(p_, l, top); });
    return all;
  }

  Result<std::vector<TileAxis>> axes_of(BlockId id, StmtId top) const {
    const Block& b = p_.block(id);
    const std::vector<LoopId> loops = top == id ? std::vector<LoopId>() : chain(id, top);
    std::vector<TileAxis> out;
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      TileAxis axis{n, {}};
      bool plain = true, found = false;
      for (const Digit& d : b.iters[n].binding.digits) {
        const bool inside = std::find(loops.begin(), loops.end(), d.loop) != loops.end();
        const auto& retired = p_.loop(d.loop).retired;
        if (retired) plain &= std::none_of(loops.begin(), loops.end(), [&](LoopId l) { return depends_on(p_, *retired, l); });
        if (!inside) continue;
        plain &= !found && d.div == 1 && d.mod == 0 && d.stride == 1;
        found = true;
        axis.loop = d.loop;
        const auto extent = constant_extent(p_, d.loop);
        if (!extent) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' has no constant extent", loop_name(p_, d.loop)));
        if (*extent < 1) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' has no iteration", loop_name(p_, d.loop)));
        axis.extent = *extent;
      }
      if (!plain) return refuse(Code::tile_form, b.name, fmt::format("axis '{}' is not one loop inside of it", p_.vars[b.iters[n].var].name));
      out.push_back(axis);
    }
    for (LoopId l : loops) {
      const auto users = std::count_if(out.begin(), out.end(), [&](const TileAxis& a) { return a.loop == l; });
      if (users != 1) return refuse(Code::tile_form, b.name, fmt::format("loop '{}' cuts {} axes", loop_name(p_, l), users));
    }
    return out;
  }

  /// Puts a new nest in the place of the old loops, which become retired. Returns the new loops, outermost first.
  std::vector<LoopId> recut(BlockId id, StmtId top, const std::vector<NewLoop>& nest, const std::map<LoopId, std::vector<Part>>& parts) {
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

  void set_tile(BlockId id, StmtId top, StmtId atom, const Instruction* instruction) {
    p_.stmts.edit(id, [&](Stmt& s) {
      auto& tile = std::get<Block>(s.node).tile;
      if (!tile) tile = Tile{};
      tile->top = top;
      tile->atom = atom;
      tile->instruction = instruction;
    });
    done_.push_back(id);
  }

  // ---- layouts ----------------------------------------------------------------------------------------------------------
  /// Rows of a shared buffer that an instruction or a bulk copy touches are cut into panels of the widest swizzle that divides them.
  Check lay_out_shared(TensorId t, const std::string& user) {
    if (p_[t].panel) return Ok{};
    TECC_TRY(const Storage st, storage_of(p_, t, limits_.gpu));
    const Buffer& b = p_[t];
    const std::size_t fast = b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back());
    const std::int64_t extent = st.dims[fast].extent(), bytes = extent * bytes_of(b.type);
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

  Check lay_out_registers(TensorId t, FragmentLayout layout, BlockId by) {
    if (const auto known = layouts_.find(t); known != layouts_.end()) {
      for (int d = 0; d < static_cast<int>(p_[t].shape.size()); ++d)
        if (!same(pieces_of(known->second, d), pieces_of(layout, d)))
          return refuse(Code::layout_differs, p_[t].name, p_.block(laid_by_.at(t)).name, p_.block(by).name);
      return Ok{};
    }
    std::vector<Piece> registers;
    for (const Piece& x : layout)
      if (x.of == Piece::Of::reg) registers.push_back(x);
    std::sort(registers.begin(), registers.end(), [](const Piece& a, const Piece& b) { return a.div < b.div; });
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

  // ---- products ---------------------------------------------------------------------------------------------------------
  /// True for `v + rest`, where the rest holds still while v runs over a tile.
  static bool runs_along(const Expr& e, VarId v) {
    if (const auto* x = e.as<Var>()) return x->id == v;
    const auto* sum = e.as<Binary>();
    if (!sum || sum->op != BinOp::add) return false;
    return (runs_along(sum->a, v) && !uses(sum->b, v)) || (runs_along(sum->b, v) && !uses(sum->a, v));
  }
  static std::optional<std::size_t> dim_of(const std::vector<Expr>& index, VarId v) {
    for (std::size_t d = 0; d < index.size(); ++d)
      if (runs_along(index[d], v)) return d;
    return std::nullopt;
  }

  Check product(BlockId id) {
    const Block b = p_.block(id);
    const Tile tile = *b.tile;
    const auto product = product_of(b);
    if (!product) return refuse(Code::not_product, b.name);
    const StmtId top = top_of(id);
    TECC_TRY(const std::vector<TileAxis> axes, axes_of(id, top));
    const Product::Factor &fa = product->factor[tile.swap ? 1 : 0], &fb = product->factor[tile.swap ? 0 : 1];
    std::optional<TileAxis> m, n, k;
    for (const TileAxis& axis : axes) {
      if (axis.loop == LoopId{}) continue;
      const Iter& i = b.iters[axis.iter];
      const bool in_a = dim_of(fa.read->index, i.var).has_value(), in_b = dim_of(fb.read->index, i.var).has_value();
      auto& slot = i.kind == IterKind::reduce ? k : in_a ? m : n;
      const bool fits = i.kind == IterKind::reduce ? in_a && in_b : in_a != in_b && dim_of(b.writes[0].index, i.var);
      if (slot || !fits) return refuse(Code::tile_form, b.name, fmt::format("axis '{}' is neither rows, columns nor depth of a product", p_.vars[i.var].name));
      slot = axis;
    }
    const DType into = p_[b.writes[0].buffer].type;
    const Instruction* chosen = nullptr;  // one that the device lacks is refused by check_instructions, which knows what to do instead
    for (const Instruction& i : instructions())
      if (i.via == tile.via && i.a == fa.type && i.b == fb.type && i.d == into && (!chosen || (!limits_.has(chosen->name) && limits_.has(i.name)))) chosen = &i;
    const std::string family = tile.via == Via::wgmma ? "wgmma" : "mma.sync";
    if (!chosen) return refuse(Code::no_instruction, family, name(fa.type), name(fb.type), name(into));
    const auto extent = [](const std::optional<TileAxis>& a) { return a ? a->extent : 1; };
    std::int64_t width = std::min(chosen->n_most, extent(n));
    while (width > 0 && (extent(n) % width || width % chosen->n_step)) --width;
    if (extent(m) % chosen->m) return refuse(Code::tile_extent, b.name, extent(m), "rows", fmt::format("{} needs a multiple of {}", family, chosen->m));
    if (!width) return refuse(Code::tile_extent, b.name, extent(n), "columns", fmt::format("{} needs a multiple of {}", family, chosen->n_step));
    if (extent(k) % chosen->k) return refuse(Code::tile_extent, b.name, extent(k), "terms of depth", fmt::format("{} needs a multiple of {}", family, chosen->k));
    TECC_CHECK(operand(*chosen, fa, b.iters[m->iter].var, b.iters[k->iter].var, true, id));
    TECC_CHECK(operand(*chosen, fb, b.iters[n->iter].var, b.iters[k->iter].var, false, id));
    if (p_[b.writes[0].buffer].scope != Scope::reg)
      return refuse(Code::operand_place, p_[b.writes[0].buffer].name, "not in registers", fmt::format("{} keeps its sums in registers; legal: set_scope({}, register)", family, b.name));

    // Repetitions, then one execution: a thread loop and the digits of its registers; depth last, which adds up.
    const FragmentLayout d = accumulator_of(*chosen, width);
    std::vector<NewLoop> nest;
    std::map<LoopId, std::vector<Part>> parts;
    const auto repeat = [&](const TileAxis& axis, std::int64_t unit, const char* suffix) {
      if (axis.extent == unit) return;
      parts[axis.loop].push_back({nest.size(), 1, 0, unit});
      nest.push_back({p_.vars[b.iters[axis.iter].var].name + suffix, axis.extent / unit});
    };
    repeat(*m, chosen->m, "r"), repeat(*n, width, "r"), repeat(*k, chosen->k, "r");
    const std::size_t atom = nest.size();
    nest.push_back({"t", chosen->threads, Group::thread});
    const LoopId of[] = {m->loop, n->loop};
    cut(d, of, atom, nest, parts);
    parts[k->loop].push_back({nest.size(), 1, 0, 1});
    nest.push_back({p_.vars[b.iters[k->iter].var].name + "d", chosen->k});
    const VarId row = b.iters[m->iter].var, column = b.iters[n->iter].var;
    const std::vector<LoopId> made = recut(id, top, nest, parts);
    set_tile(id, made.front(), made[atom], chosen);
    FragmentLayout in_buffer = d;
    const int dims[] = {static_cast<int>(*dim_of(b.writes[0].index, row)), static_cast<int>(*dim_of(b.writes[0].index, column))};
    for (Piece& x : in_buffer) x.dim = dims[x.dim];
    return lay_out_registers(b.writes[0].buffer, std::move(in_buffer), id);
  }

  /// Loops for the registers of a layout, slowest first; digits for what they and the thread loop `thread` make of the loops of dims 0 and 1.
  static void cut(const FragmentLayout& layout, const LoopId* of, std::size_t thread, std::vector<NewLoop>& nest, std::map<LoopId, std::vector<Part>>& parts) {
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

  Check operand(const Instruction& i, const Product::Factor& f, VarId row, VarId depth, bool is_a, BlockId id) {
    const Buffer& b = p_[f.read->tensor];
    if (dim_of(f.read->index, row) == dim_of(f.read->index, depth))
      return refuse(Code::tile_form, p_.block(id).name, fmt::format("'{}' has one index for rows and depth", b.name));
    const std::string family = i.via == Via::wgmma ? "wgmma" : "mma.sync";
    const bool registers = b.scope == Scope::reg || b.scope == Scope::local;
    if (b.scope == Scope::global || (registers && !(is_a ? i.a_registers : !i.b_shared)) || (b.scope == Scope::shared && !(is_a ? i.a_shared : i.b_shared)))
      return refuse(Code::operand_place, b.name, b.scope == Scope::global ? "in global memory" : registers ? "in registers" : "in shared memory",
                    fmt::format("{} reads {} from {}", family, is_a ? "its rows" : "its columns", i.via == Via::mma_sync ? "registers" : is_a ? "shared memory or registers" : "shared memory"));
    if (registers) {
      FragmentLayout layout = is_a ? a_fragment_of(i) : b_fragment_of(i, i.n_step);
      const int dims[] = {static_cast<int>(*dim_of(f.read->index, row)), static_cast<int>(*dim_of(f.read->index, depth))};
      for (Piece& x : layout) x.dim = dims[x.dim];
      return lay_out_registers(f.read->tensor, std::move(layout), id);
    }
    const std::size_t fast = b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back());
    const auto depth_at = dim_of(f.read->index, depth);
    if (depth_at != fast && !i.transposed)
      return refuse(Code::operand_place, b.name, "contiguous along its rows", fmt::format("{} of {} needs it contiguous along the depth", family, name(f.type)));
    return lay_out_shared(f.read->tensor, family);
  }

  // ---- statements on registers --------------------------------------------------------------------------------------------
  /// Cuts a statement that touches registers with a layout; true if it did.
  Result<bool> spread(BlockId id) {
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
    std::map<LoopId, std::vector<std::pair<std::size_t, Part>>> drafts;  // 0: repeats, 1: thread, 2: registers
    std::map<VarId, std::vector<Piece>> used;
    for (auto a = axes.rbegin(); a != axes.rend(); ++a) {  // the last axis is the fastest
      const TileAxis& axis = *a;
      if (axis.loop == LoopId{}) continue;
      const Iter& i = b.iters[axis.iter];
      const std::string& name = p_.vars[i.var].name;
      const auto found = pieces.find(i.var);
      if (found == pieces.end()) {  // an axis that registers do not know: every thread runs all of it
        drafts[axis.loop].push_back({0, {repeats.size()}});
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
          drafts[axis.loop].push_back({1, {0, x.div, x.count, x.stride}});
        } else {
          drafts[axis.loop].push_back({2, {registers.size(), 1, 0, x.stride}});
          registers.push_back({name + "r", x.count});
        }
        used[i.var].push_back(x);
        unit *= x.count;
      }
      if (axis.extent > unit) {
        drafts[axis.loop].push_back({0, {repeats.size(), 1, 0, unit}});
        repeats.push_back({name + "r", axis.extent / unit});
      }
    }
    // stmatrix: of the registers, those of one execution stand innermost.
    if (via == Via::stmatrix) return store_matrices(id, b, top, axes, pieces, threads);

    // Axis by axis, in each the slow digits outside: neighbours in a row are neighbours in the text.
    std::vector<NewLoop> nest;
    nest.push_back({"t", threads, Group::thread});
    nest.insert(nest.end(), repeats.begin(), repeats.end());
    const std::size_t first = nest.size();
    nest.insert(nest.end(), registers.rbegin(), registers.rend());
    // Neighbours in a row leave together, where what they go to has them side by side.
    const bool leaves = std::any_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return p_[w.buffer].scope == Scope::global || p_[w.buffer].scope == Scope::shared; });
    if (leaves && !registers.empty() && (nest.back().extent == 2 || nest.back().extent == 4)) nest.back().kind = LoopKind::vectorized;
    std::map<LoopId, std::vector<Part>> parts;
    for (const auto& [l, list] : drafts)
      for (const auto& [where, part] : list) {
        Part x = part;
        x.loop = where == 0 ? x.loop + 1 : where == 1 ? 0 : first + registers.size() - 1 - x.loop;
        parts[l].push_back(x);
      }
    const std::vector<LoopId> made = recut(id, top, nest, parts);
    set_tile(id, made.front(), made.front(), nullptr);
    TECC_CHECK(lay_out_results(id, b, pieces));
    return true;
  }

  /// Register buffers that the block writes take the layout of the axes that index them.
  Check lay_out_results(BlockId id, const Block& b, const std::map<VarId, std::vector<Piece>>& pieces) {
    for (const Write& w : b.writes) {
      if (p_[w.buffer].scope != Scope::reg) continue;
      FragmentLayout layout;
      for (std::size_t d = 0; d < w.index.size(); ++d)
        if (const auto* v = w.index[d].as<Var>())
          if (const auto found = pieces.find(v->id); found != pieces.end())
            for (Piece x : found->second) {
              x.dim = static_cast<int>(d);
              layout.push_back(x);
            }
      TECC_CHECK(lay_out_registers(w.buffer, std::move(layout), id));
    }
    return Ok{};
  }

  /// Registers of an accumulator to shared memory, 16 x 16 elements of a warp at a time.
  Result<bool> store_matrices(BlockId id, const Block& b, StmtId top, const std::vector<TileAxis>& axes, const std::map<VarId, std::vector<Piece>>& pieces, std::int64_t threads) {
    const Write& w = b.writes[0];
    const Buffer& to = p_[w.buffer];
    if (to.scope != Scope::shared || bytes_of(to.type) != 2)
      return refuse(Code::copy_form, to.name, "stmatrix", to.scope != Scope::shared ? "it is not in shared memory" : "its elements are not 16 bits wide");
    std::optional<TileAxis> row, column;  // of the accumulator; in shared memory either may be the contiguous one
    for (const TileAxis& axis : axes) {
      const auto found = pieces.find(b.iters[axis.iter].var);
      if (axis.loop == LoopId{} || found == pieces.end()) continue;
      const bool rows = std::any_of(found->second.begin(), found->second.end(), [](const Piece& x) { return x.of == Piece::Of::thread && x.div == 4; });
      (rows ? row : column) = axis;
    }
    const MatrixMove move = matrix_move(4);
    const auto fits = [&](const std::optional<TileAxis>& axis, int dim, std::int64_t extent) {
      if (!axis || !pieces.count(b.iters[axis->iter].var) || axis->extent % extent) return false;
      const std::vector<Piece>& have = pieces.at(b.iters[axis->iter].var);
      const std::vector<Piece> want = pieces_of(move.fragment, dim);
      for (const Piece& x : want)
        if (std::none_of(have.begin(), have.end(), [&](const Piece& y) { return y.of == x.of && y.stride == x.stride && (x.of == Piece::Of::reg || (x.div == y.div && x.count == y.count)); })) return false;
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

  /// One contiguous run, copied without a tensor map.
  Check run_of_memory(BlockId id, const Block& b, StmtId top, const std::vector<TileAxis>& axes, TensorId global) {
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

  // ---- bulk copies --------------------------------------------------------------------------------------------------------
  Check box(BlockId id) {
    const Block b = p_.block(id);
    const Write& w = b.writes[0];
    const auto* read = w.value.as<Read>();
    const bool load = p_[w.buffer].scope == Scope::shared;
    const TensorId shared = load ? w.buffer : read->tensor, global = load ? read->tensor : w.buffer;
    const std::string via = b.tile->via == Via::bulk ? "bulk" : "bulk_tensor";
    if (p_[shared].scope != Scope::shared || p_[global].scope != Scope::global)
      return refuse(Code::copy_form, p_[w.buffer].name, via, "bulk copies go between global and shared memory");
    if (read->otherwise) return refuse(Code::copy_form, p_[shared].name, via, "outside of the tensor it must hold another value than zero");
    const StmtId top = top_of(id);
    TECC_TRY(const std::vector<TileAxis> axes, axes_of(id, top));
    if (b.tile->via == Via::bulk) return run_of_memory(id, b, top, axes, global);
    TECC_CHECK(lay_out_shared(shared, via));
    const Buffer& s = p_[shared];
    const Buffer& g = p_[global];
    const std::size_t rank = g.shape.size();
    if (rank > 5) return refuse(Code::copy_form, g.name, via, fmt::format("it has {} dimensions; legal: up to 5", rank));
    const std::size_t fast = s.order.empty() ? rank - 1 : static_cast<std::size_t>(s.order.back());
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
    std::map<LoopId, std::int64_t> inner;
    for (const TileAxis& axis : axes) {
      if (axis.loop == LoopId{}) continue;
      const auto d = dim_of(w.index, b.iters[axis.iter].var);
      std::int64_t unit = axis.extent;
      if (d == fast) unit = std::min(unit, s.panel);
      else while (unit > longest || axis.extent % unit) --unit;
      if (d == fast && axis.extent % unit) return refuse(Code::copy_form, s.name, via, fmt::format("{} elements of a row are no multiple of the panel of {}", axis.extent, unit));
      if (unit != axis.extent) {
        parts[axis.loop].push_back({nest.size(), 1, 0, unit});
        nest.push_back({p_.vars[b.iters[axis.iter].var].name + "p", axis.extent / unit});
      }
      inner[axis.loop] = unit;
    }
    const std::size_t atom = nest.size();
    for (const TileAxis& axis : axes) {
      if (axis.loop == LoopId{}) continue;
      parts[axis.loop].push_back({nest.size(), 1, 0, 1});
      nest.push_back({p_.vars[b.iters[axis.iter].var].name, inner[axis.loop], Group::none, LoopKind::serial});
    }
    const std::vector<LoopId> made = recut(id, top, nest, parts);
    set_tile(id, made.empty() ? StmtId(id) : StmtId(made.front()), atom < made.size() ? StmtId(made[atom]) : StmtId(id), nullptr);
    return Ok{};
  }
};

}  // namespace

Result<Program> choose_instructions(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  TECC_CHECK(Chooser(p, limits).run());
  return p;
}

}  // namespace tecc::compiler
