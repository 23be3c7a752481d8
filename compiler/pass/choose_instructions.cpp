#include <fmt/format.h>

#include <algorithm>

#include "compiler/pass/tile_cutter.h"

/// The loops of a tile statement become a nest over threads and registers, cut as its instruction wants them: what an instruction does is
/// then said twice, by the loops (which anything can run) and by its name. Products come first, they fix the layouts of what they touch;
/// layouts spread from there to every statement that touches the same registers; copies follow the layouts of shared memory.
namespace tecc::compiler {

using namespace loop;

Check TileCutter::run() {
  const auto each = [&](auto&& wanted, auto&& cut) -> Check {
    for (BlockId b : all_blocks(p_))
      if (const auto& t = p_.block(b).tile; t && wanted(t->via)) TECC_CHECK((this->*cut)(b));
    return Ok{};
  };
  TECC_CHECK(each([](Via v) { return v == Via::wgmma || v == Via::mma_sync; }, &TileCutter::product));
  for (bool more = true; more;) {
    more = false;
    for (BlockId b : all_blocks(p_)) {
      TECC_TRY(const bool done, spread(b));
      more |= done;
    }
  }
  for (BlockId b : all_blocks(p_))
    if (const auto& t = p_.block(b).tile; t && t->via == Via::ldmatrix && std::find(done_.begin(), done_.end(), b) == done_.end())
      return refuse(Code::copy_form, p_[p_.block(b).writes[0].buffer].name, "ldmatrix", "no product multiplies it out of registers");
  TECC_CHECK(each([](Via v) { return v == Via::bulk_tensor || v == Via::bulk; }, &TileCutter::box));
  return each([](Via v) { return v == Via::cp_async || v == Via::vector; }, &TileCutter::share_out);
}

Check TileCutter::product(BlockId id) {
  const Block b = p_.block(id);
  const Tile tile = *b.tile;
  const auto product = product_of(b);
  if (!product) return refuse(Code::not_product, b.name);
  const StmtId top = top_of(id);
  TECC_TRY(const std::vector<TileAxis> axes, axes_of(id, top));
  const Product::Factor &fa = product->factor[tile.swap ? 1 : 0], &fb = product->factor[tile.swap ? 0 : 1];
  std::vector<TileAxis> side[3];  // rows, columns, depth
  for (const TileAxis& axis : axes) {
    if (axis.loop == LoopId{}) continue;
    const Iter& i = b.iters[axis.iter];
    const bool in_a = dim_of(fa.read->index, i.var).has_value(), in_b = dim_of(fb.read->index, i.var).has_value();
    const bool fits = i.kind == IterKind::reduce ? in_a && in_b : in_a != in_b && dim_of(b.writes[0].index, i.var);
    if (!fits) return refuse(Code::tile_form, b.name, fmt::format("axis '{}' is neither rows, columns nor depth of a product", p_.vars[i.var].name));
    side[i.kind == IterKind::reduce ? 2 : in_a ? 0 : 1].push_back(axis);
  }
  for (int x = 0; x < 3; ++x)
    if (side[x].empty()) return refuse(Code::tile_form, b.name, fmt::format("it has no {}", x == 0 ? "rows" : x == 1 ? "columns" : "depth"));
  TECC_TRY(const TileSide m, side_of(side[0], b.name));
  TECC_TRY(const TileSide n, side_of(side[1], b.name));
  TECC_TRY(const TileSide k, side_of(side[2], b.name));
  const DType into = p_[b.writes[0].buffer].type;
  const Instruction* chosen = nullptr;  // one that the device lacks is refused by check_instructions, which knows what to do instead
  for (const Instruction& i : instructions())
    if (i.via == tile.via && i.a == fa.type && i.b == fb.type && i.d == into && (!chosen || (!limits_.has(chosen->name) && limits_.has(i.name)))) chosen = &i;
  const std::string family = tile.via == Via::wgmma ? "wgmma" : "mma.sync";
  if (!chosen) return refuse(Code::no_instruction, family, name(fa.type), name(fb.type), name(into));
  std::int64_t width = std::min(chosen->n_most, n.extent);
  while (width > 0 && (n.extent % width || width % chosen->n_step)) --width;
  if (m.extent % chosen->m) return refuse(Code::tile_extent, b.name, m.extent, "rows", fmt::format("{} needs a multiple of {}", family, chosen->m));
  if (!width) return refuse(Code::tile_extent, b.name, n.extent, "columns", fmt::format("{} needs a multiple of {}", family, chosen->n_step));
  if (k.extent % chosen->k) return refuse(Code::tile_extent, b.name, k.extent, "terms of depth", fmt::format("{} needs a multiple of {}", family, chosen->k));
  TECC_CHECK(operand(*chosen, fa, m, k, true, id));
  TECC_CHECK(operand(*chosen, fb, n, k, false, id));
  if (p_[b.writes[0].buffer].scope != Scope::reg)
    return refuse(Code::operand_place, p_[b.writes[0].buffer].name, "not in registers", fmt::format("{} keeps its sums in registers; legal: set_scope({}, register)", family, b.name));

  // Repetitions, then one execution: a thread loop and the digits of its registers; depth last, which adds up.
  const FragmentLayout d = accumulator_of(*chosen, width);
  std::vector<NewLoop> nest;
  std::map<LoopId, std::vector<Part>> parts;
  const auto name_of = [&](const TileSide& x) { return p_.vars[b.iters[x.axes.back().iter].var].name; };
  const auto repeat = [&](const TileSide& x, std::int64_t unit, const char* suffix) {
    if (x.extent == unit) return;
    parts[x.loop].push_back({nest.size(), 1, 0, unit});
    nest.push_back({name_of(x) + suffix, x.extent / unit});
  };
  // Products in registers that follow each other add to different sums; those of a warpgroup are one group, in the order of the depth.
  if (tile.via == Via::mma_sync) repeat(k, chosen->k, "r");
  repeat(m, chosen->m, "r"), repeat(n, width, "r");
  if (tile.via == Via::wgmma) repeat(k, chosen->k, "r");
  const std::size_t atom = nest.size();
  nest.push_back({"t", chosen->threads, Group::thread});
  const LoopId of[] = {m.loop, n.loop};
  cut(d, of, atom, nest, parts);
  parts[k.loop].push_back({nest.size(), 1, 0, 1});
  nest.push_back({name_of(k) + "d", chosen->k});
  const std::vector<LoopId> made = recut(id, top, nest, parts);
  set_tile(id, made.front(), made[atom], chosen);
  FragmentLayout in_buffer;
  for (int x = 0; x < 2; ++x) {
    std::vector<int> dims;
    for (const TileAxis& a : (x == 0 ? m : n).axes) dims.push_back(static_cast<int>(*dim_of(b.writes[0].index, b.iters[a.iter].var)));
    const auto pieces = shared_out(d, x, x == 0 ? m : n, dims);
    if (!pieces) return refuse(Code::tile_form, b.name, fmt::format("its {} are made of axes whose extents are no powers of two", x == 0 ? "rows" : "columns"));
    in_buffer.insert(in_buffer.end(), pieces->begin(), pieces->end());
  }
  return lay_out_registers(b.writes[0].buffer, std::move(in_buffer), id);
}

Check TileCutter::operand(const Instruction& i, const Product::Factor& f, const TileSide& rows, const TileSide& depths, bool is_a, BlockId id) {
  const Block block = p_.block(id);
  const auto dim = [&](const TileAxis& a) { return dim_of(f.read->index, block.iters[a.iter].var); };
  const auto row = dim(rows.axes[0]), depth = dim(depths.axes[0]);
  const Buffer& b = p_[f.read->tensor];
  const std::string family = i.via == Via::wgmma ? "wgmma" : "mma.sync";
  const bool registers = b.scope == Scope::reg || b.scope == Scope::local;
  if (b.scope == Scope::global || (registers && !(is_a ? i.a_registers : !i.b_shared)) || (b.scope == Scope::shared && !(is_a ? i.a_shared : i.b_shared)))
    return refuse(Code::operand_place, b.name, b.scope == Scope::global ? "in global memory" : registers ? "in registers" : "in shared memory",
                  fmt::format("{} reads {} from {}", family, is_a ? "its rows" : "its columns", i.via == Via::mma_sync ? "registers" : is_a ? "shared memory or registers" : "shared memory"));
  if (registers) {
    const FragmentLayout layout = is_a ? a_fragment_of(i) : b_fragment_of(i, i.n_step);
    FragmentLayout in_buffer;
    for (int x = 0; x < 2; ++x) {
      const TileSide& side = x == 0 ? rows : depths;
      std::vector<int> dims;
      for (const TileAxis& a : side.axes) dims.push_back(static_cast<int>(*dim(a)));
      const auto pieces = shared_out(layout, x, side, dims);
      if (!pieces) return refuse(Code::tile_form, block.name, fmt::format("its {} are made of axes whose extents are no powers of two", x == 0 ? "rows" : "terms of depth"));
      in_buffer.insert(in_buffer.end(), pieces->begin(), pieces->end());
    }
    return lay_out_registers(f.read->tensor, std::move(in_buffer), id);
  }
  if (row == depth || depths.axes.size() != 1) return refuse(Code::tile_form, block.name, fmt::format("'{}' has no index of its own for rows or depth", b.name));
  if (rows.axes.size() > 1) {  // they must follow each other in memory like rows of one axis
    TECC_TRY(const Storage st, storage_of(p_, f.read->tensor, limits_.gpu));
    std::size_t before = b.shape.size() - 1;
    for (const TileAxis& a : rows.axes) {
      const std::size_t d = *dim(a);
      const bool last = a.iter == rows.axes.back().iter;
      bool next = d < before;  // what stands between is one element long
      for (std::size_t x = d + 1; x < before; ++x) next &= st.dims[x].extent() == 1;
      if (!b.order.empty() || depth != b.shape.size() - 1 || !next || (!last && st.dims[d].extent() != a.extent))
        return refuse(Code::tile_form, block.name, fmt::format("rows of '{}' do not follow each other in memory", b.name));
      before = d;
    }
  }
  if (depth != fast_dim(b) && !i.transposed)
    return refuse(Code::operand_place, b.name, "contiguous along its rows", fmt::format("{} of {} needs it contiguous along the depth", family, name(f.type)));
  return lay_out_shared(f.read->tensor, family);
}

Result<Program> choose_instructions(Program p, const Limits& limits) {
  if (!limits.gpu) return p;
  TECC_CHECK(TileCutter(p, limits).run());
  for (StmtId root : p.kernels) TECC_CHECK(check_threads_fit(p, root));  // here every loop over threads stands
  return p;
}

}  // namespace tecc::compiler
