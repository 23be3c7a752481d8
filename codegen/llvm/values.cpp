#include "codegen/llvm/values.h"

#include <llvm/IR/Intrinsics.h>

#include <bit>
#include <cmath>

#include "ir/numeric.h"

namespace tecc::codegen::cpu {

using llvm::Value;

// ---- types ------------------------------------------------------------------------------------------------------------
llvm::Type* Values::memory_type(DType t) const {
  if (t == DType::f32 || t == DType::tf32) return b.getFloatTy();
  if (t == DType::f64) return b.getDoubleTy();
  return b.getIntNTy(static_cast<unsigned>(8 * bytes_of(t)));
}

llvm::Type* Values::value_type(DType t) const { return t == DType::boolean ? b.getInt1Ty() : memory_type(t); }

unsigned Values::lanes(const Value* v) {
  const auto* type = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return type ? type->getNumElements() : 0;
}

llvm::Type* Values::shaped(llvm::Type* element, const Value* like) const {
  const unsigned n = lanes(like);
  return n ? llvm::FixedVectorType::get(element, n) : element;
}

Value* Values::splat(Value* v, unsigned n) const { return n && !lanes(v) ? b.CreateVectorSplat(n, v) : v; }

void Values::unify(Value*& a, Value*& c) const {
  const unsigned n = std::max(lanes(a), lanes(c));
  a = splat(a, n);
  c = splat(c, n);
}

Value* Values::bits_constant(const Value* like, std::uint64_t v, unsigned width) const {
  return llvm::ConstantInt::get(shaped(b.getIntNTy(width), like), v);
}

Value* Values::real(const Value* like, double v) const { return llvm::ConstantFP::get(like->getType(), v); }

Value* Values::literal(const Literal& l, DType t) const {
  if (!is_float(t)) return llvm::ConstantInt::get(value_type(t), static_cast<std::uint64_t>(t == DType::boolean ? l.integer != 0 : l.integer));
  const double v = l.decimal || l.real != 0 ? l.real : static_cast<double>(l.integer);
  if (is_narrow_float(t)) return llvm::ConstantInt::get(value_type(t), encode(v, t));
  if (t == DType::f64) return llvm::ConstantFP::get(b.getDoubleTy(), v);
  return llvm::ConstantFP::get(b.getFloatTy(), llvm::APFloat(std::bit_cast<float>(static_cast<std::uint32_t>(encode(v, t)))));
}

Value* Values::from_memory(Value* v, DType t) const { return t == DType::boolean ? b.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType())) : v; }
Value* Values::to_memory(Value* v, DType t) const { return t == DType::boolean ? b.CreateZExt(v, shaped(b.getInt8Ty(), v)) : v; }

// ---- floats of 8 and 16 bits ------------------------------------------------------------------------------------------
namespace {
struct Format {
  int mantissa, bias;
  bool infinity;
  float ceiling;  // values beyond are clamped to it before rounding: the largest number, or what rounds to infinity
  std::uint32_t nan;
};
Format format_of(DType t) {
  switch (t) {
    case DType::f16: return {10, 15, true, 65536.0f, 0x7e00};
    case DType::e4m3: return {3, 7, false, 448.0f, 0x7f};
    default: return {2, 15, true, 57344.0f, 0x7e};
  }
}
}  // namespace

/// The bits in f32's places are the number times 2^(bias - 127), subnormals included: one exact product.
Value* Values::narrow_to_f32(Value* bits, int mantissa, int bias, bool infinity, unsigned width) const {
  llvm::Type* word = shaped(b.getInt32Ty(), bits);
  Value* x = b.CreateZExt(bits, word);
  const std::uint64_t low = (1ull << (width - 1)) - 1;
  Value* magnitude = b.CreateAnd(x, low);
  Value* shifted = b.CreateShl(magnitude, static_cast<std::uint64_t>(23 - mantissa));
  llvm::Type* real_type = shaped(b.getFloatTy(), bits);
  Value* scaled = b.CreateFMul(b.CreateBitCast(shifted, real_type), llvm::ConstantFP::get(real_type, std::ldexp(1.0, 127 - bias)));
  const std::uint64_t top = infinity ? low >> mantissa << mantissa : low;  // e4m3: only all ones are no number
  Value* special = b.CreateICmpUGE(magnitude, llvm::ConstantInt::get(word, top));
  Value* beyond = b.CreateOr(shifted, infinity ? 0x7f800000ull : 0x7fc00000ull);
  Value* result = b.CreateSelect(special, beyond, b.CreateBitCast(scaled, word));
  Value* sign = b.CreateShl(b.CreateAnd(x, low + 1), static_cast<std::uint64_t>(32 - width));
  return b.CreateBitCast(b.CreateOr(result, sign), real_type);
}

