#include <algorithm>
#include <set>

#include "autotune/rule/product.h"
#include "ir/loop/fill.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// True if tiles may run over the end of the depth: what they find there is zero. Else it must hold whole ones, of any size that rules offer.
bool tiles_may_run_over(const Program& p, const Product& product, const Iter& depth) {
  constexpr std::int64_t widest = 256;  // bytes of a tile's depth
  const auto extent = constant_of(depth.upper);
  bool all = true;
  for (const Product::Factor& f : product.factor)
    for (std::size_t d = 0; d < f.read->index.size(); ++d)
      if (const auto* v = f.read->index[d].as<Var>(); v && v->id == depth.var) all &= is_zero_from(p, f.read->tensor, d, depth.upper);
  return all || (extent && *extent * bytes_of(product.factor[0].type) % widest == 0);
}

}  // namespace

const Instruction* instruction_for(const Context& c, const Block& b, const Product& product, Via via, bool depth_is_fast) {
  if (via == Via::wgmma && !feeds_tensor_cores(c.target.limits)) return nullptr;
  for (const Instruction& i : instructions())
    if (i.via == via && i.a == product.factor[0].type && i.b == product.factor[1].type && i.d == c.program()[b.writes[0].buffer].type &&
        c.target.limits.has(i.name) && (i.transposed || !i.b_shared || depth_is_fast))
      return &i;
  return nullptr;
}

std::optional<Shape> shape_of(const Context& c, std::uint32_t s, Via via) {
  const Program& p = c.program();
  const Block& b = c.block(s);
  const auto product = product_of(b);
  if (!product || b.combiner != Reducer::sum) return std::nullopt;
  Shape out{{product->factor[0].read->tensor, product->factor[1].read->tensor}, {}, {}, {}, {}, 0, bytes_of(product->factor[0].type), nullptr, {}, {}, {}, {}};
  const tecc::Read &a = *product->factor[0].read, &w = *product->factor[1].read;
  out.by_threads[0] = !boxes_reach(p, a), out.by_threads[1] = !boxes_reach(p, w);
  // Threads of a role load with few registers: not what must be shifted on its way, rows at odd places.
  const auto reached = [&](const tecc::Read& r) { return via == Via::wgmma ? threads_reach(p, r) : reaches(p, r, bytes_of(p[r.tensor].type)); };
  if (a.tensor == w.tensor || (out.by_threads[0] && !reached(a)) || (out.by_threads[1] && !reached(w))) return std::nullopt;
  VarId depth{};
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    const Iter& i = b.iters[n];
    // Of a triangle no warp could copy its own part of a tile: what a tile in shared memory holds is cut by the triangle (E0321).
    if (via == Via::mma_sync && std::any_of(b.iters.begin(), b.iters.end(), [&](const Iter& other) { return uses(i.upper, other.var); })) return std::nullopt;
    const Ref loop = Builder::axis(Builder::stage(s), n);
    const bool in_a = in(a, i.var), in_w = in(w, i.var);
    if (i.kind == IterKind::reduce) {
      if (out.depth_extent || !in_a || !in_w || !constant_of(i.upper) || !tiles_may_run_over(p, *product, i)) return std::nullopt;
      out.depth = loop, out.depth_extent = c.build.extent(loop), depth = i.var;
      continue;
    }
    Side& side = in_a ? out.rows : out.columns;
    if (in_a == in_w || c.build.extent(loop) <= side.extent) {
      out.batch.push_back(loop);
      continue;
    }
    if (side.extent) out.batch.push_back(side.loop);
    side = {n, loop, c.build.extent(loop), p.vars[i.var].name};
  }
  if (!out.depth_extent || !out.rows.extent || !out.columns.extent) return std::nullopt;
  const auto fast_is_depth = [&](const tecc::Read& r) { return r.index.back().as<Var>()->id == depth; };
  out.along_depth[0] = fast_is_depth(a), out.along_depth[1] = fast_is_depth(w);
  out.instruction = instruction_for(c, b, *product, via, out.along_depth[0] && out.along_depth[1]);
  for (int f = 0; f < 2; ++f) out.maker[f] = maker_of(c, s, out.operand[f]);
  return out.instruction ? std::optional(out) : std::nullopt;
}

