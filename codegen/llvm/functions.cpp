#include <llvm/IR/Intrinsics.h>

#include <limits>

#include "codegen/llvm/values.h"

/// Functions of floats: the target's instructions where there are some; for f32 formulas within 4 ulp; otherwise the C library,
/// lane by lane.
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

// ---- f32, without branches, so that loops over them become vectors ------------------------------------------------------
namespace {

/// Shorthand for one formula: all operands have the type of the argument.
struct Formula {
  llvm::IRBuilder<>& b;
  llvm::Type* type;
  llvm::Type* word;

  Value* real(double v) const { return llvm::ConstantFP::get(type, v); }
  Value* bits(std::uint64_t v) const { return llvm::ConstantInt::get(word, v); }
  Value* fma(Value* x, Value* y, Value* z) const { return b.CreateFAdd(b.CreateFMul(x, y), z); }  // contracted where it pays
  Value* polynomial(Value* x, std::initializer_list<double> from_highest) const {
    Value* sum = nullptr;
    for (const double c : from_highest) sum = sum ? fma(sum, x, real(c)) : real(c);
    return sum;
  }
  Value* as_real(Value* v) const { return b.CreateBitCast(v, type); }
  Value* as_bits(Value* v) const { return b.CreateBitCast(v, word); }
  Value* magnitude(Value* v) const { return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, v); }
  Value* with_sign(Value* v, Value* sign) const { return b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, v, sign); }
  Value* power_of_two(Value* n) const { return as_real(b.CreateShl(b.CreateAdd(n, bits(127)), 23)); }

  // ln 2 in two parts, so that products with small integers are exact.
  static constexpr double ln2_high = 0.693359375, ln2_low = -2.12194440e-4;

  /// Cephes' expf: 2^n * exp(r), |r| <= ln 2 / 2. Two scalings reach the subnormals and infinity.
  Value* exp(Value* x) const {
    Value* y = b.CreateSelect(b.CreateFCmpOLT(x, real(89.5)), x, real(89.5));  // 2^129 overflows
    y = b.CreateSelect(b.CreateFCmpOGT(y, real(-105)), y, real(-105));         // 2^-151 vanishes
    Value* n = b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, b.CreateFMul(y, real(1.44269504088896341)));
    Value* r = fma(n, real(-ln2_low), fma(n, real(-ln2_high), y));
    Value* p = polynomial(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
    p = b.CreateFAdd(fma(p, b.CreateFMul(r, r), r), real(1));
    Value* whole = b.CreateFPToSI(n, word);
    Value* half = b.CreateAShr(whole, 1);
    p = b.CreateFMul(b.CreateFMul(p, power_of_two(half)), power_of_two(b.CreateSub(whole, half)));
    return b.CreateSelect(b.CreateFCmpUNO(x, x), x, p);
  }

  /// Cephes' logf: e * ln 2 + log(m), m in [sqrt(1/2), sqrt(2)).
  Value* log(Value* x) const {
    Value* tiny = b.CreateFCmpOLT(x, real(0x1p-126));
    Value* scaled = b.CreateSelect(tiny, b.CreateFMul(x, real(0x1p23)), x);
    Value* offset = b.CreateSub(as_bits(scaled), bits(0x3f3504f3));
    Value* whole = b.CreateAShr(offset, 23);
    Value* f = b.CreateFSub(as_real(b.CreateSub(as_bits(scaled), b.CreateShl(whole, 23))), real(1));
    Value* e = b.CreateFSub(b.CreateSIToFP(whole, type), b.CreateSelect(tiny, real(23), real(0)));
    Value* z = b.CreateFMul(f, f);
    Value* p = polynomial(f, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
                              2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
    p = b.CreateFMul(b.CreateFMul(p, f), z);
    p = fma(e, real(ln2_low), p);
    p = fma(z, real(-0.5), p);
    p = fma(e, real(ln2_high), b.CreateFAdd(f, p));
    const double infinity = std::numeric_limits<double>::infinity();
    p = b.CreateSelect(b.CreateFCmpOEQ(x, real(infinity)), x, p);
    p = b.CreateSelect(b.CreateFCmpOEQ(x, real(0)), real(-infinity), p);
    return b.CreateSelect(b.CreateFCmpULT(x, real(0)), real(std::numeric_limits<double>::quiet_NaN()), p);  // NaN, too
  }

  Value* tanh(Value* x) const {
    Value* a = magnitude(x);
    Value* z = b.CreateFMul(x, x);
    Value* small = polynomial(z, {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1});
    small = fma(b.CreateFMul(small, z), x, x);
    Value* large = b.CreateFSub(real(1), b.CreateFDiv(real(2), b.CreateFAdd(exp(b.CreateFAdd(a, a)), real(1))));
    return b.CreateSelect(b.CreateFCmpULT(a, real(0.625)), small, with_sign(large, x));
  }

  /// A polynomial near 0, 1 - exp(polynomial) beyond.
  Value* erf(Value* x) const {
    Value* t = magnitude(x);
    Value* s = b.CreateFMul(x, x);
    Value* r = fma(real(-1.72853470e-5), t, real(3.83197126e-4));
    r = fma(r, s, fma(real(-3.88396438e-3), t, real(2.42546219e-2)));
    for (const double c : {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1}) r = fma(r, t, real(c));
    r = fma(r, t, b.CreateFNeg(t));
    Value* far = with_sign(b.CreateFSub(real(1), exp(r)), x);
    Value* near = polynomial(s, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
    return b.CreateSelect(b.CreateFCmpOGT(t, real(0.927734375)), far, fma(near, x, x));
  }
};

}  // namespace

Value* Values::function(UnOp op, Value* a, bool f64) const {
  for (const Instruction& i : instructions)
    if (i.op == op) return b.CreateUnaryIntrinsic(i.id, a);
  const Formula f{b, a->getType(), shaped(b.getInt32Ty(), a)};
  const auto exp = [&](Value* x) { return f64 ? call("exp", x) : f.exp(x); };
  switch (op) {
    case UnOp::neg: return b.CreateFNeg(a);
    case UnOp::square: return b.CreateFMul(a, a);
    case UnOp::rsqrt: return b.CreateFDiv(real(a, 1), b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, a));
    case UnOp::sigmoid: {  // exp of what is not above 0: nothing overflows
      Value* e = exp(b.CreateFNeg(b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a)));
      return b.CreateFDiv(b.CreateSelect(b.CreateFCmpOLT(a, real(a, 0)), e, real(a, 1)), b.CreateFAdd(real(a, 1), e));
    }
    case UnOp::exp: return exp(a);
    case UnOp::log: if (!f64) return f.log(a); break;
    case UnOp::tanh: if (!f64) return f.tanh(a); break;
    case UnOp::erf: if (!f64) return f.erf(a); break;
    default: break;
  }
  for (const FunctionName& name : library)
    if (name.op == op) return call(f64 ? name.f64 : name.f32, a);
  return a;
}

}  // namespace tecc::codegen::cpu
