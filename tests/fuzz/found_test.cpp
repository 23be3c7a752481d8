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

TEST_CASE("online: the running maximum is shared, what is kept of it is not") {
  const std::string attention =
      "kernel a(Q: bf16[H, S, D], K: bf16[H, S, D], V: bf16[H, S, D]) -> (O) {\n  y[h: H, i: S, j: i + 1] = sum[d: D](f32(Q[h, i, d]) * f32(K[h, j, d])) * 0.25\n"
      "  top[h: H, i: S] = max[j: i + 1](y[h, i, j])\n  e[h: H, i: S, j: i + 1] = exp(y[h, i, j] - top[h, i])\n  total[h: H, i: S] = sum[j: i + 1](e[h, i, j])\n"
      "  O[h: H, i: S, d: D] = bf16(sum[j: i + 1](f32(bf16(e[h, i, j])) * f32(V[h, j, d])) / total[h, i])\n}";
  const test::Subject subject{attention, "H=1,S=66,D=4"};
  CHECK(test::lowering_refused(subject.with("inline(y)\ni0, i1 = split(O.sum.i, 64)\nw, i2 = split(i1, 64)\nj0, j1 = split(O.sum.j, 80)\nreorder([O.sum.h, i0, j0, w, i2, O.sum.d, j1])\nbind(w, warpgroup)\n"
                                            "online([top, total, O.sum], j0, w)")) ==
        "error E0461: block 'top.init' writes 'top.seen', of which every thread has its own, and 'top', which one thread stores for all; legal: both in one scope, or loops of 'top.init' bound to threads");
}

TEST_CASE("copy_with(vector): surplus elements are read from registers that hold others") {
  test::check_simulated({"kernel c(X: f64[K, K]) -> (Y) { Y[i: K, j: K] = X[i, j] }", "K=2", "",
                         "cache_write(Y, Y, local, Y.j)\nf = fuse(Y.i, Y.j)\ncopy_with(Y, vector)\nf0, f1 = split(f, 7)\ncache_read(Y, X, local, f1)"});
}

TEST_CASE("copy_with: a statement that comes to stand beside the copy is not part of its tile") {
  const test::Subject copy{"kernel c(X: f32[K, K]) -> (Y) { a[i: K, j: K] = X[i, j] Y[i: K, j: K] = a[i, j] + 1 }", "K=4"};
  CHECK(test::lowering_refused(copy.with("copy_with(a, cp_async)\ncache_write(a, a, shared, a.j)")) == "error E0420: 'a.shared' cannot be copied by cp_async: nothing waits for it; legal: a pipeline that names it");
  test::check_simulated(copy.with("copy_with(a, vector)\ncache_write(a, a, shared, a.j)"));
}

TEST_CASE("bulk copies that nothing waits for") {
  CHECK(test::lowering_refused({"kernel c(X: f32[M, K]) -> (Y) { Y[i: M, j: K] = X[i, j] + 1 }", "M=4,K=16", "", "s, l = cache_read(Y, X, shared, Y.i)\ncopy_with(l, bulk_tensor)"}) ==
        "error E0420: 'X.shared' cannot be copied by bulk_tensor: nothing waits for it; legal: a pipeline that names it");
}

TEST_CASE("pipeline: copies go ahead in a loop that each thread runs, from its beginning, and of what the loop does not make") {
  const test::Subject turn{"kernel t(X: f32[K, K]) -> (Y) { Y[j: K, i: K] = X[i, j] }", "K=4"};
  const std::string copies = "s, l = cache_read(Y, X, shared, Y.i)\npipeline(Y.i, s)\n";
  CHECK(test::lowering_refused(turn.with(copies + "bind(Y.i, thread)")) == "error E0421: the pipeline of 'X.shared' cannot be carried out: loop 'Y.i' is bound, skewed or reversed");
  CHECK(test::lowering_refused(turn.with(copies + "reverse(Y.i)")) == "error E0421: the pipeline of 'X.shared' cannot be carried out: loop 'Y.i' is bound, skewed or reversed");
  const test::Subject made{"kernel m(X: f32[M, K]) -> (Y) { a[i: M, j: K] = X[i, j] * 2 Y[i: M, j: K] = a[i, j] + 1 }", "M=4,K=5"};
  CHECK(test::lowering_refused(made.with("compute_at(a, Y.i)\nset_scope(a, shared)\ns, l = cache_read(Y, a, shared, Y.i)\npipeline(Y.i, s)")) ==
        "error E0421: the pipeline of 'a.shared' cannot be carried out: 'a' is made in loop 'Y.i_2', too");
  const test::Subject triangle{"kernel t(X: f32[N, N]) -> (Y) { Y[i: N] = sum[j: i + 1](X[i, j]) }", "N=6"};
  CHECK(test::lowering_refused(triangle.with("s, l = cache_read(Y, X, shared, Y.i)\npipeline(Y.i, s)")) == "error E0421: the pipeline of 'X.shared' cannot be carried out: the extent of loop 'x1' follows 'Y.i'");
}

TEST_CASE("a product is combined across threads at a loop inside of its own tile") {
  CHECK(test::lowering_refused({"kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = f16(max(x[i, j], 0)) }", "M=64,N=16,K=32", "",
                                "k0, k1 = split(x.k, 16)\nw, i2 = split(x.i, 64)\nreorder(k0, w, i2, x.j, k1)\nbind(w, warpgroup)\nset_scope(x, register)\ncross_thread_reduce(x, x.j)\n"
                                "t = blockize(i2)\ntensorize(t, wgmma)"}) ==
        "error E0419: the tile of 'x' cannot be cut into threads: it is combined across threads at loop 'x.j', inside of it");
}

TEST_CASE("threads of one nest, or blocks of one grid, use what others of them make in global memory") {
  const std::string sums = "kernel s(X: f32[M, K]) -> (Y) { a[i: M] = sum[k: K](X[i, k]) Y[i: M, j: K] = a[i] + X[i, j] }";
  // Every thread makes all of what it uses; every thread makes a part that others use, too; each its own.
  test::check_simulated({sums, "M=4,K=5", "", "compute_at(a, Y.i)\nbind(Y.i, thread)"});
  test::check_simulated({sums, "M=4,K=5", "", "compute_at(a, Y.i)\nbind(Y.i, block)"});
  const std::string halo = "kernel h(X: f32[M]) -> (Y) { a[i: M] = X[i] * 2 Y[i: M - 2] = a[i] + a[i + 2] }";
  test::check_simulated({halo, "M=9", "", "compute_at(a, Y.i)\nbind(Y.i, block)"});   // stored again by others, the same
  test::check_simulated({halo, "M=9", "", "compute_at(a, Y.i)\nbind(Y.i, thread)"});
}

