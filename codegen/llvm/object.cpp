#include "codegen/llvm/object.h"

#include <llvm/IR/LegacyPassManager.h>
#include <llvm/Support/raw_ostream.h>

#include "codegen/llvm/inside.h"

namespace tecc::codegen::cpu {

namespace {
Result<std::string> compile(const Module& module, llvm::CodeGenFileType type) {
  TECC_TRY(const auto machine, machine_of(module.target));
  llvm::LLVMContext context;
  const auto copy = copy_into(context, module);
  optimise(*copy, *machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, out, nullptr, type)) return refuse(Code::llvm_failed, "the target writes no such file");
  passes.run(*copy);
  return std::string(bytes.data(), bytes.size());
}

std::string print(const llvm::Module& module) {
  std::string out;
  llvm::raw_string_ostream stream(out);
  module.print(stream, nullptr);
  return stream.str();
}
}  // namespace

Result<std::string> object(const Module& module) { return compile(module, llvm::CodeGenFileType::ObjectFile); }
Result<std::string> assembly(const Module& module) { return compile(module, llvm::CodeGenFileType::AssemblyFile); }
std::string text(const Module& module) { return print(*module.inside->module); }

Result<std::string> optimised_text(const Module& module) {
  TECC_TRY(const auto machine, machine_of(module.target));
  llvm::LLVMContext context;
  const auto copy = copy_into(context, module);
  optimise(*copy, *machine);
  return print(*copy);
}

}  // namespace tecc::codegen::cpu
