#include <fmt/format.h>

#include <functional>
#include <set>

#include "ir/instruction/instruction.h"
#include "ir/loop/affine.h"
#include "ir/loop/literals.h"
#include "ir/loop/parse.h"
#include "ir/loop/words.h"

namespace tecc::loop {
namespace {

/// Gives every name once: where it repeats, with the first free number.
class Unique {
 public:
  void take(const std::string& name) { taken_.insert(name); }
  std::string operator()(const std::string& name) {
    if (taken_.insert(name).second) return name;
    for (int& n = next_.try_emplace(name, 2).first->second;; ++n)
      if (std::string numbered = fmt::format("{}_{}", name, n); taken_.insert(numbered).second) return numbered;
  }

 private:
  std::set<std::string> taken_;
  std::map<std::string, int> next_;
};

class Printer {
 public:
  explicit Printer(const Program& p) : p_(p), loops_(names_of(p)) {
    Unique buffers, blocks;
    for (std::uint32_t n = 0; n < p.buffers.size(); ++n)
      if (p.buffers.has({n})) buffers_[{n}] = p[TensorId{n}].name;
    for (StmtId k : p.kernels) visit(k);
    for (TensorId t : p.inputs) used_.insert(t);
    for (TensorId t : p.outputs) used_.insert(t);
    for (const Channel& c : p.channels) used_.insert(c.buffers.begin(), c.buffers.end());
    for (TensorId t : std::set<TensorId>(used_))
      if (p[t].reuses) used_.insert(*p[t].reuses);
    for (const Turns& t : p.turns) named_.insert(t.loop);
    for (const Skewing& k : p.skews) named_.insert(k.loop);
    for (auto& [t, name] : buffers_)
      if (used_.count(t)) name = buffers(name);
    for (BlockId b : all_blocks(p)) {
      blocks_[b] = blocks(p.block(b).name);
      Unique own;
      own.take("inf"), own.take("nan");  // words of literals
      for (const auto& [v, r] : p.dims) own.take(p.vars[v].name);
      for (const Iter& i : p.block(b).iters) iters_[i.var] = own(p.vars[i.var].name);
    }
    for (LoopId l : named_) name_retired(l);
    names_ = {[this](VarId v) {
                const auto found = iters_.find(v);
                return found == iters_.end() ? loops_.var(v) : found->second;
              },
              [this](TensorId t) { return buffers_.count(t) ? buffers_.at(t) : std::string("_"); }};
  }

  void give_names(Program& to) const {
    const auto call = [&](VarId v, const std::string& name) {
      if (to.vars[v].name != name) to.vars.set(v, {name});
    };
    for (std::uint32_t n = 0; n < p_.stmts.size(); ++n)
      if (p_.stmts.has({n}))
        if (const auto* l = p_[StmtId{n}].as<Loop>()) call(l->var, loop({n}));
    for (const auto& [v, name] : iters_) call(v, name);
    for (const auto& [b, name] : blocks_)
      if (p_.block(b).name != name) to.stmts.edit(b, [&name = name](Stmt& s) { std::get<Block>(s.node).name = name; });
    for (const auto& [t, name] : buffers_)
      if (p_[t].name != name) to.buffers.edit(t, [&name = name](Buffer& b) { b.name = name; });
  }

