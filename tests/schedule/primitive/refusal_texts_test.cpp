#include "tests/support/replayed.h"

// Refusals of steps whose own tests are about what they do.

TEST_CASE("refusals of steps: E0360, E0366 and E0369 of stages that share a loop") {
  const std::string together = "compute_at(a, Y.i); compute_at(b, Y.i); ";
  const auto refused = [&](const std::string& step) { return tecc::test::chain.refused(together + step); };
  CHECK(refused("specialize([role([a]), role([Y])])") == "s:1:41: error E0360: no role runs block 'b'; legal: to name every block of the kernel in one role");
  CHECK(refused("skew(Y.i, stage={b: 2}, order=[a, b, Y])") == "s:1:41: error E0366: block 'b' in stage 2; legal: 0 or 1");
  CHECK(refused("skew(Y.i, stage={b: -1}, order=[a, b, Y])") == "s:1:41: error E0366: block 'b' in stage -1; legal: 0 or 1");
  CHECK(refused("reuse(Y, X)") == "s:1:41: error E0369: 'Y' cannot lie in the slots of 'X': both must be in shared memory");
}

TEST_CASE("refusals of steps: E0365 and E0370 of a product") {
  CHECK(tecc::test::product.refused("online([C], loop=C.k, at=C.j)") == "s:1:1: error E0365: the chain C cannot run in one loop: it has one member");
  for (const int size : {1, 3, 16})
    CHECK(tecc::test::product.refused("i, c = cluster(C.i, " + std::to_string(size) + ")") == "s:1:8: error E0370: a cluster of " + std::to_string(size) + " blocks; legal: 2, 4 or 8");
  CHECK(tecc::test::product.refused("i, c = cluster(C.i, 4); j, d = cluster(C.j, 4)") == "s:1:32: error E0370: a cluster of 16 blocks; legal: 2, 4 or 8");
}
