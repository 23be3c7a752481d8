#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "ir/loop/affine.h"
#include "ir/loop/program.h"

namespace tecc::loop {
namespace {

constexpr std::string_view group_names[] = {"none", "block", "cluster", "warpgroup", "warp", "thread"};
constexpr std::string_view kind_names[] = {"serial", "parallel", "unrolled", "vectorized"};
constexpr std::string_view scope_names[] = {"global", "shared", "register", "local"};

class Printer {
 public:
  explicit Printer(const Program& p) : p_(p), names_(names_of(p)) {}

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
    for (std::uint32_t b = 0; b < p_.buffers.size(); ++b)
      if (p_.buffers.has({b}) && p_[TensorId{b}].role == Role::workspace && in_use({b}))
        out_ += fmt::format("  buffer {}\n", buffer({b}));
    for (const CrossThread& c : p_.cross_threads)
      out_ += fmt::format("  cross_thread_reduce {} at {}\n", p_.block(c.block).name, names_.var(p_.loop(c.at).var));
    for (const Channel& c : p_.channels) {
      out_ += fmt::format("  channel at {} slots {}:", names_.var(p_.loop(c.loop).var), c.slots);
      for (TensorId b : c.buffers) out_ += " " + p_[b].name;
      out_ += "\n";
    }
    print_retired();
    for (StmtId k : p_.kernels) {
      out_ += fmt::format("  kernel {} {{\n", p_[k].as<Root>()->name);
      for (StmtId c : p_[k].children) statement(c, 2);
      out_ += "  }\n";
    }
    return out_ + "}\n";
  }

 private:
  const Program& p_;
  Names names_;
  std::string out_;

  bool in_use(TensorId b) const { return !writers_of(p_, b).empty(); }

  std::string expr(const Expr& e) const { return print(e, names_); }

  std::string list(const std::vector<Expr>& v) const {
    std::string out;
    for (std::size_t n = 0; n < v.size(); ++n) out += (n ? ", " : "") + expr(v[n]);
    return out;
  }

  std::string buffer(TensorId id) const {
    const Buffer& b = p_[id];
    std::string out = fmt::format("{}: {}", b.name, name(b.type));
    if (!b.by_value) out += fmt::format("[{}]", list(b.shape));
    if (b.scope != Scope::global) out += fmt::format(" {}", scope_names[static_cast<int>(b.scope)]);
    if (!b.order.empty()) out += fmt::format(" order [{}]", fmt::join(b.order, ", "));
    if (b.pad) out += fmt::format(" pad {}", b.pad);
    if (b.slots > 1) out += fmt::format(" slots {} at {}", b.slots, names_.var(p_.loop(b.slot_loop).var));
    if (b.storage) {
      const Storage& st = *b.storage;
      out += " {";
      for (std::size_t d = 0; d < st.dims.size(); ++d) {
        out += fmt::format("{}{}from {}", d ? ", " : "", st.dims[d].relative ? "relative " : "", st.dims[d].origin);
        for (const Storage::Cut& c : st.dims[d].cuts) out += fmt::format(" {}x{}@{}", c.count, c.unit, c.place);
      }
      out += fmt::format("; {} elements{}, offset {}}}", st.elements, st.private_to_thread ? " a thread" : "", st.offset_bytes);
    }
    return out;
  }

  std::string binding(const Binding& b) const {
    std::string out;
    for (const Digit& d : b.digits) {
      std::string term = names_.var(p_.loop(d.loop).var);
      if (d.div != 1) term = fmt::format("{} / {}", term, d.div);
      if (d.mod) term = fmt::format("{} % {}", term, d.mod);
      if (d.stride != 1) term = d.div != 1 || d.mod ? fmt::format("({}) * {}", term, d.stride) : fmt::format("{} * {}", term, d.stride);
      out += (out.empty() ? "" : " + ") + term;
    }
    if (b.offset || out.empty()) out += fmt::format("{}{}", out.empty() ? "" : b.offset < 0 ? " - " : " + ", out.empty() ? b.offset : std::abs(b.offset));
    return out;
  }

