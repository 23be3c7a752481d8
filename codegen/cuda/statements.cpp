#include "codegen/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "codegen/access.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/loop/fill.h"
#include "ir/numeric.h"

namespace tecc::codegen::cuda {

using namespace loop;

void KernelEmitter::statement(StmtId s) {
  if (skewed_ && lags(s)) lagging_statement(s);
  else if (const auto top = tops_.find(s); top != tops_.end()) tile(s, top->second);
  else if (const auto* l = p_[s].as<Loop>()) loop(s, *l);
  else if (p_[s].as<Block>()) block(s);
  else if (const auto* b = p_[s].as<Barrier>()) barrier(*b);
  else if (const auto* c = p_[s].as<Combine>()) combine(*c);
  else if (const auto* op = p_[s].as<Sync>()) sync(s, *op);
}

void KernelEmitter::loop(LoopId id, const Loop& l) {
  if (loop::is_thread_group(l.group)) {
    thread_loop(id);
    return;
  }
  if (l.group != Group::none) {
    why_ = refuse(Code::no_lowering, "CUDA", "a loop bound to clusters");
    return;
  }
  if (l.kind == LoopKind::vectorized && vector_loop(id)) return;
  if (l.kind == LoopKind::unrolled && tree_loop(id)) return;
  if (const auto ring = ring_of(id); ring && shows(id)) return ring_loop(id);
  if (l.stages && first_stage_ == 0 && last_stage_ > 0) {
    first_stage_ = 1;
    const bool lags = shows(id);
    first_stage_ = 0;
    if (lags) return skewed_loop(id, value(l.extent));
  }
  const auto extent = constant_extent(p_, id);
  const std::string v = loop_var(id);
  std::set<LoopId> retired;
  Binding named;  // retired loops in the extent of a ragged loop
  walk(l.extent, [&](const Expr& e) {
    if (const auto* x = e.as<Var>())
      if (const auto r = loop_of_var(p_, x->id); r && p_.loop(*r).retired) named.digits.push_back({*r});
    return true;
  });
  if (!named.digits.empty()) {
    line("{");
    ++depth_;
    declare_retired(named, retired);
  }
  if (l.kind == LoopKind::unrolled || l.kind == LoopKind::vectorized || (extent && *extent <= 256 && indexes_private(id))) line("#pragma unroll");
  else if (!extent || *extent > 4) line("#pragma unroll 1");
  const std::string passes = turns_around(id);
  if (!passes.empty()) {
    line(fmt::format("for (int {0}_n = 0; {0}_n < {1}; ++{0}_n) {{", v, *extent));
    if (std::has_single_bit(static_cast<std::uint64_t>(*extent))) line(fmt::format("  const int {0} = {0}_n ^ ({1} % 2 * {2});", v, passes, *extent - 1));  // or the loops around are not unrolled
    else line(fmt::format("  const int {0} = {1} % 2 ? {2} - {0}_n : {0}_n;", v, passes, *extent - 1));
  } else {
    line(fmt::format("for ({0} {1} = 0; {1} < {2}; ++{1}) {{", index_type(), counter(id), value(l.extent)));
  }
  if (l.reversed) line(fmt::format("  const {} {} = {} - 1 - {};", index_type(), v, value(l.extent), counter(id)));
  children(id);
  if (!named.digits.empty()) {
    --depth_;
    line("}");
  }
}

/// Products of two fragments in registers, row by row, run to and fro: each has an operand of the one before it, which lies where that one read it (CUTLASS
/// calls the order serpentine). For a loop along one of the operands: how often that was passed through before; every second time it is from its end.
/// Empty: the loop is none of such a nest, or its operand is passed through once. 4096 x 4096 x 4096 in f32 takes 3 % less so; turning the rows,
/// too, has more operands in common and takes longer (H200, ptxas 13.0).
std::string KernelEmitter::turns_around(LoopId id) const {
  const auto unrolled = [&](StmtId s) {
    const auto* l = p_[s].as<Loop>();
    return l && p_[s].children.size() == 1 && l->kind != LoopKind::vectorized && l->group == Group::none && !l->reversed && !l->stages && constant_extent(p_, s).value_or(257) <= 256 && indexes_private(s);
  };
  StmtId inner = id;
  while (unrolled(inner)) inner = p_[inner].children[0];
  if (!p_[inner].as<Block>()) return "";
  const Block& b = p_.block(inner);
  const std::vector<TensorId> operands = read_buffers(b);
  if (b.combiner != Reducer::sum || b.tile || operands.size() != 2) return "";
  for (TensorId t : operands)
    if (const auto& storage = p_[t].storage; !storage || !storage->private_to_thread) return "";
  const auto share_operand = [&](LoopId a, LoopId c) {
    bool found = false;
    walk(b.writes[0].value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>()) {
        const auto follows = [&](LoopId l) { return std::any_of(r->index.begin(), r->index.end(), [&](const Expr& i) { return varies(p_, b, i, l); }); };
        found |= follows(a) && follows(c);
      }
      return true;
    });
    return found;
  };
  std::string passes;
  std::int64_t weight = 1;  // passes for an iteration of the loop; only odd ones count
  for (StmtId s = p_[id].parent; unrolled(s) && !feeds(p_, s, b, IterKind::reduce); s = p_[s].parent) {
    if (share_operand(id, s)) continue;
    if (weight % 2) passes += (passes.empty() ? "" : " + ") + loop_var(s) + (turns_around(s).empty() ? "" : "_n");
    weight *= *constant_extent(p_, s);
  }
  if (feeds(p_, id, b, IterKind::reduce)) return "";
  return passes.find('+') == std::string::npos ? passes : fmt::format("({})", passes);
}

