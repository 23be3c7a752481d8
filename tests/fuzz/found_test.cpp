#include "tests/support/simulated.h"

using namespace tecc;

// Small forms of what the fuzzer found, each named after its symptom.

namespace {

const test::Subject weighted{"kernel w(X: f32[M, K]) -> (Y) { l[i: M] = sum[k: K](X[i, k]) Y[i: M, j: 6] = l[i] * 2 + f32(j) }", "M=4,K=5"};
const test::Subject window{"kernel w(X: f32[N, N]) -> (Y) { a[i: N, j: N] = X[i, j] * 2 Y[p: N, q: N] = max[r: 3, s: 2]((a[p + r - 1, q + s] else 1.5)) }", "N=3"};

}  // namespace

TEST_CASE("cache_read: the copy for a loop with a tail reads elements that nobody computed") {
  CHECK(window.refused("compute_at(a, Y.r); s0, s1, s2 = split(Y.s, [16, 1]); cache_read([Y], a, local, s0)") ==
        "s:1:55: error E0321: block 'a copy for Y' reads 'a', which is not complete at that place");
  test::replayed(window.with("compute_at(a, Y.r)\ns0, s1 = split(Y.s, 2)\ncache_read([Y], a, local, s0)"), false);  // no tail
  test::replayed(window.with("s0, s1, s2 = split(Y.s, [16, 1])\ncache_read([Y], a, local, s0)"), false);             // complete before
}

TEST_CASE("cache_write: the store of a triangle copies what was not computed") {
  const std::string text = "kernel t(X: f32[M, M]) -> (Z) { Y[i: M, j: i + 1] = X[i, j] * X[j, i] Z[i: M] = sum[j: i + 1](Y[i, j]) }";
  test::replayed({text, "M=5", "", "j0, j1, j2 = split(Y.j, [1, 8])\ncache_write(Y, Y, local, j0)"}, false);
  test::replayed({text, "M=5", "", "reorder(Y.j, Y.i)\ncache_write(Y, Y, local, Y.j)"}, false);
}

TEST_CASE("cache_read: the copy of a triangle reads what was not computed") {
  const std::string text = "kernel t(X: f32[M, M]) -> (Z) { Y[i: M, j: i + 1] = X[i, j] * X[j, i] Z[i: M] = sum[j: i + 1](Y[i, j]) }";
  test::replayed({text, "M=5", "", "i0, i1 = split(Z.i, 2)\ncache_read([Z], Y, local, i0)"}, false);
}

TEST_CASE("compute_at: a tile that is moved keeps the loop at which it began") {
  test::replayed({"kernel m(X: f32[M, N]) -> (Y) { a[i: M] = max[j: N](X[i, j]) Y[i: M] = a[i] * 2 }", "M=3,N=5", "", "f = fuse(a.i, a.j)\nblockize(f)\nsplit(f, 4)\ncompute_at(a, Y.i)"}, false);
}

TEST_CASE("raster: its loops can be changed apart once a statement stands between them") {
  CHECK(window.refused("raster(a.i, a.j, group=3); cache_write(a, a, local, a.i); split(a.i, [4, 3])").find("E0359") != std::string::npos);
}

TEST_CASE("decompose_reduction: the identity is stored by other threads than those that add, without a barrier") {
  test::check_simulated({"kernel p(A: f32[M, K], B: f32[K, N]) -> (Y) { Y[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }", "M=2,N=3,K=4", "", "decompose_reduction(Y, Y.i)\nbind(Y.j, thread)"});
}

TEST_CASE("a reduction in memory is computed by several threads or blocks at the same time") {
  CHECK(test::lowering_refused(weighted.with("compute_at(l, Y.j)\nbind(Y.j, thread)")) ==
        "error E0445: iterations of loop 'Y.j', which is bound to threads, would all compute 'l' at the same time, in memory that they share; legal: set_scope(…, local), or a loop of 'l' bound to as many threads");
  CHECK(test::lowering_refused(weighted.with("reorder(Y.j, Y.i)\ncompute_at(l, Y.j)\nbind(Y.j, block)")) ==
        "error E0445: iterations of loop 'Y.j', which is bound to blocks, would all compute 'l' at the same time, in memory that they share; legal: set_scope(…, shared) or a kernel of its own");
  test::check_simulated(weighted.with("compute_at(l, Y.j)\nset_scope(l, local)\nbind(Y.j, thread)"));
}

