#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "ir/te/kernel.h"

namespace tecc::te {

/// What a name of a kernel stands for.
struct TypeParameter {
  int index;
};
using Meaning = std::variant<TypeParameter, VarId, TensorId>;

/// The flat namespace of a kernel while it is read; axes come and go.
class Scope {
 public:
  explicit Scope(Kernel& kernel) : kernel_(kernel) {}

  /// E0107, E0111. `what` completes "cannot name ...".
  Check declare(std::string_view name, Meaning meaning, std::string_view what, CallSite at);
  void forget(std::string_view name) { names_.erase(std::string(name)); }
  std::optional<Meaning> find(std::string_view name) const;
  /// "a dim", "a stage", ...
  std::string describe(const Meaning& meaning) const;
  std::vector<std::string> visible() const;

  VarId add_variable(std::string_view name, VarKind kind, CallSite at, Expr value = {});
  TensorId add_tensor(Tensor tensor);

 private:
  Kernel& kernel_;
  std::unordered_map<std::string, Meaning> names_;
};

}  // namespace tecc::te
