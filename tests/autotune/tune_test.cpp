#include "autotune/tune.h"

#include "autotune/model/roofline.h"
#include "autotune/record/neighbours.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;
using test::gemm;
using test::require;

namespace {

codegen::Target h100() { return require(codegen::find_target("sm_90a")); }

/// Times that follow from the schedule's hash; some candidates fail.
class FakeMeasurer final : public Measurer {
 public:
  std::vector<std::uint64_t> measured;
  int stop_after = 1 << 30;
  bool all_fail = false;

  std::string device() const override { return "fake"; }
  Check measure(std::span<const schedule::Trace> candidates, std::optional<double>, const std::function<void(std::size_t, Outcome)>& done,
                const std::function<bool()>& stop) override {
    for (std::size_t n = 0; n < candidates.size() && !stop(); ++n) {
      const std::uint64_t h = schedule::hash(candidates[n]);
      measured.push_back(h);
      if (all_fail || h % 7 == 3) done(n, Failed{Phase::timeout, "E0520", "the candidate ran for over 10 ms"});
      else done(n, Measured{{us(h), us(h) + 0.5}});
    }
    return Ok{};
  }
  Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t) override {
    std::vector<Outcome> out;
    for (const schedule::Trace& t : candidates) out.push_back(Measured{{us(schedule::hash(t)) + 1}});
    return out;
  }
  static double us(std::uint64_t h) { return 10 + static_cast<double>(h % 1000); }
};

}  // namespace

TEST_CASE("tune: every verdict is recorded, the best is found again by build") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const auto w = gemm();
  FakeMeasurer m;
  TuneOptions o;
  o.trials = 24;
  o.batch = 8;
  int reports = 0;
  const auto tuned = require(tune(w, h100(), m, db, o, [&](const Progress&) { ++reports; }, [] { return false; }));
  CHECK(tuned.trials == 24);
  CHECK(m.measured.size() == 24);
  CHECK(std::set<std::uint64_t>(m.measured.begin(), m.measured.end()).size() == 24);
  CHECK(reports >= 24);
  double best = 1e9;
  int failed = 0;
  for (std::uint64_t h : m.measured) {
    if (h % 7 == 3) ++failed;
    else best = std::min(best, FakeMeasurer::us(h));
  }
  CHECK(tuned.failed == failed);
  CHECK(tuned.tuned_us == best + 1);
  const auto rows = require(db.all(w.hash, fingerprint(h100())));
  CHECK(std::count_if(rows.begin(), rows.end(), [](const Record& r) { return r.round == 0; }) == 24);
  CHECK(std::count_if(rows.begin(), rows.end(), [](const Record& r) { return r.round == 1; }) >= 8);
  const auto trace = require(recorded(w, h100(), db));
  REQUIRE(trace);
  CHECK(schedule::hash(*trace) == schedule::hash(tuned.best));
}

TEST_CASE("tune: the order in which devices answer does not matter") {
  /// As FakeMeasurer, the last candidate first, as if another device had been faster.
  class Backwards final : public Measurer {
   public:
    FakeMeasurer forwards;
    std::string device() const override { return "fake"; }
    Check measure(std::span<const schedule::Trace> candidates, std::optional<double> best, const std::function<void(std::size_t, Outcome)>& done,
                  const std::function<bool()>& stop) override {
      std::vector<Outcome> all;
      TECC_CHECK(forwards.measure(candidates, best, [&](std::size_t, Outcome o) { all.push_back(std::move(o)); }, stop));
      for (std::size_t n = all.size(); n-- > 0;) done(n, all[n]);
      return Ok{};
    }
    Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t seed) override { return forwards.finals(candidates, seed); }
  };
  const TemporaryFolder folder;
  const auto w = gemm();
  TuneOptions o;
  o.trials = 32;
  o.batch = 8;
  FakeMeasurer first;
  Backwards second;
  Database a = require(Database::open(folder.path + "/a.db")), b = require(Database::open(folder.path + "/b.db"));
  require(tune(w, h100(), first, a, o, {}, [] { return false; }));
  require(tune(w, h100(), second, b, o, {}, [] { return false; }));
  CHECK(second.forwards.measured == first.measured);
}