TEST_CASE("rfactor: the iterations that stay behind have no holes") {
  const std::string text = "kernel p(X: f64[M, K], W: f64[K, K], V: f64[K, N]) -> (Y) { s[i: M, j: K] = sum[k: K](X[i, k] * W[k, j]) Y[i: M, j: N] = sum[k: K](s[i, k] * V[k, j]) }";
  test::replayed({text, "M=1,N=1,K=2", "", "k0, k1, k2 = split(s.k, [3, 2])\nsplit_reduction(k2, 4)\ncompute_at(s, Y.i)"}, false);
}

TEST_CASE("copies of tiles whose axes lie in one loop") {
  const std::string text = "kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = x[i, j] * 2 }";
  test::check_simulated({text, "M=64,N=16,K=48", "",
                         "k0, k1 = split(x.k, 48)\ni0, i1 = split(x.i, 64)\nw, i2 = split(i1, 64)\nreorder(i0, k0, w, i2, x.j, k1)\nbind(w, warpgroup)\nset_scope(x, register)\n"
                         "c0, c1 = reverse_compute_at(C, i0)\nas, al = cache_read(x, A, shared, k0)\nbs, bl = cache_read(x, B, shared, k0)\nt = blockize(i2)\ntensorize(t, wgmma)\n"
                         "v, o = split(c0, 64)\nbind(v, warpgroup)\ncopy_with([al, bl], vector)\nfuse(al.0, al.1)"}, 2);
}

TEST_CASE("a sum over registers that the layout of a product gives to several threads") {
  CHECK(test::lowering_refused({"kernel g(A: f16[M, K], B: f16[N, K]) -> (S) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) S[i: M] = sum[j: N](x[i, j]) }", "M=64,N=16,K=16", "",
                                "w, i1 = split(x.i, 64)\nreorder(w, i1, x.j, x.k)\nbind(w, warpgroup)\nset_scope(x, register)\ncache_read(x, A, shared, w)\ncache_read(x, B, shared, w)\n"
                                "t = blockize(i1)\ntensorize(t, wgmma)\nreverse_compute_at(S, w)"}) ==
        "error E0410: loop 'j' of the reduction 'S' is bound to threads without cross_thread_reduce");
}

TEST_CASE("a reduction in memory follows one digit of a loop bound to blocks, and runs again for the other") {
  CHECK(test::lowering_refused(weighted.with("compute_at(l, Y.j)\nf = fuse(Y.i, Y.j)\nbind(f, block)")) ==
        "error E0445: iterations of loop 'i_j', which is bound to blocks, would all compute 'l' at the same time, in memory that they share; legal: set_scope(…, shared) or a kernel of its own");
}

TEST_CASE("a private copy is made by threads that a fused loop hides, and read by others") {
  CHECK(test::lowering_refused({"kernel t(X: f64[K, K]) -> (Y) { Y[i: K] = sum[j: i + 1](X[i, j] * X[j, i]) }", "K=4", "",
                                "b, l = cache_read(Y, X, local, Y.j)\nf = fuse(l.0, l.1)\nf0, f1, f2 = split(f, [3, 3])\nbind(f0, thread)"}) ==
        "error E0401: 'X.local' lives in registers, but block 'X.local' uses elements of other threads than block 'X.local' does; legal: shared memory, or the same loops bound to threads");
}

TEST_CASE("bind: a copy of a triangle's row runs to the end of the row and reads a copy that does not") {
  const test::Subject triangle{"kernel t(X: f32[K, K], V: f32[K, K]) -> (Y) { Y[i: K] = sum[j: i + 1](X[i, j] * V[j, i]) }", "K=4"};
  const std::string copies = "a, al = cache_read(Y, X, shared, Y.i)\n";
  CHECK(triangle.refused(copies + "b, bl = cache_read(al, X, shared, Y.i)\nbind(al.1, thread)") == "s:3:1: error E0321: block 'X.shared' reads 'X.shared', which is not complete at that place");
  test::check_simulated(triangle.with(copies + "bind(al.1, thread)"));  // the input has more than the copy needs
  test::check_simulated(triangle.with(copies + "bind(al.1, thread)\nb, bl = cache_read(al, X, shared, Y.i)"));
}

TEST_CASE("cache_read: the copy of a copied triangle is made for whole factors of a split") {
  const test::Subject triangle{"kernel t(X: f64[K, K], V: f64[K, K]) -> (Y) { Y[i: K] = sum[j: i + 1](X[i, j] * V[j, i]) }", "K=4"};
  CHECK(triangle.refused("a, al = cache_read(Y, V, local, Y.i)\nsplit(Y.j, 3)\ncache_read(Y, a, local, Y.i)") == "s:3:1: error E0321: block 'a copy for Y' reads 'V.local', which is not complete at that place");
  test::replayed(triangle.with("a, al = cache_read(Y, V, local, Y.i)\ncache_read(Y, a, local, Y.i)"), false);
}

TEST_CASE("pipeline: the copies of a later iteration read what a private copy does not hold") {
  const test::Subject rows{"kernel r(X: f32[N, M]) -> (Y) { Y[i: N] = max[j: M](tanh(X[i, j])) }", "M=1,N=6"};
  CHECK(test::lowering_refused(rows.with("i0, i1 = split(Y.i, 3)\nreorder(i0, Y.j, i1)\ns, l = cache_read(Y, X, shared, i1)\npipeline(i1, s)\ncache_read(l, X, local, i0)")) ==
        "error E0421: the pipeline of 'X.shared' cannot be carried out: its copies read 'X.local', which is not in global memory");
}

TEST_CASE("copy_with(vector): a row that no access of several elements fits") {
  test::check_simulated({"kernel c(X: f32[M, K]) -> (Y) { Y[i: M, j: K] = X[i, j] + 1 }", "M=3,K=5", "", "s, l = cache_read(Y, X, shared, Y.i)\ncopy_with(l, vector)"});
}

TEST_CASE("cross_thread_reduce: teams of threads that begin in another iteration of the loop around them") {
  CHECK(test::lowering_refused({"kernel d(X: f64[N, K]) -> (Y) { m[i: N] = min[q: K](X[i, q]) Y[i: N, j: K] = X[i, j] - m[i] }", "N=2,K=9", "",
                                "_, j = reverse_compute_at(Y, m.i)\ncross_thread_reduce(m, m.i)\nq0, q1 = split(m.q, 5)\nbind(q0, thread)\nbind(j, thread)\nbind(m.i, thread)"}) ==
        "error E0402: the threads that reduce 'm' are not one run of thread numbers");
}