  std::string program() {
    out_ += fmt::format("program {}(", p_.name);
    for (std::size_t n = 0; n < p_.inputs.size(); ++n) out_ += (n ? ", " : "") + buffer(p_.inputs[n]);
    std::size_t n = 0;
    for (const auto& [v, r] : p_.dims) {
      out_ += fmt::format("{}{} = {}..{}", n++ ? ", " : "; ", p_.vars[v].name, r.min, r.max);
      if (r.multiple_of != 1) out_ += fmt::format(":{}", r.multiple_of);
    }
    out_ += ") -> (";
    for (std::size_t m = 0; m < p_.outputs.size(); ++m) out_ += (m ? ", " : "") + buffer(p_.outputs[m]);
    out_ += ") {\n";
    for (const auto& [t, name] : buffers_)
      if (p_[t].role == Role::workspace && used_.count(t)) out_ += fmt::format("  buffer {}\n", buffer(t));
    for (std::size_t c = 0; c < p_.channels.size(); ++c) out_ += channel(c);
    for (std::size_t r = 0; r < p_.roles.size(); ++r) {
      out_ += fmt::format("  role r{} warpgroups {} registers {}:", r, p_.roles[r].warpgroups, p_.roles[r].registers);
      for (BlockId b : p_.roles[r].blocks) out_ += " " + block_name(b);
      out_ += "\n";
    }
    out_ += stages();
    for (const Turns& t : p_.turns) {
      out_ += fmt::format("  take_turns at {}:", loop(t.loop));
      for (BlockId b : t.critical) out_ += " " + block_name(b);
      out_ += "\n";
    }
    for (const Skewing& k : p_.skews) {
      out_ += fmt::format("  skew at {}:", loop(k.loop));
      for (const Skewing::Entry& e : k.order) out_ += " " + block_name(e.block) + (e.stage ? fmt::format(" stage {}", e.stage) : "");
      out_ += "\n";
    }
    for (const CrossThread& c : p_.cross_threads) out_ += fmt::format("  cross_thread_reduce {} at {}\n", block_name(c.block), loop(c.at));
    for (LoopId l : retired_) {
      const Loop& row = p_.loop(l);
      out_ += fmt::format("  let {}: {} = {}\n", loop(l), expr(row.extent, DType::i64), binding(*row.retired));
    }
    for (StmtId k : p_.kernels) {
      const Root& root = *p_[k].as<Root>();
      out_ += fmt::format("  kernel {}{}{} {{\n", root.name, root.start == Root::Start::ordered ? "" : " ", root.start == Root::Start::ordered ? "" : words::of(words::starts, root.start));
      for (StmtId c : p_[k].children) statement(c, 2);
      out_ += "  }\n";
    }
    return out_ + "}\n";
  }

 private:
  const Program& p_;
  Names loops_, names_;
  std::map<TensorId, std::string> buffers_;
  std::map<BlockId, std::string> blocks_;
  std::map<VarId, std::string> iters_;
  std::set<TensorId> used_;
  std::set<LoopId> live_, named_, retired_;
  std::string out_;

  // ---- what the text needs names for --------------------------------------------------------------------------------------
  void note(const Binding& b) {
    for (const Digit& d : b.digits) named_.insert(d.loop);
  }
  void note(const Expr& e) {
    walk(e, [&](const Expr& x) {
      if (const auto* r = x.as<Read>()) used_.insert(r->tensor);
      if (const auto* v = x.as<Var>(); v && !p_.dims.count(v->id))
        if (const auto l = loop_of_var(p_, v->id)) named_.insert(*l);
      return true;
    });
  }

  void visit(StmtId s) {
    if (const auto* l = p_[s].as<Loop>()) {
      live_.insert(s);
      note(l->extent);
    } else if (const auto* b = p_[s].as<Block>()) {
      for (const Iter& i : b->iters) note(i.binding), note(i.upper);
      for (const Write& w : b->writes) {
        used_.insert(w.buffer);
        note(w.value);
        for (const Expr& e : w.index) note(e);
      }
      for (const Expr& e : b->predicate) note(e);
      for (const Expr& e : b->guards) note(e);
      if (b->tile) named_.insert(b->tile->top), named_.insert(b->tile->atom);
      if (b->ahead) named_.insert(b->ahead->loop);
    } else if (const auto* c = p_[s].as<Combine>()) {
      used_.insert(c->buffers.begin(), c->buffers.end());
      used_.insert(c->scratch);
      if (c->scan) used_.insert(c->scan->before), used_.insert(c->scan->carry);
    }
    for (StmtId c : p_[s].children) visit(c);
  }

  void name_retired(LoopId l) {
    if (!p_.stmts.has(l) || live_.count(l)) return;
    const auto* row = p_[l].as<Loop>();
    if (!row || !row->retired || !retired_.insert(l).second) return;
    for (const Digit& d : row->retired->digits) name_retired(d.loop);
    walk(row->extent, [&](const Expr& x) {
      if (const auto* v = x.as<Var>(); v && !p_.dims.count(v->id))
        if (const auto other = loop_of_var(p_, v->id)) name_retired(*other);
      return true;
    });
  }

  bool has_line(LoopId l) const { return live_.count(l) || retired_.count(l); }
  std::string loop(LoopId l) const { return has_line(l) ? loops_.var(p_.loop(l).var) : "_"; }
  std::string block_name(BlockId b) const { return blocks_.count(b) ? blocks_.at(b) : "_"; }
  /// A loop, a kernel by its number, or `_`.
  std::string place(StmtId s) const {
    for (std::size_t k = 0; k < p_.kernels.size(); ++k)
      if (p_.kernels[k] == s) return fmt::format("kernel {}", k);
    return loop(s);
  }