/// The innermost loop of a reduction over a thread's own registers: a tree of combinations instead of a chain, whose every step would
/// wait for the one before.
bool KernelEmitter::tree_loop(LoopId l) {
  const StmtId child = p_[l].children[0];
  const auto extent = constant_extent(p_, l);
  if (p_[l].children.size() != 1 || !p_[child].as<Block>() || !extent || *extent < 2) return false;
  const Block& b = p_.block(child);
  if (!b.combiner || !b.tile || b.writes.size() != 1 || is_scan(b)) return false;
  const Write& w = b.writes[0];
  const DType type = p_[w.buffer].type;
  if (*b.combiner != Reducer::sum && *b.combiner != Reducer::max && *b.combiner != Reducer::min) return false;
  if (type != DType::f32 || !is_uniform(p_, b, address_of(p_, child, w.buffer, w.index), l)) return false;
  enter(child);
  line(fmt::format("{{  // {}", b.name));
  ++depth_;
  line(fmt::format("{} tecc_part[{}];", memory_type(type), *extent));
  line("#pragma unroll");
  line(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", loop_var(l), *extent));
  ++depth_;
  std::set<LoopId> retired;
  for (const Iter& i : b.iters) declare_retired(i.binding, retired);
  for (const Iter& i : b.iters) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
  std::string condition;
  for (const Expr& g : guards_of(b)) condition += (condition.empty() ? "" : " && ") + value(g);
  const std::string text = value(w.value);
  line(fmt::format("tecc_part[{}] = {};", loop_var(l), condition.empty() ? text : fmt::format("{} ? {} : {}", condition, text, value(identity_of(*b.combiner, type)))));
  --depth_;
  line("}");
  const std::string target = element(child, w.buffer, w.index);
  line(fmt::format("{} = {};", target, combined(b, type, target, fmt::format("tecc_tree<tecc_op_{}, {}>(tecc_part)", symbol(*b.combiner), *extent))));
  close_block();
  return true;
}

/// True if all that stands in it lags behind the skewed loop around it, and follows from that loop's iteration.
bool KernelEmitter::lags(StmtId s) const {
  bool follows = false;
  for (BlockId b : blocks_under(p_, s)) {
    if (p_[b].stage == 0) return false;
    for (const Iter& i : p_.block(b).iters) follows |= depends_on(p_, i.binding, *skewed_);
  }
  return follows;
}

/// It works on the iteration before the one that runs.
void KernelEmitter::lagging_statement(StmtId s) {
  const LoopId l = *std::exchange(skewed_, std::nullopt);
  const std::optional<LoopId> whole = std::exchange(whole_, std::nullopt);  // its first iteration is among those that run
  const std::string n = counter(l), v = loop_var(l);
  line("{");
  ++depth_;
  line(fmt::format("const {} tecc_before = {} - 1;", index_type(), n));
  line("{");
  ++depth_;
  line(fmt::format("const {} {} = tecc_before;", index_type(), n));
  if (n != v) line(fmt::format("const {} {} = {} - 1 - {};", index_type(), v, value(p_.loop(l).extent), n));
  statement(s);
  for (int braces = 0; braces < 2; ++braces) {
    --depth_;
    line("}");
  }
  skewed_ = l;
  whole_ = whole;
}

/// A loop with statements that lag by one iteration: its beginning without them, all of the iterations between, their end.
void KernelEmitter::skewed_loop(LoopId id, const std::string& extent) {
  const std::string v = loop_var(id);
  const bool may_be_empty = constant_extent(p_, id).value_or(0) < 1;
  const bool reversed = p_.loop(id).reversed;
  const std::string n = counter(id);
  const auto open = [&](const std::string& text) {
    line(text);
    if (reversed) line(fmt::format("  const {} {} = {} - 1 - {};", index_type(), v, extent, n));
  };
  if (may_be_empty) line(fmt::format("if ({} > 0) {{", extent));
  open(fmt::format("{{ const {} {} = 0;", index_type(), n));
  last_stage_ = 0;
  children(id);
  last_stage_ = ~std::uint32_t{0};
  skewed_ = id;
  if (p_.loop(id).partitioned) whole_ = id;
  line("#pragma unroll 1");
  open(fmt::format("for ({0} {1} = 1; {1} < {2}; ++{1}) {{", index_type(), n, extent));
  children(id);
  open(fmt::format("{{ const {} {} = {};", index_type(), n, extent));
  first_stage_ = 1;
  children(id);
  first_stage_ = 0;
  whole_.reset();
  skewed_.reset();
  if (may_be_empty) line("}");
}

/// The channel whose copies run ahead in groups of cp.async in this loop.
std::optional<std::uint32_t> KernelEmitter::ring_of(LoopId l) const {
  for (std::uint32_t n = 0; n < p_.channels.size(); ++n)
    if (p_.channels[n].loop == l && p_.channels[n].how == Channel::How::cp_async) return n;
  return std::nullopt;
}

/// A loop whose copies run ahead: rounds that only copy, then rounds that use what was copied as many rounds before. The last of these have
/// nothing to copy.
void KernelEmitter::ring_loop(LoopId id) {
  const std::string v = loop_var(id), extent = value(p_.loop(id).extent);
  const std::int64_t ahead = p_.loop(id).stages, least = constant_extent(p_, id).value_or(1);
  const auto round = [&](bool uses, bool may_end) {
    ++depth_;
    bool open = false;  // the condition around copies
    for (StmtId c : p_[id].children) {
      if (!shows(c)) continue;
      const auto* op = p_[c].as<Sync>();
      const bool copies = !blocks_under(p_, c).empty() && p_[blocks_under(p_, c)[0]].stage == 0;
      if (!copies && !uses && !(op && op->op == Sync::Op::commit_copies)) continue;
      if (open != (copies && may_end)) {
        if (!open) line(fmt::format("if ({} < {}) {{", v, extent));
        else line("}");
        open = !open;
      }
      statement(c);
    }
    if (open) line("}");
    if (uses) advance_channels(id);
    --depth_;
    line("}");
  };
  ring_starts_ = v;
  line("#pragma unroll");
  line(fmt::format("for ({0} {1} = 0; {1} < {2}; ++{1}) {{  // ahead", index_type(), v, ahead));
  round(false, least < ahead);
  ring_starts_.clear();
  line("#pragma unroll 1");
  line(fmt::format("for ({0} {1} = {2}; {1} < {3} + {2}; ++{1}) {{", index_type(), v, ahead, extent));
  round(true, true);
}

void KernelEmitter::children(StmtId s) {
  ++depth_;
  for (StmtId c : p_[s].children)
    if (shows(c)) statement(c);
  if (p_[s].as<Loop>()) advance_channels(s);
  if (const auto* l = p_[s].as<Loop>(); l && is_thread_group(l->group) && !takes_in_turn(p_, role_, s))
    pass_over(s, fmt::format("({} - {})", constant_extent(p_, s).value_or(1) - 1, loop_var(s)));
  --depth_;
  line("}");
}

/// True if an address in a private buffer changes with the loop: unless unrolled, the buffer would leave the registers.
bool KernelEmitter::indexes_private(LoopId l) const {
  for (BlockId id : blocks_under(p_, l)) {
    const Block& b = p_.block(id);
    bool found = false;
    const auto check = [&](TensorId t, const std::vector<Expr>& index) {
      const std::vector<LoopId> atom = b.tile && b.tile->instruction ? atom_loops(id) : std::vector<LoopId>{};  // an instruction names its first element
      if (p_[t].storage && p_[t].storage->private_to_thread) found |= !is_uniform(p_, b, address_of(p_, id, t, index, atom), l);
    };
    for (const Write& w : b.writes) {
      check(w.buffer, w.index);
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<Read>()) check(r->tensor, r->index);
        return true;
      });
    }
    if (found) return true;
  }
  return false;
}

