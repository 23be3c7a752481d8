#include "schedule/primitive/common.h"

#include <fmt/format.h>

#include "ir/loop/digits.h"

namespace tecc::schedule {

std::string say_list(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  std::string out;
  for (std::size_t n = 0; n < names.size(); ++n)
    out += (n == 0 ? "" : n + 1 == names.size() ? " or " : ", ") + fmt::format("'{}'", names[n]);
  return out;
}

RegionNest make_nest(Program& p, StmtId parent, std::size_t position, const std::vector<RegionAxis>& axes, CallSite at) {
  RegionNest nest;
  nest.innermost = parent;
  for (const RegionAxis& axis : axes) {
    const Region& r = axis.region;
    const auto extent = constant_of(axis.extent);
    Binding binding = r.fixed;
    std::optional<Expr> count;
    std::vector<std::pair<Digit, std::int64_t>> digits;  // varying digit and how many values it takes
    if (r.whole) {
      binding = {{}, axis.lower};
      count = axis.extent - axis.lower;
    } else if (!r.exact || r.varying.empty()) {
      const bool from_zero = r.fixed.digits.empty() && r.fixed.offset == 0;
      count = index_literal(from_zero && extent ? std::min(r.span, *extent) : r.span);
    } else {
      std::int64_t total = 1;
      for (const Digit& d : r.varying) {
        const std::int64_t values = loop::range_of(p, Digit{d.loop, d.div, d.mod, 1}).high + 1;
        digits.push_back({d, values});
        total *= values;
      }
      // A single varying loop whose extent is symbolic keeps its symbolic extent.
      const Loop& only = p.loop(r.varying[0].loop);
      const bool same = r.varying.size() == 1 && r.varying[0].div == 1 && r.varying[0].mod == 0 && !only.retired;
      // .. but for what it follows inside of the old place.
      const auto fixed = fixed_around(p, nest.innermost);
      const std::function<bool(LoopId)> inside = [&](LoopId l) {
        const auto& retired = p.loop(l).retired;
        return retired ? std::any_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return inside(d.loop); }) : !fixed(l);
      };
      count = same ? loop::relaxed(p, only.extent, inside) : index_literal(total);
    }
    if (const auto c = constant_of(*count); c && *c == 1) {
      nest.loops.push_back(std::nullopt);
      nest.bindings.push_back(loop::normal(p, binding));
      continue;
    }
    const LoopId l = loop::add_loop(p, nest.innermost, nest.innermost == parent ? position : 0, axis.name, *count, at);
    nest.innermost = l;
    if (digits.empty()) {
      binding.digits.push_back({l});
    } else {
      std::int64_t faster = 1;
      for (auto d = digits.rbegin(); d != digits.rend(); ++d) {
        const bool slowest = d + 1 == digits.rend();
        binding.digits.push_back({l, faster, slowest ? 0 : d->second, d->first.stride});
        faster *= d->second;
      }
    }
    nest.loops.push_back(l);
    nest.bindings.push_back(loop::normal(p, binding));
  }
  return nest;
}

RegionAxis own_axis(const Program& p, const Block& b, std::size_t n, Region region) {
  RegionAxis axis{p.vars[b.iters[n].var].name, std::move(region), b.iters[n].upper, b.iters[n].lower};
  for (const Iter& i : b.iters)
    if (uses(axis.extent, i.var)) axis.extent = index_literal(loop::largest(p, axis.extent));
  return axis;
}

std::vector<std::optional<LoopId>> move_into_nest(Program& p, BlockId id, Stmt row, LoopId l, std::size_t position, const std::vector<RegionAxis>& axes) {
  const RegionNest nest = make_nest(p, l, position, axes, row.at);
  Block& b = std::get<Block>(row.node);
  for (std::size_t d = 0; d < b.iters.size(); ++d) {
    b.iters[d].binding = nest.bindings[d];
    b.axes[d] = nest.loops[d].value_or(StmtId{});
  }
  if (b.tile) b.tile->top = {};  // the loop at which it began is gone
  p.stmts.set(id, std::move(row));
  loop::insert_child(p, nest.innermost, nest.innermost == l ? position : 0, id);
  return nest.loops;
}

