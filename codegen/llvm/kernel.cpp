#include "codegen/llvm/kernel.h"

#include <fmt/format.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

#include "ir/loop/affine.h"

namespace tecc::codegen::cpu {

using namespace loop;
using llvm::Value;

namespace {
constexpr std::int64_t stack_bytes = 64 * 1024;       // a larger private buffer is on the heap
constexpr std::int64_t all_stack_bytes = 256 * 1024;  // threads have megabytes, callers may have used some
constexpr std::int64_t register_bytes = 4096;         // twice the largest register file: what may end in registers
constexpr unsigned vector_align = 64;                 // bytes
}  // namespace

KernelEmitter::KernelEmitter(const Program& p, const Layout& layout, llvm::Module& module, bool half)
    : p_(p), layout_(layout), module_(module), b_(module.getContext()), v_(b_, module, half) {}

Result<Kernel> KernelEmitter::run(StmtId root, const std::string& name) {
  root_ = root;
  llvm::Type* pointer = b_.getPtrTy();
  function_ = llvm::Function::Create(llvm::FunctionType::get(b_.getInt32Ty(), {pointer, pointer, b_.getInt64Ty()}, false),
                                     llvm::Function::ExternalLinkage, name, module_);
  constexpr std::string_view names[] = {"buffers", "dims", "task"};
  for (unsigned n = 0; n < 3; ++n) function_->getArg(n)->setName(llvm::StringRef(names[n].data(), names[n].size()));
  function_->setDoesNotThrow();
  b_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", function_));
  const FastMath contract(b_, false);

  for (const auto& [v, place] : layout_.dims) {
    auto* at = b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), function_->getArg(1), static_cast<std::uint64_t>(place));
    auto* dim = b_.CreateLoad(b_.getInt64Ty(), at, p_.vars[v].name);
    const te::DimRange& range = p_.dims.at(v);
    llvm::MDBuilder made(module_.getContext());
    if (range.max < std::numeric_limits<std::int64_t>::max())
      dim->setMetadata(llvm::LLVMContext::MD_range, made.createRange(llvm::APInt(64, static_cast<std::uint64_t>(range.min)), llvm::APInt(64, static_cast<std::uint64_t>(range.max + 1))));
    dim->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(module_.getContext(), {}));
    dims_[v] = dim;
  }
  declare_buffers(root);
  Kernel out{name, decode_task(root, function_->getArg(2))};
  children(inside_);
  for (Value* memory : heap_) {
    const auto free = module_.getOrInsertFunction("free", b_.getVoidTy(), pointer);
    b_.CreateCall(free, {memory});
  }
  if (passed_cache_) b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});  // such stores are not ordered before what tells others that the task is done
  b_.CreateRet(b_.getInt32(0));
  if (why_) return *why_;
  return out;
}

Value* KernelEmitter::pointer_argument(int n, const std::string& name) {
  auto* at = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), static_cast<std::uint64_t>(n));
  auto* loaded = b_.CreateLoad(b_.getPtrTy(), at, name);
  loaded->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(module_.getContext(), {}));
  return loaded;
}