TEST_CASE("tune: says at which clock the best one ran, and under which caps") {
  /// The search at a clock of its own, the finalists at another.
  class Clocked final : public Measurer {
   public:
    std::string device() const override { return "fake"; }
    Check measure(std::span<const schedule::Trace> candidates, std::optional<double>, const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>&) override {
      for (std::size_t n = 0; n < candidates.size(); ++n) done(n, Measured{{FakeMeasurer::us(schedule::hash(candidates[n]))}, {"u1", cuda::ChipState{1000, {}, {}, {}, cuda::power_cap}}});
      return Ok{};
    }
    Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t) override {
      std::vector<Outcome> out;
      for (std::size_t n = 0; n < candidates.size(); ++n) out.push_back(Measured{{1.0 + static_cast<double>(n)}, {"u0", cuda::ChipState{2000, {}, 600, {}, 0}}});
      return out;
    }
  };
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  Clocked m;
  TuneOptions o;
  o.trials = 8;
  const auto tuned = require(tune(gemm(), h100(), m, db, o, {}, [] { return false; }));
  CHECK(tuned.best_on.uuid == "u0");  // of the finals, not of the search
  CHECK(tuned.best_on.chip->sm_mhz == 2000);
  CHECK(tuned.steadiness.warnings() == std::vector<std::string>{"8 of 8 candidates were timed under a power cap"});
  const auto rows = require(db.all());
  CHECK(std::count_if(rows.begin(), rows.end(), [](const Record& r) { return conditions(r.outcome).uuid == (r.round ? "u0" : "u1"); }) == static_cast<std::ptrdiff_t>(rows.size()));
}

TEST_CASE("tune: a killed run resumes where it was, and measures nothing twice") {
  const TemporaryFolder folder;
  const auto w = gemm();
  TuneOptions o;
  o.trials = 32;
  o.batch = 8;
  FakeMeasurer first;
  {
    Database db = require(Database::open(folder.path + "/r.db"));
    int seen = 0;
    require(tune(w, h100(), first, db, o, [&](const Progress& p) { seen = p.trials; }, [&] { return seen >= 11; }));
  }
  CHECK(first.measured.size() == 11);
  Database db = require(Database::open(folder.path + "/r.db"));
  FakeMeasurer second;
  const auto tuned = require(tune(w, h100(), second, db, o, {}, [] { return false; }));
  CHECK(tuned.resumed == 11);
  CHECK(second.measured.size() == 21);
  std::set<std::uint64_t> all(first.measured.begin(), first.measured.end());
  for (std::uint64_t h : second.measured) CHECK(all.insert(h).second);
  FakeMeasurer third;
  require(tune(w, h100(), third, db, o, {}, [] { return false; }));
  CHECK(third.measured.empty());
}

TEST_CASE("tune: E0540 when nothing could be measured, E0511 for a record that does not replay") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const auto w = gemm();
  FakeMeasurer m;
  m.all_fail = true;
  TuneOptions o;
  o.trials = 5;
  const auto tuned = tune(w, h100(), m, db, o, {}, [] { return false; });
  REQUIRE_FALSE(tuned);
  CHECK(render(tuned.error()) == "error E0540: none of 5 candidates of 'mm' could be measured; most frequent: E0520 the candidate ran for over 10 ms");
  CHECK_FALSE(require(recorded(w, h100(), db)));
  Record r = require(db.all()).at(0);
  r.outcome = Measured{{1}};
  r.schedule = "i0, i1 = split(C.nowhere, 8)\n";
  require(db.add(r));
  const auto stale = recorded(w, h100(), db);
  REQUIRE_FALSE(stale);
  CHECK(render(stale.error()).starts_with("error E0511: the recorded schedule of 'mm' does not apply any more: "));
  // What fits a device does not fit the one whose file says that it has less.
  r.schedule = "i0, i1 = split(C.i, 16); bs, bl = cache_read([C], B, shared, at=i0); bind(i0, block)\n";
  r.outcome = Measured{{0.5}};
  require(db.add(r));
  codegen::Target less = h100();
  less.limits.shared_bytes = 1024;
  const auto fits = recorded(w, h100(), db), lacks = recorded(w, less, db);
  CHECK_FALSE(fits);  // 256 KiB
  less.limits.shared_bytes = 512 << 10;
  CHECK(require(recorded(w, less, db)));
  REQUIRE_FALSE(lacks);
  CHECK(render(lacks.error()) == "error E0511: the recorded schedule of 'mm' does not apply any more: kernel 'mm' needs 262144 bytes of shared memory > 1024 bytes a block; largest: 'B.shared'; tune again");
}

