#include "autotune/search/recorded_space.h"

#include <cmath>

#include "autotune/model/ranker.h"
#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

TimedPoint timed(std::vector<std::int64_t> values, std::optional<double> us) {
  TimedPoint t{{}, us};
  for (std::size_t n = 0; n < values.size(); ++n) {
    t.point.genome.push_back({"d" + std::to_string(n), {3, 2, 1, 0}, values[n]});
    t.point.program_hash += std::to_string(values[n]);
    t.point.features.push_back(static_cast<float>(values[n]));
  }
  t.point.prior_us = 1;  // knows nothing
  return t;
}

/// 600 of the 4,096 points of six decisions, one corner is good.
std::vector<TimedPoint> record(std::uint64_t seed) {
  Rng rng(seed);
  std::vector<TimedPoint> out;
  for (int n = 0; n < 600; ++n) {
    std::vector<std::int64_t> v;
    double us = 10;
    for (std::int64_t d = 0; d < 6; ++d) {
      v.push_back(static_cast<std::int64_t>(rng() % 4));
      us += std::pow(static_cast<double>(v.back() - (d * 3 + 2) % 4), 2);
    }
    out.push_back(timed(v, us));
  }
  return out;
}

double best_after(const RecordedSpace& space, Mode mode, std::uint64_t seed, std::size_t trials) {
  Search search(space, mode, seed, std::make_unique<Ranker>(seed));
  double best = 1e9;
  std::size_t done = 0;
  while (done < trials)
    for (const Point& p : search.next(std::min<std::size_t>(16, trials - done))) {
      best = std::min(best, *space.entry(p).us);
      search.learn(p, space.entry(p).us);
      ++done;
    }
  return best;
}

}  // namespace

TEST_CASE("recorded space: questions offer what leads to a point, in the rule's order") {
  const RecordedSpace space({timed({0, 1}, 5), timed({2, 3}, 4), timed({2, 0}, std::nullopt)}, "23");
  Genome asked;
  const auto p = space.make(Chooser({{"d0", {}, 2}, {"d1", {}, 0}}, nullptr, &asked));
  REQUIRE(p);
  CHECK(p->program_hash == "20");
  CHECK_FALSE(space.entry(*p).us);
  CHECK(asked == Genome{{"d0", {2, 0}, 2}, {"d1", {3, 0}, 0}});
  // An answer that leads nowhere is given anew: under d0 = 0 there is one d1 only.
  CHECK(space.make(Chooser({{"d0", {}, 0}, {"d1", {}, 3}}))->program_hash == "01");
  CHECK(space.preferred()->program_hash == "23");
  CHECK(space.best_us() == 4);
  CHECK_FALSE(RecordedSpace({timed({0}, 1)}, "elsewhere").preferred());
}

TEST_CASE("recorded space: programs and genomes that were there already are left out") {
  TimedPoint other = timed({0, 1}, 7), deeper = timed({0, 1, 1}, 8);
  other.point.program_hash = "other program, same choices";
  const RecordedSpace space({timed({0, 1}, 5), timed({0, 1}, 6), other, deeper, timed({1, 1}, 9)}, "");
  REQUIRE(space.entries().size() == 2);
  CHECK(space.entries()[0].us == 5);
  CHECK(space.entries()[1].us == 9);
}

TEST_CASE("recorded space: the search never leaves it, and beats random draws on it") {
  double searched = 0, random = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const RecordedSpace space(record(seed), "");
    searched += best_after(space, Mode::evolutionary, seed, 64) / space.best_us();
    random += best_after(space, Mode::random, seed, 64) / space.best_us();
  }
  INFO("searched " << searched << " random " << random);
  CHECK(searched < random);
  CHECK(searched < 5 * 1.05);
  // All of it is found in the end, each point once.
  const RecordedSpace space(record(9), "");
  Search search(space, Mode::random, 1);
  std::set<std::string> seen;
  for (int n = 0; n < 400; ++n)
    for (const Point& p : search.next(16)) CHECK(seen.insert(p.program_hash).second);
  CHECK(seen.size() > space.entries().size() * 9 / 10);
}
