/// pad(readers, tensor, multiple): the readers read a copy in global memory whose rows are padded with zeros to a multiple of `multiple`
/// elements, made by a kernel of its own (also called: alignment padding). Bulk copies want rows of a multiple of 16 bytes.
///   .. A[i, k] ..      ->      kernel: for x, y < ceildiv(K, 8) * 8: ap[x, y] = A[x, y] else 0
///                              .. ap[i, k] ..
/// Results  the buffer of the copy and the copying block, whose loops are the tensor's dimensions.
/// Keeps    every value.
/// Refuses  E0322 a block does not read the tensor; E0321 the tensor is not complete before the readers' kernel; E0305 the multiple.
#include "schedule/primitive/common.h"

namespace tecc::schedule {

Check check(const State& state, const Pad& step) {
  TECC_TRY(const std::vector<BlockId> readers, blocks_of(state, step.readers));
  TECC_TRY(const TensorId tensor, buffer_of(state, step.tensor));
  const Program& p = state.program;
  if (readers.empty()) return refuse(Code::missing_argument, "pad", "readers");
  if (step.multiple < 1) return refuse(Code::factor_below_one, p[tensor].name, step.multiple);
  if (p[tensor].shape.empty() || p[tensor].by_value) return refuse(Code::scope_global, p[tensor].name, "a scalar");
  for (BlockId r : readers) {
    if (!loop::reads(p.block(r), tensor)) {
      std::vector<std::string> names;
      for (TensorId t : loop::read_buffers(p.block(r))) names.push_back(p[t].name);
      return refuse(Code::not_reader, p.block(r).name, p[tensor].name, say_list(names));
    }
    for (BlockId w : loop::writers_of(p, tensor))
      if (loop::root_of(p, w) == loop::root_of(p, r)) return refuse(Code::too_early, say_block(p, r), p[tensor].name);
  }
  return Ok{};
}

Applied apply(const State& state, const Pad& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const std::vector<BlockId> readers = *blocks_of(state, step.readers);
  const TensorId tensor = *buffer_of(state, step.tensor);
  const auto kernel_of = [&](BlockId b) { return std::find(p.kernels.begin(), p.kernels.end(), loop::root_of(p, b)); };
  auto first = kernel_of(readers[0]);
  for (BlockId r : readers) first = std::min(first, kernel_of(r));
  const CallSite at = p[*first].at;

  Buffer copy;
  copy.name = p[tensor].name + ".padded";
  copy.type = p[tensor].type;
  copy.shape = p[tensor].shape;
  Expr& row = copy.shape.back();
  if (const auto n = constant_of(row)) row = index_literal((*n + step.multiple - 1) / step.multiple * step.multiple);
  else row = make(Binary{BinOp::div, row + (step.multiple - 1), index_literal(step.multiple)}, row->type) * step.multiple;
  const TensorId buffer = p.buffers.add(copy);

  const StmtId root = p.stmts.add(Stmt{{}, {}, loop::Root{p[*first].as<loop::Root>()->name}, at});
  p.stmts.edit(root, [&](Stmt& s) { s.parent = root; });
  Block b;
  b.name = copy.name;
  std::vector<Expr> index;
  StmtId place = root;
  for (std::size_t d = 0; d < copy.shape.size(); ++d) {
    const std::string name = "x" + std::to_string(d);
    const LoopId l = loop::add_loop(p, place, 0, name, copy.shape[d], at);
    Iter i{loop::add_var(p, name), IterKind::spatial, 0, copy.shape[d], {{Digit{l}}, 0}};
    index.push_back(var(i.var));
    b.iters.push_back(std::move(i));
    b.axes.push_back(l);
    place = l;
  }
  b.writes = {{buffer, index, make(tecc::Read{tensor, index, loop::identity_of(Reducer::sum, copy.type)}, copy.type)}};
  const BlockId id = loop::add_stmt(p, place, 0, Stmt{{}, {}, std::move(b), at});
  p.kernels.insert(p.kernels.begin() + (first - p.kernels.begin()), root);
  for (BlockId r : readers)
    p.stmts.edit(r, [&](Stmt& s) {
      for (Write& w : std::get<Block>(s.node).writes)
        w.value = rewrite(w.value, [&](const Expr& e) {
          const auto* read = e.as<tecc::Read>();
          return read && read->tensor == tensor ? make(tecc::Read{buffer, read->index, read->otherwise}, e->type, e->at) : e;
        });
    });
  out.results = {BufferHandle{buffer}, BlockHandle{id}};
  return out;
}

}  // namespace tecc::schedule