Value* Values::to_f32(Value* v, DType t) const {
  const llvm::IRBuilderBase::FastMathFlagGuard exact(b);
  b.clearFastMathFlags();
  llvm::Type* real_type = shaped(b.getFloatTy(), v);
  switch (t) {
    case DType::bf16: return b.CreateBitCast(b.CreateShl(b.CreateZExt(v, shaped(b.getInt32Ty(), v)), 16), real_type);
    case DType::f16:
      if (half_) return b.CreateFPExt(b.CreateBitCast(v, shaped(b.getHalfTy(), v)), real_type);
      return narrow_to_f32(v, 10, 15, true, 16);
    case DType::e4m3: return narrow_to_f32(v, 3, 7, false, 8);
    case DType::e5m2: return narrow_to_f32(v, 2, 15, true, 8);
    default: return v;
  }
}

Value* Values::f32_to_narrow(Value* v, DType t) const {
  const Format f = format_of(t);
  llvm::Type* word = shaped(b.getInt32Ty(), v);
  llvm::Type* out = shaped(value_type(t), v);
  const auto constant = [&](std::uint64_t c) { return llvm::ConstantInt::get(word, c); };
  Value* bits = b.CreateBitCast(v, word);
  Value* magnitude = b.CreateAnd(bits, 0x7fffffffull);
  Value* clamped = b.CreateBinaryIntrinsic(llvm::Intrinsic::umin, magnitude, constant(std::bit_cast<std::uint32_t>(f.ceiling)));
  // Numbers: the exponent is shifted to the new bias, half a unit is added, ties go to even, carries into the exponent are right.
  const auto dropped = static_cast<std::uint64_t>(23 - f.mantissa);
  Value* moved = b.CreateSub(clamped, constant(static_cast<std::uint64_t>(127 - f.bias) << 23));
  Value* odd = b.CreateAnd(b.CreateLShr(moved, dropped), 1ull);
  Value* number = b.CreateLShr(b.CreateAdd(b.CreateAdd(moved, constant((1ull << (dropped - 1)) - 1)), odd), dropped);
  // Subnormals: f32's own addition rounds to the unit.
  const auto magic = static_cast<float>(std::ldexp(1.0, 1 - f.bias - f.mantissa + 23));
  llvm::Type* real_type = shaped(b.getFloatTy(), v);
  Value* sum = b.CreateFAdd(b.CreateBitCast(clamped, real_type), llvm::ConstantFP::get(real_type, magic));
  Value* subnormal = b.CreateSub(b.CreateBitCast(sum, word), constant(std::bit_cast<std::uint32_t>(magic)));
  Value* is_number = b.CreateICmpUGE(clamped, constant(static_cast<std::uint64_t>(128 - f.bias) << 23));
  Value* result = b.CreateSelect(is_number, number, subnormal);
  result = b.CreateSelect(b.CreateICmpUGT(magnitude, constant(0x7f800000ull)), constant(f.nan), result);
  const unsigned width = static_cast<unsigned>(8 * bytes_of(t));
  Value* sign = b.CreateAnd(b.CreateLShr(bits, static_cast<std::uint64_t>(32 - width)), 1ull << (width - 1));
  return b.CreateTrunc(b.CreateOr(result, sign), out);
}

