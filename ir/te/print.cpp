#include <fmt/format.h>

#include "ir/te/kernel.h"

namespace tecc::te {
namespace {

std::string join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

template <class T, class F> std::string list(const std::vector<T>& items, F&& text) {
  std::vector<std::string> words;
  for (const T& item : items) words.push_back(text(item));
  return join(words);
}

}  // namespace

Names names_of(const Kernel& kernel) {
  return {[&kernel](VarId v) { return kernel[v].name; }, [&kernel](TensorId t) { return kernel[t].name; },
          [&kernel](TypeRef t) {
            return t.is_parameter() ? kernel.type_parameters[static_cast<std::size_t>(t.parameter_index())]
                                    : std::string(name(t.concrete()));
          },
          [&kernel](TensorId t) { return kernel[t].by_value; }};
}

std::string print(const Kernel& kernel) {
  const Names names = names_of(kernel);
  const auto text = [&](const Expr& e) { return print(e, names); };
  std::string out = "kernel " + kernel.name;
  if (!kernel.type_parameters.empty()) out += "<" + join(kernel.type_parameters) + ">";
  out +=
      "(" + list(kernel.inputs, [&](TensorId id) {
        const Tensor& t = kernel[id];
        return fmt::format("{}: {}{}", t.name, names.type(t.type), t.by_value ? "" : "[" + list(t.shape, text) + "]");
      });
  if (!kernel.integers.empty()) out += "; " + list(kernel.integers, names.var);
  out += ") -> (" + list(kernel.outputs, names.tensor) + ") {\n";
  for (const Variable& v : kernel.variables)
    if (v.kind == VarKind::let && v.value) out += fmt::format("  let {} = {}\n", v.name, text(v.value));
  for (const Stage& s : kernel.stages)
    out += fmt::format(
        "  {}[{}] = {}\n", kernel[s.tensor].name,
        list(s.axes, [&](const Axis& a) { return fmt::format("{}: {}", names.var(a.var), text(a.extent)); }),
        text(s.body));
  return out + "}\n";
}

std::string print(const Lifted& lifted) {
  const Names names = names_of(lifted.kernel);
  std::string out;
  const auto axes = [&](const std::vector<Axis>& list_of) {
    return list(list_of,
                [&](const Axis& a) { return fmt::format("{}: {}", names.var(a.var), print(a.extent, names)); });
  };
  for (const LiftedStage& s : lifted.stages) {
    out += fmt::format("{}[{}]: {} = ", names.tensor(s.tensor), axes(s.axes),
                       name(lifted.kernel[s.tensor].type.concrete()));
    if (s.scan) out += fmt::format("{} scan({})\n", symbol(*s.reducer), print(s.body, names));
    else if (s.reducer)
      out += fmt::format("{}[{}]({})\n", symbol(*s.reducer), axes(s.reduce_axes), print(s.body, names));
    else out += print(s.body, names) + "\n";
  }
  return out;
}

}  // namespace tecc::te
