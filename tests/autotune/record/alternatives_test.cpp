#include "autotune/record/alternatives.h"

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

/// A candidate with tiles of m and n, and a decision that it came to only with m = 64.
Record candidate(std::int64_t m, std::int64_t n, Outcome outcome, int round = 0) {
  Record r;
  r.genome = {{"tile m", {32, 64, 128}, m}, {"tile n", {32, 64, 128}, n}, {"always", {1}, 1}};
  if (m == 64) r.genome.push_back({"stages", {2, 3}, 2});
  r.program_hash = "p";
  r.outcome = std::move(outcome);
  r.round = round;
  return r;
}

}  // namespace

TEST_CASE("alternatives: the nearest candidate with another option, of equally near ones the fastest") {
  const Record winner = candidate(64, 64, Measured{{10}}, 1);
  // By time, as a ranking is.
  const std::vector<Database::Best> ranked{{winner, 10}, {candidate(128, 32, Measured{{11}}), 11}, {candidate(128, 64, Measured{{12}}, 1), 12}, {candidate(32, 64, Measured{{13}}), 13},
                                           {candidate(32, 128, Measured{{9}}), 14}};
  const auto all = alternatives(winner, ranked, {candidate(64, 128, Failed{Phase::timeout, "E0520", "too long"})}, nullptr);
  REQUIRE(all.size() == 3);  // "always" had one option
  CHECK(all[0].decision == "tile m");
  CHECK(all[0].taken == 64);
  REQUIRE(all[0].other);
  CHECK(all[0].other->option == 128);
  CHECK(all[0].other->us == 12);  // 128, 32 is faster and differs in the other tile as well
  CHECK(all[0].other->further == 1);  // "stages", which only one of them came to
  CHECK(all[0].other->finalist);
  CHECK(all[0].untried.empty());
  // Of tile n = 32 and 128 there are only candidates that differ in tile m as well, and one that failed.
  REQUIRE(all[1].other);
  CHECK(all[1].other->option == 32);
  CHECK(all[1].other->further == 2);
  CHECK_FALSE(all[1].other->finalist);
  CHECK_FALSE(all[1].failed);
  // Nobody else came to the third.
  CHECK_FALSE(all[2].other);
  CHECK_FALSE(all[2].failed);
  REQUIRE(all[2].untried.size() == 1);
  CHECK(all[2].untried[0].option == 3);
}

TEST_CASE("alternatives: where others failed only, the nearest failure is said") {
  const Record winner = candidate(32, 32, Measured{{10}});
  const auto all = alternatives(winner, {{winner, 10}},
                                {candidate(128, 128, Failed{Phase::died, "E0521", "far"}), candidate(128, 32, Failed{Phase::wrong, "E0524", "near"}), candidate(128, 64, Failed{Phase::run, "E0605", "between"})}, nullptr);
  REQUIRE(all.size() == 2);
  REQUIRE(all[0].failed);
  CHECK(all[0].failed->code == "E0524");
  REQUIRE(all[0].untried.size() == 1);
  CHECK(all[0].untried[0].option == 64);
  REQUIRE(all[1].failed);
  CHECK(all[1].failed->code == "E0521");  // both with tile n differ in tile m as well: the first of them
}

TEST_CASE("alternatives: options that nobody tried are asked of the space") {
  /// Tiles of 128 do not fit, tiles of 32 of n make no difference.
  class Small final : public Space {
   public:
    Result<Point> make(Chooser choose) const override {
      const auto m = choose.choose("tile m", {32, 64, 128}, 64), n = choose.choose("tile n", {32, 64, 128}, 64);
      if (m == 128 || n == 128) return refuse(Code::shared_exceeded, "mm", 300000, 232448, "A.shared");
      Point p;
      p.genome = choose.made();
      p.program_hash = m == 64 ? "p" : "q";
      return p;
    }
  };
  const Record winner = candidate(64, 64, Measured{{10}});
  const Small space;
  const auto all = alternatives(winner, {{winner, 10}}, {}, &space);
  REQUIRE(all.size() == 3);
  REQUIRE(all[0].untried.size() == 2);
  CHECK(all[0].untried[0].why.empty());  // 32 would do
  CHECK(all[0].untried[1].why == "refused: E0405 kernel 'mm' needs 300000 bytes of shared memory > 232448 bytes a block; largest: 'A.shared'");
  REQUIRE(all[1].untried.size() == 2);
  CHECK(all[1].untried[0].why == "the same program");
  CHECK(all[1].untried[1].why.starts_with("refused: E0405 "));
}
