#pragma once
#include <set>
#include <string>

#include "ir/instruction/instruction.h"

/// The text of instructions: one function a row, printed only where a kernel calls it.
namespace tecc::codegen::cuda {

/// The functions that `names` call, as CUDA C++. Names of products are made by product_function().
std::string instruction_functions(const std::set<std::string>& names);

/// "tecc_wgmma_m64n256k16_f32_bf16_bf16_ss_00": width, where A lies (s shared, r registers), which operands have their rows contiguous.
/// "tecc_mma_m16n8k16_f32_bf16_bf16": all in registers.
std::string product_function(const Instruction& i, std::int64_t n, bool a_registers, bool a_transposed, bool b_transposed);

}  // namespace tecc::codegen::cuda
