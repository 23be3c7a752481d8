#include "codegen/llvm/jit.h"

#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ThreadSafeModule.h>

#include "codegen/llvm/inside.h"

namespace tecc::codegen::cpu {

struct Jit::Inside {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

namespace {
Refusal failed(llvm::Error error) { return refuse(Code::llvm_failed, llvm::toString(std::move(error))); }
}  // namespace

Result<Jit> Jit::make(const Module& module) {
  TECC_TRY(auto machine, machine_of(module.target));
  auto context = std::make_unique<llvm::LLVMContext>();
  auto copy = copy_into(*context, module);
  optimise(*copy, *machine);
  auto builder = llvm::orc::LLJITBuilder();
  llvm::orc::JITTargetMachineBuilder description{llvm::Triple(module.target.triple)};
  builder.setJITTargetMachineBuilder(description);
  builder.setCompileFunctionCreator([&](llvm::orc::JITTargetMachineBuilder) -> llvm::Expected<std::unique_ptr<llvm::orc::IRCompileLayer::IRCompiler>> {
    return std::make_unique<llvm::orc::TMOwningSimpleCompiler>(std::move(machine));
  });
  auto jit = builder.create();
  if (!jit) return failed(jit.takeError());
  if (auto error = (*jit)->addIRModule(llvm::orc::ThreadSafeModule(std::move(copy), std::move(context)))) return failed(std::move(error));
  Jit out;
  out.inside_ = std::make_shared<Inside>();
  out.inside_->jit = std::move(*jit);
  for (const Kernel& k : module.kernels)  // compile now, so that errors come out here
    if (auto found = out.inside_->jit->lookup(k.name); !found) return failed(found.takeError());
  return out;
}

Function Jit::function(const std::string& name) const {
  auto found = inside_->jit->lookup(name);
  if (!found) {
    llvm::consumeError(found.takeError());
    return nullptr;
  }
  return found->toPtr<Function>();
}

}  // namespace tecc::codegen::cpu
