#pragma once
#include <string>
#include <variant>
#include <vector>

#include "ir/base/result.h"
#include "ir/loop/program.h"

/// CUDA C++ text from a lowered program: a walk over its statements and tables of words; all decisions were made before.
namespace tecc::codegen::cuda {

struct BufferArgument { TensorId buffer; };
struct DimArgument { VarId dim; };
struct Kernel {
  std::string name;
  Expr grid;  // blocks: an index expression over runtime dims
  std::int64_t threads = 1;
  std::int64_t shared_bytes = 0;
  std::vector<std::variant<BufferArgument, DimArgument>> arguments;
};
struct Module {
  std::string source;  // prelude and all kernels
  std::vector<Kernel> kernels;
};
Result<Module> emit(const loop::Program& lowered);

}  // namespace tecc::codegen::cuda
