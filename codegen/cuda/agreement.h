#pragma once
#include <string>
#include <vector>

#include "codegen/artifact.h"

/// Compares outputs with what the reference says they should be, on the device: large outputs take longer to fetch than to compute.
/// Plain CUDA, apart from the emitter, as the reference is.
namespace tecc::codegen::cuda {

struct Output {
  DType type;
  std::int64_t count;
};
struct Agreement {
  std::string source;
  /// For output n: inputs `got_n` (as declared) and `expected_n` (f64 or i64), output `difference_n`, f64[5], which must start at zero:
  /// the fields of autotune::Difference in their order. The image is "agreement.cubin".
  Contract contract;
};
Agreement agreement(const std::vector<Output>& outputs, const std::string& arch);

}  // namespace tecc::codegen::cuda