void KernelEmitter::thread_loop(LoopId id) {
  const auto& l = p_.loop(id);
  const std::string v = identifier(names_.var(l.var));
  if (takes_in_turn(p_, role_, id)) {
    line("#pragma unroll 1");
    line(fmt::format("for ({0} {1} = 0; {1} < {2}; ++{1}) {{", index_type(), v, value(l.extent)));
    return children(id);
  }
  const std::int64_t extent = *constant_extent(p_, id), weight = compiler::thread_weight(p_, id);
  const bool topmost = *compiler::thread_nest(p_, id) == id;
  line(topmost && extent * weight < threads_ ? fmt::format("if (tid < {}) {{", extent * weight) : "{");
  ++depth_;
  std::string text = threads_ == 1 ? "0" : "tid";
  if (weight != 1) text += fmt::format(" / {}", weight);
  if (!topmost) text += fmt::format(" % {}", extent);
  line(fmt::format("const {} {} = {};", index_type(), v, text));
  pass_over(id, v);
  --depth_;
  children(id);
}

void KernelEmitter::combine(const Combine& c) {
  const Buffer& b = p_[c.buffers[0]];
  const std::string op = fmt::format("tecc_op_{}", symbol(c.op));
  if (c.scan) {
    line(fmt::format("tecc_scan<{}, {}, {}, {}>({}[0], {}[0], {}[0], {});", op, c.threads, c.stride, kernel_.threads, buffer_names_[c.buffers[0]], buffer_names_[c.scan->before],
                     buffer_names_[c.scan->carry], buffer_names_[c.scratch]));
    return;
  }
  const std::int64_t elements = b.storage ? b.storage->elements : 1;
  if (elements != 1) line("#pragma unroll");
  line(elements == 1 ? "{" : fmt::format("for (int tecc_e = 0; tecc_e < {}; ++tecc_e) {{", elements));
  ++depth_;
  const std::string at = elements == 1 ? "0" : "tecc_e";
  const std::string call = fmt::format("tecc_combine<{}, {}, {}, {}>", op, c.threads, c.stride, kernel_.threads);
  const std::string& first = buffer_names_[c.buffers[0]];
  if (c.buffers.size() == 1) {
    line(fmt::format("{0}[{1}] = {2}({0}[{1}], {3});", first, at, call, buffer_names_[c.scratch]));
  } else {
    const std::string& second = buffer_names_[c.buffers[1]];
    line(fmt::format("tecc_at<{}> best = {{{}[{}], {}[{}]}};", memory_type(b.type), first, at, second, at));
    line(fmt::format("best = {}(best, {});", call, buffer_names_[c.scratch]));
    line(fmt::format("{}[{}] = best.value; {}[{}] = best.position;", first, at, second, at));
  }
  --depth_;
  line("}");
}