TEST_CASE("simulator: a loop that runs backwards from another end in each thread") {
  test::check_simulated({"kernel t(X: f64[K, K], V: f64[K, K]) -> (Y) { Y[i: K] = sum[j: i + 1](X[i, j] * V[j, i]) }", "K=4", "",
                         "j0, j1, j2 = split(Y.j, [3, 1])\ni0, i1 = split(Y.i, 3)\nreverse(j0)\nbind(i1, thread)"});
}

TEST_CASE("a bulk copy in a loop bound to threads") {
  CHECK(test::lowering_refused({"kernel c(X: f32[M, K]) -> (Y) { Y[i: M, j: K] = X[i, j] + 1 }", "M=4,K=16", "",
                                "s, l = cache_read(Y, X, shared, Y.i)\ncopy_with(l, bulk_tensor)\ni0, i1 = split(Y.i, 2)\nbind(i0, thread)"})
            .starts_with("error E0"));
}

TEST_CASE("a tile statement runs over its domain and reads what the copy of the whole does not hold") {
  test::check_simulated({"kernel f(X: f32[K, K]) -> (Y) { Y[i: K, j: K] = X[(i * K + j) / K, (i * K + j) % K] * 2 }", "K=2", "",
                         "t = blockize(Y.j)\nf = fuse(Y.i, Y.j)\ncache_write(Y, Y, local, f)\nf0, f1, f2 = split(f, [5, 1])\ncache_read(t, X, local, f1)"});
}

TEST_CASE("pipeline: a slot that does not move along with its loop, read by an index that does") {
  test::check_simulated({"kernel t(X: f32[M, M]) -> (Y) { Y[i: M] = sum[j: i + 1](X[i, j] * X[j, i]) }", "M=4", "", "s, l = cache_read(Y, X, shared, Y.i)\npipeline(Y.i, s)"});
}

TEST_CASE("cross_thread_reduce: a sum that is used outside of the loop would be combined in every iteration of it") {
  const test::Subject product{"kernel p(A: f64[K, N], B: f64[N, M]) -> (Y) { s[i: K, j: M] = sum[k: N](A[i, k] * B[k, j]) Y[i: K, j: M] = s[i, j] * 2 }", "M=3,N=4,K=2"};
  CHECK(product.refused("reorder(s.j, s.i, s.k)\nreverse_compute_at(Y, s.j)\ncross_thread_reduce(s, s.i)") == "s:3:1: error E0323: block 'Y' is not inside loop 's.i'; legal: one of 's.j'");
  CHECK(product.refused("reorder(s.j, s.i, s.k)\ncross_thread_reduce(s, s.i)\nreverse_compute_at(Y, s.j)") == "s:3:1: error E0343: the step would part block 's' from its cross_thread_reduce at loop 's.i'; legal: the step before cross_thread_reduce");
  test::check_simulated(product.with("reorder(s.j, s.i, s.k)\nreverse_compute_at(Y, s.j)\ncross_thread_reduce(s, s.j)\nbind(s.k, thread)"));
}

TEST_CASE("compute_at: a copy of a copy grows, and what it reads does not") {
  const test::Subject flat{"kernel f(X: f32[N, N]) -> (Y) { s[i: N, j: N] = X[(i * 3 + j) / 5, (i * 3 + j) % 4] * 2 Y[j: N, i: N] = s[i, j] }", "N=4"};
  const std::string copies = "a, al = cache_read(s, X, global, s.i)\ncache_read(al, X, shared, s.i)\n";
  CHECK(flat.refused(copies + "split(s.j, 7)\ncompute_at(al, s.i)") == "s:4:1: error E0321: block 'X.local' reads 'X.shared', which is not complete at that place");
  test::replayed(flat.with(copies + "compute_at(al, s.i)"), false);
}

TEST_CASE("split_reduction: a sum that its own kernel reads would be there a kernel later") {
  const test::Subject columns{"kernel c(X: f64[M, N]) -> (Y) { Y[j: N] = min[i: M](X[i, j]) }", "M=16,N=3"};
  CHECK(columns.refused("i0, i1 = split(Y.i, 4)\nreorder(i0, Y.j, i1)\nrfactor(Y, i1)\nsplit_reduction(i0, 2)").find("error E0313: the loops of block 'Y.rf' also hold 'Y'") != std::string::npos);
}

TEST_CASE("cache_write: iterations behind the end of a fused loop write a part of the next row") {
  const test::Subject turn{"kernel t(X: f64[K, N]) -> (Y) { Y[j: N, i: K] = X[i, j] * 2 }", "N=4,K=9"};
  CHECK(turn.refused("j0, j1, j2 = split(Y.j, [4, 3])\ni0, i1 = split(Y.i, 4)\nf = fuse(j2, i0)\nf0, f1 = split(f, 5)\nreorder(i1, f0, f1)\ncache_write(Y, Y, global, i1)").find("error E0320: ") != std::string::npos);
}

TEST_CASE("pipeline: what fills the slot also writes what has no slots") {
  const test::Subject square{"kernel s(X: f64[K]) -> (Y) { Y[i: K] = X[i] * 2 }", "K=6"};
  CHECK(test::lowering_refused(square.with("i0, i1, i2 = split(Y.i, [2, 2])\na, al = cache_write(Y, Y, shared, i2)\nb, bl = cache_write(al, al, shared, i1)\npipeline(i1, al)")).find("error E0421: ") != std::string::npos);
}

TEST_CASE("pipeline: a sum that fills the slot begins outside of the loop") {
  const test::Subject maxima{"kernel m(X: f32[K, M]) -> (Y) { s[i: K] = max[j: M](X[i, j]) Y[i: K, j: M] = X[i, j] - s[i] }", "M=2,K=6"};
  const std::string copies = "set_scope(s, local)\ncompute_at(s, Y.i)\na, l = cache_read(Y, s, shared, Y.i)\n";
  test::check_simulated(maxima.with(copies + "pipeline(Y.i, a)"));
  CHECK(test::lowering_refused({"kernel x(X0: f32[K, M]) -> (Y) { Y[i: K] = f32(argmax[j: M](X0[i, j])) }", "M=2,K=3", "",
                                "set_scope(Y.argmax, local)\nreverse_compute_at(Y, Y.argmax.i)\nd = decompose_reduction(Y.argmax, Y.argmax.i)\na, l = cache_read(Y, Y.argmax, shared, Y.argmax.i)\npipeline(Y.argmax.i, a)"}) ==
        "error E0421: the pipeline of 'Y.argmax.shared' cannot be carried out: 'Y.argmax' goes on from what 'Y.argmax.init' stores outside of loop 'Y.argmax.i'; legal: decompose_reduction at a loop inside of it");
}

