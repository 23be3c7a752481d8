#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ir/base/call_site.h"
#include "ir/base/id.h"
#include "ir/type.h"

/// Scalar expressions, the one language of values in tensor expressions and in loop IR.
///
/// Integers   dims, axes, loops and indices are exact i64; tensor integers wrap in their type; `/` and `%` floor.
/// Floats     f16, bf16 and fp8 operations are the f32 operation, then the cast; f32 and f64 round once. An emitter may use
///            excess precision, fma and real identities; a Cast to a narrower type always rounds.
/// Order      Select, logical_and and logical_or do not evaluate what is not chosen; nothing else has effects.
/// Identity   == means "the same node" (a handle), never "the same value"; same_value() compares structure.
namespace tecc {

using VarId = Id<struct VarTag>;        // an axis, dim, integer parameter, let or loop variable of the owner's table
using TensorId = Id<struct TensorTag>;  // a tensor of a te::Kernel, or a buffer of a Program

// clang-format off
enum class BinOp : std::uint8_t { add, sub, mul, div, mod, min, max, pow, less, less_equal, equal, not_equal, logical_and, logical_or };
enum class UnOp : std::uint8_t { neg, logical_not, abs, exp, log, sqrt, rsqrt, tanh, erf, sin, cos, sigmoid, floor, ceil, round, square };
enum class Reducer : std::uint8_t { sum, prod, min, max, any, all, argmax, argmin, mean };
// clang-format on

struct ExprNode;

/// A handle to an immutable node.
class Expr {
 public:
  Expr() = default;
  explicit Expr(std::shared_ptr<const ExprNode> node) : node_(std::move(node)) {}
  const ExprNode& operator*() const { return *node_; }
  const ExprNode* operator->() const { return node_.get(); }
  explicit operator bool() const { return node_ != nullptr; }
  bool operator==(const Expr& other) const { return node_ == other.node_; }
  template <class T>
  const T* as() const;

