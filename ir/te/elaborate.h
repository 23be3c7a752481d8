#pragma once
#include <map>

#include "ir/te/kernel.h"

namespace tecc::te {

/// Gives every node its type: type parameters become dtypes, literals take the type of their operand, variables with a
/// known value become literals and formulas of them are folded. Index values (dims, axes, formulas of them) are i64.
class Elaborator {
 public:
  /// `values`: of integers, lets and fixed dims; `source` is only used to print. Tensor types are read from `bound`.
  Elaborator(const Kernel& source, const Kernel& bound, const std::vector<DType>& types,
             const std::map<VarId, Expr>& values)
      : names_(names_of(source)), bound_(bound), types_(types), values_(values) {}

  /// A stage's body, with the dtype of the stage.
  Result<Expr> body(const Expr& e);
  /// A shape, an extent or a let: an integer.
  Result<Expr> formula(const Expr& e, std::string_view what);
  DType type_of(TypeRef t) const {
    return t.is_parameter() ? types_[static_cast<std::size_t>(t.parameter_index())] : t.concrete();
  }

 private:
  /// Literals and formulas of literals wait for the type of their neighbour: i64 or f32 if there is none.
  enum class Class { value, index, integer_literal, decimal_literal };
  struct Typed {
    Expr e;
    Class kind;
  };
  static bool open(const Typed& t) { return t.kind == Class::integer_literal || t.kind == Class::decimal_literal; }

  Result<Typed> typed(const Expr& e);
  Result<Typed> unary(const Unary& u, const Expr& e);
  Result<Typed> binary(const Binary& b, const Expr& e);
  Result<Typed> arithmetic(BinOp op, Typed a, const Typed& b, const Expr& e);
  Result<Typed> logical(const Binary& b, const Expr& e);
  Result<Typed> select(const Select& s, const Expr& e);
  Result<Typed> cast(const Cast& c, const Expr& e);
  Result<Typed> read(const Read& r, const Expr& e);
  Result<Typed> reduce(const Reduce& r, const Expr& e);
  /// Brings two operands to one type or refuses.
  Check agree(Typed& a, Typed& b, const Expr& e, const Expr& left, const Expr& right);
  Result<Expr> settle(const Typed& t, DType type, const Expr& where);
  Result<Expr> settled_alone(const Typed& t, const Expr& where);
  Result<Expr> truth(const Expr& e, std::string_view who);
  Result<Expr> fold(BinOp op, const Expr& a, const Expr& b, const Expr& e) const;
  std::string text(const Expr& e) const;

  Names names_;
  const Kernel& bound_;
  const std::vector<DType>& types_;
  const std::map<VarId, Expr>& values_;
};

}  // namespace tecc::te
