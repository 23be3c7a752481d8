/// reverse_inline(block): an elementwise block into the one block that makes what it reads (also called: reverse_compute_inline)
///   a[i] = x[i] * 2  (in loops of its own);  y[i] = a[i] + 1      ->      y[i] = x[i] * 2 + 1  (in the loops of a)
/// Where `inline` keeps the reader's loops, this keeps the maker's, with all that was done to them. The maker's stage then writes the tensor.
/// Results  none.
/// Keeps    the value of every element.
/// Refuses  E0398 with the reason.
#include <fmt/format.h>

#include "ir/loop/digits.h"
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// The block that makes what `reader` reads, and which of its iterations are which of the reader's.
struct Maker {
  BlockId block;
  TensorId between;
  std::vector<std::pair<VarId, VarId>> same;  // the reader's, the maker's

  /// An expression of the reader in the maker's iterations.
  Expr as_made(const Expr& e) const {
    return substitute(e, [&](VarId v) -> Expr {
      for (const auto& [own, other] : same)
        if (own == v) return make(Var{other}, DType::i64);
      return Expr();
    });
  }
};

/// `n` distinct iteration variables, the block's own and all of them; else nothing.
std::optional<std::vector<VarId>> plain_index(const Block& b, const std::vector<Expr>& index) {
  std::vector<VarId> out;
  for (const Expr& e : index) {
    const auto* v = e.as<Var>();
    if (!v || !loop::iter_of(b, v->id) || std::find(out.begin(), out.end(), v->id) != out.end()) return std::nullopt;
    out.push_back(v->id);
  }
  return out.size() == b.iters.size() ? std::optional(out) : std::nullopt;
}

/// True if it is known that no two iterations of the loops around the block are the same instance.
bool runs_each_once(const Program& p, BlockId id) {
  std::vector<Digit> told;
  for (const Iter& i : p.block(id).iters)
    if (loop::distinct(p, i.binding.digits)) told.insert(told.end(), i.binding.digits.begin(), i.binding.digits.end());
  const std::vector<LoopId> around = loop::loops_around(p, id);
  return std::all_of(around.begin(), around.end(), [&](LoopId l) { return loop::range_of(p, l).high <= 0 || loop::tell(p, told, l); });
}

Result<Maker> maker_of(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  const auto no = [&](const std::string& why) { return refuse(Code::not_epilogue, b.name, why); };
  if (b.combiner) return no("it is a reduction");
  if (b.writes.size() != 1) return no("it writes several buffers");
  if (!b.predicate.empty()) return no("it runs under a condition");
  if (b.tile) return no("it is a tile of instructions");
  if (loop::writers_of(p, b.writes[0].buffer).size() != 1) return no("another block writes its buffer too");
  // Of all that it reads one tensor has a maker whose nest is to take it in: the one that was made last.
  std::optional<Maker> found;
  for (TensorId t : loop::read_buffers(b))
    for (BlockId w : loop::writers_of(p, t))
      if (!found || loop::compare_order(p, found->block, w) < 0) found = Maker{w, t, {}};
  if (!found) return no("it reads inputs alone");
  const Block& maker = p.block(found->block);
  const std::string& between = p[found->between].name;
  if (maker.combiner || maker.writes.size() != 1) return no(fmt::format("'{}', which makes '{}', is a reduction or writes several buffers", maker.name, between));
  if (maker.tile) return no(fmt::format("'{}' is a tile of instructions", maker.name));
  if (p[found->between].role == loop::Role::output) return no(fmt::format("'{}' is an output", between));
  if (loop::writers_of(p, found->between).size() != 1 || loop::readers_of(p, found->between).size() != 1) return no(fmt::format("'{}' has other writers or readers", between));
  if (!runs_each_once(p, found->block)) return no(fmt::format("'{}' may be made several times", between));
  const auto made = plain_index(maker, maker.writes[0].index);
  if (!made) return no(fmt::format("the index that '{}' writes is not its iteration variables", maker.name));
  std::optional<std::vector<VarId>> read;
  bool plain = true;
  for_each_read(b, found->between, [&](const tecc::Read& r) {
    const auto index = plain_index(b, r.index);
    plain &= index && !r.otherwise && (!read || *read == *index);
    read = index;
  });
  if (!plain || !read) return no(fmt::format("it does not read '{}' at its own iteration variables, each once", between));
  for (std::size_t d = 0; d < read->size(); ++d) found->same.emplace_back((*read)[d], (*made)[d]);
  for (const auto& [own, other] : found->same)
    if (!same_value(found->as_made(loop::iter_of(b, own)->upper), loop::iter_of(maker, other)->upper)) return no(fmt::format("it does not use all of '{}', or '{}' does not make all of it", between, maker.name));
  for (TensorId t : loop::read_buffers(b))
    for (BlockId w : t == found->between ? std::vector<BlockId>{} : loop::writers_of(p, t))
      if (loop::root_of(p, w) == loop::root_of(p, found->block) && !p[loop::common_ancestor(p, w, found->block)].as<Root>())
        return no(fmt::format("'{}' is made in the loops of '{}', part by part", p[t].name, maker.name));
  return *found;
}

}  // namespace

Check check(const State& state, const ReverseInline& step) {
  TECC_TRY(const BlockId b, block_of(state, step.block));
  TECC_TRY(const Maker maker, maker_of(state.program, b));
  (void)maker;
  return Ok{};
}

Applied apply(const State& state, const ReverseInline& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const Maker maker = *maker_of(p, id);
  const Block b = p.block(id);
  const Expr inner = p.block(maker.block).writes[0].value;
  Write w = b.writes[0];
  for (Expr& i : w.index) i = maker.as_made(i);
  w.value = rewrite(maker.as_made(w.value), [&](const Expr& e) {
    const auto* r = e.as<tecc::Read>();
    return r && r->tensor == maker.between ? inner : e;
  });
  p.stmts.edit(maker.block, [&](Stmt& s) { std::get<Block>(s.node).writes = {w}; });
  loop::detach(p, id);
  p.stmts.remove(id);
  return out;
}

}  // namespace tecc::schedule