Copy make_copy(Program& p, TensorId tensor, const std::string& word, Scope scope, const std::vector<Region>& regions) {
  Buffer buffer;
  buffer.name = p[tensor].name + "." + word;
  buffer.type = p[tensor].type;
  buffer.shape = p[tensor].shape;
  buffer.scope = scope;
  Copy out{p.buffers.add(buffer), {}, {}, {}};
  out.block.name = buffer.name;
  for (std::size_t d = 0; d < buffer.shape.size(); ++d) {
    const std::string name = "x" + std::to_string(d);
    const VarId v = loop::add_var(p, name);
    out.block.iters.push_back({v, IterKind::spatial, 0, buffer.shape[d], {}});
    out.axes.push_back({name, regions[d], buffer.shape[d]});
    out.index.push_back(var(v));
  }
  return out;
}

void follow_ragged(const Block& b, TensorId tensor, Copy& copy) {
  const auto write = std::find_if(b.writes.begin(), b.writes.end(), [&](const Write& w) { return w.buffer == tensor; });
  std::map<VarId, std::size_t> dim;
  for (std::size_t d = 0; d < write->index.size(); ++d)
    if (const auto* v = write->index[d].as<Var>()) dim[v->id] = d;
  for (const Iter& i : b.iters) {
    const auto own = dim.find(i.var);
    if (own == dim.end() || std::none_of(dim.begin(), dim.end(), [&](const auto& other) { return uses(i.upper, other.first); })) continue;
    bool earlier = true;
    const Expr upper = rewrite(i.upper, [&](const Expr& e) {
      const auto* v = e.as<Var>();
      const auto other = v ? dim.find(v->id) : dim.end();
      if (other == dim.end()) return e;
      earlier &= other->second < own->second;
      return copy.index[other->second];
    });
    if (earlier) copy.block.iters[own->second].upper = upper;
    else copy.block.predicate.push_back(make(Binary{BinOp::less, copy.index[own->second], upper}, DType::boolean));
  }
}

BlockId place_copy(Program& p, Copy copy, TensorId to, Expr value, LoopId l, std::size_t position) {
  const RegionNest nest = make_nest(p, l, position, copy.axes, p[l].at);
  for (std::size_t d = 0; d < copy.axes.size(); ++d) {
    copy.block.iters[d].binding = nest.bindings[d];
    copy.block.axes.push_back(nest.loops[d].value_or(StmtId{}));
  }
  copy.block.writes = {{to, copy.index, std::move(value)}};
  return loop::add_stmt(p, nest.innermost, nest.innermost == l ? position : 0, Stmt{{}, {}, std::move(copy.block), p[l].at});
}

std::function<bool(LoopId)> fixed_around(const Program& p, StmtId place) {
  std::vector<LoopId> around = loop::loops_around(p, place);
  if (p[place].as<Loop>()) around.push_back(place);
  return [around = std::move(around)](LoopId l) { return std::find(around.begin(), around.end(), l) != around.end(); };
}

Region hull(const Program& p, const Region& a, const Region& b) {
  Region none;
  none.whole = true;
  none.exact = false;
  if (a.whole || b.whole) return none;
  const Binding x = loop::normal(p, a.fixed), y = loop::normal(p, b.fixed);
  if (x.digits != y.digits) return none;
  if (x.offset == y.offset && a.exact && b.exact && a.varying == b.varying) return a;
  const std::int64_t low = std::min(x.offset, y.offset);
  const std::int64_t high = std::max(x.offset + a.span, y.offset + b.span);
  Region r;
  r.fixed = x;
  r.fixed.offset = low;
  r.span = high - low;
  r.exact = false;
  return r;
}

void for_each_read(const Block& b, TensorId tensor, const std::function<void(const tecc::Read&)>& f) {
  const auto visit = [&](const Expr& e) {
    walk(e, [&](const Expr& x) {
      if (const auto* r = x.as<tecc::Read>(); r && r->tensor == tensor) f(*r);
      return true;
    });
  };
  for (const Write& w : b.writes) {
    for (const Expr& i : w.index) visit(i);
    visit(w.value);
  }
  for (const Expr& c : b.predicate) visit(c);
}

