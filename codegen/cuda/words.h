#pragma once
#include <string>
#include <string_view>

#include "ir/expr.h"

/// Words of CUDA C++: names of types, functions and operators.
namespace tecc::codegen::cuda {

std::string_view memory_type(DType t);    // "tecc_bf16"
std::string_view cast_function(DType to); // converts f32 to it
struct FunctionText {
  UnOp op;
  std::string_view f32, f64, integer;  // format strings; "" where there is none
};
FunctionText function_text(UnOp op);
std::string_view operator_text(BinOp op);
/// A name as an identifier that collides with no word of CUDA's or of the prelude's.
std::string identifier(std::string name);
std::string float_text(double v, DType type);

}  // namespace tecc::codegen::cuda
