#include "tests/support/te.h"

using namespace tecc;

namespace {
std::string lifted(const std::string& text, const std::string& dims, const std::string& types = "") {
  return te::print(te::lift(test::bind(text, dims, types)));
}
std::string hash(const std::string& text, const std::string& dims, const std::string& types = "") {
  return te::hash(te::lift(test::bind(text, dims, types)));
}
}  // namespace

TEST_CASE("lift: reductions become hidden stages") {
  const auto cases = test::cases();
  CHECK(lifted(cases.at("gemm.te"), "M=4,N=8,K=16", "T=bf16") ==
        "C.sum[i: 4, j: 8]: f32 = sum[k: 16](f32(A[i, k]) * f32(B[j, k]))\n"
        "C[i: 4, j: 8]: bf16 = bf16(C.sum[i, j])\n");
  CHECK(lifted(cases.at("gemm.te"), "M=4,N=8,K=16", "T=f32") == "C[i: 4, j: 8]: f32 = sum[k: 16](A[i, k] * B[j, k])\n");
  CHECK(lifted(cases.at("softmax.te"), "M=4,N=8", "T=bf16") ==
        "top[i: 4]: f32 = max[j: 8](f32(X[i, j]))\n"
        "e[i: 4, j: 8]: f32 = exp(f32(X[i, j]) - top[i])\n"
        "total[i: 4]: f32 = sum[j: 8](e[i, j])\n"
        "Y[i: 4, j: 8]: bf16 = bf16(e[i, j] / total[i])\n");
  CHECK(lifted("kernel k(X: bf16[M, N]) -> (Y) { Y[i: M] = mean[j: N](X[i, j]) }", "M=4,N=8") ==
        "Y.sum[i: 4]: f32 = sum[j: 8](f32(X[i, j]))\n"
        "Y[i: 4]: bf16 = bf16(Y.sum[i] / 8)\n");
  CHECK(
      lifted("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j] - sum[k: N](X[i, k]) * sum[m: M](X[m, j])) }",
             "M=4,N=8") ==
      "Y.sum2[i: 4]: f32 = sum[k: 8](X[i, k])\n"
      "Y.sum3[j: 8]: f32 = sum[m: 4](X[m, j])\n"
      "Y[i: 4]: f32 = sum[j: 8](X[i, j] - Y.sum2[i] * Y.sum3[j])\n");
}

TEST_CASE("lift: prefix reductions are scans, read with a shift") {
  const std::string head = "kernel k(X: f32[M, N]) -> (Y) { Y[i: M, j: ";
  CHECK(lifted(head + "N] = sum[k: j + 1](X[i, k]) }", "M=4,N=8") == "Y[i: 4, j: 8]: f32 = sum scan(X[i, j])\n");
  CHECK(lifted(head + "N] = sum[k: j](X[i, k]) }", "M=4,N=8") ==
        "Y.sum[i: 4, k: 7]: f32 = sum scan(X[i, k])\n"
        "Y[i: 4, j: 8]: f32 = Y.sum[i, j - 1] else 0.0\n");
  CHECK(lifted(head + "N - 2] = sum[k: j + 3](X[i, k]) }", "M=4,N=8") ==
        "Y.sum[i: 4, k: 8]: f32 = sum scan(X[i, k])\n"
        "Y[i: 4, j: 6]: f32 = Y.sum[i, j + 2]\n");
  CHECK(lifted(head + "N] = sum[k: j - 20](X[i, k]) }", "M=4,N=8") == "Y[i: 4, j: 8]: f32 = 0.0\n");
  CHECK(lifted("kernel k(X: f16[N]) -> (Y) { Y[j: N] = sum[k: j + 1](X[k]) }", "N=1..100") ==
        "Y.sum[k: N]: f32 = sum scan(f32(X[k]))\n"
        "Y[j: N]: f16 = f16(Y.sum[j])\n");
  // the body mentions j: quadratic work, as written
  CHECK(lifted(head + "N] = sum[k: j + 1](X[i, k] * X[i, j]) }", "M=4,N=8") ==
        "Y[i: 4, j: 8]: f32 = sum[k: j + 1](X[i, k] * X[i, j])\n");
}

TEST_CASE("lift: a reduction that leaves its condition takes it along where it must") {
  CHECK(lifted("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = select(i > 0, sum[j: N](X[i - 1, j]), 0) }", "M=4,N=8") ==
        "Y.sum[i: 4]: f32 = sum[j: 8](select(0 < i, X[i - 1, j], 0.0))\n"
        "Y[i: 4]: f32 = select(0 < i, Y.sum[i], 0)\n");
  CHECK(lifted("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = select(i > 0, sum[j: N](X[i, j]), 0) }", "M=4,N=8") ==
        "Y.sum[i: 4]: f32 = sum[j: 8](X[i, j])\n"
        "Y[i: 4]: f32 = select(0 < i, Y.sum[i], 0)\n");
}

