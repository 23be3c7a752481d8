#include "autotune/measure/runner_pool.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

/// A pool of fake devices 0..count, and what became of the candidates it was given.
class Pool {
 public:
  explicit Pool(int count) {
    MeasureOptions o;
    o.runner = {"/proc/self/exe", "__fake_runner"};
    o.candidate_limit_ms = 20'000;
    std::vector<Message> prepare;
    for (int n = 0; n < count; ++n) prepare.push_back({{"kind", "fake"}, {"device", n}, {"lost", lost(n)}});
    pool_.emplace(o, prepare, "gemm");
  }
  RunnerPool* operator->() { return &*pool_; }
  std::string file(const std::string& name) const { return folder_.path + "/" + name; }
  std::string lost(int device) const { return file("lost" + std::to_string(device)); }

  void give(Message candidate, Fault fault = Fault::none) {
    const std::lock_guard lock(mutex_);
    const std::size_t n = answers_.size();
    answers_.emplace_back();
    pool_->give(std::move(candidate), fault, [this, n](Result<Outcome> outcome) {
      const std::lock_guard inner(mutex_);
      answers_[n] = text(outcome);
      if (outcome) by_.insert(conditions(*outcome).uuid);
      known_.notify_all();
    });
  }
  /// In the order in which they were given.
  std::vector<std::string> answers() {
    std::unique_lock lock(mutex_);
    known_.wait(lock, [&] { return std::find(answers_.begin(), answers_.end(), "") == answers_.end(); });
    return answers_;
  }
  /// Devices that answered.
  const std::set<std::string>& by() const { return by_; }

 private:
  static std::string text(const Result<Outcome>& o) {
    if (!o) return render(o.error());
    if (const auto* f = std::get_if<Failed>(&*o)) return std::string(name(f->phase)) + " " + f->code + " " + f->message;
    return std::to_string(static_cast<int>(std::get<Measured>(*o).us[0]));
  }

  TemporaryFolder folder_;
  std::recursive_mutex mutex_;  // a refusal comes while it is given
  std::condition_variable_any known_;
  std::vector<std::string> answers_;
  std::set<std::string> by_;
  std::optional<RunnerPool> pool_;  // first to go: its threads know the rest
};

const std::string killed = "the runner process died while it measured: signal 9 (Killed)";

}  // namespace

TEST_CASE("runner pool: two devices work at the same time, and say who measured") {
  Pool pool(2);
  REQUIRE(pool->ready());
  CHECK(pool->device() == "fake");
  pool.give({{"us", 1}, {"until", pool.file("b")}});  // would wait for ever if the other did not run beside it
  pool.give({{"us", 2}, {"touch", pool.file("b")}});
  CHECK(pool.answers() == std::vector<std::string>{"1", "2"});
  CHECK(pool.by() == std::set<std::string>{"fake-0", "fake-1"});
  const auto units = pool->units();
  REQUIRE(units.size() == 2);
  CHECK(units[0].ordinal == 0);
  CHECK(units[1].uuid == "fake-1");
  CHECK(units[0].measured + units[1].measured == 2);
  CHECK(units[1].lost.empty());
}

TEST_CASE("runner pool: what failed is a failure, and its device goes on") {
  Pool pool(1);
  REQUIRE(pool->ready());
  pool.give({{"us", 1}}, Fault::die);
  pool.give({{"us", 2}});
  CHECK(pool.answers() == std::vector<std::string>{"died E0521 the runner process died while it measured: signal 11 (Segmentation fault)", "2"});
  CHECK(pool.by() == std::set<std::string>{"fake-0"});
  CHECK(pool->units()[0].lost.empty());
}

TEST_CASE("runner pool: a device that is lost hands its candidate to the others") {
  Pool pool(2);
  REQUIRE(pool->ready());
  // Device 1 can take one of these and is not done with it before device 0 took the other one.
  for (int n = 1; n < 6; ++n) pool.give({{"us", n}, {"lose", {0}}, {"until", pool.lost(0)}});
  CHECK(pool.answers() == std::vector<std::string>{"1", "2", "3", "4", "5"});
  CHECK(pool.by() == std::set<std::string>{"fake-1"});
  CHECK(pool->units()[0].lost == "the reference of 'gemm' failed: no such device");
  CHECK(pool->units()[0].measured == 0);
  CHECK(pool->units()[1].measured == 5);
}

