#pragma once
#include <map>
#include <string>

#include "codegen/artifact.h"
#include "ir/te/kernel.h"

/// The reference of a tuning run: plain CUDA, one thread an element of each stage, printed straight from the lifted expression.
/// It shares neither passes nor emitter nor prelude with the real path. Floats are f64 and integers i64 everywhere, so that
/// its own rounding does not count; casts to narrower types round, as the language says.
namespace tecc::codegen::cuda {

struct Reference {
  std::string source;
  /// Inputs as declared, outputs in f64 or i64, every other stage in one workspace. The image is "reference.cubin".
  Contract contract;
};
/// `dims` gives every runtime dim; the text is for these sizes only. E0412 for a type of stage it has no words for.
Result<Reference> reference(const te::Lifted& lifted, const std::map<std::string, std::int64_t>& dims,
                            const std::string& arch);

}  // namespace tecc::codegen::cuda
