#pragma once
#include "ir/expr.h"

/// The operations of the language on single elements, one after the other: the loop interpreter's arithmetic.
namespace tecc::interpreter {

/// Floats of every type in `real` (exact), integers and truth values in `integer`.
union Scalar {
  std::int64_t integer = 0;
  double real;
};

Scalar constant(const Literal& l, DType type);
Scalar unary(UnOp op, Scalar a, DType operand, DType result);
Scalar binary(BinOp op, Scalar a, Scalar b, DType operand, DType result);
Scalar cast(Scalar a, DType from, DType to);
Scalar combine(Reducer op, DType type, Scalar sum, Scalar element);

/// argmax and argmin: NaN before all, then the smallest position; position -1: nothing yet.
struct Best {
  Scalar value;
  std::int64_t position;
};
Best better(Reducer op, DType type, Best old, Best now);

}  // namespace tecc::interpreter