TEST_CASE("pipeline: what the first iteration copies is named by a loop that was split by other radices") {
  test::check_simulated({"kernel c(X: f32[K, M]) -> (Y) { Y[i: K, j: M] = X[i, j] * 2 }", "M=3,K=8", "",
                         "i0, i1, i2 = split(Y.i, [2, 2])\na, l = cache_read(Y, X, shared, i1)\nf = fuse(l.0, l.1)\npipeline(i1, a)\nsplit(f, [3, 2])"});
}

TEST_CASE("pipeline: a copy by vectors that is one statement goes ahead") {
  test::check_simulated({"kernel c(X: f32[K]) -> (Y) { Y[i: K] = X[i] * 2 }", "K=4", "", "a, l = cache_read(Y, X, shared, Y.i)\npipeline(Y.i, a)\ncopy_with(l, vector)"});
}

TEST_CASE("pipeline: a loop that runs once has no next iteration") {
  test::check_simulated({"kernel c(X: f32[K, N]) -> (Y) { Y[j: K] = max[i: N](X[j, i]) }", "N=1,K=2", "", "f = fuse(Y.j, Y.i)\na, l = cache_read(Y, X, shared, f)\nf0, f1 = split(f, 1)\npipeline(f1, a)"});
}

TEST_CASE("split: surplus iterations of a ragged copy read a copy that ends before them") {
  const test::Subject triangle{"kernel t(X: f64[K, K], V: f64[K, K]) -> (Y) { Y[i: K] = sum[j: i + 1](X[i, j] * V[j, i]) }", "K=4"};
  const std::string copies = "j0, j1 = split(Y.j, 3)\na, l = cache_read(Y, V, local, j1)\nf = fuse(j0, j1)\n";
  CHECK(triangle.refused(copies + "cache_read(l, V, shared, Y.i)\nsplit(f, 5)") ==
        "s:5:1: error E0352: factor 5 does not divide extent (i + 3) / 3 * 3 of loop 'j0_j1', and what is left over would run iterations of block 'V.local' again; legal: a divisor of "
        "(i + 3) / 3 * 3, or all factors in one split of the outer loop");
  test::replayed(triangle.with(copies + "split(f, 5)"), false);
}

TEST_CASE("a thread reads what it holds itself, and a narrower nest has written in its first threads alone") {
  const test::Subject product{"kernel p(X: f64[K, K], V: f64[N, K]) -> (Y) { Y[i: K, j: N] = sum[k: K](X[i, k] * V[j, k]) }", "N=2,K=2"};
  CHECK(test::lowering_refused(product.with("bind(Y.j, thread)\n_, l = cache_read(Y, X, local, Y.i)\n_, t, _ = split(l.1, [1, 3])\nbind(t, thread)")) ==
        "error E0401: 'X.local' lives in registers, but block 'Y' uses elements of other threads than block 'X.local' does; legal: shared memory, or the same loops bound to threads");
  const std::string sums = "kernel s(X: f32[M, K]) -> (Y) { a[i: M] = sum[k: K](X[i, k]) Y[i: M, j: K] = X[i, j] / a[i] }";
  const std::string together = "compute_at(a, Y.i)\nset_scope(a, local)\ncross_thread_reduce(a, Y.i)\n_, k = split(a.k, 4)\nbind(k, thread)\n_, j = split(Y.j, ";
  CHECK(test::lowering_refused({sums, "M=2,K=16", "", together + "8)\nbind(j, thread)"}) ==
        "error E0401: 'a' lives in registers, but block 'Y' uses elements of other threads than block 'a' does; legal: shared memory, or the same loops bound to threads");
  test::check_simulated({sums, "M=2,K=16", "", together + "4)\nbind(j, thread)"});
  test::check_simulated({sums, "M=2,K=16", "", together + "2)\nbind(j, thread)"});
}

TEST_CASE("cross_thread_reduce: the identity is stored by fewer threads than add to it") {
  CHECK(test::lowering_refused({"kernel p(A: f32[K, K], B: f32[K, M]) -> (Y) { Y[i: K, j: M] = sum[k: K](A[i, k] * B[k, j]) }", "M=2,K=2", "",
                                "_, s = cache_write(Y, Y, global, Y.i)\ncross_thread_reduce(Y, Y.i)\n_, j, k = compute_at(Y, Y.i)\nk0, k1, k2 = split(Y.k, [5, 3])\nbind(k1, thread)\n"
                                "j0, j1 = split(j, 1)\nreorder([k0, k2, j1])\nbind(j1, thread)"}) ==
        "error E0401: 'Y.local' lives in registers, but block 'Y' uses elements of other threads than block 'Y.init' does; legal: shared memory, or the same loops bound to threads");
}

TEST_CASE("wgmma reads slots that cp.async filled, without a fence") {
  const std::string text = "kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = f16(max(x[i, j], 0)) }";
  const auto slots = [&](int n) {
    return test::Operator{text, "M=64,N=16,K=96", "",
                         "k0, k1 = split(x.k, 16)\ni0, i1 = split(x.i, 64)\nw, i2 = split(i1, 64)\nj0, j1 = split(x.j, 16)\nreorder(i0, j0, k0, w, i2, j1, k1)\nbind(w, warpgroup)\n"
                         "set_scope(x, register)\nc0, c1 = reverse_compute_at(C, j0)\nas, al = cache_read(x, A, shared, k0)\nbs, bl = cache_read(x, B, shared, k0)\ncopy_with([al, bl], cp_async)\n"
                         "pipeline(k0, [as, bs], slots=" + std::to_string(n) + ")\nt = blockize(i2)\ntensorize(t, wgmma)\nv, o = split(c0, 64)\nbind(v, warpgroup)"};
  };
  test::check_simulated(slots(3), 2);
  test::check_simulated(slots(4), 2);
  test::check_simulated(slots(2), 2);
}

TEST_CASE("cache_write: a block that writes every fifth element, in a box without gaps for the copy") {
  const test::Subject rows{"kernel m(X: f32[M, M]) -> (Y) { Y[i: M] = min[j: M](X[i, j]) }", "M=2"};
  const std::string cut = "i0, i1 = split(Y.i, 5)\nreorder(i1, i0)\na, b = split(i0, 3)\nc, d, e = split(b, [8, 2])\n";
  CHECK(rows.refused(cut + "split(e, 4)\ncache_write(Y, Y, local, a)") == "s:6:1: error E0320: loop 'i00' around the new place would run block 'Y' more than once: the part that it writes is not known");
  test::replayed(rows.with(cut + "cache_write(Y, Y, local, a)"), false);
}