TEST_CASE("tune: E0542 a device on which every schedule is refused") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  codegen::Target none = h100();
  none.limits.registers = 0;
  FakeMeasurer m;
  TuneOptions o;
  o.trials = 8;
  const auto refused = tune(gemm(), none, m, db, o, {}, [] { return false; });
  REQUIRE(!refused);
  CHECK(m.measured.empty());
  const std::string text = render(refused.error());
  INFO(text);
  CHECK(text.starts_with("error E0542: no legal schedule of 'mm' for sm_90a was found in "));
  CHECK(text.find(" attempts; most frequent: E0406 kernel 'mm' keeps ") != std::string::npos);
}

TEST_CASE("tune: begins with what was fast at neighbouring sizes, of the same expression and types only") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  TuneOptions o;
  o.trials = 16;
  FakeMeasurer near, far;
  require(tune(gemm(512), h100(), near, db, o, {}, [] { return false; }));
  require(tune(gemm(2048), h100(), far, db, o, {}, [] { return false; }));
  const auto found = require(neighbours(db, gemm(256), h100(), 6));
  REQUIRE(found.size() == 6);
  const auto ranked = require(db.ranking(gemm(512).hash, fingerprint(h100())));
  for (std::size_t n = 0; n < 4; ++n) CHECK(found[n] == ranked[n].record.genome);
  CHECK(found[4] == require(db.ranking(gemm(2048).hash, fingerprint(h100())))[0].record.genome);
  // The second candidate of the new size is the nearest one's best, replayed.
  FakeMeasurer m;
  require(tune(gemm(256), h100(), m, db, o, {}, [] { return false; }));
  const auto w = gemm(256);
  const Point expected = require(ScheduleSpace(w, h100()).make(Chooser(found[0])));
  CHECK(std::find(m.measured.begin(), m.measured.begin() + 2, schedule::hash(expected.trace)) != m.measured.begin() + 2);
  te::Bindings b;
  b.dims = require(te::parse_dims("M=256,N=256,K=256"));
  const auto other = require(codegen::make_workload(test::kernel("kernel mm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = max[k: K](A[i, k] * B[k, j]) }"), b));
  CHECK(require(neighbours(db, other, h100(), 6)).empty());
}

TEST_CASE("tune: stops close enough to the roofline") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const auto w = gemm();
  FakeMeasurer m;
  TuneOptions o;
  o.trials = 64;
  o.enough = roofline(w, h100(), {}).us() / 1e9;  // any time is enough
  CHECK(require(tune(w, h100(), m, db, o, {}, [] { return false; })).trials == o.batch);
}

TEST_CASE("roofline: a product of matrices and a copy") {
  const auto r = roofline(gemm(), h100(), {});
  CHECK(r.bytes == 3 * 256 * 256 * 4);
  CHECK(r.operations == 2.0 * 256 * 256 * 256);
  CHECK_FALSE(r.tensor);
}

TEST_CASE("tune: candidates run on this CPU, in a runner of the tool", "[slow]") {
  const std::string tool = TECC_BINARY_DIR "/tecc";
  if (!std::filesystem::exists(tool)) return;  // the tests alone were built
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const auto w = gemm();
  const codegen::Target cpu = require(codegen::find_target("cpu"));
  MeasureOptions options;
  options.runner = {tool, "__runner"};
  auto m = require(make_measurer(w, cpu, options));
  TuneOptions o;
  o.trials = 3;
  o.batch = 3;
  const auto tuned = require(tune(w, cpu, *m, db, o, {}, [] { return false; }));
  CHECK(tuned.failed == 0);
  CHECK(tuned.tuned_us > 0);
}