/// Pointers to everything the kernel touches, in order of first use, and what LLVM must know: buffers do not overlap.
void KernelEmitter::declare_buffers(StmtId root) {
  std::vector<TensorId> touched;
  const auto touch = [&](TensorId t) {
    if (std::find(touched.begin(), touched.end(), t) == touched.end()) touched.push_back(t);
  };
  for (BlockId id : blocks_under(p_, root)) {
    for (const Write& w : p_.block(id).writes) touch(w.buffer);
    for (TensorId t : read_buffers(p_.block(id))) touch(t);
  }
  llvm::MDBuilder made(module_.getContext());
  llvm::MDNode* domain = made.createAnonymousAliasScopeDomain(function_->getName());
  std::vector<llvm::Metadata*> scopes;
  for (TensorId t : touched) scopes.push_back(made.createAnonymousAliasScope(domain, p_[t].name));

  std::int64_t on_stack = 0;
  for (std::size_t n = 0; n < touched.size(); ++n) {
    const TensorId t = touched[n];
    const Buffer& buffer = p_[t];
    Memory m;
    m.scope = llvm::MDNode::get(module_.getContext(), {scopes[n]});
    std::vector<llvm::Metadata*> others = scopes;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(n));
    m.others = llvm::MDNode::get(module_.getContext(), others);
    if (buffer.storage) {
      const std::int64_t elements = std::max<std::int64_t>(buffer.storage->elements * buffer.slots, 1);
      const std::int64_t bytes = elements * bytes_of(buffer.type);
      if (bytes <= stack_bytes && on_stack + bytes <= all_stack_bytes) {
        on_stack += bytes;
        auto* room = b_.CreateAlloca(llvm::ArrayType::get(v_.memory_type(buffer.type), static_cast<std::uint64_t>(elements)), nullptr, buffer.name);
        room->setAlignment(llvm::Align(vector_align));
        m.base = room;
        m.registers = bytes <= register_bytes;
      } else {
        const auto allocate = module_.getOrInsertFunction("aligned_alloc", b_.getPtrTy(), b_.getInt64Ty(), b_.getInt64Ty());
        Value* room = b_.CreateCall(allocate, {b_.getInt64(vector_align), v_.index((bytes + vector_align - 1) / vector_align * vector_align)}, buffer.name);
        auto* none = llvm::BasicBlock::Create(module_.getContext(), "no_memory", function_);
        auto* some = llvm::BasicBlock::Create(module_.getContext(), "memory", function_);
        b_.CreateCondBr(b_.CreateIsNull(room), none, some);
        b_.SetInsertPoint(none);
        const auto free = module_.getOrInsertFunction("free", b_.getVoidTy(), b_.getPtrTy());
        for (Value* had : heap_) b_.CreateCall(free, {had});
        b_.CreateRet(b_.getInt32(1));
        b_.SetInsertPoint(some);
        heap_.push_back(room);
        m.base = room;
      }
    } else if (const auto offset = layout_.workspace.find(t); offset != layout_.workspace.end()) {
      Value* workspace = pointer_argument(layout_.workspace_argument, "workspace");
      m.base = b_.CreateInBoundsGEP(b_.getInt8Ty(), workspace, value(offset->second), buffer.name);
    } else {
      m.base = pointer_argument(layout_.argument.at(t), buffer.name);
    }
    memory_[t] = m;
  }
}

/// Parallel loops in a chain from the root enumerate the tasks; the outermost counts slowest.
Expr KernelEmitter::decode_task(StmtId root, Value* task) {
  std::vector<LoopId> chain;
  inside_ = root;
  while (p_[inside_].children.size() == 1) {
    const StmtId child = p_[inside_].children[0];
    const auto* l = p_[child].as<Loop>();
    if (!l || (l->kind != LoopKind::parallel && l->group != Group::block)) break;
    bool ragged = false;  // only runtime dims may stand in a number of tasks
    walk(l->extent, [&](const Expr& e) {
      if (const auto* v = e.as<Var>()) ragged |= !p_.dims.count(v->id);
      return true;
    });
    if (ragged) break;
    chain.push_back(child);
    inside_ = child;
  }
  Expr tasks = index_literal(1);
  for (LoopId l : chain) {
    const Expr& extent = p_.loop(l).extent;
    const auto range = range_of(p_, nullptr, extent);
    tasks = tasks * (range && range->low >= 0 ? extent : index_max(extent, index_literal(0)));
  }
  Value* rest = task;
  for (auto l = chain.rbegin(); l != chain.rend(); ++l) {
    const Expr& extent = p_.loop(*l).extent;
    if (l + 1 == chain.rend()) {
      loops_[*l] = rest;
    } else if (const auto c = constant_of(extent)) {
      loops_[*l] = v_.floor_mod(rest, *c, true);
      rest = v_.floor_div(rest, *c, true);
    } else {
      Value* by = value(extent);
      loops_[*l] = b_.CreateURem(rest, by);
      rest = b_.CreateUDiv(rest, by);
    }
  }
  return tasks;
}

}  // namespace tecc::codegen::cpu