  // ---- parts of lines -----------------------------------------------------------------------------------------------------
  std::string expr(const Expr& e, std::optional<DType> type) const {
    OddLiterals odd;
    const Expr marked = odd.mark(e, type);
    Names names = names_;
    names.typed_literal = [&](const Expr& x) { return odd.contains(x); };
    return print(marked, names);
  }
  std::string list(const std::vector<Expr>& v, DType type) const {
    std::string out;
    for (std::size_t n = 0; n < v.size(); ++n) out += (n ? ", " : "") + expr(v[n], type);
    return out;
  }

  std::string buffer(TensorId id) const {
    const Buffer& b = p_[id];
    std::string out = fmt::format("{}: {}", buffers_.at(id), name(b.type));
    if (!b.by_value) out += fmt::format("[{}]", list(b.shape, DType::i64));
    if (b.scope != Scope::global) out += fmt::format(" {}", words::of(words::scopes, b.scope));
    if (!b.order.empty()) out += fmt::format(" order [{}]", fmt::join(b.order, ", "));
    if (b.pad) out += fmt::format(" pad {}", b.pad);
    if (b.slots != 1 || b.channel || live_.count(b.slot_loop)) out += fmt::format(" slots {} at {}", b.slots, loop(b.slot_loop));
    if (b.channel) out += fmt::format(" of c{}", *b.channel);
    if (b.reuses) out += " reuses " + names_.tensor(*b.reuses);
    if (b.panel) out += fmt::format(" panel {}", b.panel);
    if (b.swizzle) out += fmt::format(" swizzle {}", b.swizzle);
    if (b.alignment != 16) out += fmt::format(" align {}", b.alignment);
    if (!b.fragment.empty()) {
      out += " fragment [";
      for (std::size_t n = 0; n < b.fragment.size(); ++n) {
        const Buffer::Fragment& f = b.fragment[n];
        out += fmt::format("{}{}: {}x{}@{}", n ? ", " : "", f.dim, f.count, f.unit, f.place);
      }
      out += "]";
    }
    if (b.storage) out += storage(b);
    return out;
  }

  /// {in k0, 64 elements a thread, offset 0; from 0 4x16@1; relative from 0 ...}: a dimension's cuts are count x unit @ place, from slow to fast.
  std::string storage(const Buffer& b) const {
    const Storage& st = *b.storage;
    std::string out = fmt::format(" {{in {}, {} elements{}", place(st.at), st.elements, st.private_to_thread ? " a thread" : "");
    if (!st.owners.empty()) {
      out += ", one each";
      for (LoopId l : st.owners) out += " " + loop(l);
    }
    if (b.scope == Scope::shared || st.offset_bytes) out += fmt::format(", offset {}", st.offset_bytes);
    for (const Storage::Dimension& d : st.dims) {
      out += fmt::format("; {}from {}", d.relative ? "relative " : "", d.origin);
      for (const Storage::Cut& c : d.cuts) out += fmt::format(" {}x{}@{}", c.count, c.unit, c.place);
    }
    return out + "}";
  }

  std::string channel(std::size_t n) const {
    const Channel& c = p_.channels[n];
    std::string out = fmt::format("  channel c{} at {} slots {}", n, loop(c.loop), c.slots);
    if (c.how != Channel::How::open) out += fmt::format(" {}", words::of(words::hows, c.how));
    if (c.owner != Group::block || c.owners != 1) out += fmt::format(" owner {} {}", words::of(words::groups, c.owner), c.owners);
    if (c.full_arrivals != 1 || c.how == Channel::How::mbarrier) out += fmt::format(" full {}", c.full_arrivals);
    if (c.empty_arrivals != 1 || c.how == Channel::How::mbarrier) out += fmt::format(" empty {}", c.empty_arrivals);
    if (c.cluster != 1) out += fmt::format(" cluster {}", c.cluster);
    if (c.offset_bytes) out += fmt::format(" offset {}", c.offset_bytes);
    out += ":";
    for (TensorId b : c.buffers) out += " " + names_.tensor(b);
    return out + "\n";
  }

