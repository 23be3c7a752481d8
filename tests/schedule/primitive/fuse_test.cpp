#include "tests/support/replayed.h"

#include <fmt/format.h>

using namespace tecc;
using test::product;
using test::replayed;

TEST_CASE("fuse: keeps every instance once, at small sizes") {
  for (int m = 1; m < 5; ++m)
    for (int n = 1; n < 5; ++n) {
      const std::string dims = fmt::format("M={},N={},K=3", m, n);
      replayed({product.text, dims, "", "f = fuse(C.i, C.j)"});
      replayed({product.text, dims, "", "f = fuse(C.i, C.j); g = fuse(f, C.k)"});
      for (int f = 2; f < 8; ++f)  // factors that do not line up with the radix of the fused loop
        replayed({product.text, dims, "", fmt::format("f = fuse(C.i, C.j); a, b = split(f, {})", f)});
    }
  replayed({product.text, "M=1..9,N=4,K=3", "", "f = fuse(C.i, C.j); a, b = split(f, 3)", {{"M", 5}}});
}

TEST_CASE("fuse: refusals") {
  CHECK(product.refused("f = fuse(C.i, C.k)") ==
        "s:1:5: error E0308: loop 'C.k' is not directly inside loop 'C.i'; legal: loops with nothing between them");
  CHECK(product.refused("f = fuse(C.j, C.i)") ==
        "s:1:5: error E0308: loop 'C.i' is not directly inside loop 'C.j'; legal: loops with nothing between them");
  CHECK(product.refused("f = fuse(C.i, C.i)") == "s:1:5: error E0316: 'C.i' is named twice");
  CHECK(test::refused(product.text, "M=4,N=1..64,K=3", "f = fuse(C.i, C.j)") ==
        "s:1:5: error E0309: the extent N of loop 'C.j' is not a constant; legal: to fuse with it as the outer loop");
  CHECK(product.refused("f = fuse(C.i, C.j)\nsplit(C.j, 2)") == "s:2:1: error E0301: loop 'C.j' no longer exists; it became 'i_j'");
  // The epilogue stands beside the loop.
  CHECK(test::epilogue.refused("_, j = reverse_compute_at(C, x.i)\nf = fuse(x.i, x.j)") ==
        "s:2:5: error E0308: loop 'x.j' is not directly inside loop 'x.i'; legal: loops with nothing between them");
}

TEST_CASE("fuse: a sum that each iteration of the outer loop begins anew is added up") {
  const test::Subject rows{"kernel r(X: f32[M, K]) -> (Y) { l[i: M] = sum[k: K](X[i, k]) Y[i: M, j: 3] = l[i] + f32(j) }", "M=2,K=4"};
  const std::string left = "a, b = split(Y.j, 3); cache_write(Y, Y, local, Y.i); _, k = compute_at(l, b); inline(Y); ";  // no reader is left in b
  replayed(rows.with(left + "unroll(b)"), false);
  CHECK(rows.refused(left + "fuse(b, k)") == "s:1:90: error E0315: loop 'j1' carries one run after the other of block 'l' and cannot be part of the reduction; legal: to leave the loops of the reduction inside of it");
  replayed(rows.with(left + "c, d = split(k, 2); fuse(c, d)"), false);
  // The largest value stays what it is, however often it is looked for.
  replayed({"kernel r(X: f32[M, K]) -> (Y) { l[i: M] = max[k: K](X[i, k]) Y[i: M, j: 3] = l[i] + f32(j) }", "M=2,K=4", "", left + "fuse(b, k)"}, false);
}
