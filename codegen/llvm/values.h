#pragma once
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "ir/expr.h"

/// The tensor language's operations on LLVM values: scalars, or vectors of lanes. Internal to codegen/llvm.
///
/// A value of type T is held as
///   bool            i1
///   integers        their own width
///   f16 bf16 fp8    the bits, in an integer; an operation widens to f32 and rounds back
///   tf32            float
namespace tecc::codegen::cpu {

class Values {
 public:
  /// `half`: the target converts f16 by instructions; otherwise by integer code, since the library functions that LLVM would
  /// call are not everywhere.
  Values(llvm::IRBuilder<>& builder, llvm::Module& module, bool half) : b(builder), module_(module), half_(half) {}

  llvm::Type* memory_type(DType t) const;
  llvm::Type* value_type(DType t) const;
  llvm::Value* index(std::int64_t v) const { return b.getInt64(static_cast<std::uint64_t>(v)); }
  llvm::Value* literal(const Literal& l, DType t) const;

  llvm::Value* from_memory(llvm::Value* v, DType t) const;  // bool: i8 -> i1
  llvm::Value* to_memory(llvm::Value* v, DType t) const;

  llvm::Value* to_f32(llvm::Value* v, DType t) const;  // of a narrow float or tf32
  llvm::Value* from_f32(llvm::Value* v, DType t) const;
  llvm::Value* cast(llvm::Value* v, DType from, DType to) const;
  llvm::Value* unary(UnOp op, llvm::Value* a, DType operand, DType result) const;
  llvm::Value* binary(BinOp op, llvm::Value* a, llvm::Value* c, DType operand, DType result) const;
  /// One step of a reduction: may be re-associated.
  llvm::Value* combine(Reducer op, llvm::Value* sum, llvm::Value* element, DType t) const;

  /// Quotient and remainder that floor; `positive`: the dividend is known not to be below 0.
  llvm::Value* floor_div(llvm::Value* a, std::int64_t by, bool positive) const;
  llvm::Value* floor_mod(llvm::Value* a, std::int64_t by, bool positive) const;
  llvm::Value* floor_div(llvm::Value* a, llvm::Value* by, bool is_signed) const;
  llvm::Value* floor_mod(llvm::Value* a, llvm::Value* by, bool is_signed) const;

  llvm::Value* select(llvm::Value* condition, llvm::Value* a, llvm::Value* c) const;
  static unsigned lanes(const llvm::Value* v);  // 0: a scalar
  llvm::Value* splat(llvm::Value* v, unsigned lanes) const;  // a vector stays as it is
  /// Makes both vectors if one is.
  void unify(llvm::Value*& a, llvm::Value*& c) const;

  llvm::IRBuilder<>& b;

 private:
  llvm::Type* shaped(llvm::Type* element, const llvm::Value* like) const;
  llvm::Value* bits_constant(const llvm::Value* like, std::uint64_t v, unsigned width) const;
  llvm::Value* real(const llvm::Value* like, double v) const;  // of the type of `like`
  llvm::Value* narrow_to_f32(llvm::Value* bits, int mantissa, int bias, bool infinity, unsigned width) const;
  llvm::Value* f32_to_narrow(llvm::Value* v, DType t) const;
  llvm::Value* f64_to_odd_f32(llvm::Value* v) const;
  llvm::Value* extremum(BinOp op, llvm::Value* a, llvm::Value* c, DType t) const;
  // functions.cpp
  llvm::Value* function(UnOp op, llvm::Value* a, bool f64) const;
  llvm::Value* call(std::string_view name, llvm::Value* a, llvm::Value* c = nullptr) const;

  llvm::Module& module_;
  bool half_;
};

/// Sets fast-math flags while it lives.
class FastMath {
 public:
  FastMath(llvm::IRBuilder<>& b, bool reassociate) : guard_(b) {
    llvm::FastMathFlags flags;
    flags.setAllowContract(true);
    if (reassociate) flags.setAllowReassoc(true), flags.setNoSignedZeros(true);
    b.setFastMathFlags(flags);
  }

 private:
  llvm::IRBuilderBase::FastMathFlagGuard guard_;
};

}  // namespace tecc::codegen::cpu
