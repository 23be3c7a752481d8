#include "compiler/dsl.h"

#include "tests/support/te.h"

using namespace tecc::dsl;
using tecc::test::require;

namespace {

te::Kernel gemm_bias_relu() {
  Kernel g("gemm_bias_relu");
  const Type T = g.type("T");
  const Value M = g.dim("M"), N = g.dim("N"), K = g.dim("K");
  const Tensor A = g.input("A", T, {M, K}), B = g.input("B", T, {N, K}), bias = g.input("bias", T, {N});
  const Axis i("i", M), j("j", N), k("k", K);
  const Tensor x = g.stage("x", {i, j}, sum({k}, f32(A(i, k)) * f32(B(j, k))) + f32(bias(j)));
  return std::move(g).outputs({g.stage("C", {i, j}, T(max(x(i, j), 0)))}).or_throw();
}

std::string hash(const te::Kernel& k, const std::string& dims, const std::string& types) {
  return te::hash(
      te::lift(require(te::bind(k, {require(te::parse_dims(dims)), require(te::parse_type_bindings(types))}))));
}

template <class F> std::string error_of(F&& f) {
  const tecc::Result<te::Kernel> r = f();
  if (r) return "";
  std::string text = tecc::render(r.error());
  const auto file = text.find("dsl_test.cpp:");
  return file == text.npos ? text : text.substr(text.find(": ", file) + 2);
}

}  // namespace

TEST_CASE("dsl: prints the text form and means the same") {
  const te::Kernel k = gemm_bias_relu();
  const std::string text = print(k);
  CHECK(text ==
        "kernel gemm_bias_relu<T>(A: T[M, K], B: T[N, K], bias: T[N]) -> (C) {\n"
        "  x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) + f32(bias[j])\n"
        "  C[i: M, j: N] = T(max(x[i, j], 0))\n"
        "}\n");
  CHECK(hash(k, "M=8,N=8,K=8", "T=bf16") == hash(tecc::test::kernel(text), "M=8,N=8,K=8", "T=bf16"));
}

TEST_CASE("dsl: every operator, function and form") {
  Kernel g("all");
  const Value N = g.dim("N"), pad = g.integer("pad");
  const Tensor X = g.input("X", f32, {N}), Y = g.input("Y", i32, {N, N / 2 + 1});
  const Value s = g.scalar("s", f32), L = g.let("L", N + 2 * pad);
  const Axis i("i", N), j("j", i + 1), k("k", 3);
  const Tensor a = g.stage("a", {i, j}, (X(i) + 1) * -(s - 0.5) / (X(i) - (s - 2)));
  const Tensor b = g.stage(
      "b", {i}, select(!(i < 3) && (i > 1 || i == 0) && i + 1 != L, X(i - pad).otherwise(-1), pow(square(X(i)), 2.5)));
  const Tensor c =
      g.stage("c", {i}, a(i, 0) + mean({k}, b(i)) + f32(argmax({k}, k % 2)) + min({k}, exp(X(i))) + max(X(i), tf32(s)));
  const auto kernel = require(std::move(g).outputs({c}));
  CHECK(
      print(kernel) ==
      "kernel all(X: f32[N], Y: i32[N, N / 2 + 1], s: f32; pad) -> (c) {\n"
      "  let L = N + 2 * pad\n"
      "  a[i: N, j: i + 1] = (X[i] + 1) * -(s - 0.5) / (X[i] - (s - 2))\n"
      "  b[i: N] = select(!(i < 3) && (1 < i || i == 0) && i + 1 != L, X[i - pad] else -1, pow(square(X[i]), 2.5))\n"
      "  c[i: N] = a[i, 0] + mean[k: 3](b[i]) + f32(argmax[k: 3](k % 2)) + min[k: 3](exp(X[i])) + max(X[i], tf32(s))\n"
      "}\n");
  CHECK(require(te::bind(kernel, {{{"N", {8, 8, 1}}, {"pad", {1, 1, 1}}}, {}})).warnings.empty());
}

TEST_CASE("dsl: the first mistake comes out with its line") {
  const unsigned line = __LINE__;
  const auto r = [] {
    Kernel g("k");
    const Tensor X = g.input("X", f32, {g.dim("N")});
    const Axis i("i", g.dim("N"));
    const Tensor Y = g.stage("Y", {i}, X(i, i));
    return std::move(g).outputs({Y});
  }();
  REQUIRE(!r);
  CHECK(std::string(r.error().at.file).find("dsl_test.cpp") != std::string::npos);
  CHECK(r.error().at.line == line + 5);
  CHECK(tecc::message(r.error()) == "'X' has 1 dimensions but is read with 2 indices; write X[_]");
}

TEST_CASE("dsl: mistakes") {
  const auto with = [](auto body) {
    return error_of([&] {
      Kernel g("k");
      const Tensor X = g.input("X", f32, {g.dim("N")});
      const Axis i("i", g.dim("N"));
      return std::move(g).outputs({g.stage("Y", {i}, body(X, i))});
    });
  };
  CHECK(with([](auto X, auto i) { return X(i) + sum({Axis("i", 3)}, X(i)); }) ==
        "error E0111: the name 'i' is already an axis; choose another name");
  CHECK(with([](auto X, auto) { return X(Axis("j", 3)); }) == "error E0110: unknown name 'j'");
  CHECK(with([](auto X, auto i) { return X(i) * (1.0 / 0.0); }) ==
        "error E0103: the number 'inf' is too large; a literal is finite");
  CHECK(with([](auto X, auto i) { return sum({}, X(i)); }) ==
        "error E0104: expected an axis but found an empty list of axes for 'sum'");
  CHECK(with([](auto X, auto i) {
          Value x = X(i);
          for (int n = 0; n < 60; ++n) x = x * x;
          return x;
        }) == "error E0141: the expression has over 100000 nodes; make part of it a stage");
  CHECK(with([](auto X, auto i) {
          Value x = X(i);
          for (int n = 0; n < 20000; ++n) x = x + 1;
          return x;
        }) == "error E0142: a chain of over 1000 operators; make part of it a stage");
  CHECK(error_of([] { return Kernel("two words").outputs({}); }) ==
        "error E0109: 'two words' is not a name; use letters, digits and _, beginning with a letter or _");
  CHECK(error_of([] {
          Kernel g("k");
          const Axis i("i", 4);
          return std::move(g).outputs({g.stage("f32", {i}, i)});
        }) == "error E0107: 'f32' is reserved and cannot name a stage; choose another name");
  CHECK_THROWS_WITH(Kernel("k").outputs({}).or_throw(), Catch::Contains("dsl_test.cpp"));
}
