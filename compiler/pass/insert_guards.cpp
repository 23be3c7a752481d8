#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/loop/fill.h"

namespace tecc::compiler {

using namespace loop;

namespace {

/// True if zeros are written where the source ends: by the copy itself, or by the thread that leaves the load out.
bool fills(const Program& p, const Block& b) { return copies_zeros(b) || fills_with_zero(p, b); }
bool is_of_threads(const Program& p, TensorId t) { return p[t].scope == Scope::local || p[t].scope == Scope::reg; }

bool same_values(const std::vector<Expr>& a, const std::vector<Expr>& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_value); }

/// What the statement copies, element by element and with nothing left out, into memory of the thread block.
std::optional<TensorId> copied(const Program& p, const Block& b) {
  if (b.combiner || b.writes.size() != 1 || !b.guards.empty()) return std::nullopt;
  const Write& w = b.writes[0];
  const auto* from = w.value.as<Read>();
  const bool same = from && !from->otherwise && same_values(from->index, w.index) && same_values(p[from->tensor].shape, p[w.buffer].shape);
  return same && p[w.buffer].scope != Scope::global ? std::optional(from->tensor) : std::nullopt;
}

/// Holds zeros outside of the tensor: copies filled it with them, or statements that leave nothing out copied it from such a buffer.
bool filled_with_zeros(const Program& p, TensorId t) {
  std::vector<TensorId> all{t};  // that must hold zeros, each once: running values are copied in circles
  for (std::size_t n = 0; n < all.size(); ++n) {
    const std::vector<BlockId> writers = writers_of(p, all[n]);
    if (writers.empty()) return false;
    for (BlockId w : writers) {
      if (fills(p, p.block(w))) continue;
      const auto from = copied(p, p.block(w));
      if (!from) return false;
      if (std::find(all.begin(), all.end(), *from) == all.end()) all.push_back(*from);
    }
  }
  return true;
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
      const auto extent = constant_of(zeros_from(p, r->tensor, d).value_or(p[r->tensor].shape[d]));
      covered |= extent && *extent <= upper->integer && same_value(r->index[d], less->a);
    }
    all = covered && filled_with_zeros(p, r->tensor);
    return all;
  });
  return all;
}

/// True if the writer's index reaches as far as the read.
bool covers(const Program& p, const Block& made, const Block& b, const Read& r) {
  return std::any_of(made.writes.begin(), made.writes.end(), [&](const Write& to) {
    bool all = to.buffer == r.tensor;
    for (std::size_t d = 0; all && d < to.index.size(); ++d) {
      const auto want = reach_of(p, b, r.index[d]), have = reach_of(p, made, to.index[d]);
      all = want && have && have->low <= want->low && have->high >= want->high;
    }
    return all;
  });
}

/// True if everything that the block reads was made beyond its tensor, too: by statements that leave nothing out, or fill with zeros, one of
/// which reaches as far. (Of a pipelined copy there are two: of the first iteration, and of those that follow.)
bool reads_surplus(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  const auto is_there = [&](const Read& r) {
    if (!holds_surplus(p, b, r.tensor, r.index)) return false;
    std::vector<BlockId> writers = writers_of(p, r.tensor);
    std::erase(writers, id);
    return std::any_of(writers.begin(), writers.end(), [&](BlockId w) { return compare_order(p, w, id) < 0; }) &&
           std::any_of(writers.begin(), writers.end(), [&](BlockId w) { return covers(p, p.block(w), b, r); }) &&
           std::all_of(writers.begin(), writers.end(), [&](BlockId w) { return p.block(w).guards.empty() || fills(p, p.block(w)); });
  };
  bool all = !b.combiner || is_there(Read{b.writes[0].buffer, b.writes[0].index, {}});
  walk(b.writes[0].value, [&](const Expr& e) {
    if (const auto* r = e.as<Read>(); r && !p[r->tensor].by_value) all = all && is_there(*r);
    return all;
  });
  return all;
}

/// An operand that is not zero yet where the reduction ends, as where it is summed over a part of each row. One that is computed on the way
/// (weights of attention) has zeros where it was left out.
std::optional<TensorId> goes_on(const Program& p, const Block& b, const Iter& i) {
  std::optional<TensorId> found;
  bool computed = false;
  walk(b.writes[0].value, [&](const Expr& e) {
    const auto* r = e.as<Read>();
    for (std::size_t d = 0; r && d < r->index.size(); ++d) {
      const auto* v = r->index[d].as<Var>();
      if (!v || v->id != i.var) continue;
      if (!zeros_from(p, r->tensor, d)) computed = true;
      else if (!found && !is_zero_from(p, r->tensor, d, i.upper)) found = r->tensor;
    }
    return true;
  });
  return computed ? std::nullopt : found;
}

/// The buffer in shared memory of which an instruction reads more than anybody writes, as where its loops were split again after the copy was made.
std::optional<TensorId> read_beyond(const Program& p, const Block& b) {
  std::optional<TensorId> found;
  walk(b.writes[0].value, [&](const Expr& e) {
    const auto* r = e.as<Read>();
    if (!r || p[r->tensor].scope != Scope::shared) return true;
    const std::vector<BlockId> writers = writers_of(p, r->tensor);
    if (std::none_of(writers.begin(), writers.end(), [&](BlockId w) { return covers(p, p.block(w), b, *r); })) found = r->tensor;
    return true;
  });
  return found;
}

