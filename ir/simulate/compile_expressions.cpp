#include <algorithm>

#include "ir/loop/affine.h"
#include "ir/simulate/compiler.h"

/// Values and places in memory.
namespace tecc::simulator {

std::size_t Compiler::digits(const Binding& binding, const Block* b) {
  Digits out;
  out.offset = binding.offset;
  for (const Digit& d : binding.digits) {
    Digits::Part part;
    part.loop = d.loop;
    part.div = d.div;
    part.mod = d.mod;
    part.stride = d.stride;
    const Loop& l = p_.loop(d.loop);
    if (b && b->ahead && b->ahead->loop == d.loop) part.ahead = l.reversed ? -b->ahead->by : b->ahead->by;
    if (l.retired) {
      part.of = Digits::Part::Of::retired;
      part.retired = digits(*l.retired, b);
    } else if (is_thread_group(l.group) && !takes_in_turn(p_, role_, d.loop)) {
      part.of = Digits::Part::Of::thread;
      part.weight = k_.loops[d.loop.n].weight;
      part.extent = k_.loops[d.loop.n].threads_extent;
    }
    out.parts.push_back(part);
  }
  k_.digits.push_back(std::move(out));
  return k_.digits.size() - 1;
}

NodeId Compiler::add(Node n) {
  k_.nodes.push_back(n);
  return static_cast<NodeId>(k_.nodes.size() - 1);
}

NodeId Compiler::constant(DType type, Scalar value) {
  Node n{Node::Kind::constant, type};
  n.constant = value;
  return add(n);
}

NodeId Compiler::node(const Expr& e, const Block* b, BlockId id) {
  return match(
      e, [&](const Literal& l) { return constant(e->type, interpreter::constant(l, e->type)); },
      [&](const Var& v) {
        if (p_.dims.count(v.id)) return constant(DType::i64, {.integer = dims_[v.id.n]});
        Node n{Node::Kind::iteration};
        if (b)
          for (std::size_t i = 0; i < b->iters.size(); ++i)
            if (b->iters[i].var == v.id) {
              n.index = static_cast<std::uint32_t>(i);
              return add(n);
            }
        const auto l = loop_of_var(p_, v.id);
        if (!l) return constant(DType::i64, {.integer = 0});
        n.kind = Node::Kind::digits;
        n.index = static_cast<std::uint32_t>(digits({{Digit{*l}}, 0}, b));
        return add(n);
      },
      [&](const Unary& u) {
        Node n{Node::Kind::unary, e->type, u.a->type};
        n.unary = u.op;
        n.a = node(u.a, b, id);
        return add(n);
      },
      [&](const Binary& x) {
        Node n{Node::Kind::binary, e->type, x.a->type};
        n.binary = x.op;
        n.a = node(x.a, b, id);
        n.b = node(x.b, b, id);
        return add(n);
      },
      [&](const Select& s) {
        Node n{Node::Kind::select, e->type};
        n.a = node(s.condition, b, id);
        n.b = node(s.then, b, id);
        n.c = node(s.otherwise, b, id);
        return add(n);
      },
      [&](const Cast& c) {
        Node n{Node::Kind::cast, c.to.concrete(), c.a->type};
        n.a = node(c.a, b, id);
        return add(n);
      },
      [&](const tecc::Read& r) {
        Node n{Node::Kind::read, e->type};
        n.index = static_cast<std::uint32_t>(place(id, r.tensor, r.index, r.otherwise));
        return add(n);
      },
      [&](const Reduce&) { return constant(e->type, {}); });
}

std::size_t Compiler::place(BlockId id, TensorId t, const std::vector<Expr>& index, const Expr& otherwise) {
  const Block& b = p_.block(id);
  const Buffer& buffer = p_[t];
  Place out;
  out.buffer = t;
  for (const Expr& e : index) out.index.push_back(node(e, &b, id));
  if (otherwise) out.otherwise = node(otherwise, &b, id);
  if (buffer.storage)
    for (std::size_t d = 0; d < index.size(); ++d) {
      Binding still;
      if (buffer.storage->dims[d].relative) still.digits = region_of(p_, b, index[d], [&](LoopId l) { return holds_still(buffer, l); }).fixed.digits;
      out.minus.push_back(digits(still, &b));
    }
  if (rotates(buffer) && p_.stmts.has(buffer.slot_loop) && p_[buffer.slot_loop].as<Loop>() && is_inside(p_, id, buffer.slot_loop)) {
    out.in_slot_loop = true;
    if (b.ahead && b.ahead->loop == buffer.slot_loop) {
      out.ahead = b.ahead->by;
      out.carried_ahead = b.ahead->by + p_[id].stage;  // to lag is to be ahead by less than nothing
    }
  }
  k_.places.push_back(std::move(out));
  return k_.places.size() - 1;
}

bool Compiler::holds_still(const Buffer& b, LoopId l) const {
  if (const auto& retired = p_.loop(l).retired)
    return std::all_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return holds_still(b, d.loop); });
  if (rotates(b) && l == b.slot_loop) return true;
  if (b.storage->private_to_thread && is_thread_group(p_.loop(l).group)) return true;
  return is_inside(p_, b.storage->at, l);
}

}  // namespace tecc::simulator
