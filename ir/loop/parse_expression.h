#pragma once
#include <functional>

#include "ir/loop/literals.h"
#include "ir/loop/tokens.h"

namespace tecc::loop {

/// What names in an expression mean; the owner changes the variables from block to block.
struct ExpressionNames {
  std::function<std::optional<VarId>(std::string_view)> variable;
  std::function<std::vector<std::string>()> variables;  // to suggest one
  std::function<std::optional<TensorId>(std::string_view)> tensor;
  std::function<std::vector<std::string>()> tensors;
  std::function<DType(TensorId)> type;
  std::function<std::size_t(TensorId)> rank;
};

/// Reads typed expressions: the tree is exactly that of the text, nothing is folded and nothing is converted.
class ExpressionReader {
 public:
  ExpressionReader(Cursor& in, const ExpressionNames& names) : in_(in), names_(names) {}
  /// An expression of the type; E0153 if it has another one.
  Result<Expr> read(DType type);

 private:
  struct Value {
    Expr e;
    Openness open = Openness::none;
    std::size_t from = 0;  // position of its first word
    int depth = 1;         // of the tree
  };
  Result<Value> binary(int level);
  Result<Value> unary();
  Result<Value> primary();
  Result<Value> number();
  Result<Value> call();
  Result<Value> element();
  Result<Value> variable();
  Result<std::vector<Value>> arguments();
  Result<Value> joined(BinOp op, Value a, Value b, CallSite at);
  Check agree(Value& a, Value& b);
  Expr settle(const Value& v, DType type);
  Refusal misfit(const Value& v, DType wanted) const;

  Cursor& in_;
  const ExpressionNames& names_;
  int nesting_ = 0;
  int depth_ = 0;  // of the tree that was read last
};

}  // namespace tecc::loop
