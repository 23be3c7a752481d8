#include "ir/loop/cluster.h"

#include "ir/loop/parse.h"
#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::loop;

TEST_CASE("ranks of a cluster count in mixed radix, the innermost loop fastest") {
  const Program p = parse({intern("k.ir"), R"(program k(X: f32[2048]) -> (Y: f32[2048]) {
  kernel k {
    for b: 8 block {
      for c: 2 cluster {
        for d: 4 cluster {
          for t: 32 thread {
            block Y(i: 2048 = b * 256 + c * 128 + d * 32 + t) {
              Y[i] = X[i]
            }
          }
        }
      }
    }
  }
}
)"}).or_throw();
  const std::vector<RankLoop> ranks = ranks_of(p, p.kernels[0]);
  REQUIRE(ranks.size() == 2);
  CHECK(ranks[0].stride == 4);
  CHECK(ranks[0].extent == 2);
  CHECK(ranks[1].stride == 1);
  CHECK(ranks[1].extent == 4);
  CHECK(blocks_of(ranks) == 8);
  CHECK(ranks_beside(6, {}) == std::vector<std::int64_t>{6});
  CHECK(ranks_beside(6, {ranks[0]}) == std::vector<std::int64_t>{2, 6});
  CHECK(ranks_beside(6, {ranks[1]}) == std::vector<std::int64_t>{4, 5, 6, 7});
  CHECK(ranks_beside(6, ranks) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(senders_to(6, {}) == std::vector<std::int64_t>{6});
  CHECK(senders_to(6, {{ranks[0]}, {ranks[1]}}) == std::vector<std::int64_t>{2, 4, 5, 6, 7});
  CHECK(senders_to(6, {{ranks[0]}, ranks}).size() == 8);
}
