#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

bool reads_memory(const Program& p, const Block& b) {
  const std::vector<TensorId> read = read_buffers(b);
  return std::any_of(read.begin(), read.end(), [&](TensorId t) { return (p[t].scope == Scope::global || p[t].scope == Scope::shared) && !p[t].by_value; });
}

/// Copies that fill what lies outside of the tensor with zeros.
bool filled_with_zeros(const Program& p, TensorId t) {
  const std::vector<BlockId> writers = writers_of(p, t);
  return !writers.empty() && std::all_of(writers.begin(), writers.end(), [&](BlockId w) {
    const Block& b = p.block(w);
    return (b.tile && (b.tile->via == Via::bulk_tensor || b.tile->via == Via::cp_async)) || (!b.combiner && b.writes.size() == 1 && (!p[t].fragment.empty() || p[t].panel));
  });
}

/// True if matrix instructions multiply what the block writes.
bool is_multiplied(const Program& p, const Block& b) {
  const std::vector<BlockId> readers = readers_of(p, b.writes[0].buffer);
  return std::any_of(readers.begin(), readers.end(), [&](BlockId r) { return p.block(r).tile && p.block(r).tile->instruction; });
}

/// True if where the condition does not hold the operands are zero: it is `index < extent` of copies that are filled with zeros from there on.
bool left_out_by_zeros(const Program& p, const Block& b, const Expr& condition) {
  const auto* less = condition.as<Binary>();
  const auto* upper = less && less->op == BinOp::less ? less->b.as<Literal>() : nullptr;
  bool all = upper != nullptr;  // one alone would not do: zero times what nobody wrote may be NaN
  walk(b.writes[0].value, [&](const Expr& e) {
    const auto* r = e.as<Read>();
    if (!r || !all) return all;
    bool covered = false;
    for (std::size_t d = 0; d < r->index.size(); ++d) {
      const auto extent = constant_of(p[r->tensor].shape[d]);
      covered |= extent && *extent <= upper->integer && same_value(r->index[d], less->a);
    }
    all = covered && filled_with_zeros(p, r->tensor);
    return all;
  });
  return all;
}

/// What an index reaches, also beyond the domains of the block's iterations.
std::optional<Interval> reach_of(const Program& p, const Block& b, const Expr& index) {
  const auto affine = affine_of(index);
  const auto binding = affine ? binding_of(b, *affine) : std::nullopt;
  return binding ? std::optional(range_of(p, *binding)) : std::nullopt;
}

/// True if everything that the block reads was made beyond its tensor, too: by statements that leave nothing out and reach as far.
bool reads_surplus(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  bool all = true;
  walk(b.writes[0].value, [&](const Expr& e) {
    const auto* r = e.as<Read>();
    if (!r) return all;
    for (BlockId w : writers_of(p, r->tensor)) {
      const Block& made = p.block(w);
      if (w == id) continue;
      all &= compare_order(p, w, id) < 0 && made.guards.empty();
      for (const Write& to : made.writes)
        for (std::size_t d = 0; to.buffer == r->tensor && d < to.index.size(); ++d) {
          const auto want = reach_of(p, b, r->index[d]), have = reach_of(p, made, to.index[d]);
          all &= want && have && have->low <= want->low && have->high >= want->high;
        }
    }
    return all;
  });
  return all;
}

/// The guards that the statement needs where it runs; those of the statements before it are known. A tile instruction cannot leave out elements; it need not where the surplus does no
/// harm: bulk copies clip and fill by themselves, sums of products add zeros, and what a tile makes beyond its tensor stays in the tile.
Result<std::vector<Expr>> needed(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  std::vector<Expr> guards = guards_of(p, b);
  if (!b.tile || guards.empty()) return guards;
  const Via via = b.tile->via;
  const bool whole = via == Via::wgmma || via == Via::mma_sync || via == Via::bulk || via == Via::bulk_tensor;
  const bool product = via == Via::wgmma || via == Via::mma_sync;
  if (whole && !std::all_of(b.predicate.begin(), b.predicate.end(), [&](const Expr& e) { return product && left_out_by_zeros(p, b, e); })) return refuse(Code::tile_form, b.name, "a condition leaves out some of its elements");
  if (via == Via::bulk || via == Via::bulk_tensor) return std::vector<Expr>{};
  if (via == Via::wgmma || via == Via::mma_sync) {
    for (const Iter& i : b.iters) {
      if (i.kind == IterKind::spatial || stays_below(p, b, i)) continue;
      for (TensorId t : read_buffers(b))
        if (!writes(b, t) && !filled_with_zeros(p, t))
          return refuse(Code::tile_form, b.name, "its depth leaves a rest, and '" + p[t].name + "' is not filled with zeros there");
    }
    return std::vector<Expr>{};
  }
  const std::vector<TensorId> from = read_buffers(b);
  const bool from_zeros = b.predicate.empty() && !from.empty() && std::all_of(from.begin(), from.end(), [&](TensorId t) { return p[t].scope == Scope::shared && filled_with_zeros(p, t); });
  if (from_zeros && !b.combiner && !p[b.writes[0].buffer].fragment.empty()) return std::vector<Expr>{};  // the copy of zeros is zero
  if (via == Via::ldmatrix) return refuse(Code::tile_form, b.name, "what lies outside of '" + p[from[0]].name + "' is not filled with zeros, and ldmatrix leaves nothing out");
  const bool stays_inside = p[b.writes[0].buffer].scope != Scope::global && !b.combiner && b.predicate.empty() && !reads_memory(p, b) && reads_surplus(p, id) && !is_multiplied(p, b);
  return stays_inside ? std::vector<Expr>{} : guards;
}

}  // namespace

Result<Program> insert_guards(Program p, const Limits& limits) {
  for (BlockId id : all_blocks(p)) {
    std::vector<Expr> guards;
    if (limits.gpu) {
      TECC_TRY(guards, needed(p, id));
    } else {
      guards = guards_of(p, p.block(id));
    }
    p.stmts.edit(id, [&](Stmt& s) { std::get<Block>(s.node).guards = std::move(guards); });
  }
  return p;
}

}  // namespace tecc::compiler
