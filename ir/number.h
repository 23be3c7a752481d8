#pragma once
#include <optional>

#include "ir/expr.h"

namespace tecc {

/// The f32 number that an expression of constants is: literals, their casts, square roots. Code generation writes it as one literal.
std::optional<double> number_of(const Expr& e);

/// A literal zero, of any type.
bool is_zero(const Expr& e);

}  // namespace tecc
