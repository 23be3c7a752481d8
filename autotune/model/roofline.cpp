#include "autotune/model/roofline.h"

#include <algorithm>

#include "ir/te/prover.h"

namespace tecc::autotune {
namespace {

/// Operations on tensor elements in an expression; a square root counts as one, as is usual.
double operations_of(const Expr& e) {
  double n = 0;
  walk(e, [&](const Expr& x) {
    if (x.as<Read>()) return false;  // its indices are no work of the expression
    if (x.as<Unary>() || x.as<Binary>()) ++n;
    return true;
  });
  return n;
}

/// f32(x) * f32(y) of narrow types, tf32(x) * tf32(y), i32(x) * i32(y) of 8 bits, f64 products.
bool for_tensor_cores(const Expr& body) {
  const auto* product = body.as<Binary>();
  if (!product || product->op != BinOp::mul) return false;
  const auto narrow = [](const Expr& e) {
    const auto* c = e.as<Cast>();
    return e->type == DType::f64 || e->type == DType::tf32 || (c && (is_narrow_float(c->a->type) || c->a->type == DType::tf32 || (is_integer(c->a->type) && bytes_of(c->a->type) == 1)));
  };
  return narrow(product->a) && narrow(product->b);
}

}  // namespace

Roofline roofline(const codegen::Workload& w, const codegen::Target& target, const std::map<std::string, std::int64_t>& dims) {
  const te::Kernel& k = w.lifted.kernel;
  std::map<VarId, te::DimRange> exact;
  for (const auto& [v, range] : w.lifted.runtime) {
    const std::int64_t value = dims.at(k[v].name);
    exact[v] = {value, value, 1};
  }
  // Half of the box where an extent follows an axis: the mean of a triangle.
  const auto points = [&](te::Prover& prover, const std::vector<Axis>& axes) {
    double n = 1;
    for (const Axis& a : axes) {
      const auto r = prover.range(a.extent);
      n *= r ? std::max(0.0, (static_cast<double>(r->first) + static_cast<double>(r->last)) / 2) : 1;
      prover.enter(a);
    }
    return n;
  };
  Roofline out;
  const te::Prover plain(exact);
  const auto add_bytes = [&](TensorId t) {
    double n = static_cast<double>(bytes_of(k[t].type.concrete()));
    for (const Expr& e : k[t].shape)
      if (const auto r = plain.range(e)) n *= static_cast<double>(r->last);
    out.bytes += n;
  };
  for (TensorId t : k.inputs)
    if (!k[t].by_value) add_bytes(t);
  for (TensorId t : k.outputs) add_bytes(t);
  double largest = 0;
  for (const te::LiftedStage& s : w.lifted.stages) {
    te::Prover prover(exact);
    double n = points(prover, s.axes);
    n *= points(prover, s.reduce_axes);
    const double operations = n * (operations_of(s.body) + (s.reducer ? 1 : 0));
    out.operations += operations;
    if (operations > largest) largest = operations, out.tensor = s.reducer == Reducer::sum && for_tensor_cores(s.body);
  }
  const double peak = out.tensor && target.tensor_tflops > 0 ? target.tensor_tflops : target.f32_tflops;
  if (target.memory_gbs > 0) out.memory_us = out.bytes / (target.memory_gbs * 1e3);
  if (peak > 0) out.compute_us = out.operations / (peak * 1e6);
  return out;
}

}  // namespace tecc::autotune