TEST_CASE("lift: a reduction that leaves one without iterations reads nothing there") {
  CHECK(lifted("kernel k(Z: f32[N]; M) -> (Y) { Y[i: M] = sum[k: i - 1](f32(k) + max[l: 3](Z[i + l - 2])) }", "M=5,N=6") ==
        "Y.max[i: 5]: f32 = max[l: 3](select(0 < i - 1, Z[i + l - 2], 0.0))\n"
        "Y[i: 5]: f32 = sum[k: i - 1](f32(k) + Y.max[i])\n");
  CHECK(lifted("kernel k(Z: f32[N]; M) -> (Y) { Y[i: M] = sum[k: i + 1](f32(k) + max[l: 3](Z[i + l])) }", "M=4,N=6") ==
        "Y.max[i: 4]: f32 = max[l: 3](Z[i + l])\n"
        "Y[i: 4]: f32 = sum[k: i + 1](f32(k) + Y.max[i])\n");
  // a scan leaves its own axis, which may have no iterations in some rows
  CHECK(lifted("kernel k(Z: f32[N], X: f32[M, N]; c) -> (Y) { u[i: M, j: i - 1] = sum[k: j + 3](X[i, k] * Z[i - 2]) Y[i: M] = sum[j: i - 1](u[i, j]) }", "M=4,N=6,c=1") ==
        "u[i: 4, j: i - 1]: f32 = sum[k: j + 3](X[i, k] * Z[i - 2])\n"
        "Y[i: 4]: f32 = sum[j: i - 1](u[i, j])\n");
}

TEST_CASE("hash: names and the order of independent stages do not matter, all else does") {
  const std::string dims = "M=4,N=8", a = "kernel a(X: f32[M, N]) -> (Y) { p[i: M] = sum[j: N](X[i, j]) q[i: M] = "
                                          "max[j: N](X[i, j]) Y[i: M] = p[i] + q[i] }";
  CHECK(hash(a, dims) == hash("kernel b(Z: f32[M, N]) -> (W) { f[u: M] = max[v: N](Z[u, v]) g[w: M] = sum[j: N](Z[w, "
                              "j]) W[i: M] = g[i] + f[i] }",
                              dims));
  CHECK(hash(a, dims) ==
        hash("kernel b(Z: f32[A, B]) -> (W) { W[i: A] = sum[j: B](Z[i, j]) + max[j: B](Z[i, j]) }", "A=4,B=8"));
  CHECK(hash(a, dims) != hash(a, "M=4,N=9"));
  CHECK(hash(a, dims) !=
        hash("kernel b(Z: f32[A, B]) -> (W) { W[i: A] = sum[j: B](Z[i, j]) - max[j: B](Z[i, j]) }", "A=4,B=8"));
  CHECK(hash(a, dims).size() == 64);
}

TEST_CASE("hash: a reduction with or without a stage of its own is the same computation") {
  struct Pair {
    const char *own, *inlined;
  };
  const Pair pairs[] = {
      {"x[i: M, j: N] = sum[k: N](f32(X[i, k]) * f32(X[j, k])) Y[i: M, j: N] = T(x[i, j])",
       "Y[i: M, j: N] = T(sum[k: N](f32(X[i, k]) * f32(X[j, k])))"},
      {"x[i: M] = mean[j: N](f32(X[i, j])) Y[i: M, j: N] = T(f32(X[i, j]) - x[i])",
       "Y[i: M, j: N] = T(f32(X[i, j]) - mean[j2: N](f32(X[i, j2])))"},
      {"x[i: M] = sum[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] / x[i]", "Y[i: M, j: N] = X[i, j] / sum[k: N](X[i, k])"},
      {"x[i: M, j: N] = sum[k: j](f32(X[i, k])) Y[i: M, j: N] = T(x[i, j])",
       "Y[i: M, j: N] = T(sum[k: j](f32(X[i, k])))"},
      {"x[i: M, j: N] = max[k: N](X[i, k]) Y[i: M, j: N] = x[i, j] - x[i, 0]",
       "Y[i: M, j: N] = max[k: N](X[i, k]) - max[k: N](X[i, k])"},
      {"x[i: M] = argmax[k: N](X[i, k]) Y[i: M] = x[i] + 1", "Y[i: M] = argmax[k: N](X[i, k]) + 1"},
  };
  for (const auto& [own, inlined] : pairs)
    for (const char* types : {"T=bf16", "T=f32"}) {
      const std::string head = "kernel k<T>(X: T[M, N]) -> (Y) { ";
      INFO(own);
      const auto a = te::lift(test::bind(head + own + " }", "M=8,N=8", types)),
                 b = te::lift(test::bind(head + inlined + " }", "M=8,N=8", types));
      INFO(te::print(a) << te::print(b));
      CHECK(te::hash(a) == te::hash(b));
      REQUIRE(a.stages.size() == b.stages.size());
      for (std::size_t n = 0; n < a.stages.size(); ++n) CHECK(a.stages[n].tensor == b.stages[n].tensor);
    }
}