/// Opens the scope of a block: iteration variables it names, guards.
/// What follows computes the block's value.
void KernelEmitter::enter(BlockId id) {
  const Block& b = p_.block(id);
  const Buffer& to = p_[b.writes[0].buffer];
  block_ = id;
  ahead_ = b.ahead;
  fast_ = to.scope != Scope::global || is_narrow_float(to.type);
}

void KernelEmitter::open_block(BlockId id, const std::string& comment) {
  const Block& b = p_.block(id);
  enter(id);
  line(fmt::format("{{  // {}", comment));
  ++depth_;
  std::set<VarId> used;
  const auto note = [&](const Expr& e) {
    walk(e, [&](const Expr& x) {
      if (const auto* v = x.as<Var>()) used.insert(v->id);
      return true;
    });
  };
  for (const Expr& g : b.guards) note(g);
  const auto note_address = [&](TensorId t, const std::vector<Expr>& index) {
    for (const Address::General& g : address_of(p_, id, t, index).general) note(g.index);
  };
  const std::function<void(const Expr&)> note_value = [&](const Expr& e) {
    if (const auto* r = e.as<Read>()) {
      note_address(r->tensor, r->index);
      for (const Expr& c : in_bounds(p_, b, *r)) note(c);
      if (r->otherwise) note_value(r->otherwise);
      for (const Expr& i : r->index)
        if (!affine_of(i)) for_each_child(i, note_value);
    } else if (const auto* v = e.as<Var>()) {
      used.insert(v->id);
    } else {
      for_each_child(e, note_value);
    }
  };
  for (const Write& w : b.writes) {
    note_address(w.buffer, w.index);
    note_value(w.value);
  }
  if (is_scan(b)) used.insert(b.iters.back().var);
  std::set<LoopId> retired;
  for (const Iter& i : b.iters) declare_retired(i.binding, retired);
  for (const Iter& i : b.iters)
    if (used.count(i.var)) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
  std::string condition;
  if (!fills(b))
    for (const Expr& g : guards_of(b)) condition += (condition.empty() ? "" : " && ") + value(g);
  if (const std::string alone = elect(id); !alone.empty()) condition += (condition.empty() ? "" : " && ") + alone;
  if (!condition.empty()) line(fmt::format("if ({})", condition));
}