  void print_retired() {
    for (std::uint32_t n = 0; n < p_.stmts.size(); ++n) {
      if (!p_.stmts.has({n})) continue;
      const auto* l = p_[StmtId{n}].as<Loop>();
      if (l && l->retired && named({n})) out_ += fmt::format("  let {}: {} = {}\n", names_.var(l->var), expr(l->extent), binding(*l->retired));
    }
  }

  /// True if a live block or loop still names the retired loop.
  bool named(LoopId l) const {
    for (BlockId b : all_blocks(p_)) {
      for (const Iter& i : p_.block(b).iters)
        for (const Digit& d : i.binding.digits)
          if (d.loop == l) return true;
      for (LoopId around : loops_around(p_, b))
        if (uses(p_.loop(around).extent, p_.loop(l).var)) return true;
    }
    return false;
  }

  void statement(StmtId s, int depth) {
    const std::string indent(2 * static_cast<std::size_t>(depth), ' ');
    if (const auto* l = p_[s].as<Loop>()) {
      std::string how;
      if (l->group != Group::none) how += fmt::format(" {}", group_names[static_cast<int>(l->group)]);
      if (l->kind != LoopKind::serial) how += fmt::format(" {}", kind_names[static_cast<int>(l->kind)]);
      out_ += fmt::format("{}for {}: {}{} {{\n", indent, names_.var(l->var), expr(l->extent), how);
      for (StmtId c : p_[s].children) statement(c, depth + 1);
      out_ += indent + "}\n";
    } else if (const auto* b = p_[s].as<Block>()) {
      block(*b, indent);
    } else if (p_[s].as<Barrier>()) {
      out_ += indent + "barrier\n";
    } else if (const auto* c = p_[s].as<Combine>()) {
      out_ += fmt::format("{}combine {}", indent, symbol(c->op));
      for (TensorId b : c->buffers) out_ += " " + p_[b].name;
      out_ += fmt::format(" threads {} stride {} scratch {}\n", c->threads, c->stride, p_[c->scratch].name);
    }
  }

  void block(const Block& b, const std::string& indent) {
    out_ += fmt::format("{}block {}(", indent, b.name);
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      const Iter& i = b.iters[n];
      constexpr std::string_view kinds[] = {"", "reduce ", "scan "};
      out_ += fmt::format("{}{}{}: ", n ? ", " : "", kinds[static_cast<int>(i.kind)], names_.var(i.var));
      if (i.lower) out_ += fmt::format("{}..", i.lower);
      out_ += fmt::format("{} = {}", expr(i.upper), binding(i.binding));
    }
    out_ += ")";
    if (!b.predicate.empty()) out_ += fmt::format(" where {}", list(b.predicate));
    if (!b.guards.empty()) out_ += fmt::format(" if {}", list(b.guards));
    if (b.combiner && b.init == Init::apart) out_ += " initialised";
    if (b.ahead) out_ += fmt::format(" ahead {} by {}", names_.var(p_.loop(b.ahead->loop).var), b.ahead->by);
    out_ += " {\n";
    for (const Write& w : b.writes)
      out_ += fmt::format("{}  {}[{}] {}= {}\n", indent, p_[w.buffer].name, list(w.index), b.combiner ? symbol(*b.combiner) : "", expr(w.value));
    out_ += indent + "}\n";
  }
};

}  // namespace

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
  std::map<std::string, int> taken;
  for (const auto& [v, r] : p.dims) taken[p.vars[v].name] = 1;
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n) {
    if (!p.stmts.has({n})) continue;
    const auto* l = p[StmtId{n}].as<Loop>();
    if (!l) continue;
    const std::string& name = p.vars[l->var].name;
    const int times = ++taken[name];
    unique[l->var] = times == 1 ? name : fmt::format("{}_{}", name, times);
  }
  return {[&p, unique = std::move(unique)](VarId v) {
            const auto found = unique.find(v);
            return found == unique.end() ? p.vars[v].name : found->second;
          },
          [&p](TensorId t) { return p[t].name; }, {}};
}

std::string print(const Program& p) { return Printer(p).program(); }

}  // namespace tecc::loop
