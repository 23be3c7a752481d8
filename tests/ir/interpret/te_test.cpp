#include "ir/interpret/te.h"

#include <chrono>
#include <cmath>
#include <random>

#include "tests/support/te.h"

using namespace tecc;

namespace {

Array random_array(DType type, std::vector<std::int64_t> shape, unsigned seed) {
  Array a(type, std::move(shape));
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal;
  for (std::int64_t n = 0; n < a.size(); ++n) a.set(n, is_float(type) ? normal(rng) : std::round(10 * normal(rng)));
  return a;
}

using Dims = std::map<std::string, std::int64_t>;

/// Runs the kernel as written and lifted, demands equal bits, and gives the outputs.
std::vector<Array> run(const te::Bound& bound, const std::vector<Array>& inputs, const Dims& dims = {},
                       bool wide = false) {
  const auto direct = test::require(interpret(bound, dims, inputs, {wide}));
  const auto lifted = test::require(interpret(te::lift(bound), dims, inputs, {wide}));
  REQUIRE(direct.size() == lifted.size());
  for (std::size_t n = 0; n < direct.size(); ++n)
    CHECK((direct[n].data == lifted[n].data && direct[n].shape == lifted[n].shape));
  return direct;
}
std::vector<Array> run(const std::string& text, const std::string& dims, const std::string& types,
                       const std::vector<Array>& inputs) {
  return run(test::bind(text, dims, types), inputs);
}
std::vector<double> values(const Array& a) {
  std::vector<double> out;
  for (std::int64_t n = 0; n < a.size(); ++n) out.push_back(a.get(n));
  return out;
}
Array filled(DType type, std::vector<std::int64_t> shape, const std::vector<double>& v) {
  Array a(type, std::move(shape));
  REQUIRE(a.size() == static_cast<std::int64_t>(v.size()));
  for (std::size_t n = 0; n < v.size(); ++n) a.set(static_cast<std::int64_t>(n), v[n]);
  return a;
}

}  // namespace

TEST_CASE("interpret: gemm in every float type against a loop") {
  const std::int64_t M = 5, N = 7, K = 9;
  for (const DType type : {DType::f16, DType::bf16, DType::f32, DType::e4m3, DType::e5m2}) {
    const Array a = random_array(type, {M, K}, 1), b = random_array(type, {N, K}, 2);
    const auto c = run(test::cases().at("gemm.te"), "M=5,N=7,K=9", "T=" + std::string(name(type)), {a, b})[0];
    for (std::int64_t i = 0; i < M; ++i)
      for (std::int64_t j = 0; j < N; ++j) {
        float sum = 0;
        for (std::int64_t k = 0; k < K; ++k) {
          const float product = static_cast<float>(a.get(i * K + k)) * static_cast<float>(b.get(j * K + k));
          sum = sum + product;
        }
        CHECK(c.get(i * N + j) == round_to(sum, type));
      }
  }
}

TEST_CASE("interpret: conv2d with padding and stride against a loop") {
  const std::int64_t N = 2, C = 3, H = 7, W = 6, O = 4, R = 3, S = 3, stride = 2, pad = 1, P = 4, Q = 3;
  const Array x = random_array(DType::f32, {N, C, H, W}, 1), f = random_array(DType::f32, {O, C, R, S}, 2);
  const auto y =
      run(test::cases().at("conv2d_nchw.te"), "N=2,C=3,H=7,W=6,O=4,R=3,S=3,stride=2,pad=1", "T=f32", {x, f})[0];
  REQUIRE(y.shape == std::vector<std::int64_t>{N, O, P, Q});
  std::int64_t n = 0;
  for (std::int64_t b = 0; b < N; ++b)
    for (std::int64_t o = 0; o < O; ++o)
      for (std::int64_t p = 0; p < P; ++p)
        for (std::int64_t q = 0; q < Q; ++q) {
          float sum = 0;
          for (std::int64_t c = 0; c < C; ++c)
            for (std::int64_t r = 0; r < R; ++r)
              for (std::int64_t s = 0; s < S; ++s) {
                const std::int64_t h = p * stride + r - pad, w = q * stride + s - pad;
                const bool inside = h >= 0 && h < H && w >= 0 && w < W;
                const float v = inside ? static_cast<float>(x.get(((b * C + c) * H + h) * W + w)) : 0;
                const float product = v * static_cast<float>(f.get(((o * C + c) * R + r) * S + s));
                sum = sum + product;
              }
          CHECK(y.get(n++) == sum);
        }
}

