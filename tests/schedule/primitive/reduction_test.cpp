#include "tests/support/replayed.h"

using namespace tecc;
using test::epilogue;
using test::product;
using test::replayed;
using test::running;

namespace {
const test::Subject scans{"kernel s(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) }", "M=3,N=11"};
}

TEST_CASE("rfactor: partial results by each digit of the reduction") {
  for (const char* s : {"k0, k1 = split(C.k, 4); r = rfactor(C, k1)", "k0, k1 = split(C.k, 4); r = rfactor(C, k0)", "r = rfactor(C, C.k)",
                        "k0, k1, k2 = split(C.k, [2, 2]); reorder(k1, k0, k2); r = rfactor(C, k1)", "reorder(C.k, C.i, C.j); r = rfactor(C, C.k)",
                        "k0, k1 = split(C.k, 4); r = rfactor(C, k1); parallel(k1)"})
    for (const char* dims : {"M=5,N=7,K=6", "M=2,N=1,K=9", "M=1,N=1,K=1"}) {
      if (std::string(dims).ends_with("K=1") && std::string(s).find("C, C.k") == std::string::npos && std::string(s).find("C, k1") == std::string::npos) continue;
      replayed({product.text, dims, "", s}, false);
    }
}

TEST_CASE("rfactor, decompose_reduction: other reducers") {
  for (const char* reducer : {"max", "min", "prod", "sum"}) {
    const std::string text = std::string("kernel r(X: f32[M, N]) -> (Y) { Y[i: M] = ") + reducer + "[j: N](X[i, j]) }";
    replayed({text, "M=3,N=7", "", "j0, j1 = split(Y.j, 3); r = rfactor(Y, j1)"}, false);
    replayed({text, "M=3,N=7", "", "j0, j1 = split(Y.j, 3); reorder(j0, Y.i, j1); z = decompose_reduction(Y, j0)"}, false);
  }
}

TEST_CASE("decompose_reduction: at every loop around the reduction") {
  for (const char* s : {"z = decompose_reduction(C, C.k)", "z = decompose_reduction(C, C.j)", "z = decompose_reduction(C, C.i)",
                        "i0, i1 = split(C.i, 2); k0, k1 = split(C.k, 4); reorder(i0, k0, i1, C.j, k1); z = decompose_reduction(C, k0)",
                        "i0, i1 = split(C.i, 2); k0, k1 = split(C.k, 4); reorder(i0, k0, i1, C.j, k1); z = decompose_reduction(C, i0); vectorize(z.1)"})
    replayed(product.with(s), false);
}

TEST_CASE("decompose_reduction: a fused loop, split and split again, left 'C.init' bound to a loop that is not around it") {
  for (const char* s : {"f = fuse(C.j, C.k); a, b, c = split(f, [3, 1]); d, e = split(c, 1)",
                        "f = fuse(C.j, C.k); f0, f1 = split(f, 4); reorder(f1, C.i); i0, i1 = split(C.i, 1); g, h = split(f1, 4)",
                        "f = fuse(C.i, C.j); g = fuse(f, C.k); g0, g1 = split(g, 5); h0, h1 = split(g0, 4); l0, l1 = split(h1, 2)",
                        "f = fuse(C.j, C.k); a, b = split(f, 6); c, d = split(b, 2); z = decompose_reduction(C, a)"})
    replayed(product.with(s), false);
}

TEST_CASE("decompose_reduction: an extent that follows a split loop is copied with it") {
  const test::Subject ragged{"kernel r(X: f32[M, K]) -> (Y) { t[i: M, j: i + 1] = sum[k: K](X[i, k] * X[j, k]) Y[i: M] = sum[j: i + 1](t[i, j]) }", "M=5,K=3"};
  for (const char* s : {"", "i0, i1 = split(t.i, 2); reorder(t.k, i0, i1, t.j)", "i0, i1 = split(t.i, 2); reorder(i0, t.k, i1, t.j)",
                        "i0, i1 = split(t.i, 2); a, b = split(i1, 2); reorder(t.k, i0, a, b, t.j); z = decompose_reduction(t, t.k)"})
    replayed(ragged.with(s), false);
}

TEST_CASE("cross_thread_reduce: in series, nothing changes") {
  for (const char* s : {"k0, k1 = split(x.k, 3); reorder(x.i, x.j, k1, k0); bind(k1, thread); _, _ = reverse_compute_at(C, x.j); cross_thread_reduce(x, at=x.j)",
                        "bind(x.k, thread); _, j = reverse_compute_at(C, x.i); cross_thread_reduce([x], at=x.i)"})
    replayed(epilogue.with(s));
}

TEST_CASE("decompose_reduction: a sum that each iteration of a loop begins anew is added up from one identity") {
  const test::Subject rows{"kernel r(X: f32[M, K]) -> (Y) { l[i: M] = sum[k: K](X[i, k]) Y[i: M, j: 3] = l[i] + f32(j) }", "M=2,K=4"};
  const std::string left = "a, b = split(Y.j, 3); cache_write(Y, Y, local, Y.i); _, k = compute_at(l, b); inline(Y); ";
  CHECK(rows.refused(left + "decompose_reduction(l, b)") == "s:1:90: error E0326: loop 'j1' does not cut the one and only run of block 'l'; legal: 'l.k'");
  replayed(rows.with(left + "z = decompose_reduction(l, k)"), false);
}