/// True if what a thread, or a tile, makes beyond the domains stays with it, and all of what it is made of is there. A tile in shared memory
/// may take over zeros.
bool keeps_surplus(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  if (b.writes.size() != 1 || !b.predicate.empty()) return false;
  const std::vector<TensorId> from = read_buffers(b);
  const TensorId to = b.writes[0].buffer;
  const bool near = std::all_of(from.begin(), from.end(), [&](TensorId t) { return is_of_threads(p, t) || p[t].by_value || (p[t].scope == Scope::shared && filled_with_zeros(p, t)); });
  const bool stays = is_of_threads(p, to) || (p[to].scope == Scope::shared && (b.tile || (b.writes[0].value.as<Read>() && filled_with_zeros(p, from[0]))));
  return near && stays && holds_surplus(p, b, to, b.writes[0].index) && reads_surplus(p, id) && !is_multiplied(p, b);
}

/// True if the expression is zero where all that it reads is.
bool vanishes(const Expr& e) {
  if (const auto* cast = e.as<Cast>()) return vanishes(cast->a);
  if (const auto* two = e.as<Binary>()) return (two->op == BinOp::mul || two->op == BinOp::add || two->op == BinOp::sub) && vanishes(two->a) && vanishes(two->b);
  return e.as<Read>() != nullptr;
}
/// True if beyond the condition the block adds nothing but zeros.
bool adds_zeros(const Program& p, const Block& b, const Expr& condition) {
  return b.combiner == Reducer::sum && vanishes(b.writes[0].value) && left_out_by_zeros(p, b, condition);
}

/// The guards that the statement has by its domain; those of the statements before it are known. A tile instruction cannot leave out elements; it
/// need not where the surplus does no harm: bulk copies clip and fill by themselves, and sums of products add zeros.
Result<std::vector<Expr>> needed(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  std::vector<Expr> guards = guards_of(p, b);
  if (!b.tile || guards.empty()) return guards;
  const Via via = b.tile->via;
  const bool whole = via == Via::wgmma || via == Via::mma_sync || via == Via::bulk || via == Via::bulk_tensor;
  const bool product = via == Via::wgmma || via == Via::mma_sync;
  if (whole && !std::all_of(b.predicate.begin(), b.predicate.end(), [&](const Expr& e) { return product && left_out_by_zeros(p, b, e); })) return refuse(Code::tile_form, b.name, "a condition leaves out some of its elements");
  if (via == Via::bulk || via == Via::bulk_tensor) return std::vector<Expr>{};
  if (product) {
    if (const auto t = read_beyond(p, b)) return refuse(Code::tile_form, b.name, "some of its tiles lie beyond all that is copied to '" + p[*t].name + "'; legal: split by what divides the tile");
    for (const Iter& i : b.iters) {
      if (i.kind == IterKind::spatial || stays_below(p, b, i)) continue;
      for (TensorId t : read_buffers(b))
        if (!writes(b, t) && !filled_with_zeros(p, t))
          return refuse(Code::tile_form, b.name, "its depth leaves a rest, and '" + p[t].name + "' is not filled with zeros there");
      if (const auto t = goes_on(p, b, i)) return refuse(Code::tile_form, b.name, "its depth ends where '" + p[*t].name + "' does not, and leaves a rest; legal: split by what divides the depth");
    }
    return std::vector<Expr>{};
  }
  const std::vector<TensorId> from = read_buffers(b);
  const bool from_zeros = b.predicate.empty() && !from.empty() && std::all_of(from.begin(), from.end(), [&](TensorId t) { return p[t].scope == Scope::shared && filled_with_zeros(p, t); });
  if (from_zeros && !b.combiner && !p[b.writes[0].buffer].fragment.empty()) return std::vector<Expr>{};  // the copy of zeros is zero
  if (via == Via::ldmatrix) return refuse(Code::tile_form, b.name, "what lies outside of '" + p[from[0]].name + "' is not filled with zeros, and ldmatrix leaves nothing out");
  return guards;
}

/// True if zeros beyond the edges are counted on: what is made of the buffer is summed up or multiplied somewhere.
bool counts_zeros(const Program& p, TensorId t) {
  std::vector<TensorId> made{t};  // of it
  for (std::size_t n = 0; n < made.size(); ++n)
    for (BlockId r : readers_of(p, made[n])) {
      const Block& b = p.block(r);
      if (b.combiner || (b.tile && b.tile->instruction)) return true;
      for (const Write& w : b.writes)
        if (p[w.buffer].scope != Scope::global && std::find(made.begin(), made.end(), w.buffer) == made.end()) made.push_back(w.buffer);
    }
  return false;
}

/// Guards that only spare what nobody sees: they cost the innermost loops more than the work they spare.
bool drop_idle(Program& p, BlockId id) {
  const Block& b = p.block(id);
  if (b.guards.empty() || (fills_with_zero(p, b) && counts_zeros(p, b.writes[0].buffer)) || !keeps_surplus(p, id)) return false;
  std::vector<Expr> left = b.guards;
  std::erase_if(left, [&](const Expr& condition) {
    const bool picks = std::any_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) { return i.kind != IterKind::spatial && uses(condition, i.var); });
    return !picks || adds_zeros(p, b, condition);
  });
  if (left.size() == b.guards.size()) return false;
  p.stmts.edit(id, [&](Stmt& s) { s.as<Block>()->guards = std::move(left); });
  return true;
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
  // Copies of a later iteration stand behind what reads them: until no guard goes any more.
  for (bool dropped = limits.gpu; dropped;) {
    dropped = false;
    for (BlockId id : all_blocks(p)) dropped |= drop_idle(p, id);
  }
  return p;
}

}  // namespace tecc::compiler
