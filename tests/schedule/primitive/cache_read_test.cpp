#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::halo;
using test::product;
using test::replayed;

TEST_CASE("cache_read: copies at every loop, in every scope") {
  for (const char* at : {"C.i", "C.j", "C.k", "i0", "j0", "k0"})
    for (const char* scope : {"shared", "local", "global"}) {
      const std::string tiles = "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); k0, k1 = split(C.k, 4); reorder(i0, j0, k0, i1, j1, k1)\n";
      const bool plain = at[1] == '.';
      replayed(product.with((plain ? "" : tiles) + "s, l = cache_read(C, A, " + scope + ", at=" + at + ")"), false);
      replayed(product.with((plain ? "" : tiles) + "s, l = cache_read(C, B, " + scope + ", at=" + at + "); set_layout(s, [1, 0], pad=1)"), false);
    }
}

TEST_CASE("cache_read: halos and fills outside of the tensor") {
  const test::Subject window{"kernel w(X: f32[N]) -> (Y) { Y[i: N] = (X[i - 1] else 3) + (X[i + 2] else 3) }", "N=10"};
  for (const char* s : {"s, l = cache_read(Y, X, local, at=Y.i)", "i0, i1 = split(Y.i, 4); s, l = cache_read(Y, X, local, at=i0)",
                        "i0, i1 = split(Y.i, 4); s, l = cache_read(Y, X, shared, at=i1)"})
    replayed(window.with(s), false);
  replayed({"kernel c(X: f32[H]) -> (Y) { Y[i: H / 2] = max[r: 3]((X[2 * i + r - 1] else -100)) }", "H=10", "", "a, b = split(Y.i, 2); s, l = cache_read(Y, X, local, at=a)"}, false);
}

TEST_CASE("cache_read: a copy of a copy that holds values from outside") {
  replayed({"kernel w(X: f32[N]) -> (Y) { Y[i: N] = (X[i - 1] else 3) + (X[i + 1] else 3) }", "N=10", "",
            "i0, i1 = split(Y.i, 5); s, l = cache_read(Y, X, shared, at=i0); t, m = cache_read(Y, s, local, at=i1)"}, false);
}

TEST_CASE("cache_read: several readers share one copy") {
  const test::Subject two{"kernel two(X: f32[M, N]) -> (Y) { s[i: M] = sum[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] - s[i] }", "M=4,N=5"};
  replayed(two.with("_, j = reverse_compute_at(Y, s.i); x, l = cache_read([s, Y], X, local, at=s.i)"), false);
}

TEST_CASE("cache_read: refusals") {
  CHECK(test::epilogue.refused("s, l = cache_read(C, A, shared, at=C.i)") == "s:1:8: error E0322: block 'C' does not read 'A'; it reads 'x' or 'b'");
  CHECK(chain.refused("s, l = cache_read(Y, a, shared, at=a.i)") == "s:1:8: error E0323: block 'Y' is not inside loop 'a.i'; legal: one of 'Y.i'");
  CHECK(test::refused("kernel w(X: f32[N]) -> (Y) { Y[i: N] = (X[i - 1] else 3) + (X[i + 2] else 4) }", "N=10", "s, l = cache_read(Y, X, local, at=Y.i)") ==
        "s:1:8: error E0324: the reads of 'X' have different values outside of it");
  CHECK(chain.refused("s, l = cache_read([], X, shared, at=a.i)") == "s:1:8: error E0334: cache_read needs the argument 'readers'");
  CHECK(chain.refused("s, l = cache_read(a, X, fast, at=a.i)") == "s:1:25: error E0333: argument 'scope' of cache_read must be one of global, shared, register, local");
  // The producer is made in the same round of the inner loop as its reader.
  CHECK(test::refused("kernel k(X: f32[M, N]) -> (Z) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) Z[i: M, j: N] = Y[i, j] * 2 }", "M=3,N=5",
                      "_, j = compute_at(Y, Z.i)\ns, l = cache_read(Z, Y, local, at=Z.i)") == "");
}
