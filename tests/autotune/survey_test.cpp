#include "autotune/survey.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "autotune/record/workload.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;
using test::gemm;
using test::require;
using test::workload;

namespace {

codegen::Target h100() { return require(codegen::find_target("sm_90a")); }

/// Times that follow from the schedule's hash; some candidates fail.
class FakeMeasurer final : public Measurer {
 public:
  std::string device() const override { return "fake"; }
  Check measure(std::span<const schedule::Trace> candidates, std::optional<double>, const std::function<void(std::size_t, Outcome)>& done,
                const std::function<bool()>&) override {
    for (std::size_t n = 0; n < candidates.size(); ++n) {
      const std::uint64_t h = schedule::hash(candidates[n]);
      if (h % 7 == 3) done(n, Failed{Phase::timeout, "E0520", "too long"});
      else done(n, Measured{{10 + static_cast<double>(h % 1000) + 0.12345}});
    }
    return Ok{};
  }
  Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t) override {
    return std::vector<Outcome>(candidates.size(), Measured{{1}});
  }
};

struct Kept {
  std::vector<Record> records;
  Surveyed end;
};
Kept run(const codegen::Workload& w, SurveyOptions o, const std::vector<Record>& earlier = {}) {
  Kept out;
  FakeMeasurer m;
  out.end = require(survey(w, h100(), m, earlier, o, [&](const Record& r) -> Check {
    out.records.push_back(r);
    return Ok{};
  }, {}, [] { return false; }));
  return out;
}

}  // namespace

TEST_CASE("survey: distinct points, random ones and evolved ones by the share, the fastest twice") {
  SurveyOptions o;
  o.points = 96;
  o.random_share = 0.25;
  o.retimed = 8;
  const Kept k = run(gemm(), o);
  REQUIRE(k.records.size() == 96 + 8);
  std::set<std::string> programs;
  int random = 0, failed = 0;
  std::vector<double> times;
  for (std::size_t n = 0; n < 96; ++n) {
    const Record& r = k.records[n];
    CHECK(programs.insert(r.program_hash).second);
    CHECK(r.round == 0);
    random += r.search == "random";
    if (const auto* m = std::get_if<Measured>(&r.outcome)) times.push_back(m->us[0]);
    else ++failed;
  }
  CHECK(random >= 24);
  CHECK(random <= 24 + 32);  // whole batches are drawn
  CHECK(k.end.measured == 96 - failed);
  CHECK(k.end.failed == failed);
  CHECK_FALSE(k.end.complete);
  std::sort(times.begin(), times.end());
  CHECK(std::abs(*k.end.best_us - times[0] - 0.00045) < 1e-9);  // recorded to the nanosecond
  for (std::size_t n = 96; n < k.records.size(); ++n) {
    CHECK(k.records[n].round == 1);
    CHECK(programs.count(k.records[n].program_hash));
  }
}

TEST_CASE("survey: what an earlier one recorded counts and is not measured again") {
  SurveyOptions o;
  o.points = 40;
  o.retimed = 0;
  const Kept first = run(gemm(), o);
  o.points = 64;
  const Kept second = run(gemm(), o, first.records);
  CHECK(second.records.size() == 24);
  CHECK(second.end.measured + second.end.failed == 64);
  std::set<std::string> programs;
  for (const auto* k : {&first, &second})
    for (const Record& r : k->records) CHECK(programs.insert(r.program_hash).second);
}

TEST_CASE("survey: a small space is measured whole, and said to be") {
  SurveyOptions o;
  o.points = 2000;
  o.retimed = 0;
  const Kept k = run(workload("kernel s(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }", "M=512,N=512"), o);
  CHECK(k.end.complete);
  CHECK(k.records.size() < 200);
  CHECK(k.records.size() > 5);
  o.points = static_cast<int>(k.records.size()) / 2;
  CHECK_FALSE(run(workload("kernel s(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }", "M=512,N=512"), o).end.complete);
}

TEST_CASE("survey: what cannot be kept ends it") {
  FakeMeasurer m;
  int kept = 0;
  const auto end = survey(gemm(), h100(), m, {}, {}, [&](const Record&) -> Check { return ++kept < 3 ? Check(Ok{}) : refuse(Code::file_unwritable, "f", "full"); }, {}, [] { return false; });
  REQUIRE_FALSE(end);
  CHECK(number(end.error().code) == "E0602");
  CHECK(kept == 3);
}
