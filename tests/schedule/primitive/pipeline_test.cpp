#include "tests/support/replayed.h"

using namespace tecc;
using test::product;
using test::replayed;

namespace {
const std::string copies = "k0, k1 = split(C.k, 2); reorder(k0, C.i, C.j, k1); as, al = cache_read(C, A, shared, at=k0); bs, bl = cache_read(C, B, shared, at=k0)\n";
}

TEST_CASE("pipeline: a note for lowering; in series nothing changes") {
  replayed(product.with(copies + "ch = pipeline(k0, [as, bs])"), false);
  replayed(product.with(copies + "_ = pipeline(k0, as)"), false);
}

TEST_CASE("pipeline: refusals") {
  CHECK(product.refused(copies + "pipeline(k0, [as, bs], slots=0)") == "s:2:1: error E0338: 0 slots; legal: 1 to 8");
  CHECK(product.refused(copies + "pipeline(k0, [as, bs], slots=9)") == "s:2:1: error E0338: 9 slots; legal: 1 to 8");
  CHECK(product.refused(copies + "pipeline(C.i, as)") == "s:2:1: error E0339: buffer 'A.shared' is not filled by a copy inside loop 'C.i'");
  CHECK(product.refused(copies + "pipeline(k0, A)") == "s:2:1: error E0339: buffer 'A' is not filled by a copy inside loop 'k0'");
  CHECK(product.refused(copies + "pipeline(k0, as); pipeline(k0, [as, bs])") == "s:2:19: error E0349: loop 'k0' has a pipeline already, of 'A.shared'; legal: all its buffers in one step");
  CHECK(product.refused(copies + "pipeline(k0, [])") == "s:2:1: error E0334: pipeline needs the argument 'buffers'");
}

TEST_CASE("pipeline: later steps may not undo what it relies on") {
  CHECK(product.refused(copies + "pipeline(k0, [as, bs]); split(k0, 2)") ==
        "s:2:25: error E0346: the step would change what the pipeline of loop 'k0' copies ahead; legal: the step before pipeline");
  replayed(product.with(copies + "pipeline(k0, [as, bs]); a, b = split(C.i, 2)"), false);
}
