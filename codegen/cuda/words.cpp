#include "codegen/cuda/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tecc::codegen::cuda {

namespace {

struct TypeText { DType type; std::string_view memory, cast; };  // name in CUDA; function that converts f32 to it
// clang-format off
constexpr TypeText types[] = {
    {DType::boolean, "unsigned char", ""}, {DType::i8, "signed char", "tecc_to_i8"}, {DType::u8, "unsigned char", "tecc_to_u8"},
    {DType::i16, "short", "tecc_to_i16"}, {DType::i32, "int", "tecc_to_i32"}, {DType::i64, "long long", "tecc_to_i64"},
    {DType::f16, "tecc_f16", "tecc_to_f16"}, {DType::bf16, "tecc_bf16", "tecc_to_bf16"}, {DType::f32, "float", "(float)"},
    {DType::f64, "double", "(double)"}, {DType::e4m3, "tecc_e4m3", "tecc_to_e4m3"}, {DType::e5m2, "tecc_e5m2", "tecc_to_e5m2"},
    {DType::tf32, "float", "tecc_to_tf32"},
};
constexpr FunctionText functions[] = {
    {UnOp::neg, "-{}", "-{}", "-{}"}, {UnOp::logical_not, "!{}", "!{}", "!{}"}, {UnOp::abs, "fabsf({})", "fabs({})", "abs({})"},
    {UnOp::exp, "expf({})", "exp({})", ""}, {UnOp::log, "logf({})", "log({})", ""}, {UnOp::sqrt, "sqrtf({})", "sqrt({})", ""},
    {UnOp::rsqrt, "rsqrtf({})", "rsqrt({})", ""}, {UnOp::tanh, "tanhf({})", "tanh({})", ""}, {UnOp::erf, "erff({})", "erf({})", ""},
    {UnOp::sin, "sinf({})", "sin({})", ""}, {UnOp::cos, "cosf({})", "cos({})", ""}, {UnOp::sigmoid, "tecc_sigmoid({})", "tecc_sigmoid({})", ""},
    {UnOp::floor, "floorf({})", "floor({})", "{}"}, {UnOp::ceil, "ceilf({})", "ceil({})", "{}"}, {UnOp::round, "rintf({})", "rint({})", "{}"},
    {UnOp::square, "tecc_square({})", "tecc_square({})", "tecc_square({})"},
};
struct OperatorText { BinOp op; std::string_view text; };
constexpr OperatorText operators[] = {
    {BinOp::add, "({} + {})"}, {BinOp::sub, "({} - {})"}, {BinOp::mul, "({} * {})"}, {BinOp::div, "({} / {})"}, {BinOp::less, "({} < {})"},
    {BinOp::less_equal, "({} <= {})"}, {BinOp::equal, "({} == {})"}, {BinOp::not_equal, "({} != {})"}, {BinOp::logical_and, "({} && {})"},
    {BinOp::logical_or, "({} || {})"}, {BinOp::min, "tecc_min({}, {})"}, {BinOp::max, "tecc_max({}, {})"},
};
constexpr std::string_view reserved[] = {"asm", "auto", "bool", "break", "case", "char", "class", "const", "continue", "default", "delete", "do",
    "double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "new", "operator", "private", "public",
    "register", "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this", "true", "typedef", "union", "unsigned",
    "using", "and", "or", "not", "xor", "bitand", "bitor", "compl", "catch", "concept", "export", "friend", "mutable", "namespace", "requires", "throw", "try", "typename", "virtual", "void", "volatile", "while", "min", "max", "tid", "bid", "threadIdx", "blockIdx", "exp", "log", "abs", "floor", "ceil"};
// clang-format on

}  // namespace

std::string_view memory_type(DType t) { return types[static_cast<int>(t)].memory; }

std::string identifier(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) name = "x" + name;
  if (std::find(std::begin(reserved), std::end(reserved), name) != std::end(reserved) || name.starts_with("tecc_") || name.starts_with("v_")) name += "_";
  return name;
}

std::string float_text(double v, DType type) {
  if (type == DType::f64) {
    if (std::isnan(v)) return "__longlong_as_double(0x7ff8000000000000ll)";
    if (std::isinf(v)) return v > 0 ? "__longlong_as_double(0x7ff0000000000000ll)" : "__longlong_as_double(0xfff0000000000000ll)";
    const std::string s = fmt::format("{}", v);
    return s.find_first_of(".e") == std::string::npos ? s + ".0" : s;
  }
  const auto f = static_cast<float>(v);
  if (std::isnan(f)) return "__int_as_float(0x7fc00000)";
  if (std::isinf(f)) return f > 0 ? "__int_as_float(0x7f800000)" : "__int_as_float(0xff800000)";
  const std::string s = fmt::format("{}", f);
  return (s.find_first_of(".e") == std::string::npos ? s + ".0" : s) + "f";
}

std::string_view cast_function(DType to) { return types[static_cast<int>(to)].cast; }

FunctionText function_text(UnOp op) {
  return *std::find_if(std::begin(functions), std::end(functions), [&](const FunctionText& t) { return t.op == op; });
}

std::string_view operator_text(BinOp op) {
  return std::find_if(std::begin(operators), std::end(operators), [&](const OperatorText& t) { return t.op == op; })->text;
}

}  // namespace tecc::codegen::cuda
