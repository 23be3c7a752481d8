#pragma once
#include <string>

#include "codegen/llvm/emit.h"

namespace tecc::codegen::cpu {

/// A relocatable object file; it needs the C library and libm. E0441.
Result<std::string> object(const Module& module);
/// The same as text for the assembler.
Result<std::string> assembly(const Module& module);
/// LLVM text, as emitted or after -O3.
std::string text(const Module& module);
Result<std::string> optimised_text(const Module& module);

}  // namespace tecc::codegen::cpu