TEST_CASE("interpret: softmax against a loop") {
  const Array x = random_array(DType::bf16, {4, 11}, 3);
  const auto y = run(test::cases().at("softmax.te"), "M=4,N=11", "T=bf16", {x})[0];
  for (int i = 0; i < 4; ++i) {
    double top = -INFINITY;
    for (int j = 0; j < 11; ++j) top = std::max(top, x.get(i * 11 + j));
    float total = 0;
    for (int j = 0; j < 11; ++j) total += static_cast<float>(std::exp(x.get(i * 11 + j) - top));
    for (int j = 0; j < 11; ++j)
      CHECK(y.get(i * 11 + j) ==
            round_to(static_cast<float>(static_cast<float>(std::exp(x.get(i * 11 + j) - top)) / total), DType::bf16));
  }
}

TEST_CASE("interpret: prefix sums, shifted both ways, at a runtime dim") {
  for (const int c : {-3, -1, 0, 1, 2, 4}) {
    const int extra = std::max(c - 1, 0);
    const auto bound = test::bind("kernel k(X: f32[M, N + " + std::to_string(extra) +
                                      "], Z: f32[N]) -> (Y) { Y[i: M, j: N] = sum[k: j + " + (c < 0 ? "-" : "") +
                                      std::to_string(std::abs(c)) + "](X[i, k]) }",
                                  "M=3,N=4..64");
    for (const int n : {4, 9}) {
      const Array x = random_array(DType::f32, {3, n + extra}, 5);
      const auto y = run(bound, {x, Array(DType::f32, {n})}, {{"N", n}})[0];
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < n; ++j) {
          float sum = 0;
          for (int k = 0; k < j + c; ++k) sum += static_cast<float>(x.get(i * (n + extra) + k));
          CHECK(y.get(i * n + j) == sum);
        }
    }
  }
}

TEST_CASE("interpret: attention, plain and causal, against loops in double") {
  const int S = 6, D = 4;
  for (const bool causal : {false, true}) {
    const Array q = random_array(DType::f32, {1, 2, S, D}, 1), k = random_array(DType::f32, {1, 2, S, D}, 2),
                v = random_array(DType::f32, {1, 2, S, D}, 3);
    const auto o = run(test::cases().at(causal ? "attention_causal.te" : "attention.te"),
                       causal ? "B=1,H=2,S=6,D=4" : "B=1,H=2,S=6,D=4,L=6", "T=f32", {q, k, v})[0];
    for (int h = 0; h < 2; ++h)
      for (int i = 0; i < S; ++i) {
        const int n = causal ? i + 1 : S;
        std::vector<double> w(static_cast<std::size_t>(n));
        double total = 0;
        for (int j = 0; j < n; ++j) {
          double dot = 0;
          for (int d = 0; d < D; ++d) dot += q.get((h * S + i) * D + d) * k.get((h * S + j) * D + d);
          total += w[static_cast<std::size_t>(j)] = std::exp(dot / 2);
        }
        for (int d = 0; d < D; ++d) {
          double want = 0;
          for (int j = 0; j < n; ++j) want += w[static_cast<std::size_t>(j)] / total * v.get((h * S + j) * D + d);
          CHECK(o.get((h * S + i) * D + d) == Catch::Approx(want).epsilon(1e-5).margin(1e-6));
        }
      }
  }
}

