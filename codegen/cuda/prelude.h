#pragma once
#include <string_view>

namespace tecc::codegen::cuda {

/// The only hand-written CUDA: types and one inline function an instruction. NVRTC finds no toolkit header, so nothing is
/// included.
extern const std::string_view prelude;

}  // namespace tecc::codegen::cuda
