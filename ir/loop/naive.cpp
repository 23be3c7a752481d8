#include <fmt/format.h>

#include "ir/integer/simplify.h"
#include "ir/loop/program.h"

namespace tecc::loop {
namespace {

/// The variables of the expression become three families here: runtime dims, iteration variables and loop variables.
struct Renaming {
  std::map<VarId, VarId> to;
  Expr operator()(const Expr& e) const {
    return substitute(e, [&](VarId v) {
      const auto found = to.find(v);
      return found == to.end() ? Expr() : var(found->second);
    });
  }
};

void add_stage(Program& p, const te::Lifted& lifted, const te::LiftedStage& stage, const Renaming& dims) {
  const te::Kernel& k = lifted.kernel;
  const StmtId root = p.stmts.add(Stmt{{}, {}, Root{p.name}, stage.at});
  p.stmts.edit(root, [&](Stmt& s) { s.parent = root; });
  p.kernels.push_back(root);

  Block block;
  block.name = k[stage.tensor].name;
  block.combiner = stage.reducer;
  Renaming as_iter = dims, as_loop = dims;
  std::map<VarId, integer::Fact> facts;  // of dims and of the block's iterations
  for (const auto& [v, r] : p.dims) facts[v] = {{r.min, r.max}, r.multiple_of};
  const auto known = [&](VarId v) {
    const auto found = facts.find(v);
    return found == facts.end() ? std::nullopt : std::optional(found->second);
  };
  StmtId parent = root;
  const auto add_axis = [&](const Axis& axis, IterKind kind) {
    const std::string& name = k[axis.var].name;
    const LoopId loop = add_loop(p, parent, 0, name, as_loop(axis.extent), axis.at);
    as_loop.to[axis.var] = p.loop(loop).var;
    Iter iter{add_var(p, name), kind, 0, as_iter(axis.extent), {{Digit{loop}}, 0}};
    as_iter.to[axis.var] = iter.var;
    if (const auto n = integer::fact_of(iter.upper, known)) facts[iter.var] = {{0, std::max<__int128>(n->range.last - 1, 0)}};
    block.iters.push_back(std::move(iter));
    block.axes.push_back(loop);
    parent = loop;
  };
  for (std::size_t n = 0; n < stage.axes.size(); ++n)
    add_axis(stage.axes[n], stage.scan && n + 1 == stage.axes.size() ? IterKind::scan : IterKind::spatial);
  std::vector<Expr> index;
  for (const Iter& i : block.iters) index.push_back(var(i.var));
  const std::size_t spatial = block.iters.size();
  for (const Axis& axis : stage.reduce_axes) add_axis(axis, IterKind::reduce);

  const Expr value = integer::simplify(as_iter(stage.body), known);
  if (stage.reducer == Reducer::argmax || stage.reducer == Reducer::argmin) {
    Buffer best;
    best.name = k[stage.tensor].name + ".value";
    best.type = value->type;
    best.shape = p[stage.tensor].shape;
    const TensorId value_buffer = p.buffers.add(std::move(best));
    Expr position = index_literal(0);
    for (std::size_t n = spatial; n < block.iters.size(); ++n)
      position = position * block.iters[n].upper + var(block.iters[n].var);
    block.writes = {{value_buffer, index, value}, {stage.tensor, index, position}};
  } else {
    block.writes = {{stage.tensor, index, value}};
  }
  const BlockId id = add_stmt(p, parent, 0, Stmt{parent, {}, std::move(block), stage.at});
  p.stages.push_back({k[stage.tensor].name, id});
}

}  // namespace

Program naive(const te::Lifted& lifted) {
  const te::Kernel& k = lifted.kernel;
  Program p;
  p.name = k.name;
  Renaming dims;
  for (const auto& [v, range] : lifted.runtime) {
    const VarId mine = add_var(p, k[v].name);
    dims.to[v] = mine;
    p.dims[mine] = range;
  }
  // Buffers keep the numbers of the tensors, so that reads in bodies need no renaming.
  for (const te::Tensor& t : k.tensors) {
    Buffer b;
    b.name = t.name;
    b.type = t.type.concrete();
    for (const Expr& extent : t.shape) b.shape.push_back(dims(extent));
    b.by_value = t.by_value;
    p.buffers.add(std::move(b));
  }
  // A ragged stage is stored in its rectangular hull: the extent of an axis that follows earlier axes is the largest one.
  for (const te::LiftedStage& s : lifted.stages)
    for (std::size_t n = 0; n < s.axes.size(); ++n) {
      Expr extent = s.axes[n].extent;
      for (std::size_t m = n; m-- > 0;)
        if (uses(extent, s.axes[m].var)) {
          const auto at = [&](const Expr& value) {
            return substitute(extent, [&](VarId v) { return v == s.axes[m].var ? value : Expr(); });
          };
          extent = index_max(at(index_literal(0)), at(s.axes[m].extent - 1));
        }
      p.buffers.edit(s.tensor, [&](Buffer& b) {
        b.shape.resize(s.axes.size());
        b.shape[n] = dims(extent);
      });
    }
  const auto hand_over = [&](TensorId t, Role role) {
    p.buffers.edit(t, [&](Buffer& b) {
      b.role = role;
      if (const auto given = lifted.bindings.align.find(b.name); given != lifted.bindings.align.end()) b.alignment = given->second;
    });
  };
  for (TensorId t : k.inputs) {
    p.inputs.push_back(t);
    hand_over(t, Role::input);
  }
  for (TensorId t : k.outputs) {
    p.outputs.push_back(t);
    hand_over(t, Role::output);
  }
  for (const te::LiftedStage& s : lifted.stages) add_stage(p, lifted, s, dims);
  return p;
}

}  // namespace tecc::loop