void KernelEmitter::close_block() {
  --depth_;
  line("}");
  ahead_.reset();
}

void KernelEmitter::declare_retired(const Binding& b, std::set<LoopId>& done) {
  for (const Digit& d : b.digits) {
    const Loop& l = p_.loop(d.loop);
    if (!l.retired || !done.insert(d.loop).second) continue;
    declare_retired(*l.retired, done);
    line(fmt::format("const {} {} = {};", index_type(), loop_var(d.loop), binding(*l.retired)));
  }
}

/// Outside of any nest bound to threads: private results are made by every thread, others by one, whom this condition picks.
std::string KernelEmitter::elect(BlockId id) const {
  if (threads_ == 1 || elected_) return "";
  const std::vector<LoopId> around = compiler::thread_loops(p_, id);
  for (LoopId l : around)
    if (p_.loop(l).group != Group::warpgroup) return "";
  const TensorId t = p_.block(id).writes[0].buffer;
  if (p_[t].storage && p_[t].storage->private_to_thread) return "";
  return around.empty() || threads_ == 128 ? "tid == 0" : "tid % 128 == 0";
}

/// The guards that can fail in the iterations that are printed now.
std::vector<Expr> KernelEmitter::guards_of(const Block& b) const {
  std::vector<Expr> out = b.guards;
  if (!whole_) return out;
  // Behind the first iteration n >= 1 of a reversed loop: its variable is extent - 1 - n.
  const Loop& l = p_.loop(*whole_);
  const auto extent = affine_of(l.extent);
  if (!l.reversed || !extent) return out;
  std::erase_if(out, [&](const Expr& g) {
    const auto* less = g.as<Binary>();
    if (!less || less->op != BinOp::less) return false;
    const auto a = affine_of(less->a), c = affine_of(less->b);
    const auto low = a ? binding_of(b, *a) : std::nullopt, high = c ? binding_of(b, *c) : std::nullopt;
    if (!low || !high) return false;
    Binding gap = add(p_, *high, *low, -1);  // g says: it is above zero
    std::int64_t per_iteration = 0;
    for (const Digit& d : std::vector<Digit>(gap.digits)) {
      if (d.loop != *whole_) continue;
      if (d.div != 1 || d.mod != 0) return false;
      per_iteration = -d.stride;
      std::erase(gap.digits, d);
      gap.offset += d.stride * (extent->constant - 1);
      for (const auto& [v, k] : extent->terms) {
        const auto other = loop_of_var(p_, v);
        if (!other) return false;
        gap.digits.push_back({*other, 1, 0, k * d.stride});
      }
    }
    return per_iteration > 0 && range_of(p_, normal(p_, gap)).low + per_iteration > 0;
  });
  return out;
}