Value* Values::from_f32(Value* v, DType t) const {
  const llvm::IRBuilderBase::FastMathFlagGuard exact(b);
  b.clearFastMathFlags();
  llvm::Type* word = shaped(b.getInt32Ty(), v);
  const auto constant = [&](std::uint64_t c) { return llvm::ConstantInt::get(word, c); };
  const auto rounded_to = [&](unsigned dropped) {  // half a unit, ties to even
    Value* bits = b.CreateBitCast(v, word);
    Value* odd = b.CreateAnd(b.CreateLShr(bits, dropped), 1ull);
    return b.CreateAdd(b.CreateAdd(bits, constant((1ull << (dropped - 1)) - 1)), odd);
  };
  switch (t) {
    case DType::bf16: {
      Value* quiet = b.CreateOr(b.CreateLShr(b.CreateBitCast(v, word), 16), 0x40ull);
      Value* bits = b.CreateSelect(b.CreateFCmpUNO(v, v), quiet, b.CreateLShr(rounded_to(16), 16));
      return b.CreateTrunc(bits, shaped(b.getInt16Ty(), v));
    }
    case DType::tf32: {
      Value* bits = b.CreateAnd(rounded_to(13), ~0x1fffull & 0xffffffffull);
      return b.CreateSelect(b.CreateFCmpUNO(v, v), v, b.CreateBitCast(bits, v->getType()));
    }
    case DType::f16:
      if (half_) return b.CreateBitCast(b.CreateFPTrunc(v, shaped(b.getHalfTy(), v)), shaped(b.getInt16Ty(), v));
      return f32_to_narrow(v, t);
    case DType::e4m3:
    case DType::e5m2: return f32_to_narrow(v, t);
    default: return v;
  }
}

/// f64 to f32 such that a second rounding, to fewer bits, gives what one rounding would: what is cut off sticks in the last
/// bit.
Value* Values::f64_to_odd_f32(Value* v) const {
  const llvm::IRBuilderBase::FastMathFlagGuard exact(b);
  b.clearFastMathFlags();
  llvm::Type* word = shaped(b.getInt32Ty(), v);
  Value* near = b.CreateFPTrunc(v, shaped(b.getFloatTy(), v));
  Value* back = b.CreateFPExt(near, v->getType());
  Value* bits = b.CreateBitCast(near, word);
  Value* too_far = b.CreateFCmpOGT(b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, back), b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, v));
  Value* towards_zero = b.CreateSub(bits, b.CreateZExt(too_far, word));
  Value* odd = b.CreateOr(towards_zero, 1ull);
  return b.CreateBitCast(b.CreateSelect(b.CreateFCmpONE(back, v), odd, bits), near->getType());
}

// ---- conversions ------------------------------------------------------------------------------------------------------
Value* Values::cast(Value* v, DType from, DType to) const {
  if (from == to) return v;
  if (to == DType::boolean) {
    if (!is_float(from)) return b.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType()));
    Value* f = to_f32(v, from);
    return b.CreateFCmpUNE(f, real(f, 0));
  }
  if (!is_float(from)) {
    const bool is_signed = info(from).is_signed && from != DType::boolean;
    if (!is_float(to)) {
      llvm::Type* type = shaped(value_type(to), v);
      return is_signed ? b.CreateSExtOrTrunc(v, type) : b.CreateZExtOrTrunc(v, type);
    }
    const bool exact_in_f32 = bytes_of(from) <= 2;
    llvm::Type* first = to == DType::f64 || (!exact_in_f32 && to != DType::f32) ? b.getDoubleTy() : b.getFloatTy();
    Value* f = is_signed ? b.CreateSIToFP(v, shaped(first, v)) : b.CreateUIToFP(v, shaped(first, v));
    return cast(f, first->isDoubleTy() ? DType::f64 : DType::f32, to);
  }
  if (!is_float(to)) {
    Value* f = to_f32(v, from);
    llvm::Type* type = shaped(value_type(to), v);
    const auto which = info(to).is_signed ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat;
    return b.CreateIntrinsic(which, {type, f->getType()}, {f});
  }
  if (from == DType::f64) {
    if (to == DType::f32) return b.CreateFPTrunc(v, shaped(b.getFloatTy(), v));
    return from_f32(f64_to_odd_f32(v), to);
  }
  Value* f = to_f32(v, from);
  if (to == DType::f64) return b.CreateFPExt(f, shaped(b.getDoubleTy(), v));
  return from_f32(f, to);
}

// ---- operations -------------------------------------------------------------------------------------------------------
Value* Values::select(Value* condition, Value* a, Value* c) const {
  unify(a, c);
  if (lanes(condition)) {
    a = splat(a, lanes(condition));
    c = splat(c, lanes(condition));
  }
  return b.CreateSelect(condition, a, c);
}

