#pragma once
#include <cstdint>
#include <set>
#include <string>

#include "ir/instruction/instruction.h"

/// The text of instructions: one function a row, printed only where a kernel calls it.
namespace tecc::codegen::cuda {

/// The functions that `names` call, as CUDA C++. Names of products are made by product_function(), of bulk copies by tensor_copy_function().
std::string instruction_functions(const std::set<std::string>& names);

/// "tecc_wgmma_m64n256k16_f32_bf16_bf16_ss_00": width, where A lies (s shared, r registers), which operands have their rows contiguous.
/// "tecc_mma_m16n8k16_f32_bf16_bf16": all in registers.
std::string product_function(const Instruction& i, std::int64_t n, bool a_registers, bool a_transposed, bool b_transposed);

/// The name of a bulk copy by a tensor map of 1 to 5 dimensions: a load, one for several blocks of a cluster, or a store; with a hint it takes a
/// cache policy.
enum class TensorCopy : std::uint8_t { load, share, store };
std::string tensor_copy_function(TensorCopy copy, std::size_t rank, bool hint);

}  // namespace tecc::codegen::cuda