TEST_CASE("a step takes away a statement that specialize or skew names") {
  const std::string first = "compute_at(b, Y.i); ";
  CHECK(test::chain.refused(first + "specialize([role([b]), role([Y])])").find("E0360") == std::string::npos);
  CHECK(test::chain.refused("compute_at(a, Y.i); compute_at(b, Y.i); specialize([role([a, b]), role([Y])]); inline(b)") ==
        "s:1:80: error E0375: the step would take away or add to what specialize names: 'b'; legal: the step before specialize");
  CHECK(test::chain.refused("compute_at(a, Y.i); compute_at(b, Y.i); specialize([role([a, b]), role([Y])]); cache_read([b], a, local, Y.i)").find("E0360: no role runs block") != std::string::npos);
}

TEST_CASE("wgmma reads shared memory that threads wrote, without a fence") {
  test::check_simulated({"kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = f16(max(x[i, j], 0)) }", "M=64,N=16,K=32", "",
                         "k0, k1 = split(x.k, 16)\ni0, i1 = split(x.i, 64)\nw, i2 = split(i1, 64)\nj0, j1 = split(x.j, 16)\nreorder(i0, j0, k0, w, i2, j1, k1)\nbind(w, warpgroup)\n"
                         "set_scope(x, register)\nc0, c1 = reverse_compute_at(C, j0)\nas, al = cache_read(x, A, shared, k0)\nbs, bl = cache_read(x, B, shared, k0)\nt = blockize(i2)\ntensorize(t, wgmma)\n"
                         "v, o = split(c0, 64)\nbind(v, warpgroup)"}, 2);
}

TEST_CASE("reverse_compute_at: a block that reads its producer along two axes runs on the diagonal alone") {
  const test::Subject square{"kernel q(X: f32[M, K]) -> (Y) { s[i: M, j: M] = sum[k: K](X[i, k] * X[j, k]) Y[i: M, j: M] = sum[k: M](s[i, k] * s[j, k]) }", "M=5,K=3"};
  CHECK(square.refused("reverse_compute_at(Y, s.i)").find("error E0319: ") != std::string::npos);
}

TEST_CASE("compute_at: the new loops of a triangle's producer follow a loop that is not around them") {
  test::replayed({"kernel t(X: f32[N, N]) -> (Y) { a[i: N, j: N] = X[i, j] * 2 Y[i: N] = sum[j: i + 1](X[i, j] * a[j, i]) }", "N=9", "", "i0, i1 = split(Y.i, 4)\ncompute_at(a, i0)"}, false);
}

TEST_CASE("a grid or a pipeline that no block can run is refused") {
  CHECK(window.refused("raster(a.i, a.j, group=1); persist(a.i)").find("error E0359: loop 'a.i' belongs to a raster with 'a.j'") != std::string::npos);
  CHECK(test::lowering_refused(weighted.with("bind([Y.i, Y.j], block)\npersist(Y.i)")) == "error E0408: kernel 'w' has statements outside of its loops bound to blocks");
  CHECK(test::lowering_refused(weighted.with("s, c = cache_read([l], X, shared, l.i)\npipeline(l.i, s)\nbind(l.i, block)")) ==
        "error E0421: the pipeline of 'X.shared' cannot be carried out: loop 'l.i' is bound to blocks and does not run in one of them; legal: persist");
}

TEST_CASE("cross_thread_reduce: the result is read before the threads have combined it") {
  CHECK(weighted.refused("compute_at(l, Y.i); bind(l.k, thread); i0, i1, i2 = split(Y.i, [5, 3]); cross_thread_reduce(l, i1)").find("error E0343: ") != std::string::npos);
  test::check_simulated(weighted.with("compute_at(l, Y.i)\nset_scope(l, local)\nbind(l.k, thread)\ncross_thread_reduce(l, Y.i)"));
}

TEST_CASE("a copy by vectors leaves out what nobody has brought to shared memory") {
  test::check_simulated({"kernel c(X: f64[K, K]) -> (Y) { Y[i: K, j: K] = X[i, j] }", "K=2", "",
                         "yl, ys = cache_write(Y, Y, local, Y.j)\nf = fuse(Y.i, Y.j)\ncopy_with(Y, vector)\nf0, f1 = split(f, 7)\ncache_read([Y], X, shared, f0)"});
}
