#include "tests/support/cpu.h"

using namespace tecc;
using test::check_cpu;

namespace {
std::string text(const std::string& file) { return test::cases().at(file); }

constexpr const char* small_gemm = "kernel gemm(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) }";

struct Row {
  const char *what, *schedule;
};
}  // namespace

TEST_CASE("cpu: schedules of a product in f32", "[cpu]") {
  const Row rows[] = {
      {"tiles", "i0, i1 = split(C.i, 4); j0, j1 = split(C.j, 8); k0, k1 = split(C.k, 3); reorder(i0, j0, k0, i1, j1, k1)"},
      {"parallel and vector", "parallel(C.i); j0, j1 = split(C.j, 4); reorder(C.i, j0, C.k, j1); vectorize(j1)"},
      {"fused tasks", "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); reorder(i0, j0, i1, j1, C.k); parallel([i0, j0])"},
      {"one fused loop", "f = fuse(C.i, C.j); f0, f1 = split(f, 5); parallel(f0); unroll(f1)"},
      {"bound to blocks and threads", "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); reorder(i0, j0, i1, j1, C.k); bind([i0, j0], block); bind([i1, j1], thread)"},
      {"copies of operands", "i0, i1 = split(C.i, 4); j0, j1 = split(C.j, 4); k0, k1 = split(C.k, 3); reorder(i0, j0, k0, i1, j1, k1)\n"
                             "as, al = cache_read(C, A, shared, at=k0); bs, bl = cache_read(C, B, local, at=j0); set_layout(bs, [1, 0], pad=3)"},
      {"a transposed panel read by vectors", "i0, i1 = split(C.i, 6); j0, j1, j2 = split(C.j, [2, 4]); reorder(j0, i0, C.k, i1, j1, j2)\n"
                                             "bs, bl = cache_read(C, B, local, at=j0); set_layout(bs, [1, 0]); vectorize(j2); unroll([i1, j1])"},
      {"partial sums", "k0, k1 = split(C.k, 4); reorder(C.i, C.j, k1, k0); c = rfactor(C, k1)"},
      {"decomposed by hand", "k0, k1 = split(C.k, 4); reorder(k0, C.i, C.j, k1); z = decompose_reduction(C, k0)"},
  };
  for (const Row& r : rows)
    for (const std::string dims : {"M=7,N=11,K=13", "M=8,N=16,K=12", "M=1,N=1,K=1"}) {
      INFO(r.what);
      check_cpu({small_gemm, dims, "", r.schedule});
    }
  for (const Row& r : rows) {
    if (std::string(r.what) == "one fused loop") continue;  // fuse needs a constant inner extent
    INFO(r.what << ", runtime dims");
    check_cpu({small_gemm, "M=1..100,N=1..100,K=1..64", "", r.schedule, {{"M", 7}, {"N", 11}, {"K", 13}}});
  }
}

TEST_CASE("cpu: schedules of a product with an epilogue", "[cpu]") {
  const Row rows[] = {
      {"accumulators in registers",
       "i0, i1 = split(C.sum.i, 6); j0, j1, j2 = split(C.sum.j, [2, 4]); reorder(i0, j0, C.sum.k, i1, j1, j2); set_scope(C.sum, local)\n"
       "oi, oj = reverse_compute_at(C, j0); vectorize(j2); unroll([i1, j1]); parallel([i0, j0])"},
      {"accumulators and copies",
       "i0, i1 = split(C.sum.i, 4); j0, j1 = split(C.sum.j, 8); k0, k1 = split(C.sum.k, 3); reorder(i0, j0, k0, k1, i1, j1); set_scope(C.sum, local)\n"
       "oi, oj = reverse_compute_at(C, j0); as, al = cache_read(C.sum, A, local, at=k0); bs, bl = cache_read(C.sum, B, local, at=k0); set_layout(bs, [1, 0]); vectorize([j1, oj])"},
      {"the sum where it is needed", "set_scope(C.sum, local); _, _, k = compute_at(C.sum, C.j)"},
      {"the sum of a row", "set_scope(C.sum, local); _, j, k = compute_at(C.sum, C.i); j0, j1 = split(j, 4); reorder(j0, k, j1); vectorize(j1)"},
  };
  for (const Row& r : rows)
    for (const std::string file : {"gemm.te", "gemm_bias_gelu.te"}) {
      std::string schedule = r.schedule;
      if (file == "gemm_bias_gelu.te")
        for (std::size_t at = 0; (at = schedule.find("C.sum", at)) != std::string::npos;) schedule.replace(at, 5, "x.sum");
      if (file == "gemm_bias_gelu.te") schedule = "inline(x)\n" + schedule;
      for (const std::string type : {"T=bf16", "T=f16"})
        for (const std::string dims : {"M=7,N=11,K=13", "M=12,N=16,K=6", "M=2,N=3,K=2"}) {
          INFO(r.what);
          check_cpu({text(file), dims, type, schedule}, 2);
        }
    }
}