namespace {

/// `v`, or `v` plus what another axis and a constant add.
std::optional<VarId> shifted(const Expr& e, const std::function<bool(VarId)>& wanted) {
  if (const auto* v = e.as<Var>()) return wanted(v->id) ? std::optional(v->id) : std::nullopt;
  const auto* x = e.as<Binary>();
  if (!x || (x->op != BinOp::add && x->op != BinOp::sub)) return std::nullopt;
  const auto a = shifted(x->a, wanted), b = x->op == BinOp::add ? shifted(x->b, wanted) : std::nullopt;
  return a && b ? std::nullopt : a ? a : b;
}

}  // namespace

std::optional<Shape> convolution_of(const Context& c, std::uint32_t s, Via via) {
  const Program& p = c.program();
  const Block& b = c.block(s);
  const auto product = product_of(b);
  if (!product || b.combiner != Reducer::sum) return std::nullopt;
  Shape out{{product->factor[0].read->tensor, product->factor[1].read->tensor}, {}, {}, {}, {}, 0, bytes_of(product->factor[0].type), nullptr, {}, {}, {}, {}};
  const tecc::Read &a = *product->factor[0].read, &w = *product->factor[1].read;
  const Buffer& x = p[a.tensor];
  if (a.tensor == w.tensor || !boxes_reach(p, w) || x.scope != Scope::global || x.shape.size() > 5 || x.alignment % box_bytes) return std::nullopt;
  if (known_divisor(p, x.shape.back()) * bytes_of(x.type) % box_bytes || (a.otherwise && !is_zero(a.otherwise))) return std::nullopt;
  const auto* depth = a.index.back().as<Var>();
  if (!depth || !w.index.back().as<Var>() || w.index.back().as<Var>()->id != depth->id) return std::nullopt;
  std::set<VarId> pixels;
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    const Iter& i = b.iters[n];
    const Ref loop = Builder::axis(Builder::stage(s), n);
    const bool in_a = in(a, i.var), in_w = in(w, i.var);
    if (!constant_of(i.upper) || (i.var == depth->id && !tiles_may_run_over(p, *product, i))) return std::nullopt;
    if (i.var == depth->id) out.depth = loop, out.depth_extent = c.build.extent(loop);
    else if (i.kind == IterKind::reduce && in_a && in_w) out.window.push_back(loop);
    else if (i.kind == IterKind::spatial && in_a && !in_w) pixels.insert(i.var);
    else if (i.kind == IterKind::spatial && in_w && !in_a && !out.columns.extent) out.columns = {n, loop, c.build.extent(loop), p.vars[i.var].name};
    else return std::nullopt;
  }
  // Each dimension of X but the last is one pixel axis, moved by the window.
  out.rows.extent = 1;
  for (std::size_t d = 0; d + 1 < a.index.size(); ++d) {
    const auto v = shifted(a.index[d], [&](VarId id) { return pixels.count(id) > 0; });
    if (!v) return std::nullopt;
    const auto i = static_cast<std::size_t>(std::find_if(b.iters.begin(), b.iters.end(), [&](const Iter& it) { return it.var == *v; }) - b.iters.begin());
    const Ref loop = Builder::axis(Builder::stage(s), i);
    out.pixels.push_back({i, loop, c.build.extent(loop), p.vars[*v].name});
    out.rows.extent *= out.pixels.back().extent;
  }
  if (out.pixels.size() != pixels.size() || out.pixels.size() < 2 || out.window.empty() || !out.depth_extent || !out.columns.extent) return std::nullopt;
  out.instruction = instruction_for(c, b, *product, via, true);
  return out.instruction ? std::optional(out) : std::nullopt;
}

Check for_each_product(Context& c, Via via, const std::function<Check(std::uint32_t, const Shape&)>& schedule) {
  constexpr std::int64_t least_long = 64, least_short = 8;  // of a product's sides: less leaves tiles mostly empty
  if (c.target.kind != codegen::Target::Kind::cuda) return Ok{};
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    TECC_CHECK(pad_operands(c, s, via));
    auto shape = shape_of(c, s, via);
    if (!shape) shape = convolution_of(c, s, via);
    if (!shape) continue;
    const auto [shorter, longer] = std::minmax(shape->rows.extent, shape->columns.extent);
    if (longer >= least_long && shorter >= least_short) TECC_CHECK(schedule(s, *shape));
  }
  return Ok{};
}

}  // namespace tecc::autotune