bool KernelEmitter::fills(const Block& b) const { return !guards_of(b).empty() && fills_with_zero(p_, b); }

std::string KernelEmitter::combined(const Block& b, DType type, const std::string& a, const std::string& x) {
  switch (*b.combiner) {
    case Reducer::sum:
    case Reducer::mean: return fmt::format("{} + {}", a, x);
    case Reducer::prod: return fmt::format("{} * {}", a, x);
    case Reducer::min: return narrow_pair("tecc_min", type, a, x);
    case Reducer::max: return narrow_pair("tecc_max", type, a, x);
    case Reducer::any: return fmt::format("{} || {}", a, x);
    case Reducer::all: return fmt::format("{} && {}", a, x);
    default: return x;
  }
}

std::string KernelEmitter::narrow_pair(std::string_view function, DType type, const std::string& a, const std::string& x) {
  if (is_narrow_float(type)) return fmt::format("{}({}(tecc_to_f32({}), tecc_to_f32({})))", cast_function(type), function, a, x);
  return fmt::format("{}<{}>({}, {})", function, memory_type(type), a, x);
}

void KernelEmitter::block(BlockId id) {
  const Block& b = p_.block(id);
  open_block(id, b.name);
  const Write& w = b.writes[0];
  const DType type = p_[w.buffer].type;
  const std::string target = element(id, w.buffer, w.index);
  if (b.writes.size() == 2 && b.combiner) {
    const Write& position = b.writes[1];
    const std::string place = element(id, position.buffer, position.index);
    line("{");
    line(fmt::format("  const auto best = tecc_better<{0}>(tecc_at<{1}>{{{2}, {3}}}, tecc_at<{1}>{{{4}, (long long){5}}});",
                     *b.combiner == Reducer::argmax ? "true" : "false", memory_type(type), target, place, value(w.value), value(position.value)));
    line(fmt::format("  {} = best.value; {} = best.position;", target, place));
    line("}");
  } else if (b.writes.size() == 2) {
    line(fmt::format("{{ {} = {}; {} = {}; }}", target, value(w.value), element(id, b.writes[1].buffer, b.writes[1].index), value(b.writes[1].value)));
  } else if (is_scan(b)) {
    std::vector<Expr> before = w.index;
    std::string first;
    for (Expr& e : before)
      if (const auto* v = e.as<Var>(); v && iter_of(b, v->id) && iter_of(b, v->id)->kind == IterKind::scan) {
        first = fmt::format("{} > {}", value(e), iter_of(b, v->id)->lower);
        e = e - 1;
      }
    const std::string start = value(identity_of(*b.combiner, type));
    line(fmt::format("{} = {};", target, combined(b, type, fmt::format("({} ? {} : {})", first, element(id, w.buffer, before), start), value(w.value))));
  } else if (b.combiner) {
    if (*b.combiner == Reducer::sum && !is_narrow_float(type)) line(fmt::format("{} += {};", target, value(w.value)));
    else line(fmt::format("{} = {};", target, combined(b, type, target, value(w.value))));
  } else if (fills(b)) {
    std::string condition;
    for (const Expr& g : guards_of(b)) condition += (condition.empty() ? "" : " && ") + value(g);
    const auto* from = w.value.as<Read>();
    if (from && p_[w.buffer].scope == Scope::local && type != DType::boolean) line(fmt::format("{} = {}<{}, 1>(&{}, {}).lane[0];", target, call("tecc_load_or_zeros"), memory_type(type), element(id, from->tensor, from->index), condition));
    else line(fmt::format("{} = {} ? {} : {};", target, condition, value(w.value), value(literal(0, type))));
  } else if (is_once(b, w.buffer)) {
    line(fmt::format("{0}(&{1}, tecc_vec<{2}, 1>{{{{{3}}}}});", call("tecc_store_once"), target, memory_type(p_[w.buffer].type), value(w.value)));
  } else {
    line(fmt::format("{} = {};", target, value(w.value)));
  }
  close_block();
}

}  // namespace tecc::codegen::cuda
