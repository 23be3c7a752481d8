#include "tests/support/replayed.h"
#include "tests/support/simulated.h"

using namespace tecc;
using test::product;

TEST_CASE("cache_hint: values stay; refusals") {
  test::replayed(product.with("as, al = cache_read(C, A, local, at=C.i); cache_hint(al, evict_first); cache_hint(C, evict_first)"), false);
  test::replayed(product.with("cache_hint(C, evict_first); cache_hint(C, none)"));
  test::check_simulated({test::product.text, "M=4,N=8,K=8", "", "as, al = cache_read(C, A, shared, at=C.i); bind(C.i, block); bind([al.1, C.j], thread); cache_hint([al, C], evict_first)"});
  CHECK(product.refused("cache_hint(C, evict_last)") ==
        "s:1:1: error E0397: block 'C' cannot have this cache hint: its threads load and store for themselves; legal: evict_first, or copy_with(…, bulk_tensor) before it");
  CHECK(product.refused("as, al = cache_read(C, A, shared, at=C.i); bs, bl = cache_read(C, as, shared, at=C.i); cache_hint(bl, evict_first)") ==
        "s:1:88: error E0397: block 'A.shared.shared' cannot have this cache hint: it touches no global memory; legal: a block that does");
  const std::string wanted = "error E0397: block 'A.shared' cannot have this cache hint: it is copied by cp_async; legal: vector, bulk or bulk_tensor";
  CHECK(product.refused("as, al = cache_read(C, A, shared, at=C.i); copy_with(al, cp_async); cache_hint(al, evict_first)") == "s:1:69: " + wanted);
  CHECK(product.refused("as, al = cache_read(C, A, shared, at=C.i); cache_hint(al, evict_first); copy_with(al, cp_async)") == "s:1:73: " + wanted);
}
