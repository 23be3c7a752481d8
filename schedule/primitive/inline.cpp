/// inline(blocks): substitute an elementwise block into everything that reads it (also called: compute_inline)
///   e[i] = exp(x[i]);  y[i] = e[i] * 2      ->      y[i] = exp(x[i]) * 2
/// Results  none.
/// Keeps    the value of every element.
/// Refuses  E0312 the block writes an output; E0314 it is a reduction, or its index is not its iteration variables.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// value[v := index], or its fill outside the domain when the read had one.
Expr value_at(const Block& b, const tecc::Read& r, DType type) {
  const auto at = [&](VarId v) -> Expr {
    for (std::size_t d = 0; d < r.index.size(); ++d)
      if (b.writes[0].index[d].as<Var>()->id == v) return r.index[d];
    return Expr();
  };
  Expr inside = substitute(b.writes[0].value, at);
  if (!r.otherwise) return inside;
  Expr in_domain;
  for (std::size_t d = 0; d < r.index.size(); ++d) {
    const Expr low = make(Binary{BinOp::less_equal, index_literal(0), r.index[d]}, DType::boolean);
    const Expr high = make(Binary{BinOp::less, r.index[d], substitute(b.iters[d].upper, at)}, DType::boolean);
    const Expr both = make(Binary{BinOp::logical_and, low, high}, DType::boolean);
    in_domain = in_domain ? make(Binary{BinOp::logical_and, in_domain, both}, DType::boolean) : both;
  }
  return in_domain ? make(Select{in_domain, inside, r.otherwise}, type) : inside;
}

}  // namespace

Check check(const State& state, const Inline& step) {
  TECC_TRY(const std::vector<BlockId> blocks, blocks_of(state, step.blocks));
  const Program& p = state.program;
  for (BlockId id : blocks) {
    const Block& b = p.block(id);
    if (b.combiner) return refuse(Code::not_elementwise, b.name, "it is a reduction");
    if (b.writes.size() != 1) return refuse(Code::not_elementwise, b.name, "it writes several buffers");
    const Write& w = b.writes[0];
    if (p[w.buffer].role == loop::Role::output) return refuse(Code::is_output, b.name, p[w.buffer].name);
    if (!b.predicate.empty()) return refuse(Code::not_elementwise, b.name, "it runs under a condition");
    for (std::size_t d = 0; d < w.index.size(); ++d)
      if (const auto* v = w.index[d].as<Var>(); !v || v->id != b.iters[d].var)
        return refuse(Code::not_elementwise, b.name, "its index is not its iteration variables");
    if (w.index.size() != b.iters.size()) return refuse(Code::not_elementwise, b.name, "it has iterations that its index does not name");
    if (loop::writers_of(p, w.buffer).size() != 1) return refuse(Code::not_elementwise, b.name, "another block writes the buffer too");
  }
  return Ok{};
}

Applied apply(const State& state, const Inline& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  for (BlockId id : *blocks_of(state, step.blocks)) {
    const Block b = p.block(id);
    const TensorId gone = b.writes[0].buffer;
    for (BlockId reader : loop::readers_of(p, gone)) {
      p.stmts.edit(reader, [&](Stmt& s) {
        rewrite_block(std::get<Block>(s.node), [&](const Expr& e) {
          const auto* r = e.as<tecc::Read>();
          return r && r->tensor == gone ? value_at(b, *r, e->type) : e;
        });
      });
    }
    loop::detach(p, id);
    p.stmts.remove(id);
  }
  return out;
}

}  // namespace tecc::schedule