  /// The stages whose blocks handles can name, unless they are all blocks, in order, under their names.
  std::string stages() const {
    const std::vector<BlockId> all = all_blocks(p_);
    bool plain = all.size() == p_.stages.size();
    std::string out;
    for (std::size_t n = 0; n < p_.stages.size(); ++n) {
      const StageInfo& s = p_.stages[n];
      const std::string own = block_name(s.block);
      plain = plain && all[n] == s.block && own == s.name;
      out += (n ? ", " : "  stages ") + s.name + (own == s.name ? "" : " = " + own);
    }
    return plain || p_.stages.empty() ? "" : out + "\n";
  }

  std::string binding(const Binding& b) const {
    std::string out;
    for (const Digit& d : b.digits) {
      std::string term = loop(d.loop);
      if (d.div != 1) term = fmt::format("{} / {}", term, d.div);
      if (d.mod) term = fmt::format("{} % {}", term, d.mod);
      if (d.stride != 1) term = d.div != 1 || d.mod ? fmt::format("({}) * {}", term, d.stride) : fmt::format("{} * {}", term, d.stride);
      out += (out.empty() ? "" : " + ") + term;
    }
    if (out.empty()) return fmt::format("{}", b.offset);
    if (b.offset > 0) out += fmt::format(" + {}", b.offset);
    if (b.offset < 0) out += fmt::format(" - {}", 0 - static_cast<std::uint64_t>(b.offset));
    return out;
  }

  // ---- statements ---------------------------------------------------------------------------------------------------------
  void statement(StmtId s, int depth) {
    const Stmt& row = p_[s];
    std::string indent(2 * static_cast<std::size_t>(depth), ' ');
    if (const auto* l = row.as<Loop>()) {
      std::string how;
      if (l->group != Group::none) how += fmt::format(" {}", words::of(words::groups, l->group));
      if (l->kind != LoopKind::serial) how += fmt::format(" {}", words::of(words::kinds, l->kind));
      if (l->raster) how += fmt::format(" raster {} group {}{}", loop(l->raster->outer), l->raster->group, l->raster->longest_first ? " longest_first" : "");
      if (l->reversed) how += " reversed";
      if (l->partitioned) how += " partitioned";
      if (l->stages) how += fmt::format(" stages {}", l->stages);
      if (l->persistent) how += " persistent";
      out_ += fmt::format("{}for {}: {}{} {{\n", indent, loop(s), expr(l->extent, DType::i64), how);
      for (StmtId c : row.children) statement(c, depth + 1);
      out_ += indent + "}\n";
      return;
    }
    std::string role = row.role == Stmt::every_role ? "" : fmt::format("r{}", row.role);
    if (row.stage) role += fmt::format("+{}", row.stage);
    if (!role.empty()) role += ": ";
    if (const auto* b = row.as<Block>()) return block(s, *b, indent, role);
    out_ += indent + role;
    if (const auto* barrier = row.as<Barrier>()) {
      out_ += barrier->group == Group::block ? "barrier" : fmt::format("barrier {}", words::of(words::groups, barrier->group));
    } else if (const auto* c = row.as<Combine>()) {
      out_ += fmt::format("combine {}", symbol(c->op));
      for (TensorId b : c->buffers) out_ += " " + names_.tensor(b);
      out_ += fmt::format(" threads {} stride {} scratch {}", c->threads, c->stride, names_.tensor(c->scratch));
      if (c->scan) out_ += fmt::format(" scan before {} carry {}", names_.tensor(c->scan->before), names_.tensor(c->scan->carry));
    } else if (const auto* e = row.as<Event>()) {
      out_ += fmt::format("{} c{}", words::of(words::events, e->kind), e->channel) + moment(e->lag, e->not_first);
    } else if (const auto* y = row.as<Sync>()) {
      out_ += words::of(words::syncs, y->op);
      if (words::has_channel(y->op)) out_ += fmt::format(" c{}", y->channel);
      if (words::has_count(y->op)) out_ += fmt::format("{} {}", y->op == Sync::Op::expect ? " bytes" : "", y->count);
      if (y->op == Sync::Op::arrive_empty && y->count > 1) out_ += fmt::format(" blocks {}", y->count);
      if (y->group != Group::block) out_ += fmt::format(" {}", words::of(words::groups, y->group));
      out_ += moment(y->lag, y->not_first);
    }
    out_ += "\n";
  }
  std::string moment(std::int64_t lag, LoopId not_first) const {
    std::string out = lag ? fmt::format(" lag {}", lag) : "";
    if (not_first != LoopId{}) out += " but first " + loop(not_first);
    return out;
  }

