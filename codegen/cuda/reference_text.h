#pragma once
#include <string>

#include "ir/type.h"

/// Words of plain CUDA that shares nothing with the emitter and its prelude. Internal to reference.cpp and agreement.cpp.
namespace tecc::codegen::cuda {

/// Functions: bits of narrow floats to f64, the roundings of casts, integers as the language has them.
const char* reference_helpers();
/// The type of an element in memory.
std::string memory_text(DType t);
/// The element of a float type that lies in memory as `element`, in f64.
std::string decoded_text(const std::string& element, DType t);

}  // namespace tecc::codegen::cuda