Value* Values::floor_div(Value* a, std::int64_t by, bool positive) const {
  if (by == 1) return a;
  Value* divisor = llvm::ConstantInt::get(a->getType(), static_cast<std::uint64_t>(by));
  if (by > 0 && std::has_single_bit(static_cast<std::uint64_t>(by))) return b.CreateAShr(a, static_cast<std::uint64_t>(std::countr_zero(static_cast<std::uint64_t>(by))));
  return positive && by > 0 ? b.CreateUDiv(a, divisor) : floor_div(a, divisor, true);
}
Value* Values::floor_mod(Value* a, std::int64_t by, bool positive) const {
  Value* divisor = llvm::ConstantInt::get(a->getType(), static_cast<std::uint64_t>(by));
  if (by > 0 && std::has_single_bit(static_cast<std::uint64_t>(by))) return b.CreateAnd(a, static_cast<std::uint64_t>(by - 1));
  return positive && by > 0 ? b.CreateURem(a, divisor) : floor_mod(a, divisor, true);
}

namespace {
/// Division by 0 and of the lowest number by -1 trap on some machines: the divisor is made harmless, lanes that are masked
/// off divide by anything.
Value* harmless(llvm::IRBuilder<>& b, Value* a, Value* by, bool is_signed) {
  if (const auto* c = llvm::dyn_cast<llvm::Constant>(by); c && !c->isZeroValue() && !c->containsUndefOrPoisonElement()) {
    const auto* one = llvm::dyn_cast<llvm::ConstantInt>(c);
    if (one && !one->isMinusOne()) return by;
  }
  Value* bad = b.CreateICmpEQ(by, llvm::Constant::getNullValue(by->getType()));
  if (is_signed) {
    const unsigned width = a->getType()->getScalarSizeInBits();
    Value* lowest = llvm::ConstantInt::get(a->getType(), llvm::APInt::getSignedMinValue(width));
    bad = b.CreateOr(bad, b.CreateAnd(b.CreateICmpEQ(a, lowest), b.CreateICmpEQ(by, llvm::Constant::getAllOnesValue(by->getType()))));
  }
  return b.CreateSelect(bad, llvm::ConstantInt::get(by->getType(), 1), by);
}
}  // namespace

Value* Values::floor_div(Value* a, Value* by, bool is_signed) const {
  unify(a, by);
  by = harmless(b, a, by, is_signed);
  if (!is_signed) return b.CreateUDiv(a, by);
  Value* q = b.CreateSDiv(a, by);
  Value* rest = b.CreateSub(a, b.CreateMul(q, by));
  Value* zero = llvm::Constant::getNullValue(a->getType());
  Value* below = b.CreateAnd(b.CreateICmpNE(rest, zero), b.CreateICmpSLT(b.CreateXor(rest, by), zero));
  return b.CreateSub(q, b.CreateZExt(below, a->getType()));
}
Value* Values::floor_mod(Value* a, Value* by, bool is_signed) const {
  unify(a, by);
  by = harmless(b, a, by, is_signed);
  if (!is_signed) return b.CreateURem(a, by);
  Value* rest = b.CreateSRem(a, by);
  Value* zero = llvm::Constant::getNullValue(a->getType());
  Value* below = b.CreateAnd(b.CreateICmpNE(rest, zero), b.CreateICmpSLT(b.CreateXor(rest, by), zero));
  return b.CreateAdd(rest, b.CreateSelect(below, by, zero));
}

/// NaN if one side is. llvm.maximum also orders -0 below 0, which the language leaves open.
Value* Values::extremum(BinOp op, Value* a, Value* c, DType t) const {
  const bool lower = op == BinOp::min;
  if (is_float(t)) {
    auto* call = b.CreateBinaryIntrinsic(lower ? llvm::Intrinsic::minimum : llvm::Intrinsic::maximum, a, c);
    if (auto* made = llvm::dyn_cast<llvm::Instruction>(call)) made->setHasNoSignedZeros(true);
    return call;
  }
  const bool is_signed = info(t).is_signed && t != DType::boolean;
  const auto which = is_signed ? (lower ? llvm::Intrinsic::smin : llvm::Intrinsic::smax) : (lower ? llvm::Intrinsic::umin : llvm::Intrinsic::umax);
  return b.CreateBinaryIntrinsic(which, a, c);
}

