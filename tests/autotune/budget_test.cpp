#include "autotune/budget.h"

#include <limits>

#include "tests/support/temporary_folder.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;
using test::gemm;
using test::require;

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

/// The n-th candidate takes `first` x `factor` ^ n microseconds.
class Steady final : public Measurer {
 public:
  Steady(double first, double factor) : next_(first), factor_(factor) {}
  int measured = 0;

  std::string device() const override { return "steady"; }
  Check measure(std::span<const schedule::Trace> candidates, std::optional<double>, const std::function<void(std::size_t, Outcome)>& done,
                const std::function<bool()>& stop) override {
    for (std::size_t n = 0; n < candidates.size() && !stop(); ++n, ++measured, next_ *= factor_) done(n, Measured{{next_}});
    return Ok{};
  }
  Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t) override {
    return std::vector<Outcome>(candidates.size(), Measured{{next_}});
  }

 private:
  double next_, factor_;
};


}  // namespace

TEST_CASE("budget: each search gets a batch, then the one that should spare the most time a second") {
  const Standing fresh{{}, 10, 0, false}, done{{50, 40}, 10, 1, true};
  CHECK(next_search({}) == std::nullopt);
  CHECK(next_search(std::vector{done, done}) == std::nullopt);
  CHECK(next_search(std::vector{Standing{{50, 20, 15}, 10, 3, false}, fresh}) == 1);
  const Standing falling{{100, 80, 60}, 10, 3, false}, flat{{100, 100, 100}, 10, 3, false}, at_bound{{100, 10, 10, 10}, 10, 4, false};
  CHECK(next_search(std::vector{flat, falling}) == 1);
  CHECK(next_search(std::vector{at_bound, flat}) == 1);
  CHECK(next_search(std::vector{done, at_bound}) == 1);
  const Standing quick{{100, 80, 60}, 10, 1, false};
  CHECK(next_search(std::vector{falling, quick}) == 1);  // the same in a third of the time
  const Standing failing{{never, never}, 10, 1, false};
  CHECK(next_search(std::vector{failing, flat}) == 1);
  CHECK(next_search(std::vector{failing, done}) == 0);
}

TEST_CASE("budget: trials go where times still fall; all verdicts are recorded") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const codegen::Target target = require(codegen::find_target("sm_90a"));
  const codegen::Workload a = gemm(256, 256, 256), b = gemm(512, 256, 256);
  Steady flat(1000, 1), falling(1000, 0.98);
  TuneOptions o;
  o.trials = 48;
  o.batch = 8;
  std::vector<int> seen(2);
  const std::vector<BudgetTask> tasks{{a, flat}, {b, falling}};
  const auto tuned = require(tune_all(tasks, target, db, o, [&](std::size_t n, const Progress& p) { seen[n] = p.trials; }, [] { return false; }));
  REQUIRE(tuned.size() == 2);
  CHECK(flat.measured + falling.measured == 96);
  CHECK(flat.measured >= 8);
  CHECK(falling.measured > flat.measured);
  CHECK(tuned[0].trials == flat.measured);
  CHECK(tuned[1].trials == falling.measured);
  CHECK(seen[1] == falling.measured);
  CHECK(require(recorded(a, target, db)).has_value());
  CHECK(require(recorded(b, target, db)).has_value());
  // A second run finds its trials used up.
  Steady none(1, 1), nothing(1, 1);
  require(tune_all(std::vector<BudgetTask>{{a, none}, {b, nothing}}, target, db, o, [](std::size_t, const Progress&) {}, [] { return false; }));
  CHECK(none.measured + nothing.measured == 0);
}

TEST_CASE("budget: an error of one search ends all, and says which") {
  class Broken final : public Measurer {
    std::string device() const override { return "broken"; }
    Check measure(std::span<const schedule::Trace> candidates, std::optional<double>, const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>&) override {
      for (std::size_t n = 0; n < candidates.size(); ++n) done(n, Failed{Phase::compile, "E0520", "no compiler"});
      return Ok{};
    }
    Result<std::vector<Outcome>> finals(std::span<const schedule::Trace>, std::uint64_t) override { return std::vector<Outcome>{}; }
  } broken;
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const codegen::Workload a = gemm(64);
  TuneOptions o;
  o.trials = o.batch = 4;
  const auto tuned = tune_all(std::vector<BudgetTask>{{a, broken}}, require(codegen::find_target("sm_90a")), db, o, [](std::size_t, const Progress&) {}, [] { return false; });
  REQUIRE_FALSE(tuned);
  CHECK(render(tuned.error()).find("error E0540") == 0);
}
