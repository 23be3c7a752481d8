#include "ir/number.h"

#include <cmath>

namespace tecc {

std::optional<double> number_of(const Expr& e) {
  if (e->type != DType::f32 && e->type != DType::i64) return std::nullopt;
  if (const auto* l = e.as<Literal>()) return l->decimal || l->real != 0 ? l->real : static_cast<double>(l->integer);
  if (const auto* c = e.as<Cast>()) return number_of(c->a);
  const auto* u = e.as<Unary>();
  const auto a = u ? number_of(u->a) : std::nullopt;
  if (a && u->op == UnOp::sqrt) return std::sqrt(*a);
  if (a && u->op == UnOp::rsqrt) return 1 / std::sqrt(*a);
  return std::nullopt;
}

bool is_zero(const Expr& e) {
  const auto* l = e.as<Literal>();
  return l && l->real == 0 && l->integer == 0;
}

}  // namespace tecc
