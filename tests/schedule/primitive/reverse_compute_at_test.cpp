#include "tests/support/replayed.h"

using namespace tecc;
using test::epilogue;
using test::replayed;

TEST_CASE("reverse_compute_at: a consumer under each loop around its producer's reduction") {
  for (const char* s : {"_, j = reverse_compute_at(C, x.i)", "_, _ = reverse_compute_at(C, x.j)",
                        "i0, i1 = split(x.i, 2); i, j = reverse_compute_at(C, i0)", "i0, i1 = split(x.i, 2); j0, j1 = split(x.j, 4); reorder(i0, j0, x.k, i1, j1); i, j = reverse_compute_at(C, j0)",
                        "f = fuse(x.i, x.j); f0, f1 = split(f, 7); i, j = reverse_compute_at(C, f0)"}) {
    replayed(epilogue.with(s));
    replayed(epilogue.with(std::string(s) + "; set_scope(x, local)"));
  }
}

TEST_CASE("reverse_compute_at: rows after their reduction") {
  const test::Subject norm{"kernel n(X: f32[M, N]) -> (Y) { s[i: M] = sum[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] - s[i] }", "M=4,N=5"};
  replayed(norm.with("_, j = reverse_compute_at(Y, s.i); set_scope(s, local)"));
  CHECK(norm.refused("_, j = reverse_compute_at(Y, s.j)") ==
        "s:1:8: error E0320: loop 's.j' around the new place would run block 'Y' more than once: it does not cut what the block reads");
}

TEST_CASE("reverse_compute_at: not under the block that only stores the identity") {
  CHECK(epilogue.refused("z = decompose_reduction(x, x.j)\n_, _ = reverse_compute_at(C, z.1)") == "s:2:8: error E0321: block 'C' reads 'x', which is not complete at that place");
}

TEST_CASE("reverse_compute_at: a reduction is not cut by loops that run at once") {
  const test::Subject both{"kernel n(X: f32[M]) -> (Z) { a[i: M] = X[i] + 1 Z[i: M] = sum[j: M](a[j] * X[i]) }", "M=5"};
  replayed(both.with("i0, i1 = split(a.i, 2); i, _ = reverse_compute_at(Z, i1)"));
  for (const char* how : {"parallel(i0)", "bind(i0, block)"})
    CHECK(both.refused(std::string("i0, i1 = split(a.i, 2); ") + how + "\ni, _ = reverse_compute_at(Z, i1)") ==
          "s:2:8: error E0315: loop 'i0' carries the reduction of block 'Z' and cannot be bound or parallel; legal: a place inside of loops that run in order");
}

TEST_CASE("reverse_compute_at: after the last of several producers, whatever the order of the reads") {
  const test::Subject three{"kernel c(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 b[i: N] = a[i] + 1 Y[i: N] = b[i] * a[i] }", "N=10"};
  replayed(three.with("i0, i1 = split(a.i, 2); i = reverse_compute_at(b, i1); c, s = cache_write(b, b, global, i1); _ = reverse_compute_at(Y, i1)"), false);
}

TEST_CASE("reverse_compute_at: a loop fused of an axis and a reduction would run a sum of sums several times") {
  const test::Subject sums{"kernel y(X: f32[M, N, K]) -> (Y) { a[i: M, j: N] = sum[k: K](X[i, j, k]) Y[i: M] = sum[j: N](a[i, j]) }", "M=3,N=5,K=4"};
  CHECK(sums.refused("f = fuse(a.j, a.k)\n_, _ = reverse_compute_at(Y, f)") ==
        "s:2:8: error E0320: loop 'j_k' around the new place would run block 'Y' more than once: it does not cut what the block reads");
  replayed(sums.with("f = fuse(a.i, a.j); _, _ = reverse_compute_at(Y, f)"));
  replayed(sums.with("f = fuse(a.i, a.j); f0, f1, f2 = split(f, [2, 3]); _, _ = reverse_compute_at(Y, f2)"));
}

TEST_CASE("reverse_compute_at: a sum along the loop is not complete inside of it") {
  const test::Subject rows{"kernel y(X: f32[M, N]) -> (Y) { c[i: M, j: N] = X[i, j] + 1 s[i: M] = sum[j: N](c[i, j]) a[i: M, j: N] = c[i, j] * 2 Y[i: M, j: N] = a[i, j] * s[i] }", "M=3,N=5"};
  replayed(rows.with("_, _ = reverse_compute_at(a, c.j); _, _ = reverse_compute_at(s, c.j); _, j = reverse_compute_at(Y, c.i)"));
  CHECK(rows.refused("_, _ = reverse_compute_at(a, c.j); _, _ = reverse_compute_at(s, c.j)\n_, _ = reverse_compute_at(Y, c.j)") ==
        "s:2:8: error E0321: block 'Y' reads 's', which is not complete at that place");
}

TEST_CASE("reverse_compute_at: what follows a scan may follow each of its elements") {
  const test::Subject shares{"kernel p(X: f32[M, N]) -> (Y) { s[i: M, j: N] = sum[k: j + 1](X[i, k]) Y[i: M, j: N] = s[i, j] * 2 }", "M=3,N=6"};
  for (const char* s : {"_, _ = reverse_compute_at(Y, s.k)", "k0, k1 = split(s.k, 4); _, j = reverse_compute_at(Y, k0)"}) replayed(shares.with(s));
}

TEST_CASE("reverse_compute_at: refusals") {
  CHECK(epilogue.refused("_, _ = reverse_compute_at(C, x.k)") ==
        "s:1:8: error E0320: loop 'x.k' around the new place would run block 'C' more than once: it does not cut what the block reads");
  CHECK(epilogue.refused("_, _ = reverse_compute_at(x, C.i)") ==
        "s:1:8: error E0318: block 'x' reads nothing that is written inside loop 'C.i'; legal: a loop around one of its producers");
  CHECK(test::halo.refused("p = reverse_compute_at(Y, a.i)") ==
        "s:1:5: error E0319: block 'Y' reads 'a' with index i + 1, which is no plain axis; legal: compute_at of its producer");
  CHECK(test::chain.refused("_ = reverse_compute_at(Y, a.i)") == "s:1:5: error E0321: block 'Y' reads 'b', which is not complete at that place");
  CHECK(epilogue.refused("_, j = reverse_compute_at(C, x.i)\n_, _ = reverse_compute_at(C, x.j)").starts_with("s:2:8: error E0313: the loops of block 'C' also hold 'x'"));
}