 private:
  std::shared_ptr<const ExprNode> node_;
};

/// A concrete type, or the n-th type parameter of a generic kernel (before te::bind).
struct TypeRef {
  std::uint8_t code = 0;
  static constexpr std::uint8_t first_parameter = 32;
  constexpr TypeRef() = default;
  constexpr TypeRef(DType t) : code(static_cast<std::uint8_t>(t)) {}
  static constexpr TypeRef parameter(int n) {
    TypeRef t;
    t.code = static_cast<std::uint8_t>(first_parameter + n);
    return t;
  }
  constexpr bool is_parameter() const { return code >= first_parameter; }
  constexpr int parameter_index() const { return code - first_parameter; }
  constexpr DType concrete() const { return static_cast<DType>(code); }
  bool operator==(const TypeRef&) const = default;
};

/// A number or truth value. `decimal` literals were written with a point or exponent. Exact: integers in `integer`,
/// decimals in `real`; a typed integer literal of a float type keeps its value in both.
struct Literal {
  std::int64_t integer = 0;
  double real = 0;
  bool decimal = false;
};
struct Var { VarId id; };
struct Unary { UnOp op; Expr a; };
struct Binary { BinOp op; Expr a, b; };
struct Select { Expr condition, then, otherwise; };  // select(c, a, b)
struct Cast { TypeRef to; Expr a; };
/// tensor[index...]; a scalar parameter is a read without indices. `otherwise`: the value outside the tensor
/// (`X[p - 1] else 0`); without it the read is proved, or promised, to be in bounds.
struct Read {
  TensorId tensor;
  std::vector<Expr> index;
  Expr otherwise;  // empty: none
};
/// One axis of a stage or a reduction: `name: extent`, running from 0. The extent may use earlier axes (ragged).
struct Axis {
  VarId var;
  Expr extent;
  CallSite at{};
};
/// sum[k: K](body); only in tensor expressions, lifted into stages of their own before loops are made.
struct Reduce {
  Reducer op;
  std::vector<Axis> axes;
  Expr body;
};

struct ExprNode {
  std::variant<Literal, Var, Unary, Binary, Select, Cast, Read, Reduce> kind;
  DType type = DType::i64;  // meaningful after te::bind; index values are i64
  CallSite at{};            // the user's line, kept by passes
};

template <class T>
const T* Expr::as() const {
  return std::get_if<T>(&node_->kind);
}

/// match(e, [](const Literal&) {...}, ...): no `auto` branch, so that a new kind fails to build where it is not handled.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;
template <class... F>
decltype(auto) match(const Expr& e, F&&... f) {
  return std::visit(Overloaded{std::forward<F>(f)...}, e->kind);
}

// ---- making nodes -----------------------------------------------------------------------------------------------------
template <class Kind>
Expr make(Kind kind, DType type = DType::i64, CallSite at = {}) {
  return Expr(std::make_shared<const ExprNode>(ExprNode{std::move(kind), type, at}));
}
Expr index_literal(std::int64_t value);                     // an i64 index constant
Expr literal(double value, DType type, CallSite at = {});   // a typed constant
Expr var(VarId id, CallSite at = {});                       // an i64 index variable

// ---- index arithmetic: i64, folds constants and units (ir/integer/rules.h, the table `folds`) --------------------------
Expr operator+(const Expr& a, const Expr& b);
Expr operator-(const Expr& a, const Expr& b);
Expr operator*(const Expr& a, const Expr& b);
Expr floor_div(const Expr& a, const Expr& b);
Expr floor_mod(const Expr& a, const Expr& b);
Expr ceil_div(const Expr& a, const Expr& b);
Expr index_min(const Expr& a, const Expr& b);
Expr index_max(const Expr& a, const Expr& b);
inline Expr operator+(const Expr& a, std::int64_t b) { return a + index_literal(b); }
inline Expr operator-(const Expr& a, std::int64_t b) { return a - index_literal(b); }
inline Expr operator*(const Expr& a, std::int64_t b) { return a * index_literal(b); }
std::optional<std::int64_t> constant_of(const Expr& e);  // the value of an i64 literal
std::int64_t floor_div(std::int64_t a, std::int64_t b);
std::int64_t floor_mod(std::int64_t a, std::int64_t b);

// ---- walking ----------------------------------------------------------------------------------------------------------
/// Calls f on each direct child in evaluation order (axes' extents of a Reduce first).
void for_each_child(const Expr& e, const std::function<void(const Expr&)>& f);
/// Calls f on every node, parents first; f returns false to skip the children.
void walk(const Expr& e, const std::function<bool(const Expr&)>& f);
/// Bottom-up: f gets a node whose children are done and returns it or a replacement. Untouched subtrees keep their handle.
Expr rewrite(const Expr& e, const std::function<Expr(const Expr&)>& f);
/// Replaces variables; `value` returns an empty Expr to keep one.
Expr substitute(const Expr& e, const std::function<Expr(VarId)>& value);
/// The same, with i64 arithmetic around what was replaced folded again.
Expr substitute_folded(const Expr& e, const std::function<Expr(VarId)>& value);
bool uses(const Expr& e, VarId v);
bool same_value(const Expr& a, const Expr& b);  // structural; types, not places
std::int64_t count_nodes(const Expr& e, std::int64_t limit);

// ---- words ------------------------------------------------------------------------------------------------------------
std::string_view symbol(BinOp op);  // "+", "<", "min"
std::string_view symbol(UnOp op);   // "-", "!", "exp"
std::string_view symbol(Reducer op);
std::optional<UnOp> parse_function(std::string_view name);  // exp, log, ...
std::optional<Reducer> parse_reducer(std::string_view name);
/// Prints in `.te` syntax with the owner's names. Minimal parentheses; parses back to the same structure.
struct Names {
  std::function<std::string(VarId)> var;
  std::function<std::string(TensorId)> tensor;
  std::function<std::string(TypeRef)> type = {};  // default: the DType's name
  std::function<bool(TensorId)> by_value = {};  // true: a scalar parameter, read without brackets; default: none
  std::function<bool(const Expr&)> typed_literal = {};  // true: a literal is followed by its type, 1:f32; default: none
};
std::string print(const Expr& e, const Names& names);

}  // namespace tecc
