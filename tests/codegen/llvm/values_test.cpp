#include "tests/support/cpu.h"

using namespace tecc;

namespace {

/// Y = f(X) for every element of X, on the CPU and by the reference interpreter.
struct Both {
  Array got, want;
};
Both run(const std::string& body, const Array& x, const std::string& schedule = "") {
  const std::string text = "kernel k(X: " + std::string(name(x.type)) + "[N]) -> (Y) { Y[i: N] = " + body + " }";
  const test::Prepared p = test::prepare({text, "N=" + std::to_string(x.size()), "", schedule});
  return {test::run_cpu(p, {x})[0], test::require(interpret(p.lifted, {}, std::vector<Array>{x}))[0]};
}

/// Floats of all sizes and all special values.
Array floats(DType type, std::int64_t n, double low = -1e3, double high = 1e3) {
  Array x(type, {n});
  std::mt19937 random(7);
  const double special[] = {0, -0.0, 1, -1, 0.5, INFINITY, -INFINITY, std::nan(""), 1e-40, -1e-40, 3e38, 88.7, -88.7, -104, 1e-45, 65504, 65520, 65519.99, 448, 464, 465, 57344, 61440, 2e-8};
  for (std::int64_t i = 0; i < n; ++i) {
    if (i < std::ssize(special)) x.set(i, special[i]);
    else if (i % 2) x.set(i, std::uniform_real_distribution<double>(low, high)(random));
    else x.set(i, std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random), static_cast<int>(random() % 60) - 30));
  }
  return x;
}

std::int64_t bit_differences(const Both& b) {
  std::int64_t wrong = 0;
  for (std::int64_t n = 0; n < b.got.size(); ++n) {
    const bool both_nan = is_float(b.got.type) && std::isnan(b.got.get(n)) && std::isnan(b.want.get(n));
    if (!both_nan && b.got.bits(n) != b.want.bits(n) && wrong++ < 3) UNSCOPED_INFO("element " << n << ": " << b.got.get(n) << ", expected " << b.want.get(n));
  }
  return wrong;
}

}  // namespace

TEST_CASE("cpu: conversions give the interpreter's bits", "[cpu]") {
  for (const std::string schedule : {"", "i0, i1 = split(Y.i, 8); vectorize(i1)"})
    for (const DType from : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::e4m3, DType::e5m2})
      for (const DType to : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::e4m3, DType::e5m2, DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::boolean}) {
        INFO(name(from) << " to " << name(to) << " " << schedule);
        CHECK(bit_differences(run(std::string(name(to)) + "(X[i])", floats(from, 403))) == 0);
      }
  for (const DType from : {DType::i8, DType::u8, DType::i16, DType::i32, DType::i64})
    for (const DType to : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::e4m3, DType::i8, DType::u8, DType::i32}) {
      Array x(from, {301});
      std::mt19937_64 random(3);
      for (std::int64_t n = 0; n < x.size(); ++n) x.set_bits(n, random() >> (n % 40));
      INFO(name(from) << " to " << name(to));
      CHECK(bit_differences(run(std::string(name(to)) + "(X[i])", x)) == 0);
    }
  CHECK(bit_differences(run("tf32(X[i])", floats(DType::f32, 403))) == 0);
}

TEST_CASE("cpu: every float of 8 and 16 bits survives", "[cpu]") {
  for (const DType type : {DType::f16, DType::bf16, DType::e4m3, DType::e5m2}) {
    Array x(type, {bytes_of(type) == 2 ? 65536 : 256});
    for (std::int64_t n = 0; n < x.size(); ++n) x.set_bits(n, static_cast<std::uint64_t>(n));
    INFO(name(type));
    CHECK(bit_differences(run(std::string(name(type)) + "(f32(X[i]))", x)) == 0);
    CHECK(bit_differences(run("f32(X[i])", x)) == 0);
  }
}

TEST_CASE("cpu: conversions without F16C", "[cpu]") {
  const test::Prepared p = test::prepare({"kernel k(X: f32[N]) -> (Y, Z) { Y[i: N] = f16(X[i]) Z[i: N] = f32(f16(X[i])) }", "N=403"});
  const Array x = floats(DType::f32, 403);
  const auto want = test::require(interpret(p.lifted, {}, std::vector<Array>{x}));
  const auto got = test::run_cpu(p, {x}, {"", "x86-64", ""});
  for (std::size_t n = 0; n < 2; ++n) CHECK(bit_differences({got[n], want[n]}) == 0);
}

