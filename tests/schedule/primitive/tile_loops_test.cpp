#include "tests/support/replayed.h"

using namespace tecc;
using test::product;
using test::replayed;

TEST_CASE("tile: split and reorder in one step") {
  const loop::Program p = replayed(product.with("i0, j0, i1, j1 = tile([C.i, C.j], [2, 4])"));
  CHECK(print(p) == print(replayed(product.with("i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); reorder(i0, j0, i1, j1)"))));
  replayed(product.with("i0, j0, k0, i1, j1, k1 = tile([C.i, C.j, C.k], [2, 4, 3]); reorder(k1, j1); vectorize(j1)"));
  replayed(test::row.with("a, b = tile(Y.i, 4)"));
}

TEST_CASE("tile: refusals") {
  CHECK(product.refused("tile([C.i, C.j], 2)") == "s:1:1: error E0371: tile has 1 factors for 2 loops; legal: one for each");
  CHECK(product.refused("tile([C.i, C.i], [2, 2])").substr(0, 22) == "s:1:1: error E0301: lo");
  CHECK(product.refused("tile([C.i, C.j], [2, 0])") == product.refused("split(C.j, 0)"));
}
