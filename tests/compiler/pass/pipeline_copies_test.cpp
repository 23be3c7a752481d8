#include "tests/support/lowered.h"

using namespace tecc;

namespace {
const std::string copies =
    "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); k0, k1 = split(C.k, 2); reorder(i0, j0, k0, k1, i1, j1); bind([i0, j0], block); bind([i1, j1], thread)\n"
    "as, al = cache_read(C, A, shared, at=k0); bind([al.0, al.1], thread)\n";
}

TEST_CASE("pipeline_copies: the first round's copies stand before the loop, the next round's after the work") {
  const loop::Program p = test::require(test::try_lower({test::product.text, "M=4,N=8,K=8", "", copies + "pipeline(k0, as)"}));
  int ahead = 0, slots = 0;
  for (loop::BlockId b : loop::all_blocks(p))
    if (p.block(b).ahead) {
      ++ahead;
      CHECK(p.block(b).ahead->by == 1);
    }
  for (std::uint32_t n = 0; n < p.buffers.size(); ++n)
    if (p.buffers.has({n}) && p[TensorId{n}].slots == 2) ++slots;
  CHECK(ahead == 1);
  CHECK(slots == 1);
}

TEST_CASE("pipeline_copies: without a pipeline step nothing changes") {
  const loop::Program p = test::require(test::try_lower({test::product.text, "M=4,N=8,K=8", "", copies}));
  for (loop::BlockId b : loop::all_blocks(p)) CHECK(!p.block(b).ahead);
}
