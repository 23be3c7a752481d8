// A file of operators as input of the tool, which compiles it with the host compiler:
//   tecc build examples/05_operator_file.cpp --kernel gemm_bias_relu --dims M=512,N=512,K=256 --types T=bf16 --out-dir out
#include <tecc/dsl.h>

using namespace tecc::dsl;

te::Kernel gemm_bias_relu() {
  Kernel g("gemm_bias_relu");
  const Type T = g.type("T");
  const Value M = g.dim("M"), N = g.dim("N"), K = g.dim("K");
  const Tensor A = g.input("A", T, {M, K}), B = g.input("B", T, {N, K}), bias = g.input("bias", T, {N});
  const Axis i("i", M), j("j", N), k("k", K);
  const Tensor x = g.stage("x", {i, j}, sum({k}, f32(A(i, k)) * f32(B(j, k))) + f32(bias(j)));
  return std::move(g).outputs({g.stage("C", {i, j}, T(max(x(i, j), 0)))}).or_throw();
}
TECC_EXPORT(gemm_bias_relu)

// What a text cannot: the same polynomial for any list of coefficients, by Horner's rule.
te::Kernel polynomial() {
  Kernel g("polynomial");
  const Value N = g.dim("N");
  const Tensor X = g.input("X", f32, {N});
  const Axis i("i", N);
  Value y = 0.5;
  for (const double c : {-1.25, 3.0, 1.0}) y = y * X(i) + c;
  return std::move(g).outputs({g.stage("Y", {i}, y)}).or_throw();
}
TECC_EXPORT(polynomial)