TEST_CASE("rfactor: the parts are combined for the whole of an axis of which an iteration made a part") {
  const test::Subject product{"kernel p(A: f32[K, N], B: f32[M, N]) -> (Y) { Y[i: K, j: M] = sum[k: N](A[i, k] * B[j, k]) }", "M=3,N=2,K=2"};
  const std::string cut = "f = fuse(Y.i, Y.j)\nf0, f1 = split(f, 4)\n";
  CHECK(product.refused(cut + "reorder([f1, Y.k, f0])\nrfactor(Y, Y.k)") == "s:4:1: error E0320: loop 'i_j1' around the new place would run block 'Y' more than once: the part that it writes is not known");
  test::replayed(product.with(cut + "reorder([Y.k, f1, f0])\nrfactor(Y, Y.k)"), false);
}

TEST_CASE("pipeline: the copies behind the last iteration read a copy in global memory that ends before them") {
  const test::Subject rows{"kernel r(X: f64[N, N]) -> (Y) { Y[i: N] = max[j: N](X[i, j]) }", "N=6"};
  CHECK(test::lowering_refused(rows.with("a, l = cache_read(Y, X, shared, Y.i)\ni0, i1 = split(Y.i, 5)\npipeline(i1, a)\ncache_read(l, X, global, i0)")) ==
        "error E0421: the pipeline of 'X.shared' cannot be carried out: its copies read 'X.local', which the same kernel makes");
}

TEST_CASE("pipeline: events of bulk stores below two loops over warpgroups") {
  test::check_simulated({"kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = f16(max(x[i, j], 0)) }", "M=128,N=16,K=32", "",
                         "k0, k1 = split(x.k, 16)\ni0, i1 = split(x.i, 128)\nw, i2 = split(i1, 64)\nj0, j1 = split(x.j, 16)\nreorder(i0, j0, k0, w, i2, j1, k1)\nbind(w, warpgroup)\n"
                         "set_scope(x, register)\nc0, c1 = reverse_compute_at(C, j0)\nas, al = cache_read(x, A, shared, k0)\nbs, bl = cache_read(x, B, shared, k0)\nt = blockize(i2)\ntensorize(t, wgmma)\n"
                         "v, o = split(c0, 64)\nbind(v, warpgroup)\ncs, cl = cache_write(C, C, shared, v)\nblockize(o)\ncopy_with(cl, bulk_tensor)\npipeline(j0, cs, slots=1)\nsplit(v, 2)"}, 2);
}

TEST_CASE("a reduction in memory follows a part of a loop whose radices do not line up with those bound to blocks") {
  const test::Subject rows{"kernel d(X: f32[M, N]) -> (Y) { s[i: M] = max[q: N](X[i, q]) Y[i: M, j: N] = X[i, j] - s[i] }", "M=2,N=3"};
  const std::string cut = "compute_at(s, Y.j)\nf = fuse(Y.i, Y.j)\nbind(f, block)\n";
  CHECK(test::lowering_refused(rows.with(cut + "split(f, 2)")) ==
        "error E0445: iterations of loop 'i_j0', which is bound to blocks, would all compute 's' at the same time, in memory that they share; legal: set_scope(…, shared) or a kernel of its own");
  test::check_simulated(rows.with("f = fuse(Y.i, Y.j)\nbind(f, block)\nsplit(f, 2)"));
}

TEST_CASE("a reduction in memory follows a loop and parts of it together, not one of them alone") {
  const test::Subject sums{"kernel s(X: f32[N, P, Q, R]) -> (Y) { Y[n: N, p: P, q: Q] = sum[r: R](X[n, p, q, r]) }", "N=2,P=8,Q=3,R=2"};
  const std::string all = "f = fuse(Y.n, Y.p)\ng = fuse(f, Y.q)\na, b = split(g, 8)\n";  // n is a / 3, q and p are parts of g
  test::check_simulated(sums.with(all + "bind(a, block)\nbind(b, thread)"));
  test::check_simulated(sums.with(all + "bind(a, block)\nu, v = split(b, 2)\nbind(u, thread)"));
}

TEST_CASE("cp.async is asked to copy sums out of registers") {
  CHECK(test::lowering_refused({"kernel g(A: f16[M, K], B: f16[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) }", "M=64,N=16,K=16", "",
                                "w, i1 = split(C.i, 64)\nreorder(w, i1, C.j, C.k)\nbind(w, warpgroup)\nc, l = cache_write(C, C, register, w)\ncache_read(C, A, shared, w)\ncache_read(C, B, shared, w)\n"
                                "t = blockize(i1)\ntensorize(t, wgmma)\ncopy_with(l, cp_async)"}) == "error E0420: 'C' cannot be copied by cp_async: it copies from global to shared memory");
}

TEST_CASE("compute_at: a copy of a window is made anew, without what lies before its tensor") {
  const test::Subject small{window.text, "N=1"};
  test::replayed(small.with("f = fuse(Y.r, Y.s)\nf0, f1, f2 = split(f, [2, 3])\nb, l = cache_read(Y, a, local, f1)\ncompute_at(l, f1)"), false);
}

TEST_CASE("reverse_compute_at: a copy that also holds what lies outside of its tensor is made where the tensor is, without that") {
  const test::Subject sums{"kernel s(X: f64[M, K]) -> (Y) { t[i: M, j: K] = sum[k: j](X[i, k]) Y[i: M, j: K] = t[i, j] * 2 + (t[i - 1, j] else 1.5) }", "M=2,K=3"};
  CHECK(sums.refused("b, l = cache_read(t, t.sum, local, t.i)\ninline(t)\nreverse_compute_at(l, t.sum.i)") == "s:3:1: error E0355: 't.sum.local' is a copy that also holds values from outside of its tensor; legal: to copy the tensor itself");
}

TEST_CASE("scan: what threads carry on from the end of a row is not added to the next one") {
  const test::Subject rows{"kernel s(X: f64[K, M]) -> (Y) { Y[i: K, j: M] = sum[k: j + 1](X[i, k]) }", "M=6,K=2"};
  CHECK(test::lowering_refused(rows.with("f = fuse(Y.i, Y.j)\nf0, f1 = split(f, 2)\nbind(f1, thread)\nscan(Y, f0)")) ==
        "error E0446: threads cannot share the scan 'Y': loop 'i_j0' runs through several rows; legal: loops of the scan alone");
  test::check_simulated(rows.with("j0, j1 = split(Y.j, 2)\nbind(j1, thread)\nscan(Y, j0)"));
}