TEST_CASE("cpu: schedules of other operators", "[cpu]") {
  struct Case {
    const char *file, *dims, *types, *schedule;
  };
  const Case rows[] = {
      {"softmax.te", "M=5,N=13", "T=f32", "inline(e); _, l = compute_at(total, Y.i); _, t = compute_at(top, Y.i); set_scope([top, total], local); parallel(Y.i); j0, j1 = split(Y.j, 8); vectorize(j1)"},
      {"softmax.te", "M=5,N=13", "T=bf16", "inline(e); _, l = compute_at(total, Y.i); _, t = compute_at(top, Y.i); set_scope([top, total], local); xs, xl = cache_read([top, total, Y], X, local, at=Y.i); parallel(Y.i)"},
      {"softmax.te", "M=5,N=13", "T=f32", "_, m = compute_at(total, Y.i); _, l = compute_at(e, Y.i); _, t = compute_at(top, Y.i); set_scope([top, e, total], local); vectorize(l)"},
      {"layernorm.te", "M=3,N=17", "T=bf16", "inline([mean, variance]); _, c = compute_at(variance.sum, Y.i); _, a = compute_at(mean.sum, Y.i); set_scope([mean.sum, variance.sum], local); parallel(Y.i)"},
      {"layernorm.te", "M=3,N=17", "T=f32", "a0, a1 = split(mean.sum.j, 4); r = rfactor(mean.sum, a1)"},
      {"cumsum.te", "M=5,N=13", "T=f32", "i0, i1 = split(Y.i, 4); parallel(i0)"},
      {"cumsum.te", "M=5,N=13", "T=f32", "j0, j1 = split(Y.j, 4); reorder(j0, Y.i, j1)"},
      {"cumsum.te", "M=5,N=13", "T=f32", "i0, i1 = split(Y.i, 4); reorder(i0, Y.j, i1); vectorize(i1)"},
      {"conv2d_nchw.te", "N=2,C=3,H=7,W=5,R=3,S=3,stride=1,pad=1,O=4", "T=f32",
       "q0, q1 = split(Y.q, 4); reorder(Y.n, Y.o, Y.p, q0, Y.c, Y.r, Y.s, q1); xs, xl = cache_read(Y, X, local, at=Y.c); vectorize(q1)"},
      // A copy of a copy: what the first holds outside of X must be in the second, too.
      {"conv2d_nchw.te", "N=2,C=3,H=7,W=5,R=3,S=3,stride=1,pad=1,O=4", "T=f32",
       "xs, xl = cache_read(Y, X, shared, at=Y.o); xr, xc = cache_read(Y, xs, local, at=Y.p)"},
      {"conv2d_nchw.te", "N=1,C=3,H=7,W=9,R=3,S=3,stride=2,pad=1,O=4", "T=f32", "p0, p1 = split(Y.p, 2); reorder(Y.n, Y.o, p0, Y.c, p1, Y.q, Y.r, Y.s); xs, xl = cache_read(Y, X, local, at=Y.c)"},
      {"conv2d_nhwc.te", "N=2,C=3,H=7,W=5,R=3,S=3,stride=1,pad=1,O=5", "T=f16",
       "o0, o1 = split(Y.sum.o, 4); reorder(Y.sum.n, Y.sum.p, Y.sum.q, o0, Y.sum.r, Y.sum.s, Y.sum.c, o1); set_scope(Y.sum, local); _, _, _, oo = reverse_compute_at(Y, o0); vectorize([o1, oo])"},
      {"transpose.te", "M=7,N=11", "T=f32", "i0, i1 = split(Y.i, 4); j0, j1 = split(Y.j, 4); reorder(i0, j0, j1, i1); xs, xl = cache_read(Y, X, local, at=j0); vectorize(i1)"},
      {"attention_causal.te", "B=1,H=2,S=7,D=5", "T=f32", "parallel(O.sum.i)"},
      {"attention_causal.te", "B=1,H=2,S=7,D=5", "T=f32", "inline(score)"},
      {"gemm_dequant.te", "M=3,N=5,K=256", "T=bf16", "inline(w); k0, k1 = split(C.sum.k, 128)"},
      {"gemm_rowmax.te", "M=5,N=7,K=3", "T=bf16", "parallel(top.i)"},
  };
  for (const Case& c : rows) check_cpu({text(c.file), c.dims, c.types, c.schedule}, 2);
}

TEST_CASE("cpu: argmax and argmin, ties, NaN", "[cpu]") {
  const std::string two = "kernel k(X: f32[M, N]) -> (top, low) { top[i: M] = argmax[j: N](X[i, j]) low[i: M] = argmin[j: N](X[i, j]) }";
  for (const std::string schedule : {"", "parallel(top.i)", "i0, i1 = split(top.i, 4); reorder(i0, top.j, i1); vectorize(i1)", "j0, j1 = split(low.j, 4)"})
    check_cpu({two, "M=5,N=13", "", schedule});
  const test::Prepared p = test::prepare({two, "M=4,N=5"});
  Array x(DType::f32, {4, 5});
  const double nan = std::nan(""), inf = INFINITY;
  const double rows[4][5] = {{1, 3, 3, 0, 0}, {1, nan, 5, nan, -1}, {-inf, -inf, -inf, -inf, -inf}, {inf, 2, inf, -inf, -inf}};
  for (int n = 0; n < 20; ++n) x.set(n, rows[n / 5][n % 5]);
  const auto got = test::run_cpu(p, {x}), want = test::require(interpret(p.lifted, {}, std::vector<Array>{x}));
  for (int n = 0; n < 2; ++n) test::check_close(got[static_cast<std::size_t>(n)], want[static_cast<std::size_t>(n)], 0);
}