TEST_CASE("interpret: argmax takes the first of equals, NaN first; empty reductions give neutral values") {
  const Array x = filled(DType::f32, {3, 4}, {1, 3, 3, 2, -1, -1, -1, -1, 0, NAN, 5, NAN});
  CHECK(values(run("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = argmax[j: N](X[i, j]) }", "M=3,N=4", "", {x})[0]) ==
        std::vector<double>{1, 0, 1});
  CHECK(values(run("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = argmin[j: N](X[i, j]) }", "M=3,N=4", "", {x})[0]) ==
        std::vector<double>{0, 0, 1});
  const std::string text =
      "kernel k(X: f32[N]; n) -> (a, b, c, d, e, f, g, h) { a[] = sum[j: n](X[j]) b[] = prod[j: n](X[j]) c[] = max[j: "
      "n](X[j]) d[] = min[j: n](i8(X[j])) "
      "e[] = any[j: n](X[j] > 0) f[] = all[j: n](X[j] > 0) g[] = mean[j: n](X[j]) h[] = argmax[j: n](X[j]) }";
  const auto out = run(text, "N=4,n=-1", "", {random_array(DType::f32, {4}, 1)});
  CHECK(out[0].get(0) == 0);
  CHECK(out[1].get(0) == 1);
  CHECK(out[2].get(0) == -INFINITY);
  CHECK(out[3].get(0) == 127);
  CHECK(out[4].get(0) == 0);
  CHECK(out[5].get(0) == 1);
  CHECK(std::isnan(out[6].get(0)));
  CHECK(out[7].get(0) == -1);
}

TEST_CASE("interpret: ragged stages, read inside and with else") {
  const std::string text =
      "kernel k(X: i32[N, N]) -> (Y, Z) { t[i: N, j: i + 1] = X[i, j] * 2 Y[i: N, j: N] = select(j <= i, t[i, j], -1) "
      "Z[i: N, j: N] = t[i, j] else -1 }";
  const auto out = run(text, "N=3", "", {filled(DType::i32, {3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9})});
  CHECK(values(out[0]) == std::vector<double>{2, -1, -1, 8, 10, -1, 14, 16, 18});
  CHECK(out[0].data == out[1].data);
}

TEST_CASE("interpret: means over ragged axes divide by what there is") {
  const auto y = run("kernel k(X: f32[N]) -> (Y) { Y[i: N] = mean[j: i](X[j]) }", "N=3", "",
                     {filled(DType::f32, {3}, {4, 6, 8})})[0];
  CHECK(std::isnan(y.get(0)));
  CHECK(y.get(1) == 4);
  CHECK(y.get(2) == 5);
  CHECK(run("kernel k(X: f32[N]) -> (Y) { Y[] = mean[i: N, j: i + 1](X[j]) }", "N=3", "",
            {filled(DType::f32, {3}, {4, 6, 8})})[0]
            .get(0) == static_cast<float>(32.0f / 6));
}

TEST_CASE("interpret: integers wrap, floor and combine with indices") {
  const Array x = filled(DType::i8, {4}, {-128, -7, 7, 127});
  const auto v = [&](const std::string& body) {
    return values(run("kernel k(X: i8[N]) -> (Y) { Y[i: N] = " + body + " }", "N=4", "", {x})[0]);
  };
  CHECK(v("X[i] + 1") == std::vector<double>{-127, -6, 8, -128});
  CHECK(v("-X[i]") == std::vector<double>{-128, 7, -7, -127});
  CHECK(v("abs(X[i])") == std::vector<double>{-128, 7, 7, 127});
  CHECK(v("X[i] / 2") == std::vector<double>{-64, -4, 3, 63});
  CHECK(v("X[i] % 4") == std::vector<double>{0, 1, 3, 3});
  CHECK(v("X[i] + i") == std::vector<double>{-128, -6, 9, 130});  // i64
  CHECK(v("select(X[i] != 0 && 100 / i32(X[i]) > 10, 1, 0)") == std::vector<double>{0, 0, 1, 0});
  CHECK(v("u8(X[i])") == std::vector<double>{128, 249, 7, 127});
}

