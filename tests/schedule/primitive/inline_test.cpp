#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::replayed;

TEST_CASE("inline: elementwise chains, in any order, into everything that reads them") {
  for (const char* s : {"inline(a)", "inline(b)", "inline(a); inline(b)", "inline(b); inline(a)", "inline([a, b])", "inline([b, a])"}) replayed(chain.with(s), false);
  replayed(test::halo.with("inline(a)"), false);  // reads outside of `a` take their fill
  replayed(test::epilogue.with("i, j = reverse_compute_at(C, x.j)"), true);
}

TEST_CASE("inline: index and shape changes") {
  replayed({"kernel t(X: f32[M, N]) -> (Y) { a[j: N, i: M] = X[i, j] + 1 Y[i: M, j: N] = a[N - 1 - j, i] * 2 }", "M=3,N=5", "", "inline(a)"}, false);
  replayed({"kernel g(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N / 2] = max[k: 2](a[2 * i + k]) }", "N=10", "", "inline(a)"}, false);
  replayed({"kernel p(X: f32[N]) -> (Y) { a[i: N / 2] = X[2 * i] Y[i: N] = (a[i] else 7) + X[i] }", "N=10", "", "inline(a)"}, false);
}

TEST_CASE("inline: refusals") {
  CHECK(chain.refused("inline(Y)") == "s:1:1: error E0312: block 'Y' writes the output 'Y'; legal: cache_write first");
  CHECK(test::epilogue.refused("inline(x)") == "s:1:1: error E0314: block 'x' cannot be inlined: it is a reduction");
  CHECK(chain.refused("inline(a)\ninline(a)") == "s:2:1: error E0302: block 'a' no longer exists: it was inlined");
  CHECK(chain.refused("inline([a, a])") == "s:1:1: error E0316: 'a' is named twice");
  CHECK(chain.refused("inline(a)\nsplit(a.i, 2)") == "s:2:1: error E0302: block 'a' no longer exists: it was inlined");
  CHECK(chain.refused("inline(X)") == "s:1:1: error E0304: 'X' is a buffer, but a block is needed here");
}
