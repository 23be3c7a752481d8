#include "tests/support/replayed.h"

using namespace tecc;
using test::product;
using test::replayed;
using test::row;

TEST_CASE("cache_write: results are made in a buffer of their own, then stored") {
  for (const char* s : {"c, st = cache_write(C, C, local, at=C.i)", "c, st = cache_write(C, C, local, at=C.j)", "c, st = cache_write(C, C, shared, at=C.i)",
                        "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); reorder(i0, j0, C.k, i1, j1); c, st = cache_write(C, C, local, at=j0)",
                        "f = fuse(C.i, C.j); f0, f1 = split(f, 7); c, st = cache_write(C, C, local, at=f0)"})
    replayed(product.with(s), false);
  replayed(row.with("i0, i1 = split(Y.i, 4); c, st = cache_write(Y, Y, local, at=i0); vectorize(st.0)"), false);
}

TEST_CASE("cache_write: then the reduction may go where outputs may not") {
  replayed(product.with("c, st = cache_write(C, C, local, at=C.i); k0, k1 = split(C.k, 2); r = rfactor(C, k1)"), false);
}

TEST_CASE("cache_write: refusals") {
  CHECK(product.refused("c, st = cache_write(C, A, local, at=C.i)") == "s:1:9: error E0347: block 'C' does not write 'A'; it writes 'C'");
  CHECK(product.refused("c, st = cache_write(C, C, local, at=C.k)") ==
        "s:1:9: error E0320: loop 'C.k' around the new place would run block 'C' more than once: it cuts the block's reduction");
  CHECK(product.refused("z = decompose_reduction(C, C.k)\nc, st = cache_write(C, C, local, at=C.i)") ==
        "s:2:9: error E0354: 'C' is written by 'C.init' as well; legal: cache_write before decompose_reduction");
  CHECK(test::epilogue.refused("c, st = cache_write(C, C, local, at=x.i)") == "s:1:9: error E0323: block 'C' is not inside loop 'x.i'; legal: one of 'C.i' or 'C.j'");
  CHECK(test::epilogue.refused("_, j, k = compute_at(x, C.i)\nc, st = cache_write(x, x, local, at=C.i)") ==
        "s:2:9: error E0348: block 'C' reads what 'x' writes inside of loop 'C.i'; legal: a loop that does not hold 'C'");
}