TEST_CASE("runner pool: a device that cannot be prepared is left out, E0535 when none is left") {
  {
    Pool pool(3);
    std::ofstream(pool.lost(0)) << "x";
    REQUIRE(pool->ready());
    pool.give({{"us", 1}});
    CHECK(pool.answers() == std::vector<std::string>{"1"});
    CHECK(pool->units()[0].lost == "the reference of 'gemm' failed: no such device");
    CHECK(pool->units()[1].lost.empty());
  }
  Pool none(2);
  for (int n = 0; n < 2; ++n) std::ofstream(none.lost(n)) << "x";
  const Check r = none->ready();
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0535: none of 2 devices is left; the last one was device 0: the reference of 'gemm' failed: no such device");
  none.give({{"us", 1}});
  CHECK(none.answers() == std::vector<std::string>{render(r.error())});
}

TEST_CASE("runner pool: one under which two devices are lost is a failure, what waits behind the last one is refused") {
  Pool three(3);
  REQUIRE(three->ready());
  three.give({{"us", 1}, {"lose", {0, 1, 2}}});
  CHECK(three.answers() == std::vector<std::string>{"died E0521 " + killed});
  three.give({{"us", 2}});
  CHECK(three.answers().back() == "2");

  Pool one(1);
  REQUIRE(one->ready());
  one.give({{"us", 1}, {"lose", {0}}});
  CHECK(one.answers() == std::vector<std::string>{"died E0521 " + killed});
  one.give({{"us", 2}});
  CHECK(one.answers().back() == "error E0528: the reference of 'gemm' failed: no such device");
}

TEST_CASE("runner pool: finalists run on one device, on the next where that is lost meanwhile") {
  Pool pool(3);
  REQUIRE(pool->ready());
  const auto first = pool->finals({{{"us", 1}}, {{"us", 2}}}, 0);
  REQUIRE(first);
  for (const Outcome& o : *first) CHECK(conditions(o).uuid == "fake-0");
  const auto second = pool->finals({{{"us", 1}, {"lose_in_finals", {0}}}, {{"us", 2}}}, 0);
  REQUIRE(second);
  for (const Outcome& o : *second) CHECK(conditions(o).uuid == "fake-1");
  const auto lost = pool->finals({{{"us", 1}, {"lose_in_finals", {1, 2}}}}, 0);
  REQUIRE_FALSE(lost);
  CHECK(render(lost.error()) == "error E0535: none of 3 devices is left; the last one was device 2: the reference of 'gemm' failed: no such device");
}

TEST_CASE("runner pool: drain drops what waits and lets end what runs") {
  Pool pool(1);
  REQUIRE(pool->ready());
  pool.give({{"us", 1}, {"touch", pool.file("runs")}, {"until", pool.file("go")}});
  while (!std::filesystem::exists(pool.file("runs"))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::atomic<bool> second = false;
  pool->give({{"us", 2}}, Fault::none, [&](const Result<Outcome>&) { second = true; });
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::ofstream(pool.file("go")) << "x";
  });
  pool->drain();
  later.join();
  CHECK(pool.answers() == std::vector<std::string>{"1"});
  CHECK_FALSE(second);
}

TEST_CASE("runner: the state of the chip comes with the samples, and an answer without it is one") {
  const auto with = outcome_of({{"us", {1.5}}, {"chip", {{"sm_mhz", 1755}, {"power_w", 612.5}, {"caps", {"power", "thermal", "of a later version"}}}}});
  REQUIRE(with);
  const auto& chip = conditions(*with).chip;
  REQUIRE(chip);
  CHECK(chip->sm_mhz == 1755);
  CHECK(chip->power_w == 612.5);
  CHECK_FALSE(chip->memory_mhz);
  CHECK(chip->caps == (cuda::power_cap | cuda::thermal_cap));
  CHECK_FALSE(conditions(*outcome_of({{"us", {1.5}}})).chip);
  CHECK_FALSE(outcome_of({{"us", {1.5}}, {"chip", {{"sm_mhz", "fast"}}}}));
}
