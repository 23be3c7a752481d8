#include "tests/support/replayed.h"

using namespace tecc;
using test::product;
using test::replayed;
using test::running;

TEST_CASE("reorder: every order of a product's loops") {
  for (const char* order : {"C.i, C.j, C.k", "C.i, C.k, C.j", "C.j, C.i, C.k", "C.j, C.k, C.i", "C.k, C.i, C.j", "C.k, C.j, C.i"})
    replayed(product.with(std::string("reorder(") + order + ")"));
  replayed(product.with("reorder(C.k, C.i)"));  // the loop between stays where it is
  replayed(product.with("reorder(C.i)"));
  replayed(product.with("a, b = split(C.i, 2); c, d = split(C.k, 4); reorder(c, a, d, C.j, b)"));
}

TEST_CASE("reorder: a triangle runs to its largest extent and leaves out what does not exist") {
  const test::Subject triangle{"kernel t(X: f32[N]) -> (Y) { Y[i: N] = sum[j: i + 1](X[j] * X[i]) }", "N=6"};
  replayed(triangle.with("reorder(Y.j, Y.i)"));
  replayed(triangle.with("a, b = split(Y.j, 4); reorder(a, Y.i, b)"));
  replayed(triangle.with("a, b = split(Y.i, 4); reorder(a, Y.j, b)"));
}

TEST_CASE("reorder: a scan keeps its own order") {
  replayed(running.with("reorder(Y.j, Y.i)"));
  CHECK(running.refused("a, b = split(Y.j, 2)\nreorder(b, a)") ==
        "s:2:1: error E0315: loop 'j1' carries a scan of block 'Y' and cannot be moved outside of another of its loops; legal: to keep their order");
}

TEST_CASE("reorder: refusals") {
  CHECK(product.refused("reorder(C.i, C.j, C.i)") == "s:1:1: error E0316: 'C.i' is named twice");
  CHECK(test::chain.refused("reorder(a.i, b.i)") == "s:1:1: error E0341: loop 'a.i' is not on one chain with the others");
  CHECK(test::epilogue.refused("_, j, k = compute_at(x, C.i)\nreorder(C.j, C.i)") == "s:2:1: error E0341: loop 'C.j' is not on one chain with the others");
}

TEST_CASE("reorder: a sum that each iteration of a loop begins anew is added up once that loop is inside of it") {
  const test::Subject rows{"kernel r(X: f32[M, K]) -> (Y) { l[i: M] = sum[k: K](X[i, k]) Y[i: M, j: 3] = l[i] + f32(j) }", "M=2,K=4"};
  const std::string left = "a, b = split(Y.j, 3); cache_write(Y, Y, local, Y.i); _, k = compute_at(l, b); inline(Y); ";
  CHECK(rows.refused(left + "reorder(k, b)") == "s:1:90: error E0315: loop 'j1' carries one run after the other of block 'l' and cannot be part of the reduction; legal: to leave the loops of the reduction inside of it");
  replayed(rows.with(left + "c, d = split(k, 2); reorder(d, c)"), false);
  // Parts that overlap.
  const test::Subject windows{"kernel w(X: f32[N, K]) -> (Y) { l[i: N] = sum[k: K](X[i, k]) Y[j: N - 2] = l[j] + l[j + 2] }", "N=6,K=4"};
  const std::string parts = "a, b = split(Y.j, 2); cache_write(Y, Y, local, a); i, k = compute_at(l, b); inline(Y); ";
  replayed(windows.with(parts + "reorder(k, i)"), false);
  replayed(windows.with(parts + "fuse(b, i)"), false);
  replayed(windows.with(parts + "reorder(i, k, b)"), false);
  CHECK(windows.refused(parts + "reorder(k, i, b)") == "s:1:88: error E0315: loop 'l.i' carries one run after the other of block 'l' and cannot be part of the reduction; legal: to leave the loops of the reduction inside of it");
}
