#include <llvm/IR/Intrinsics.h>

#include "codegen/llvm/values.h"

/// Functions of floats. The target's instructions where there are some, otherwise the C library, lane by lane.
namespace tecc::codegen::cpu {

using llvm::Value;

namespace {
// clang-format off
struct FunctionName { UnOp op; std::string_view f32, f64; };
constexpr FunctionName library[] = {
    {UnOp::exp, "expf", "exp"}, {UnOp::log, "logf", "log"}, {UnOp::tanh, "tanhf", "tanh"}, {UnOp::erf, "erff", "erf"},
    {UnOp::sin, "sinf", "sin"}, {UnOp::cos, "cosf", "cos"},
};
struct Instruction { UnOp op; llvm::Intrinsic::ID id; };
constexpr Instruction instructions[] = {
    {UnOp::abs, llvm::Intrinsic::fabs}, {UnOp::sqrt, llvm::Intrinsic::sqrt}, {UnOp::floor, llvm::Intrinsic::floor},
    {UnOp::ceil, llvm::Intrinsic::ceil}, {UnOp::round, llvm::Intrinsic::roundeven},
};
// clang-format on
}  // namespace

Value* Values::call(std::string_view name, Value* a, Value* c) const {
  llvm::Type* element = a->getType()->getScalarType();
  std::vector<llvm::Type*> types(c ? 2 : 1, element);
  llvm::FunctionCallee f = module_.getOrInsertFunction({name.data(), name.size()}, llvm::FunctionType::get(element, types, false));
  if (auto* declared = llvm::dyn_cast<llvm::Function>(f.getCallee())) {  // no errno, no state: calls may move and merge
    declared->setDoesNotThrow();
    declared->setDoesNotAccessMemory();
    declared->setWillReturn();
  }
  const auto one = [&](Value* x, Value* y) { return y ? b.CreateCall(f, {x, y}) : b.CreateCall(f, {x}); };
  const unsigned n = lanes(a);
  if (!n) return one(a, c);
  Value* out = llvm::PoisonValue::get(a->getType());
  for (unsigned i = 0; i < n; ++i)
    out = b.CreateInsertElement(out, one(b.CreateExtractElement(a, i), c ? b.CreateExtractElement(c, i) : nullptr), i);
  return out;
}

Value* Values::function(UnOp op, Value* a, bool f64) const {
  for (const Instruction& i : instructions)
    if (i.op == op) return b.CreateUnaryIntrinsic(i.id, a);
  for (const FunctionName& f : library)
    if (f.op == op) return call(f64 ? f.f64 : f.f32, a);
  switch (op) {
    case UnOp::neg: return b.CreateFNeg(a);
    case UnOp::square: return b.CreateFMul(a, a);
    case UnOp::rsqrt: return b.CreateFDiv(real(a, 1), b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, a));
    case UnOp::sigmoid: return b.CreateFDiv(real(a, 1), b.CreateFAdd(real(a, 1), function(UnOp::exp, b.CreateFNeg(a), f64)));
    default: return a;
  }
}

}  // namespace tecc::codegen::cpu