TEST_CASE("cross_thread_reduce: positions of several rows, combined by the values of the last") {
  const test::Subject places{"kernel p(X: f64[N, M]) -> (Y) { Y[i: N] = f64(argmin[j: M](X[i, j])) }", "M=2,N=4"};
  const std::string rows = "i0, i1 = split(Y.i, 2)\ncompute_at(Y.argmin, i0)\n";
  CHECK(places.refused(rows + "cross_thread_reduce(Y.argmin, Y.argmin.i)") == "s:3:1: error E0323: block 'Y' is not inside loop 'Y.argmin.i'; legal: one of 'i0'");
  test::check_simulated(places.with("compute_at(Y.argmin, Y.i)\nset_scope(Y.argmin, local)\nbind(Y.argmin.j, thread)\ncross_thread_reduce(Y.argmin, Y.i)"));
}

TEST_CASE("a statement stands beside the loop that is bound to blocks, and uses what another block made") {
  const test::Subject sums{"kernel s(X: f32[M, K]) -> (Y) { Y[i: M] = sum[k: K](X[i, k]) }", "M=2,K=3"};
  CHECK(test::lowering_refused(sums.with("bind(Y.i, block)\ndecompose_reduction(Y, Y.i)\nbind(Y.i, none)")) == "error E0408: kernel 's' has statements outside of its loops bound to blocks");
}

TEST_CASE("guards: zeros from beyond the tensor have no place where a buffer is as large as the tensor") {
  const test::Subject halves{"kernel h(X: f64[M, K]) -> (s) { s[i: M, j: K] = select(X[i, j] > 0.25, X[i, j], 0.5 - X[i, j]) }", "M=1,K=1"};
  test::check_simulated(halves.with("a, b = split(s.i, 4)\nc, l = cache_read(s, X, local, s.j)\nd, e = split(a, 5)\nf, g = split(b, 8)"));
  const test::Subject rows{"kernel r(X: f32[M, M]) -> (s) { s[j: M] = max[i: M](X[i, j]) }", "M=3"};
  test::check_simulated(rows.with("f = fuse(s.j, s.i)\na, b, c = split(f, [2, 2])\nreorder([b, a, c])\nd, e = split(b, 1)\nreorder([a, c, e])\ng = fuse(a, c)\nh, l = cache_read(s, X, local, g)\nsplit(l.1, [2, 3])"));
}

TEST_CASE("cross_thread_reduce: the values of several rows live as long as their positions") {
  const test::Subject places{"kernel p(X: f32[N, N]) -> (t) { s[i: N] = f32(argmax[j: N](X[i, j])) t[i: N] = s[i] }", "N=2"};
  test::check_simulated(places.with("a, b = split(t.i, 2)\nc, d = compute_at(s.argmax, a)\ncross_thread_reduce(s.argmax, a)\nbind(d, thread)"));
}

TEST_CASE("a private copy of a thread's element is read from there on, where other threads' elements lie") {
  const test::Subject row{"kernel r(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = max(X[i, j], 0) }", "M=1,N=3"};
  const std::string copies = "j0, j1, j2 = split(Y.j, [2, 1])\nsplit(j2, 2)\na, l = cache_read(Y, X, local, Y.i)\nb, t = cache_read(Y, a, shared, j0)\n";
  CHECK(test::lowering_refused(row.with(copies + "bind([t.1, l.1], thread)")) ==
        "error E0401: 'X.local' lives in registers, but block 'X.local.shared' uses elements of other threads than block 'X.local' does; legal: shared memory, or the same loops bound to threads");
  // What domains cut off no thread reads.
  test::check_simulated({row.text, "M=1,N=5", "", "a, l = cache_read(Y, X, local, Y.i)\nb, t = cache_read(Y, a, shared, Y.i)\n_, u = split(l.1, 4)\n_, _, v = split(t.1, [3, 4])\nbind([u, v], thread)"});
}

TEST_CASE("copy_with(bulk_tensor): a box whose columns were reordered out of it moves single elements") {
  const test::Subject copy{"kernel c(X: f32[M, K]) -> (Y) { Y[i: M, j: K] = X[i, j] + 1 }", "M=8,K=16"};
  const std::string boxes = "i0, i1 = split(Y.i, 4)\ns, l = cache_read(Y, X, shared, i0)\ncopy_with(l, bulk_tensor)\npipeline(i0, s)\nspecialize([role([l]), role([Y])])\n";
  test::check_simulated(copy.with(boxes));
  CHECK(test::lowering_refused(copy.with(boxes + "reorder(l.1, l.0)")) == "error E0420: 'X.shared' cannot be copied by bulk_tensor: one element of a row is no multiple of the panel of 16");
}

TEST_CASE("guards: the copies behind the last iteration have no place in what outlives the loop") {
  test::check_simulated({"kernel s(X: f32[M, K]) -> (Y) { Y[i: M] = sum[k: K](X[i, k]) }", "M=2,K=8", "",
                         "k0, k1 = split(Y.k, 4)\ns, l = cache_read(Y, X, shared, k0)\nb, c = cache_read(l, X, local, k0)\npipeline(k0, s)\ncache_read(l, b, local, l.1)"});
}

TEST_CASE("pipeline: the copies behind the last iteration lie within the tensor and behind what their buffer was made for") {
  test::check_simulated({"kernel m(X: f64[K, M]) -> (Y) { Y[p: K, q: M] = min[r: 3, s: 2]((X[p + r - 1, q + s] else 0)) }", "M=1,K=2", "",
                         "a, l = cache_read(Y, X, shared, Y.r)\nb, c = cache_read(l, X, local, Y.r)\npipeline(Y.r, a)\ncache_read(l, b, local, l.1)"});
}

TEST_CASE("a private value outside of nests is made by every thread, of what fewer threads hold") {
  const test::Subject chain{"kernel c(X: f32[N, K], V: f32[N, K]) -> (Y) { s[i: N, j: K] = X[i, j] * 2 Y[i: N, j: K] = s[i, j] + V[i, j] }", "N=2,K=2"};
  const std::string held = "compute_at(s, Y.i)\n_, t, _ = split(s.j, [1, 2])\nset_scope(s, local)\ncache_write(Y, Y, local, Y.j)\nbind(t, thread)\n";
  test::check_simulated(chain.with(held));
  CHECK(test::lowering_refused(chain.with(held + "_, k = cache_read(Y, V, shared, Y.i)\nbind(k.1, thread)")) ==
        "error E0401: 's' lives in registers, but block 'Y' uses elements of other threads than block 's' does; legal: shared memory, or the same loops bound to threads");
}

