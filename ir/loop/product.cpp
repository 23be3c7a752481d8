#include "ir/loop/program.h"

namespace tecc::loop {

namespace {

std::optional<Product::Factor> factor_of(const Expr& e) {
  const auto* cast = e.as<Cast>();
  if (!cast || cast->to.is_parameter()) return std::nullopt;
  const auto* read = cast->a.as<Read>();
  if (!read) return std::nullopt;
  const DType from = cast->a->type, to = cast->to.concrete();
  if (to == DType::tf32 && from == DType::f32) return Product::Factor{read, DType::tf32};
  if (to == DType::f32 && is_narrow_float(from)) return Product::Factor{read, from};
  if (to == DType::i32 && is_integer(from) && bytes_of(from) == 1) return Product::Factor{read, from};
  return std::nullopt;
}

}  // namespace

std::optional<Product> product_of(const Block& b) {
  if (b.combiner != Reducer::sum || b.writes.size() != 1) return std::nullopt;
  const auto* product = b.writes[0].value.as<Binary>();
  if (!product || product->op != BinOp::mul) return std::nullopt;
  const auto x = factor_of(product->a), y = factor_of(product->b);
  if (!x || !y) return std::nullopt;
  return Product{{*x, *y}};
}

}  // namespace tecc::loop
