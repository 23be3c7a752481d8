#include "ir/te/scope.h"

#include <algorithm>

#include "ir/te/lexer.h"

namespace tecc::te {

Check Scope::declare(std::string_view name, Meaning meaning, std::string_view what, CallSite at) {
  if (is_reserved(name)) return tecc::at(at, refuse(Code::reserved_word, std::string(name), std::string(what)));
  const auto [old, fresh] = names_.emplace(std::string(name), meaning);
  if (!fresh) return tecc::at(at, refuse(Code::name_taken, std::string(name), describe(old->second)));
  return Ok{};
}

std::optional<Meaning> Scope::find(std::string_view name) const {
  const auto it = names_.find(std::string(name));
  return it == names_.end() ? std::nullopt : std::optional(it->second);
}

std::string Scope::describe(const Meaning& meaning) const {
  if (std::holds_alternative<TypeParameter>(meaning)) return "a type parameter";
  if (const auto* v = std::get_if<VarId>(&meaning)) switch (kernel_[*v].kind) {
      case VarKind::dim:
        return "a dim";
      case VarKind::integer:
        return "an integer parameter";
      case VarKind::let:
        return "a let";
      case VarKind::axis:
        return "an axis";
    }
  const TensorId t = std::get<TensorId>(meaning);
  if (kernel_[t].by_value) return "a scalar parameter";
  const bool is_input = std::find(kernel_.inputs.begin(), kernel_.inputs.end(), t) != kernel_.inputs.end();
  return is_input ? "a tensor" : "a stage";
}

std::vector<std::string> Scope::visible() const {
  std::vector<std::string> out;
  for (const auto& [name, meaning] : names_) out.push_back(name);
  std::sort(out.begin(), out.end());  // messages do not depend on the order of a hash table
  return out;
}

VarId Scope::add_variable(std::string_view name, VarKind kind, CallSite at, Expr value) {
  kernel_.variables.push_back({std::string(name), kind, std::move(value), at});
  return VarId{static_cast<std::uint32_t>(kernel_.variables.size() - 1)};
}

TensorId Scope::add_tensor(Tensor tensor) {
  kernel_.tensors.push_back(std::move(tensor));
  return TensorId{static_cast<std::uint32_t>(kernel_.tensors.size() - 1)};
}

}  // namespace tecc::te
