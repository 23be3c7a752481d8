// An operator written in C++: the same object as its text form, checked and bound to sizes, as naive loops.
#include <iostream>

#include "codegen/build.h"
#include "compiler/dsl.h"

namespace te = tecc::te;

te::Kernel dense() {
  using namespace tecc::dsl;
  Kernel g("dense");
  const Type T = g.type("T");
  const Value M = g.dim("M"), N = g.dim("N"), K = g.dim("K");
  const Tensor A = g.input("A", T, {M, K}), W = g.input("W", T, {N, K}), bias = g.input("bias", T, {N});
  const Axis i("i", M), j("j", N), k("k", K);
  const Tensor x = g.stage("x", {i, j}, sum({k}, f32(A(i, k)) * f32(W(j, k))));
  return std::move(g).outputs({g.stage("Y", {i, j}, T(max(x(i, j) + f32(bias(j)), 0)))}).or_throw();
}

int main() {
  const te::Kernel kernel = dense();
  std::cout << te::print(kernel) << "\n";

  te::Bindings sizes;
  sizes.dims = te::parse_dims("M=64,N=32,K=16").or_throw();
  sizes.types = te::parse_type_bindings("T=f32").or_throw();
  const tecc::codegen::Workload w = tecc::codegen::make_workload(kernel, sizes).or_throw();
  std::cout << tecc::loop::print(w.naive);
}