TEST_CASE("cp.async fills rows with zeros that a buffer as large as the tensor does not have") {
  test::check_simulated({"kernel g(X0: f64[N], X1: f64[M, N]) -> (s1) {   s0[i: M, j: N] = (X1[i, j] * 0.5 + 1)   s1[i: M, j: M] = exp(0 - abs(sum[k: N / 2 + 1](s0[i, k] * s0[j, k]))) } ", "M=13,N=1", "",
                         "r0_0, r0_1, r0_2, r0_3, r0_4 = split(s1.sum.i, [2, 1, 4, 2])\nr1_0, r1_1, r1_2, r1_3, r1_4 = split(s1.sum.j, [1, 1, 8, 1])\nr2_0, r2_1 = split(s1.sum.k, 1)\nreorder([r0_0, r1_0, r2_0, r0_1, r1_1, r0_3, r1_3, r2_1, r0_2, r0_4, r1_2, r1_4])\nbind([r0_0, r1_0], block)\nbind([r0_1, r1_1, r0_3, r1_3], thread)\nr6_0, r6_1 = reverse_compute_at(s1, r1_0)\nr7_0, r7_1, r7_2, r7_3, r7_4 = split(r6_0, [2, 1, 4, 2])\nr8_0, r8_1, r8_2, r8_3, r8_4 = split(r6_1, [1, 1, 8, 1])\nreorder([r7_1, r8_1, r7_3, r8_3, r7_2, r7_4, r8_2, r8_4])\nbind([r7_1, r8_1, r7_3, r8_3], thread)\nvectorize(r8_4)\nset_scope(s1.sum, local)\nr13_0, r13_1 = cache_read(s1.sum, s0, shared, r2_0)\nr14_0, r14_1, r14_2 = split(r13_1.0, [64, 1])\nbind(r14_1, thread)\nset_layout(r13_0, order=[1, 0], pad=8)\nr17_0, r17_1 = cache_read(s1.sum, r13_0, local, r2_1)\nr18_0, r18_1 = split(r17_1.0, 2)\nvectorize(r18_1)\ncopy_with(r13_1, cp_async)\nr21_0 = pipeline(r2_0, r13_0)\nr22_0 = fuse(s0.i, s0.j)\nr23_0, r23_1, r23_2 = split(r22_0, [512, 1])\nbind(r23_0, block)\nbind(r23_1, thread)\ncache_hint(s0, evict_first)\nparallel(r7_2)\ninline(r17_1)\n"});
}

TEST_CASE("a private copy is read by threads of which the element says only the rest of a division") {
  const test::Subject sums{"kernel s(X: f64[M, N], Y: f64[N]) -> (Z) { Z[i: M, j: N] = X[i, j] + Y[j] }", "M=2,N=2"};
  CHECK(test::lowering_refused(sums.with("a, b = split(Z.i, 5)\n_, l = cache_read(Z, Y, local, a)\nbind(l.0, thread)\nf = fuse(b, Z.j)\nbind(f, thread)")).starts_with("error E0401: 'Y.local' lives in registers"));
}

TEST_CASE("an instruction's tiles lie beyond what is copied, where their loop was split again") {
  const test::Subject product{"kernel p(A: i8[M, K], B: i8[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](i32(A[i, k]) * i32(B[j, k])) }", "M=1,N=4,K=32"};
  const std::string tiles = "k0, k1 = split(C.k, 128)\ni0, i1, i2 = split(C.i, [1, 128])\nj0, j1 = split(C.j, 16)\nreorder([i0, j0, k0, i1, i2, j1, k1])\nr, s = cache_write(C, C, register, j0)\n"
                            "a, al = cache_read(C, A, shared, k0)\nb, bl = cache_read(C, B, shared, k0)\nt = blockize(i2)\ntensorize(t, wgmma)\ncopy_with([al, bl], bulk_tensor)\npipeline(k0, [a, b], slots=2)\n"
                            "specialize([role([al, bl]), role([t, s])])\n";
  test::check_simulated(product.with(tiles));
  CHECK(test::lowering_refused(product.with(tiles + "split(i1, 4)")) ==
        "error E0419: the tile of 'C' cannot be cut into threads: some of its tiles lie beyond all that is copied to 'A.shared'; legal: split by what divides the tile");
}

TEST_CASE("split: the surplus of a loop of digits sets sums to zero that another thread has begun") {
  const test::Subject product{"kernel p(A: f32[M, M], B: f32[M, K]) -> (C) { C[i: M, j: K] = sum[k: M](A[i, k] * B[k, j]) }", "M=17,K=2"};
  const std::string apart = "i0, i1 = split(C.i, 16)\nf = fuse(i1, C.j)\nz = decompose_reduction(C, f)\nu, v = split(i0, 5)\nbind(v, thread)\n";
  CHECK(product.refused(apart + "split(z.1, 3)").find("E0352") != std::string::npos);
  test::replayed(product.with(apart + "split(z.1, 4)"), false);
}

TEST_CASE("pipeline: a slot is free behind what waits for the products of a loop inside") {
  test::check_simulated({"kernel p(A: bf16[M, K], B: bf16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = bf16(x[i, j]) }", "M=1,N=1,K=80", "",
                         "k0, k1 = split(x.k, 32)\ni0, i1, i2 = split(x.i, [1, 64])\nj0, j1 = split(x.j, 16)\nreorder([i0, j0, k0, i1, i2, j1, k1])\nset_scope(x, register)\nreverse_compute_at(C, j0)\n"
                         "a, al = cache_read(x, A, shared, k0)\nb, bl = cache_read(x, B, shared, k0)\nt = blockize(i2)\ntensorize(t, wgmma)\ncopy_with([al, bl], bulk_tensor)\npipeline(k0, [a, b])\n"
                         "specialize([role([al, bl]), role([t, C])])"});
}

TEST_CASE("a copy into registers is a tile of one row, whose rows threads share") {
  CHECK(test::lowering_refused({"kernel p(A: bf16[M, K], B: bf16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = bf16(x[i, j]) }", "M=16,N=8,K=16", "",
                                "i0, i1 = split(x.i, 16)\nset_scope(x, register)\nreverse_compute_at(C, i0)\nc, cl = cache_read(x, A, register, i0)\ncache_read(x, B, register, i0)\nt = blockize(i1)\ntensorize(t, mma_sync)\nblockize(cl.1)"}) ==
        "error E0417: the tile of 'A.register' has 1 elements along 'x0'; the registers that it uses hold them in runs of 8");
}

TEST_CASE("mma.sync: results stored by more threads than a warp has leave a part of the output unwritten") {
  const test::Subject product{"kernel p(A: bf16[M, K], B: bf16[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = bf16(x[i, j]) }", "M=16,N=32,K=16"};
  const std::string panels = "i0, i1 = split(x.i, 16)\nj0, j1, j2 = split(x.j, [2, 16])\nreorder([i0, j0, j1, i1, j2, x.k])\nbind(j1, warp)\nset_scope(x, register)\nc, d = reverse_compute_at(C, j0)\n"
                             "a, al = cache_read(x, A, register, j1)\nb, bl = cache_read(x, B, register, j1)\nt = blockize(i1)\ntensorize(t, mma_sync)\nc0, c1 = split(c, 16)\nd0, d1 = split(d, 16)\nreorder([c0, d0, c1, d1])\nbind(d0, ";
  test::check_simulated(product.with(panels + "warp)"));
  test::check_simulated(product.with(panels + "thread)"));
  CHECK(test::lowering_refused(product.with(panels + "thread)\nbind(c0, warp)")) ==
        "error E0462: loop 'j0_2' runs through 64 threads, and an iteration of loop 'i0_2' around it has 32; legal: warpgroups outside of warps outside of threads, no more of them than fit");
}

