#include <fmt/format.h>

#include "ir/base/sha256.h"
#include "ir/numeric.h"
#include "ir/te/canonical.h"

namespace tecc::te {

void append_canonical(std::string& out, const Expr& e, const Numbering& numbers) {
  const auto add = [&](const Expr& child) {
    out += ' ';
    append_canonical(out, child, numbers);
  };
  out += '(';
  match(
      e,
      [&](const Literal& l) {  // the value as its type holds it: 0.1 and 0.10000000149 are one f32
        const bool real = is_float(e->type);
        out += fmt::format("{} {:x}", name(e->type),
                           real ? encode(l.decimal ? l.real : static_cast<double>(l.integer), e->type)
                                : static_cast<std::uint64_t>(l.integer));
      },
      [&](const Var& v) { out += fmt::format("v{}", numbers.var(v.id)); },
      [&](const Unary& u) {
        out += symbol(u.op);
        add(u.a);
      },
      [&](const Binary& b) {
        out += symbol(b.op);
        add(b.a);
        add(b.b);
      },
      [&](const Select& s) {
        out += "select";
        add(s.condition);
        add(s.then);
        add(s.otherwise);
      },
      [&](const Cast& c) {
        out += name(c.to.concrete());
        add(c.a);
      },
      [&](const Read& r) {
        out += fmt::format("t{}", numbers.tensor(r.tensor));
        for (const Expr& i : r.index) add(i);
        if (r.otherwise) {
          out += " else";
          add(r.otherwise);
        }
      },
      [&](const Reduce& r) {
        out += symbol(r.op);
        for (const Axis& a : r.axes) {
          out += fmt::format(" v{}:", numbers.var(a.var));
          add(a.extent);
        }
        add(r.body);
      });
  out += ')';
}

std::string canonical(const LiftedStage& stage, DType type, const Numbering& numbers) {
  std::string out = fmt::format("{}", name(type));
  const auto axes = [&](const std::vector<Axis>& list) {
    out += '[';
    for (const Axis& a : list) {
      out += fmt::format("v{}:", numbers.var(a.var));
      append_canonical(out, a.extent, numbers);
    }
    out += ']';
  };
  axes(stage.axes);
  if (stage.reducer) out += symbol(*stage.reducer);
  if (stage.scan) out += " scan";
  axes(stage.reduce_axes);
  append_canonical(out, stage.body, numbers);
  return out;
}

std::string hash(const Lifted& lifted) {
  const Kernel& k = lifted.kernel;
  const Numbering numbers{[](VarId v) { return v.n; }, [](TensorId t) { return t.n; }};  // lift() numbers by first use
  // What was tuned for pointers aligned as usual need not be possible with less.
  const auto align = [&](TensorId t) {
    const auto given = lifted.bindings.align.find(k[t].name);
    return given == lifted.bindings.align.end() || given->second == 16 ? "" : fmt::format(" align {}", given->second);
  };
  std::string text = "tecc 1\n";
  for (const auto& [v, r] : lifted.runtime)
    text += fmt::format("dim v{} {}..{}:{}\n", v.n, r.min, r.max, r.multiple_of);
  for (const TensorId t : k.inputs) {
    text += fmt::format("in t{} {}{}", t.n, name(k[t].type.concrete()), k[t].by_value ? " value" : "");
    for (const Expr& extent : k[t].shape) append_canonical(text, extent, numbers);
    text += align(t) + '\n';
  }
  for (const LiftedStage& s : lifted.stages)
    text += fmt::format("t{} {}\n", s.tensor.n, canonical(s, k[s.tensor].type.concrete(), numbers));
  for (const TensorId t : k.outputs) text += fmt::format("out t{}{}\n", t.n, align(t));
  return sha256(text);
}

}  // namespace tecc::te