  /// Axes that handles can name and that are not what bindings say anyway: an iteration that is one live loop.
  std::string axes(BlockId id, const Block& b) const {
    if (std::none_of(p_.stages.begin(), p_.stages.end(), [&](const StageInfo& s) { return s.block == id; })) return "";
    bool plain = true;
    std::string out;
    for (std::size_t n = 0; n < b.axes.size() && n < b.iters.size(); ++n) {
      const std::string own = loop(b.axes[n]);
      const LoopId usual = usual_axis(b.iters[n]);
      plain = plain && own == (live_.count(usual) ? loop(usual) : "_");
      out += (n ? ", " : "") + own;
    }
    return plain ? "" : fmt::format(" axes ({})", out);
  }

  void block(BlockId id, const Block& b, const std::string& indent, const std::string& role) {
    out_ += fmt::format("{}{}block {}(", indent, role, blocks_.at(id));
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      const Iter& i = b.iters[n];
      out_ += n ? ", " : "";
      if (i.kind != IterKind::spatial) out_ += fmt::format("{} ", words::of(words::iters, i.kind));
      out_ += names_.var(i.var) + ": ";
      if (i.lower) out_ += fmt::format("{}..", i.lower);
      out_ += fmt::format("{} = {}", expr(i.upper, DType::i64), binding(i.binding));
    }
    out_ += ")";
    if (!b.predicate.empty()) out_ += fmt::format(" where {}", list(b.predicate, DType::boolean));
    if (!b.guards.empty()) out_ += fmt::format(" if {}", list(b.guards, DType::boolean));
    if (b.combiner && b.init == Init::apart) out_ += " initialised";
    if (b.ahead) out_ += fmt::format(" ahead {} by {}", loop(b.ahead->loop), b.ahead->by);
    if (b.tile) {
      out_ += fmt::format(" by {}", words::of(words::vias, b.tile->via));
      if (b.tile->swap) out_ += " swap";
      if (b.tile->top == id) out_ += " alone";
      else if (has_line(b.tile->top)) out_ += " at " + loop(b.tile->top);
      if (b.tile->atom == id) out_ += " atom alone";
      else if (has_line(b.tile->atom)) out_ += " atom " + loop(b.tile->atom);
      if (b.tile->instruction) out_ += fmt::format(" as {}", b.tile->instruction->name);
    }
    if (b.hint != Hint::none) out_ += fmt::format(" hint {}", words::of(words::hints, b.hint));
    out_ += axes(id, b) + " {\n";
    for (const Write& w : b.writes)
      out_ += fmt::format("{}  {}[{}] {}= {}\n", indent, names_.tensor(w.buffer), list(w.index, DType::i64), b.combiner ? symbol(*b.combiner) : "",
                          expr(w.value, p_[w.buffer].type));
    out_ += indent + "}\n";
  }
};

}  // namespace

LoopId usual_axis(const Iter& i) {
  if (i.binding.digits.size() != 1) return {};
  const Digit& d = i.binding.digits[0];
  return d == Digit{d.loop} ? d.loop : LoopId{};
}

std::string loop_name(const Program& p, LoopId l) {
  for (const StageInfo& s : p.stages) {
    if (!p.stmts.has(s.block)) continue;
    const std::vector<LoopId>& axes = p.block(s.block).axes;
    if (std::find(axes.begin(), axes.end(), l) != axes.end()) return s.name + "." + p.vars[p.loop(l).var].name;
  }
  return names_of(p).var(p.loop(l).var);
}

Names names_of(const Program& p) {
  // Names repeat (every stage may have an axis `i`); loops get a number where they do, iteration variables live in a block of
  // their own and keep theirs.
  std::map<VarId, std::string> unique;
  Unique fresh;
  for (const auto& [v, r] : p.dims) fresh.take(p.vars[v].name);
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n) {
    if (!p.stmts.has({n})) continue;
    if (const auto* l = p[StmtId{n}].as<Loop>()) unique[l->var] = fresh(p.vars[l->var].name);
  }
  return {[&p, unique = std::move(unique)](VarId v) {
            const auto found = unique.find(v);
            return found == unique.end() ? p.vars[v].name : found->second;
          },
          [&p](TensorId t) { return p[t].name; }};
}

std::string print(const Program& p) { return Printer(p).program(); }

void name_as_printed(Program& p) {
  const Program before = p;
  Printer(before).give_names(p);
}

}  // namespace tecc::loop
