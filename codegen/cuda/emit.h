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
/// A tensor map for boxes of a buffer, innermost dimension first.
struct MapArgument {
  TensorId buffer;
  DType type;  // the buffer's, or tf32: copies of f32 that round
  std::vector<std::int64_t> box;
  std::int64_t swizzle;  // bytes: 0, 32, 64, 128
  bool operator==(const MapArgument&) const = default;
};
struct Kernel {
  std::string name;
  Expr grid;  // blocks: an index expression over runtime dims
  loop::Root::Start start = loop::Root::Start::ordered;
  bool persistent = false;  // no more blocks than the device runs at once: they take the rest of the grid in turn
  std::int64_t threads = 1, cluster = 1;  // a cluster: neighbouring blocks
  std::int64_t residents = 1;  // blocks that an SM has registers for at once, where roles say how many they take
  std::int64_t shared_bytes = 0;
  std::vector<std::variant<BufferArgument, DimArgument, MapArgument>> arguments;
};
struct Module {
  std::string source;  // prelude and all kernels
  std::vector<Kernel> kernels;
};
Result<Module> emit(const loop::Program& lowered);

}  // namespace tecc::codegen::cuda