TEST_CASE("cpu: functions are within 4 ulp", "[cpu]") {
  for (const std::string function : {"exp", "log", "sqrt", "rsqrt", "tanh", "erf", "sin", "cos", "sigmoid", "floor", "ceil", "round", "abs", "square"})
    for (const DType type : {DType::f32, DType::f64}) {
      const Both b = run(function + "(X[i])", floats(type, 20001, -110, 110));
      double worst = 0, at = 0;
      const Array x = floats(type, 20001, -110, 110);
      for (std::int64_t n = 0; n < b.got.size(); ++n) {
        const double got = b.got.get(n), want = b.want.get(n);
        if (got == want || (std::isnan(got) && std::isnan(want))) continue;
        if (std::abs(want) < 1e-300 && std::abs(got) < 1e-300) continue;  // the reference's own formula ends there
        const double ulp = type == DType::f32 ? std::max(std::ldexp(std::abs(want), -23), 0x1p-149) : std::max(std::ldexp(std::abs(want), -52), 0x1p-1074);
        const double error = std::isfinite(got) && std::isfinite(want) ? std::abs(got - want) / ulp : 1e9;
        if (error > worst) worst = error, at = x.get(n);
      }
      INFO(function << " of " << name(type) << " at " << at);
      CHECK(worst <= 4);
    }
}

TEST_CASE("cpu: integers wrap, division floors, nothing traps", "[cpu]") {
  for (const DType type : {DType::i8, DType::u8, DType::i16, DType::i32, DType::i64}) {
    const std::string t(name(type));
    const std::string text = "kernel k(X: " + t + "[N], Z: " + t + "[N]) -> (A, B, C, D, E) { A[i: N] = X[i] * Z[i] + X[i] B[i: N] = X[i] / Z[i] C[i: N] = X[i] % Z[i]\n"
                             "D[i: N] = min(X[i], -Z[i]) E[i: N] = select(X[i] < Z[i], abs(X[i]), square(Z[i])) }";
    const test::Prepared p = test::prepare({text, "N=401"});
    Array x(type, {401}), z(type, {401});
    std::mt19937_64 random(5);
    for (std::int64_t n = 0; n < x.size(); ++n) {
      x.set_bits(n, n % 3 ? random() : 1ull << (8 * bytes_of(type) - 1));
      z.set_bits(n, n % 7 == 0 ? ~0ull : random() | 1);
    }
    const auto want = test::require(interpret(p.lifted, {}, std::vector<Array>{x, z}));
    const auto got = test::run_cpu(p, {x, z});
    for (std::size_t n = 0; n < got.size(); ++n) {
      INFO(t << " " << n);
      CHECK(bit_differences({got[n], want[n]}) == 0);
    }
  }
}

TEST_CASE("cpu: what is not chosen is not read", "[cpu]") {
  const std::string schedules[] = {"", "i0, i1 = split(Y.i, 4); vectorize(i1)"};
  for (const std::string& s : schedules) {
    test::check_cpu({"kernel k(X: f32[N], P: i64[N]) -> (Y) { Y[i: N] = select(P[i] < 0, 7.0, X[max(P[i], 0) % N] else 3.0) }", "N=13", "", s});
    test::check_cpu({"kernel k(X: f32[N], P: i64[N]) -> (Y) { Y[i: N] = X[P[i] * 100000000] else 3.0 }", "N=13", "", s});
    test::check_cpu({"kernel k(X: f32[N]) -> (Y) { Y[i: N] = select(i >= 3 && X[i - 3] > 0, X[i - 3], 1.0) }", "N=13", "", s});
    test::check_cpu({"kernel k(X: f32[N], t: f16, n: i64) -> (Y) { Y[i: N] = X[i] * f32(t) + f32(n) }", "N=13", "", s});
    test::check_cpu({"kernel k(X: bool[N], Z: bool[N]) -> (Y, Q) { Y[i: N] = X[i] && !Z[i] || X[N - 1 - i] Q[i: 1] = any[j: N](X[j] && Z[j]) }", "N=13", "", s});
  }
}

TEST_CASE("cpu: reducers over nothing and over NaN", "[cpu]") {
  test::check_cpu({"kernel k(X: f32[N]) -> (S, P, A, B, C) { S[i: N] = sum[j: i](X[j] * X[i]) P[i: N] = prod[j: i](X[j] + X[i]) A[i: N] = max[j: i](X[j] - X[i]) B[i: N] = min[j: i](X[j] - X[i]) C[i: N] = argmax[j: i](X[j] - X[i]) }", "N=7"});
  const test::Prepared p = test::prepare({"kernel k(X: f32[N]) -> (A, B) { A[i: 1] = max[j: N](X[j]) B[i: 1] = min[j: N](X[j]) }", "N=5"});
  Array x(DType::f32, {5});
  x.set(2, std::nan(""));
  const auto got = test::run_cpu(p, {x});
  CHECK(std::isnan(got[0].get(0)));
  CHECK(std::isnan(got[1].get(0)));
}