TEST_CASE("pipeline: what threads combine goes ahead with what it combines") {
  test::check_simulated({"kernel p(X0: f32[K, M]) -> (s1) { s1[i: K] = f32(argmin[j: M](X0[i, j])) }", "M=2,K=2", "",
                         "compute_at(s1.argmin, s1.i)\nr, c = cache_read(s1, s1.argmin, shared, s1.i)\ncross_thread_reduce(s1.argmin, s1.i)\npipeline(s1.i, c)\n"
                         "j0, j1 = split(s1.argmin.j, 4)\nf = fuse(j0, j1)\nbind(f, thread)"});
}

TEST_CASE("skew: the barrier before a statement that lags is missing in the last round") {
  test::check_simulated({"kernel r(X: f32[M, W, N]) -> (Y) { a[i: M, w: W, j: N] = X[i, w, j] * 2 Y[i: M, w: W, j: N] = a[i, w, N - 1 - j] + 1 }", "M=3,W=2,N=128", "",
                         "_, _, j = compute_at(a, Y.w)\nset_scope(a, shared)\nbind(Y.w, warpgroup)\nbind([Y.j, j], thread)\nskew(Y.i, stage={Y: 1}, order=[Y, a])"});
}

TEST_CASE("skew: in the last round a barrier of the statements that have ended does not run") {
  const test::Subject rows{"kernel r(X: f32[M, N]) -> (Y) { a[i: M, j: N] = X[i, N - 1 - j] * 2 Y[i: M, j: N] = a[i, N - 1 - j] + 1 }", "M=3,N=64"};
  const std::string shared = "_, j = compute_at(a, Y.i)\nset_scope(a, shared)\nx, l = cache_read(a, X, shared, Y.i)\nbind([Y.j, j, l.1], thread)\n";
  test::check_simulated(rows.with(shared + "skew(Y.i, stage={Y: 1}, order=[l, Y, a])"));
  test::check_simulated({rows.text, "M=1,N=64", "", shared + "skew(Y.i, stage={Y: 1}, order=[l, Y, a])"});
  test::check_simulated(rows.with(shared + "skew(Y.i, stage={Y: 1}, order=[Y, l, a])"));
}

TEST_CASE("raster: the ranks of a cluster between its loops stay what they are") {
  const test::Subject copy{"kernel c(X: f32[M, K]) -> (Y) { Y[i: M, j: K] = X[i, j] }", "M=4,K=4"};
  const std::string grid = "i, c = cluster(Y.i, 2)\nbind([i, Y.j], block)\ng = raster(i, Y.j, group=2)\n";
  CHECK(copy.refused(grid + "bind(c, block)").find("E0359") != std::string::npos);
  test::replayed(copy.with(grid + "bind(c, cluster)"), false);
}

TEST_CASE("cache_read: a copy of a copy beyond what was copied, where rfactor left iterations out") {
  const test::Subject rows{"kernel r(X: f32[N, N]) -> (Y) { Y[i: N] = sum[j: N / 2 + 1](X[i, j]) }", "N=9"};
  const std::string parts = "a, c = cache_read(Y, X, local, Y.i)\nj0, j1 = split(Y.j, 5)\nu, v, w = split(j1, [5, 3])\nrfactor(Y, u)\n";
  CHECK(rows.refused(parts + "cache_read(Y, a, local, v)").find("E0321") != std::string::npos);
  test::replayed(rows.with(parts), false);
}

TEST_CASE("bind: a loop that is bound to blocks no longer is no longer persistent, either") {
  const test::Subject row{"kernel p(X: f32[M, N]) -> (Y) { t[i: M] = max[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] - t[i] }", "M=4,N=4"};
  const std::string ring = "compute_at(t, Y.i)\nxs, xl = cache_read([t, Y], X, shared, Y.i)\npersist(Y.i)\ncopy_with(xl, bulk)\npipeline(Y.i, xs, slots=3)\n";
  CHECK(test::lowering_refused(row.with(ring + "bind(Y.i, none)")).find("error E0421: the pipeline of 'X.shared' cannot be carried out: bulk copies and their users are the same threads") == 0);
  std::string one = ring;
  one.replace(one.find("slots=3"), 7, "slots=1");  // its text named what only rings of two or more have
  CHECK(test::lowering_refused(row.with(one)).find("error E0421: the pipeline of 'X.shared' cannot be carried out: 1 slot holds nothing ahead of what is being used; legal: 2 slots or more") == 0);
  test::check_simulated(row.with(ring + "set_layout(xs, pad=2)"));  // slots of 24 bytes begin at multiples of 16
}

TEST_CASE("bind: blocks take the iterations of a skewed loop apart") {
  const test::Subject two{"kernel k(X: f32[N, N]) -> (s, t) { s[i: N] = max[j: N](X[i, j]) t[i: N, j: N] = X[i, j] * 2 }", "N=4"};
  const std::string skewed = "fuse_kernels(s.i, t.i)\nskew(s.i, stage={t: 1}, order=[s, t])\n";
  test::replayed(two.with(skewed));
  CHECK(two.refused(skewed + "bind(s.i, block)") == "s:3:1: error E0375: the step would take away or add to what skew names: 's.i'; legal: the step before skew");
}

TEST_CASE("LLVM takes minutes for loops that are to be unrolled into more than ten thousand guarded instances") {
  test::check_cpu({"kernel s(X: f32[N, N]) -> (Y) { Y[i: N, j: N] = sum[k: j + 1](X[i, k]) }", "N=3", "",
                   "a, b = split(Y.i, 4); c, d = split(a, 4); e, f = split(c, 2); bind(d, thread); unroll(f); w, s = cache_write(Y, Y, global, f); g = fuse(s.0, s.1); h, l = split(f, 1); "
                   "m, n = split(h, 4); o, q = split(b, 1); r, t = split(m, 4); u, v = split(l, 5); unroll(o); x, y = split(t, 2); z, k = split(y, 3); cs, ct = cache_write(s, s, shared, z); "
                   "cf = fuse(ct.0, ct.1); bind(cf, thread); bind(g, thread)"});
}
