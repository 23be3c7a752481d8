#pragma once
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include "codegen/llvm/jit.h"

/// What Module hides, and the target's machine. Internal to codegen/llvm.
namespace tecc::codegen::cpu {

struct Module::Inside {
  std::unique_ptr<llvm::LLVMContext> context;  // before the module: destroyed after it
  std::unique_ptr<llvm::Module> module;
};

/// E0441 for a target LLVM does not know.
Result<std::unique_ptr<llvm::TargetMachine>> machine_of(const Target& target);
/// The -O3 pipeline, or what must be.
void optimise(llvm::Module& module, llvm::TargetMachine& machine, Effort effort = Effort::full);
/// A copy in a context of its own.
std::unique_ptr<llvm::Module> copy_into(llvm::LLVMContext& context, const Module& module);

}  // namespace tecc::codegen::cpu
