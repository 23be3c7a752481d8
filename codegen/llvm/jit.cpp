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

Result<Jit> Jit::make(const Module& module, Effort effort) {
  if (const std::string missing = missing_here(module.target); !missing.empty())
    return refuse(Code::code_unusable, "-mcpu=" + module.target.cpu, "it needs " + missing);
  TECC_TRY(auto machine, machine_of(module.target));
  auto context = std::make_unique<llvm::LLVMContext>();
  auto copy = copy_into(*context, module);
  optimise(*copy, *machine, effort);
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

Result<Jit> Jit::load(const std::string& object, const std::string& name, const Target& target, const std::vector<std::string>& symbols) {
  if (const std::string missing = missing_here(target); !missing.empty()) return refuse(Code::code_unusable, name, "it needs " + missing);
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return failed(jit.takeError());
  std::string reported;  // what lookup() itself does not say: which function was not found
  (*jit)->getExecutionSession().setErrorReporter([&](llvm::Error error) { reported += llvm::toString(std::move(error)); });
  const auto unusable = [&](llvm::Error error) {
    const std::string text = llvm::toString(std::move(error));
    return refuse(Code::code_unusable, name, reported.empty() ? text : reported);
  };
  if (auto error = (*jit)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object, name))) return unusable(std::move(error));
  for (const std::string& symbol : symbols)
    if (auto found = (*jit)->lookup(symbol); !found) return unusable(found.takeError());
  (*jit)->getExecutionSession().setErrorReporter(llvm::consumeError);
  Jit out;
  out.inside_ = std::make_shared<Inside>();
  out.inside_->jit = std::move(*jit);
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
