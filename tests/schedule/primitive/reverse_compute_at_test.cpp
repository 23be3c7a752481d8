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
