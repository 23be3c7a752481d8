#include <algorithm>
#include <map>

#include "compiler/pass/ahead.h"
#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

bool writes_under(const Program& p, StmtId s, TensorId b) {
  const auto blocks = blocks_under(p, s);
  return std::any_of(blocks.begin(), blocks.end(), [&](BlockId x) { return writes(p.block(x), b); });
}

/// True if everything that `s` writes is private and read only by statements of `stores`.
bool feeds_only(const Program& p, StmtId s, const std::vector<StmtId>& stores) {
  for (BlockId x : blocks_under(p, s))
    for (const Write& w : p.block(x).writes) {
      if (p[w.buffer].scope != Scope::local && p[w.buffer].scope != Scope::reg) return false;
      for (BlockId r : readers_of(p, w.buffer))
        if (std::none_of(stores.begin(), stores.end(), [&](StmtId t) { return is_inside(p, r, t); })) return false;
    }
  return true;
}

/// A copy of the statements, for the iteration 0 of `l`, under `parent`.
struct Cloner {
  Program& p;
  LoopId l;
  std::map<LoopId, LoopId> loops;
  std::map<TensorId, TensorId>& buffers;

  /// The loop's copy: retired ones that follow from copied loops have one, too.
  LoopId of(LoopId from) {
    if (const auto found = loops.find(from); found != loops.end()) return found->second;
    const auto* loop = p.stmts.has(from) ? p[from].as<Loop>() : nullptr;
    if (!loop || !loop->retired) return from;
    Stmt copy = p[from];
    Binding& made_of = *copy.as<Loop>()->retired;
    for (Digit& d : made_of.digits) d.loop = of(d.loop);
    if (made_of == *p.loop(from).retired) return from;
    rename(*copy.as<Loop>());
    return loops[from] = p.stmts.add(std::move(copy));
  }

  /// A variable of its own, and an extent that follows the copies.
  void rename(Loop& loop) {
    loop.var = add_var(p, p.vars[loop.var].name);
    loop.extent = rewrite(loop.extent, [&](const Expr& e) {
      const auto* v = e.as<Var>();
      const auto from = v ? loop_of_var(p, v->id) : std::nullopt;
      const LoopId to = from ? of(*from) : LoopId{};
      return from && to != *from ? make(Var{p.loop(to).var}, e->type, e->at) : e;
    });
  }

  StmtId clone(StmtId s, StmtId parent, std::size_t position) {
    Stmt copy = p[s];
    const std::vector<StmtId> children = copy.children;
    copy.children.clear();
    if (auto* loop = copy.as<Loop>()) rename(*loop);
    if (auto* b = copy.as<Block>()) {
      for (Iter& i : b->iters) {
        std::erase_if(i.binding.digits, [&](const Digit& d) { return d.loop == l; });
        for (Digit& d : i.binding.digits) d.loop = of(d.loop);
      }
      if (b->tile) b->tile->top = of(b->tile->top), b->tile->atom = of(b->tile->atom);
      for (LoopId& a : b->axes) a = of(a);
      const auto rename = [&](const Expr& e) {
        const auto* r = e.as<Read>();
        return r && buffers.count(r->tensor) ? make(Read{buffers[r->tensor], r->index, r->otherwise}, e->type, e->at) : e;
      };
      for (Write& w : b->writes) {
        if (buffers.count(w.buffer)) w.buffer = buffers[w.buffer];
        for (Expr& i : w.index) i = rewrite(i, rename);
        w.value = rewrite(w.value, rename);
      }
    }
    if (auto* combine = copy.as<Combine>())
      for (TensorId& b : combine->buffers)
        if (buffers.count(b)) b = buffers[b];
    const StmtId made = add_stmt(p, parent, position, std::move(copy));
    if (p[made].as<Loop>()) loops[s] = made;
    if (const auto* b = p[made].as<Block>(); b && b->tile && b->tile->top == s) p.stmts.edit(made, [&](Stmt& row) { row.as<Block>()->tile->top = made; });
    for (std::size_t n = 0; n < children.size(); ++n) clone(children[n], made, n);
    return made;
  }
};

}  // namespace

Result<Program> pipeline_copies(Program p, const Limits& limits) {
  if (!limits.gpu) return p;  // in series there is nothing to overlap
  for (const Channel& c : std::vector<Channel>(p.channels)) {
    if (c.how != Channel::How::registers) continue;
    if (c.slots != 2) return refuse(Code::pipeline_slots, c.slots);
    if (range_of(p, c.loop).high <= 0) continue;  // there is no next iteration
    const StmtId parent = p[c.loop].parent;
    std::vector<StmtId> stores, loads, rest;
    for (StmtId child : p[c.loop].children)
      if (std::any_of(c.buffers.begin(), c.buffers.end(), [&](TensorId b) { return writes_under(p, child, b); })) stores.push_back(child);
    for (StmtId child : p[c.loop].children) {
      if (std::find(stores.begin(), stores.end(), child) != stores.end()) continue;
      const auto* combine = p[child].as<Combine>();  // goes with what it combines
      const bool first = combine ? std::any_of(loads.begin(), loads.end(), [&](StmtId s) { return writes_under(p, s, combine->buffers[0]); }) : feeds_only(p, child, stores);
      (first ? loads : rest).push_back(child);
    }
    std::vector<StmtId> ahead = loads;
    ahead.insert(ahead.end(), stores.begin(), stores.end());
    TECC_CHECK(check_ahead(p, c, ahead));
    for (StmtId s : ahead) TECC_CHECK(check_extents(p, c, s));
    for (StmtId s : ahead)
      for (BlockId b : blocks_under(p, s))
        for (const Iter& i : p.block(b).iters)
          for (const Digit& d : i.binding.digits)
            if ((d.loop == c.loop && (d.div != 1 || d.mod)) || (d.loop != c.loop && p.loop(d.loop).retired && depends_on(p, *p.loop(d.loop).retired, c.loop)))
              return refuse(Code::pipeline_lines_up, loop_name(p, c.loop), p.block(b).name);
    // Before the loop: the copies of iteration 0, through private buffers of their own.
    std::map<TensorId, TensorId> own;
    for (StmtId s : loads)
      for (BlockId b : blocks_under(p, s))
        for (const Write& w : p.block(b).writes)
          if (!own.count(w.buffer)) {
            Buffer copy = p[w.buffer];
            copy.name += ".first";
            own[w.buffer] = p.buffers.add(copy);
          }
    std::size_t position = position_in_parent(p, c.loop);
    for (StmtId s : ahead) Cloner{p, c.loop, {}, own}.clone(s, parent, position++);
    // Inside: loads of the next iteration, the work of this one, stores of the next.
    for (StmtId s : ahead)
      for (BlockId b : blocks_under(p, s))
        p.stmts.edit(b, [&](Stmt& row) { std::get<Block>(row.node).ahead = Block::Ahead{c.loop, 1}; });
    std::vector<StmtId> order = loads;
    order.insert(order.end(), rest.begin(), rest.end());
    order.insert(order.end(), stores.begin(), stores.end());
    p.stmts.edit(c.loop, [&](Stmt& row) { row.children = order; });
    for (TensorId b : c.buffers)
      p.buffers.edit(b, [&](Buffer& buffer) {
        buffer.slots = c.slots;
        buffer.slot_loop = c.loop;
      });
  }
  return p;
}

}  // namespace tecc::compiler
