#include <llvm/ADT/StringMap.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/Bitcode/BitcodeWriter.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>

#include <algorithm>
#include <mutex>

#include "codegen/llvm/inside.h"

namespace tecc::codegen::cpu {

namespace {
void initialise() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
  });
}

/// What a processor with these features has. It takes longer to make than to ask; none where LLVM does not know the triple.
std::unique_ptr<llvm::MCSubtargetInfo> processor(const std::string& triple, const std::string& cpu, const std::string& features) {
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(triple, error);
  return std::unique_ptr<llvm::MCSubtargetInfo>(found ? found->createMCSubtargetInfo(triple, cpu, features) : nullptr);
}
bool has(const std::unique_ptr<llvm::MCSubtargetInfo>& processor, llvm::StringRef feature) {
  return processor && processor->checkFeatures("+" + feature.str());
}
}  // namespace

std::string missing_here(const Target& asked) {
  const Target t = resolved(asked);
  const llvm::Triple host(llvm::sys::getProcessTriple()), wanted(t.triple);
  if (wanted.getArch() != host.getArch() || wanted.getOS() != host.getOS()) return t.triple;
  std::vector<std::string> words;
  const auto asked_for = processor(t.triple, t.cpu, t.features);
  for (const auto& feature : llvm::sys::getHostCPUFeatures())
    if (!feature.getValue() && has(asked_for, feature.getKey())) words.push_back(feature.getKey().str());
  std::sort(words.begin(), words.end());
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

Target resolved(const Target& target) {
  initialise();
  Target out = target;
  if (out.triple.empty()) out.triple = llvm::sys::getProcessTriple();
  if (out.cpu.empty() || out.cpu == "native") {
    out.cpu = llvm::sys::getHostCPUName().str();
    if (out.features.empty()) {
      std::vector<std::string> words;
      const auto promised = processor(out.triple, out.cpu, "");
      for (const auto& feature : llvm::sys::getHostCPUFeatures()) {
        // The processor's name may promise what a virtual machine hides.
        if (feature.getValue()) words.push_back("+" + feature.getKey().str());
        else if (has(promised, feature.getKey())) words.push_back("-" + feature.getKey().str());
      }
      std::sort(words.begin(), words.end());  // a string map has no order
      for (const std::string& w : words) out.features += (out.features.empty() ? "" : ",") + w;
    }
  }
  return out;
}

Result<std::unique_ptr<llvm::TargetMachine>> machine_of(const Target& asked) {
  initialise();
  const Target t = resolved(asked);
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(t.triple, error);
  if (!found) return refuse(Code::llvm_failed, error);
  const std::unique_ptr<llvm::MCSubtargetInfo> known(found->createMCSubtargetInfo(t.triple, "", ""));
  if (!known || !known->isCPUStringValid(t.cpu)) return refuse(Code::llvm_failed, "unknown processor '" + t.cpu + "'");
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;  // as the instructions' flags say
  // Gathers whose lanes are all masked out may name one register for the index and the result, which no processor executes (LLVM 19).
  std::string features = t.features;
  if (llvm::Triple(t.triple).isX86()) features += features.empty() ? "+prefer-no-gather" : ",+prefer-no-gather";
  std::unique_ptr<llvm::TargetMachine> machine(
      found->createTargetMachine(t.triple, t.cpu, features, options, llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine) return refuse(Code::llvm_failed, "no machine for " + t.triple);
  return machine;
}

void optimise(llvm::Module& module, llvm::TargetMachine& machine, Effort effort) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = tuning.LoopInterleaving = tuning.LoopUnrolling = true;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(calls);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, calls, modules);
  if (effort == Effort::full) builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
  else builder.buildO0DefaultPipeline(llvm::OptimizationLevel::O0).run(module, modules), machine.setOptLevel(llvm::CodeGenOptLevel::None);
}

std::unique_ptr<llvm::Module> copy_into(llvm::LLVMContext& context, const Module& module) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::WriteBitcodeToFile(*module.inside->module, out);
  auto copy = llvm::parseBitcodeFile(llvm::MemoryBufferRef(llvm::StringRef(bytes.data(), bytes.size()), module.inside->module->getName()), context);
  return llvm::cantFail(std::move(copy));
}

}  // namespace tecc::codegen::cpu
