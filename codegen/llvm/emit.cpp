#include "codegen/llvm/emit.h"

#include <fmt/format.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <cctype>

#include "codegen/llvm/inside.h"
#include "codegen/llvm/kernel.h"
#include "ir/loop/affine.h"

namespace tecc::codegen::cpu {

using namespace loop;

namespace {

constexpr std::int64_t workspace_align = 64;  // bytes: a cache line, the widest vector

// What generated code may call: a kernel of that name would call itself.
constexpr std::string_view library[] = {"exp", "expf", "log", "logf", "tanh", "tanhf", "erf", "erff", "sin", "sinf", "cos", "cosf", "sincos", "sincosf",
    "pow", "powf", "floor", "ceil", "memcpy", "memset", "memmove", "free", "malloc", "aligned_alloc", "main", "floorf", "ceilf", "roundeven", "roundevenf"};

std::string identifier(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) name = "x" + name;
  if (std::find(std::begin(library), std::end(library), name) != std::end(library)) name += "_";
  return name;
}

Layout layout_of(const Program& p, const Places& places, Expr& workspace_bytes) {
  Layout out;
  int n = 0;
  for (TensorId t : p.inputs) out.argument[t] = n++;
  for (TensorId t : p.outputs) out.argument[t] = n++;
  out.workspace_argument = n;
  out.dims = places.dims;
  if (out.dims.empty()) {
    int place = 0;
    for (const auto& [v, range] : p.dims) out.dims[v] = place++;
  }
  for (std::uint32_t s = 0; s < p.stmts.size(); ++s)
    if (p.stmts.has({s}))
      if (const auto* l = p[StmtId{s}].as<Loop>()) out.loop_of[l->var] = {s};

  workspace_bytes = index_literal(0);
  std::vector<TensorId> used;
  for (BlockId id : all_blocks(p))
    for (const Write& w : p.block(id).writes)
      if (!p[w.buffer].storage && !out.argument.count(w.buffer) && std::find(used.begin(), used.end(), w.buffer) == used.end()) used.push_back(w.buffer);
  for (TensorId t : used) {
    out.workspace[t] = workspace_bytes;
    Expr bytes = index_literal(bytes_of(p[t].type));
    for (const Expr& e : p[t].shape) bytes = bytes * index_max(e, index_literal(0));
    workspace_bytes = workspace_bytes + ceil_div(bytes, index_literal(workspace_align)) * workspace_align;
  }
  return out;
}

}  // namespace

Result<Module> emit(const Program& lowered, const Target& target) { return emit(lowered, target, {}); }

Result<Module> emit(const Program& p, const Target& target, const Places& places) {
  Module out;
  out.target = resolved(target);
  TECC_TRY(const auto machine, machine_of(out.target));
  auto inside = std::make_shared<Module::Inside>();
  inside->context = std::make_unique<llvm::LLVMContext>();
  inside->module = std::make_unique<llvm::Module>(identifier(p.name), *inside->context);
  llvm::Module& module = *inside->module;
  module.setTargetTriple(out.target.triple);
  module.setDataLayout(machine->createDataLayout());
  const llvm::Triple triple(out.target.triple);
  const bool half = triple.isAArch64() || (triple.isX86() && machine->getMCSubtargetInfo()->checkFeatures("+f16c"));

  const Layout layout = layout_of(p, places, out.workspace_bytes);
  for (std::size_t n = 0; n < p.kernels.size(); ++n) {
    const std::string name = identifier(p.name) + (p.kernels.size() == 1 ? "" : fmt::format("_{}", n));
    TECC_TRY(Kernel k, KernelEmitter(p, layout, module, half).run(p.kernels[n], name));
    out.kernels.push_back(std::move(k));
  }
  std::string error;
  llvm::raw_string_ostream text(error);
  if (llvm::verifyModule(module, &text)) return refuse(Code::llvm_failed, text.str());
  out.inside = std::move(inside);
  return out;
}

}  // namespace tecc::codegen::cpu
