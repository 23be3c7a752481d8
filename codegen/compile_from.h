#pragma once
#include "codegen/build.h"

/// Going on from a file that --dump-ir wrote (`tecc build --compile-from=FILE`): a stage of lowering or the CUDA text. Internal to codegen.
namespace tecc::codegen {

/// CUDA text as --dump-ir writes it: the contract by which its kernels are launched stands in its last line.
struct CudaText {
  std::string text;
  Contract contract;  // of one variant
};
std::string print(const CudaText& cuda);
/// By what the text says; a name that ends in .cu decides where it says nothing.
bool is_cuda(const Source& source);
/// E0432 without a contract.
Result<CudaText> parse_cuda(const Source& source);

/// E0434: the program takes and gives the workload's tensors.
Check belongs(const loop::Program& p, const Workload& w, const Source& source);
/// E0434: the contract is for the same dims, types and tensors as `wanted`, workspaces aside, and for `arch`.
Check belongs(const Contract& c, const Contract& wanted, const std::string& arch, const Source& source);

}  // namespace tecc::codegen
