#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "codegen/llvm/emit.h"

namespace tecc::codegen::cpu {

using Function = std::int32_t (*)(void* const* buffers, const std::int64_t* dims, std::int64_t task);

/// How much time optimising may take: `quick` for code that runs once.
enum class Effort : std::uint8_t { full, quick };

/// Compiled code in this process; lives as long as a copy of the Jit does.
class Jit {
 public:
  /// Optimises and compiles a copy of the module. E0619 if it was made for a machine that this one is not.
  static Result<Jit> make(const Module& module, Effort effort = Effort::full);
  /// Links the bytes of an object file, one of `target`, that has all of `symbols`; `name` is for messages. E0619.
  static Result<Jit> load(const std::string& object, const std::string& name, const Target& target, const std::vector<std::string>& symbols);
  /// Null if there is no kernel of that name.
  Function function(const std::string& name) const;

 private:
  struct Inside;
  std::shared_ptr<Inside> inside_;
};

}  // namespace tecc::codegen::cpu