TEST_CASE("rfactor, decompose_reduction: refusals") {
  CHECK(test::chain.refused("r = rfactor(a, a.i)") == "s:1:5: error E0325: block 'a' is no reduction");
  CHECK(test::refused("kernel t(X: f32[N]) -> (Y) { Y[i: N] = sum[j: i + 1](X[j] * X[i]) }", "N=6", "r = rfactor(Y, Y.j)") == "s:1:5: error E0353: the extent i + 1 of loop 'Y.j' follows other loops; legal: rfactor over a loop of constant extent, such as the inner one of a split");
  CHECK(test::running.refused("z = decompose_reduction(Y, Y.j)") == "s:1:5: error E0325: block 'Y' is no reduction");
  CHECK(test::chain.refused("z = decompose_reduction(a, a.i)") == "s:1:5: error E0325: block 'a' is no reduction");
  CHECK(product.refused("z = decompose_reduction(C, C.k)\ny = decompose_reduction(C, C.k)") == "s:2:5: error E0351: another block initialises the reduction 'C' already");
  CHECK(product.refused("r = rfactor(C, C.i)") == "s:1:5: error E0326: loop 'C.i' does not cut the reduction of block 'C'; legal: 'C.k'");
  CHECK(product.refused("k0, k1 = split(C.k, 3)\nz = decompose_reduction(C, k1)") ==
        "s:2:5: error E0326: loop 'k1' does not cut the whole reduction of block 'C'; legal: a loop at or around 'k0'");
  CHECK(product.refused("i0, i1 = split(C.i, 2); k0, k1 = split(C.k, 3); reorder(k0, i0, i1, C.j, k1); s, l = cache_read(C, A, local, at=k0)\nr = rfactor(C, k1)")
            .starts_with("s:2:5: error E0313: the loops of block 'C' also hold 'A.local'"));
}

TEST_CASE("scan: in series, nothing changes; refusals") {
  for (const char* s : {"bind(Y.j, thread); scan(Y, at=Y.i)", "j0, j1, j2 = split(Y.j, [4, 2]); bind(j1, thread); scan(Y, at=j0)"}) replayed(scans.with(s));
  CHECK(product.refused("scan(C, at=C.j)") == "s:1:1: error E0396: block 'C' is no scan");
  CHECK(scans.refused("scan(Y, at=Y.i)\nscan(Y, at=Y.i)") == "s:2:1: error E0345: block 'Y' is already combined across threads");
  CHECK(scans.refused("j0, j1 = split(Y.j, 4); bind(j1, thread); scan(Y, at=j0); fuse(j0, j1)") ==
        "s:1:59: error E0343: the step would part block 'Y' from its scan at loop 'j0'; legal: the step before scan");
  CHECK(scans.refused("bind(Y.j, block)") == "s:1:1: error E0315: loop 'Y.j' carries a scan of block 'Y' and cannot be bound");
}

TEST_CASE("cross_thread_reduce: refusals") {
  CHECK(product.refused("cross_thread_reduce(C, at=C.j)") == "s:1:1: error E0312: block 'C' writes the output 'C'; legal: cache_write first");
  CHECK(epilogue.refused("cross_thread_reduce(x, at=x.k)") == "s:1:1: error E0323: block 'x' is not inside loop 'x.k'; legal: one of 'x.i' or 'x.j'");
  CHECK(epilogue.refused("cross_thread_reduce(C, at=C.j)") == "s:1:1: error E0325: block 'C' is no reduction");
  CHECK(epilogue.refused("cross_thread_reduce(x, at=x.j)\ncross_thread_reduce(x, at=x.i)") == "s:2:1: error E0345: block 'x' is already combined across threads");
  CHECK(epilogue.refused("cross_thread_reduce([x, x], at=x.j)") == "s:1:1: error E0316: 'x' is named twice");
}

TEST_CASE("cross_thread_reduce: later steps may not undo what it relies on") {
  const std::string wanted = "s:2:1: error E0343: the step would part block 'x' from its cross_thread_reduce at loop 'x.j'; legal: the step before cross_thread_reduce";
  CHECK(epilogue.refused("cross_thread_reduce(x, at=x.j)\nsplit(x.j, 2)") == wanted);
  CHECK(epilogue.refused("cross_thread_reduce(x, at=x.j)\nfuse(x.i, x.j)") == wanted);
  CHECK(epilogue.refused("cross_thread_reduce(x, at=x.j)\ncompute_at(x, C.i)") ==
        "s:2:1: error E0343: the step would part block 'x' from its cross_thread_reduce at loop 'j'; legal: the step before cross_thread_reduce");
  replayed(epilogue.with("cross_thread_reduce(x, at=x.i); a, c = split(x.j, 2); _, j = reverse_compute_at(C, x.i)"));
}
