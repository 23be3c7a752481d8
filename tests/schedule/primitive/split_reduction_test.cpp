#include "tests/support/replayed.h"

using namespace tecc;
using test::epilogue;
using test::product;
using test::replayed;

TEST_CASE("split_reduction: parts that divide and parts that leave a rest") {
  for (const char* s : {"a, b, c = split_reduction(C.k, 2)", "a, b, c = split_reduction(C.k, 3, multiple=2)", "a, b, c = split_reduction(C.k, 1)",
                        "a, b, c = split_reduction(C.k, 2); parallel(a); i0, i1 = split(C.i, 2); parallel(c.0)",
                        "a, b, c = split_reduction(C.k, 2); s, l = cache_read(C, A, local, at=b)"})
    for (const char* dims : {"M=5,N=7,K=6", "M=2,N=1,K=9"}) replayed({product.text, dims, "", s}, false);
}

TEST_CASE("split_reduction: the parts may be computed where they are added up") {
  replayed(product.with("a, b, c = split_reduction(C.k, 3); reorder(c.2, c.0, c.1); i, j, k, p = compute_at(C, c.1)"), false);
}

TEST_CASE("split_reduction: two kernels") {
  const loop::Program p = replayed(epilogue.with("r, s, t = split_reduction(x.k, 2)"), false);
  CHECK(p.kernels.size() == 3);  // the parts, their sum, what follows
}

TEST_CASE("split_reduction: refusals") {
  CHECK(product.refused("a, b, c = split_reduction(C.k, 0)") == "s:1:11: error E0305: factor 0 of loop 'C.k' is below 1; legal: 1 or more");
  CHECK(product.refused("a, b, c = split_reduction(C.i, 2)").find("error E0326") != std::string::npos);
}

TEST_CASE("pad: rows of a multiple, zeros behind them") {
  for (const char* s : {"ap, al = pad(C, A, 4)", "ap, al = pad(C, A, 1)", "ap, al = pad(C, A, 8); bp, bl = pad(C, B, 8); f = fuse(al.0, al.1); vectorize(bl.1)",
                        "ap, al = pad(C, A, 4); k0, k1 = split(C.k, 4); s, l = cache_read(C, ap, local, at=k0)"})
    replayed(product.with(s), false);
  const loop::Program p = replayed({product.text, "M=5,N=7,K=6", "", "ap, al = pad(C, A, 4)"}, false);
  CHECK(p.kernels.size() == 2);
  CHECK(constant_of(p[p.block(loop::blocks_under(p, p.kernels[0])[0]).writes[0].buffer].shape.back()) == 8);
}

TEST_CASE("pad: refusals") {
  CHECK(product.refused("ap, al = pad(C, A, 0)") == "s:1:10: error E0305: factor 0 of loop 'A' is below 1; legal: 1 or more");
  CHECK(epilogue.refused("ap, al = pad(C, A, 4)").find("error E0322: block 'C' does not read 'A'") != std::string::npos);
}
