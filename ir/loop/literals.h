#pragma once
#include <optional>
#include <set>

#include "ir/expr.h"

/// Types of literals in the loop IR's text. A literal takes the type of what it meets, as in `.te` text; where a program means another one,
/// the text says so: 1:f32.
namespace tecc::loop {

/// What is known of the type of an expression while it is read: it has one, or it is made of literals only.
enum class Openness : std::uint8_t { none, integer, decimal };

/// Whether exp, sqrt and their like are meant: their operand is a float.
inline bool wants_float(UnOp op) { return op != UnOp::neg && op != UnOp::logical_not && op != UnOp::abs && op != UnOp::square; }
inline bool compares(BinOp op) { return op == BinOp::less || op == BinOp::less_equal || op == BinOp::equal || op == BinOp::not_equal; }
inline bool is_logical(BinOp op) { return op == BinOp::logical_and || op == BinOp::logical_or; }

/// True if a literal of this kind can have the type.
inline bool takes(Openness kind, DType type) {
  return kind == Openness::decimal ? is_float(type) : kind == Openness::integer && type != DType::boolean;
}
/// The type of literals that meet nothing.
inline DType alone(Openness kind) { return kind == Openness::decimal ? DType::f32 : DType::i64; }

/// The literals of `e`, which stands where the type `want` is expected (nullopt: none in particular), that would be read back with another
/// type than they have.
class OddLiterals {
 public:
  Expr mark(const Expr& e, std::optional<DType> want);
  bool contains(const Expr& e) const { return odd_.count(&*e) > 0; }

 private:
  struct Read {
    Expr e;
    Openness open;
  };
  Read visit(const Expr& e);
  Expr settle(const Read& x, std::optional<DType> type);
  std::set<const ExprNode*> odd_;
  std::vector<Expr> kept_;  // an address in odd_ is that of a node that lives
};

}  // namespace tecc::loop