Value* Values::unary(UnOp op, Value* a, DType operand, DType result) const {
  if (is_float(operand)) {
    Value* out = function(op, to_f32(a, operand), operand == DType::f64);
    return is_narrow_float(result) || result == DType::tf32 ? from_f32(out, result) : out;
  }
  switch (op) {
    case UnOp::neg: return b.CreateNeg(a);
    case UnOp::logical_not: return b.CreateNot(a);
    case UnOp::abs: return info(operand).is_signed && operand != DType::boolean ? b.CreateBinaryIntrinsic(llvm::Intrinsic::abs, a, b.getFalse()) : a;
    case UnOp::square: return b.CreateMul(a, a);
    default: return a;  // floor, ceil and round of integers; the others have float operands (bind)
  }
}

Value* Values::binary(BinOp op, Value* a, Value* c, DType operand, DType result) const {
  unify(a, c);
  if (is_float(operand)) {
    a = to_f32(a, operand);
    c = to_f32(c, operand);
    Value* out = nullptr;
    switch (op) {
      case BinOp::add: out = b.CreateFAdd(a, c); break;
      case BinOp::sub: out = b.CreateFSub(a, c); break;
      case BinOp::mul: out = b.CreateFMul(a, c); break;
      case BinOp::div: out = b.CreateFDiv(a, c); break;
      case BinOp::mod: out = b.CreateFSub(a, b.CreateFMul(b.CreateUnaryIntrinsic(llvm::Intrinsic::floor, b.CreateFDiv(a, c)), c)); break;
      case BinOp::pow: out = call(operand == DType::f64 ? "pow" : "powf", a, c); break;
      case BinOp::min:
      case BinOp::max: out = extremum(op, a, c, operand); break;
      case BinOp::less: return b.CreateFCmpOLT(a, c);
      case BinOp::less_equal: return b.CreateFCmpOLE(a, c);
      case BinOp::equal: return b.CreateFCmpOEQ(a, c);
      case BinOp::not_equal: return b.CreateFCmpUNE(a, c);
      default: return a;
    }
    return is_narrow_float(result) || result == DType::tf32 ? from_f32(out, result) : out;
  }
  const bool is_signed = info(operand).is_signed && operand != DType::boolean;
  switch (op) {
    case BinOp::add: return b.CreateAdd(a, c);
    case BinOp::sub: return b.CreateSub(a, c);
    case BinOp::mul: return b.CreateMul(a, c);
    case BinOp::div: return floor_div(a, c, is_signed);
    case BinOp::mod: return floor_mod(a, c, is_signed);
    case BinOp::min:
    case BinOp::max: return extremum(op, a, c, operand);
    case BinOp::less: return is_signed ? b.CreateICmpSLT(a, c) : b.CreateICmpULT(a, c);
    case BinOp::less_equal: return is_signed ? b.CreateICmpSLE(a, c) : b.CreateICmpULE(a, c);
    case BinOp::equal: return b.CreateICmpEQ(a, c);
    case BinOp::not_equal: return b.CreateICmpNE(a, c);
    case BinOp::logical_and: return b.CreateAnd(a, c);
    case BinOp::logical_or: return b.CreateOr(a, c);
    case BinOp::pow: return cast(call("pow", cast(a, operand, DType::f64), cast(c, operand, DType::f64)), DType::f64, result);
  }
  return a;
}

Value* Values::combine(Reducer op, Value* sum, Value* element, DType t) const {
  const FastMath fast(b, true);
  switch (op) {
    case Reducer::sum:
    case Reducer::mean: return binary(BinOp::add, sum, element, t, t);
    case Reducer::prod: return binary(BinOp::mul, sum, element, t, t);
    case Reducer::min:
    case Reducer::argmin: return binary(BinOp::min, sum, element, t, t);
    case Reducer::max:
    case Reducer::argmax: return binary(BinOp::max, sum, element, t, t);
    case Reducer::any: return binary(BinOp::logical_or, sum, element, t, t);
    case Reducer::all: return binary(BinOp::logical_and, sum, element, t, t);
  }
  return sum;
}

}  // namespace tecc::codegen::cpu