void rewrite_block(Block& b, const std::function<Expr(const Expr&)>& f) {
  for (Write& w : b.writes) {
    for (Expr& i : w.index) i = rewrite(i, f);
    w.value = rewrite(w.value, f);
  }
  for (Expr& c : b.predicate) c = rewrite(c, f);
}

std::vector<Region> read_region(const Program& p, BlockId reader, TensorId tensor, const std::function<bool(LoopId)>& fixed) {
  std::vector<Region> out;
  const Block& b = p.block(reader);
  for_each_read(b, tensor, [&](const tecc::Read& r) {
    for (std::size_t d = 0; d < r.index.size(); ++d) {
      const Region one = loop::region_of(p, b, r.index[d], fixed);
      if (out.size() <= d) out.push_back(one);
      else out[d] = hull(p, out[d], one);
    }
  });
  return out;
}

bool has_rim(const Program& p, BlockId id) {
  const Block& b = p.block(id);
  for (const Write& w : b.writes)
    for (std::size_t d = 0; d < w.index.size(); ++d)
      if (const auto* v = w.index[d].as<Var>())
        if (const Iter* i = iter_of(b, v->id); i && (i->lower < 0 || loop::largest(p, i->upper) > loop::largest(p, p[w.buffer].shape[d]))) return true;
  return false;
}

std::optional<LoopId> outermost_reduction_loop(const Program& p, BlockId b) {
  for (LoopId l : loop::loops_around(p, b))
    if (loop::feeds(p, l, p.block(b), IterKind::reduce) || loop::feeds(p, l, p.block(b), IterKind::scan)) return l;
  return std::nullopt;
}

std::optional<LoopId> counted_again(const Program& p, BlockId sum, const std::vector<LoopId>& inside) {
  const Block& b = p.block(sum);
  if (!b.combiner || b.init == loop::Init::apart || loop::is_scan(b)) return std::nullopt;
  if (*b.combiner != Reducer::sum && *b.combiner != Reducer::prod && *b.combiner != Reducer::mean) return std::nullopt;
  std::vector<Digit> told;  // what the iterations tell of the loops
  for (const Iter& i : b.iters) {
    std::vector<Digit> varying;
    for (const Digit& d : i.binding.digits)
      if (std::any_of(inside.begin(), inside.end(), [&](LoopId l) { return loop::depends_on(p, Binding{{d}}, l); })) varying.push_back(d);
    if (loop::distinct(p, varying)) told.insert(told.end(), varying.begin(), varying.end());
  }
  for (LoopId l : inside)
    if (loop::range_of(p, l).high > 0 && !loop::tell(p, told, l)) return l;
  return std::nullopt;
}

std::optional<StmtId> company_of(const Program& p, BlockId b) {
  StmtId s = b;
  while (!p[s].as<Root>()) {
    s = p[s].parent;
    if (p[s].children.size() > 1) return s;
  }
  return std::nullopt;
}

Check check_widened(const Program& p, LoopId l, const std::function<bool(LoopId)>& gone) {
  const Expr& extent = p.loop(l).extent;
  if (constant_of(extent) || same_value(loop::relaxed(p, extent, gone), extent)) return Ok{};
  for (BlockId id : loop::blocks_under(p, l)) {
    const Block& b = p.block(id);
    const bool cut = std::all_of(b.iters.begin(), b.iters.end(), [&](const Iter& i) {
      if (!loop::depends_on(p, i.binding, l)) return true;
      return std::any_of(b.iters.begin(), b.iters.end(), [&](const Iter& outer) { return uses(i.upper, outer.var); }) ||
             std::any_of(b.predicate.begin(), b.predicate.end(), [&](const Expr& e) { return uses(e, i.var); });
    });
    if (cut) continue;
    for (TensorId t : loop::read_buffers(b))
      for (BlockId w : loop::writers_of(p, t))
        if (w != id && loop::root_of(p, w) == loop::root_of(p, id)) return refuse(Code::too_early, b.name, p[t].name);
  }
  return Ok{};
}

std::vector<Handle> loop_handles(const std::vector<std::optional<LoopId>>& loops) {
  std::vector<Handle> out;
  for (const auto& l : loops) out.push_back(l ? Handle{LoopHandle{*l}} : Handle{Absent{}});
  return out;
}

}  // namespace tecc::schedule
