#pragma once
#include "ir/integer/facts.h"

namespace tecc::integer {

/// a op b of index arithmetic, by the rules that need no facts (tables::folds in rules.h); literals are computed, what would leave i64
/// stays a node.
Expr folded(BinOp op, const Expr& a, const Expr& b);

/// `e` with its index arithmetic by all rules (rules.h), comparisons and conditions that are decided included. The same value
/// wherever the variables are as `known` says; what it cannot follow it leaves as it is. Tensors' values are not touched.
Expr simplify(const Expr& e, const Known& known);

}  // namespace tecc::integer
