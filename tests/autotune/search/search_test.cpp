#include "autotune/search/search.h"

#include <cmath>
#include <set>

#include "autotune/model/ranker.h"
#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

/// Six decisions of eight options each, a quarter of a million points; some combinations are refused. The time has one good
/// corner that the decisions must reach together.
class SyntheticSpace final : public Space {
 public:
  Result<Point> make(Chooser c) const override {
    Point p;
    std::vector<std::int64_t> v;
    for (int n = 0; n < 6; ++n) {
      v.push_back(c.choose("d" + std::to_string(n), {0, 1, 2, 3, 4, 5, 6, 7}, 0));
      p.features.push_back(static_cast<float>(v.back()));
    }
    if (v[1] + v[2] > 12) return refuse(Code::too_many_threads, "synthetic", v[1] + v[2], 12);
    p.genome = c.made();
    for (std::int64_t x : v) p.program_hash += std::to_string(x);
    p.prior_us = static_cast<double>(v[5]);  // knows nothing
    return p;
  }
  static double us(const Point& p) {
    double sum = 10;
    for (int n = 0; n < 6; ++n) sum += std::pow(static_cast<double>(p.genome[static_cast<std::size_t>(n)].value - (n * 3 + 2) % 8), 2);
    return sum + 2.0 * static_cast<double>(std::abs(p.genome[0].value - p.genome[3].value));
  }
};

struct Outcome_ {
  double best = 1e9;
  std::vector<std::string> order;
};
Outcome_ search(Mode mode, std::uint64_t seed, std::size_t trials, bool model) {
  const SyntheticSpace space;
  Search s(space, mode, seed, model ? std::make_unique<Ranker>(seed) : nullptr);
  Outcome_ out;
  while (out.order.size() < trials) {
    const auto batch = s.next(std::min<std::size_t>(16, trials - out.order.size()));
    if (batch.empty()) break;
    for (const Point& p : batch) {
      const double us = SyntheticSpace::us(p);
      out.best = std::min(out.best, us);
      out.order.push_back(p.program_hash);
      s.learn(p, us);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("search: evolution beats random points, and the model helps") {
  double evolved = 0, modelled = 0, random = 0;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    modelled += search(Mode::evolutionary, seed, 160, true).best;
    evolved += search(Mode::evolutionary, seed, 160, false).best;
    random += search(Mode::random, seed, 160, false).best;
  }
  INFO("model " << modelled << " evolution " << evolved << " random " << random);
  CHECK(modelled < random);
  CHECK(modelled <= evolved);
}

TEST_CASE("search: one seed, one order; nothing is proposed twice") {
  for (const Mode mode : {Mode::evolutionary, Mode::random, Mode::prior}) {
    const Outcome_ a = search(mode, 5, 64, true), b = search(mode, 5, 64, true);
    CHECK(a.order == b.order);
    CHECK(a.order != search(mode, 6, 64, true).order);
    CHECK(std::set<std::string>(a.order.begin(), a.order.end()).size() == 64);
    CHECK(a.order[0] == "000000");  // the preferred point comes first
  }
}

TEST_CASE("search: each decision of the preferred point is taken otherwise once, with what goes with it then") {
  class Company final : public Space {  // "b" is good where "a" is 1, which the rule knows
    Result<Point> make(Chooser c) const override {
      Point p;
      const std::int64_t a = c.choose("a", {0, 1}, 0), b = c.choose("b", {0, 1, 2, 3}, a == 1 ? 3 : 0), d = c.choose("d", {0, 1, 2}, 0);
      p.program_hash = std::to_string(a) + std::to_string(b) + std::to_string(d);
      p.prior_us = static_cast<double>(10 - b + d);
      p.genome = c.made();
      return p;
    }
  };
  const Company space;
  Search s(space, Mode::evolutionary, 1);
  std::vector<std::string> first;
  for (const Point& p : s.next(8)) first.push_back(p.program_hash);
  REQUIRE(first.size() == 8);
  first.resize(4);
  CHECK(first == std::vector<std::string>{"000", "130", "030", "001"});  // of "b" the option that the prior likes best
}

TEST_CASE("search: refusals are counted by code, failures are not proposed again") {
  const SyntheticSpace space;
  Search s(space, Mode::random, 1);
  std::set<std::string> seen;
  for (int n = 0; n < 40; ++n)
    for (const Point& p : s.next(16)) {
      CHECK(seen.insert(p.program_hash).second);
      s.learn(p, std::nullopt);
    }
  REQUIRE(!s.refused().by_count().empty());
  CHECK(s.refused().by_count()[0].code == "E0409");
}

TEST_CASE("search: a small space is exhausted, not searched for ever") {
  class Small final : public Space {
    Result<Point> make(Chooser c) const override {
      Point p;
      p.program_hash = std::to_string(c.choose("x", {1, 2, 3}, 2));
      p.genome = c.made();
      return p;
    }
  };
  const Small space;
  for (const Mode mode : {Mode::evolutionary, Mode::random, Mode::prior}) {
    Search s(space, mode, 0);
    std::size_t count = 0;
    for (int n = 0; n < 8; ++n)
      for (const Point& p : s.next(16)) s.learn(p, 1), ++count;
    CHECK(count == 3);
  }
}

TEST_CASE("mutate changes one decision, cross takes both parents' answers") {
  Rng rng(3);
  const Genome a{{"x", {1, 2, 3}, 1}, {"y", {5}, 5}, {"z", {0, 1}, 0}}, b{{"x", {1, 2, 3}, 3}, {"z", {0, 1}, 1}, {"only b", {4}, 4}};
  for (int n = 0; n < 50; ++n) {
    const Genome m = mutate(a, rng);
    int changed = 0;
    for (std::size_t c = 0; c < a.size(); ++c) changed += m[c].value != a[c].value;
    CHECK(changed == 1);
    const Genome x = cross(a, b, rng);
    REQUIRE(x.size() == 4);
    CHECK((x[0].value == 1 || x[0].value == 3));
    CHECK(x[3].name == "only b");
  }
  std::set<std::int64_t> seen;  // of an answer that crossing took from a genome with other options: any option
  for (int n = 0; n < 100; ++n) seen.insert(mutate({{"x", {1, 2, 3}, 9}}, rng)[0].value);
  CHECK(seen == std::set<std::int64_t>{1, 2, 3});
}

TEST_CASE("search: a batch has no twins while there are others") {
  CHECK(apart({{"x", {}, 1}, {"y", {}, 2}}, {{"y", {}, 3}, {"x", {}, 1}, {"z", {}, 0}}) == 2);
  const SyntheticSpace space;
  Search s(space, Mode::evolutionary, 4, std::make_unique<Ranker>(4));
  for (int n = 0; n < 5; ++n) {
    const auto batch = s.next(16);
    for (const Point& p : batch) s.learn(p, SyntheticSpace::us(p));
    if (n == 0) continue;  // by the prior alone
    int twins = 0;
    for (std::size_t a = 0; a < 14; ++a)  // the last two are random
      for (std::size_t b = 0; b < a; ++b) twins += apart(batch[a].genome, batch[b].genome) < 2;
    CHECK(twins == 0);
  }
}
