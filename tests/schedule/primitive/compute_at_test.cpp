#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::epilogue;
using test::halo;
using test::replayed;

TEST_CASE("compute_at: a producer under each loop of its consumer") {
  for (const char* s : {"_, j, k = compute_at(x, C.i)", "_, _, k = compute_at(x, C.j)",
                        "i0, i1 = split(C.i, 2); i, j, k = compute_at(x, i0)", "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 3); reorder(i0, j0, i1, j1); i, j, k = compute_at(x, j0)",
                        "f = fuse(C.i, C.j); f0, f1 = split(f, 4); i, j, k = compute_at(x, f0)"}) {
    replayed(epilogue.with(s), false);
    replayed(epilogue.with(std::string(s) + "; set_scope(x, local)"), false);
  }
}

TEST_CASE("compute_at: halos are computed again by every part that reads them") {
  for (const char* s : {"i0, i1 = split(Y.i, 4); p = compute_at(a, i0)", "i0, i1 = split(Y.i, 3); p = compute_at(a, i1)", "p = compute_at(a, Y.i)",
                        "i0, i1 = split(Y.i, 4); p = compute_at(a, i0); set_scope(a, local)"})
    replayed(halo.with(s), false);
}

TEST_CASE("compute_at: chains, shared readers, runtime dims, triangles") {
  replayed(chain.with("i0, i1 = split(Y.i, 4); b1 = compute_at(b, i0); a1 = compute_at(a, i0); set_scope([a, b], local)"), false);
  replayed({epilogue.text, "M=1..9,N=1..9,K=1..9", "", "i0, i1 = split(C.i, 2); i, j, k = compute_at(x, i0)", {{"M", 5}, {"N", 3}, {"K", 4}}}, false);
  replayed({"kernel t(X: f32[N]) -> (Y) { e[i: N, j: i + 1] = X[i] * X[j] Y[i: N] = sum[j: i + 1](e[i, j]) }", "N=6", "", "_, j = compute_at(e, Y.i); set_scope(e, local)"}, false);
  replayed(test::Operator{"kernel s(X: f32[M, N]) -> (Z) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) Z[i: M, j: N] = Y[i, j] * 2 }", "M=3,N=5", "", "_, j = compute_at(Y, Z.i)"}, false);
}

TEST_CASE("compute_at: refusals") {
  CHECK(epilogue.refused("_, _ = compute_at(C, x.i)") == "s:1:8: error E0312: block 'C' writes the output 'C'; legal: cache_write first");
  CHECK(chain.refused("p = compute_at(a, b.i)") ==
        "s:1:5: error E0310: block 'a' is also read by 'Y', which is not inside loop 'b.i'; legal: a loop around all its readers (none)");
  CHECK(chain.refused("p = compute_at(a, a.i)") == "s:1:5: error E0311: nothing inside loop 'a.i' reads block 'a'; legal: a loop around one of its readers");
  CHECK(test::epilogue.refused("_, j = reverse_compute_at(C, x.i)\n_, _, _ = compute_at(x, j)").starts_with("s:2:11: error E0313: the loops of block 'x' also hold 'C'"));
  CHECK(test::refused("kernel s(X: f32[M, N]) -> (Z) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) Z[i: M, j: N] = Y[i, j] * 2 }", "M=3,N=5", "_, _ = compute_at(Y, Z.j)") ==
        "s:1:8: error E0315: loop 'Z.j' carries a scan of block 'Y' and cannot be the place of a part of it; legal: a loop outside of the scan");
}

TEST_CASE("compute_at: the loops of a block that was inlined are gone") {
  CHECK(halo.refused("i0, i1 = split(Y.i, 5); p = compute_at(a, i0); inline(a)\nsplit(p, 2)") ==
        "s:2:1: error E0301: loop 'i_3' no longer exists; it became part of a nest that was moved");
}

TEST_CASE("compute_at: an absent result cannot be used") {
  CHECK(epilogue.refused("i, j, k = compute_at(x, C.i)\nsplit(i, 2)") == "s:2:1: error E0303: result 1 of step 1 is absent (its extent is 1)");
}
