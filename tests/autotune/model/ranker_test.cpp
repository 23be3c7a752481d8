#include "autotune/model/ranker.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

/// A task whose time depends on two of five features, one of them with an optimum in the middle.
struct Synthetic {
  std::vector<float> features;
  double us;
};
std::vector<Synthetic> rows(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Synthetic> out;
  for (std::size_t n = 0; n < count; ++n) {
    Synthetic s;
    for (int f = 0; f < 5; ++f) s.features.push_back(static_cast<float>(rng() % 1000) / 100);
    s.us = 10 + std::pow(s.features[1] - 4.0, 2) + 3 * s.features[3];
    out.push_back(s);
  }
  return out;
}

}  // namespace

TEST_CASE("ranker: learns an order it was shown samples of") {
  std::vector<Scorer::Row> shown;
  for (const Synthetic& s : rows(200, 1)) shown.push_back({s.features, s.us});
  Ranker ranker(7);
  CHECK(ranker.score({}).empty());
  REQUIRE(ranker.train(shown));
  const std::vector<Synthetic> fresh = rows(300, 2);
  std::vector<Point> points(fresh.size());
  std::vector<const Point*> asked;
  for (std::size_t n = 0; n < fresh.size(); ++n) {
    points[n].features = fresh[n].features;
    asked.push_back(&points[n]);
  }
  const std::vector<float> scores = ranker.score(asked);
  REQUIRE(scores.size() == fresh.size());
  std::int64_t right = 0, pairs = 0;
  for (std::size_t a = 0; a < fresh.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) {
      ++pairs;
      right += (fresh[a].us < fresh[b].us) == (scores[a] > scores[b]);
    }
  CHECK(static_cast<double>(right) / static_cast<double>(pairs) > 0.85);

  Ranker twin(7);
  REQUIRE(twin.train(shown));
  CHECK(twin.score(asked) == scores);
}

TEST_CASE("ranker: features of another length are not scored") {
  Ranker ranker;
  REQUIRE(ranker.train({{{1, 2}, 1}, {{2, 3}, 2}, {{3, 4}, 3}}));
  Point p;
  p.features = {1, 2, 3};
  CHECK(ranker.score({&p}).empty());
}