TEST_CASE("interpret: casts") {
  const Array x = filled(DType::f32, {6}, {1e30, -1e30, NAN, 2.9, -2.9, 300});
  const auto v = [&](const std::string& type) {
    return values(run("kernel k(X: f32[N]) -> (Y) { Y[i: N] = " + type + "(X[i]) }", "N=6", "", {x})[0]);
  };
  CHECK(v("i8") == std::vector<double>{127, -128, 0, 2, -2, 127});
  CHECK(v("u8") == std::vector<double>{255, 0, 0, 2, 0, 255});
  CHECK(v("i32")[0] == 2147483647);
  CHECK(v("bool") == std::vector<double>{1, 1, 1, 1, 1, 1});
}

TEST_CASE("interpret: a data-dependent index outside its tensor is an error that names the element") {
  const auto bound = test::bind("kernel k(X: f32[N], I: i32[M]) -> (Y) { Y[i: M] = X[I[i]] }", "N=4,M=3");
  const std::vector<Array> inputs = {random_array(DType::f32, {4}, 1), filled(DType::i32, {3}, {0, -1, 2})};
  const auto r = interpret(bound, {}, inputs);
  REQUIRE(!r);
  CHECK(message(r.error()) == "element [1] of 'Y' reads 'X' at [-1], outside its shape [4]");
  CHECK(values(run("kernel k(X: f32[N], I: i32[M]) -> (Y) { Y[i: M] = X[I[i]] else -5 }", "N=4,M=3", "",
                   inputs)[0])[1] == -5);
  const auto zero = interpret(test::bind("kernel k(I: i32[M]) -> (Y) { Y[i: M] = 6 / I[i] }", "M=3"), {},
                              std::span(inputs).subspan(1));
  REQUIRE(!zero);
  CHECK(message(zero.error()) == "element [0] of 'Y' divides an integer by zero in '/'");
}

TEST_CASE("interpret: wrong arguments") {
  const auto bound =
      test::bind("kernel k(X: f32[M, N], s: f32) -> (Y) { Y[i: M, j: N] = X[i, j] * s }", "M=2,N=1..9:3");
  const auto error = [&](const Dims& dims, const std::vector<Array>& inputs) {
    return message(interpret(bound, dims, inputs).error());
  };
  CHECK(error({}, {}) == "runtime dim 'N' has no value; add N=... to --dims");
  CHECK(error({{"N", 12}}, {}) == "runtime dim 'N' is 12; its range is 3..9");
  CHECK(error({{"N", 4}}, {}) == "runtime dim 'N' is 4; it must be a multiple of 3");
  CHECK(error({{"N", 3}}, {}) == "kernel 'k' takes 2 inputs but 0 were given");
  CHECK(error({{"N", 3}}, {Array(DType::f32, {2, 4}), Array(DType::f32, {})}) ==
        "input 'X' has shape [2, 4] and type f32, the kernel needs f32[2, 3]");
  CHECK(interpret(bound, {{"N", 3}}, std::vector<Array>{Array(DType::f32, {2, 3}), Array(DType::f32, {})}));
}

TEST_CASE("interpret: wide keeps f64 between stages and rounds casts") {
  const auto bound = test::bind("kernel k(X: f32[N]) -> (Y) { Y[] = sum[j: N](X[j]) - 100000000 }", "N=2");
  const std::vector<Array> x = {filled(DType::f32, {2}, {100000000, 1})};
  CHECK(run(bound, x)[0].get(0) == 0);
  CHECK(run(bound, x, {}, true)[0].get(0) == 1);
}

TEST_CASE("interpret: fast enough to be a reference") {
  const auto bound = test::bind(test::cases().at("gemm.te"), "M=64,N=64,K=64", "T=bf16");
  const std::vector<Array> inputs = {random_array(DType::bf16, {64, 64}, 1), random_array(DType::bf16, {64, 64}, 2)};
  const auto begin = std::chrono::steady_clock::now();
  test::require(interpret(te::lift(bound), {}, inputs));
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
  INFO(ms << " ms");
  CHECK(ms < 200);  // about 5 ms; generous for sanitizers and busy machines
}
