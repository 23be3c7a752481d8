#include "autotune/measure/runner.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

MeasureOptions fake() {
  MeasureOptions o;
  o.runner = {"/proc/self/exe", "__fake_runner"};
  o.candidate_limit_ms = 300;
  return o;
}
std::string text(const Result<Outcome>& o) {
  if (!o) return render(o.error());
  if (const auto* f = std::get_if<Failed>(&*o)) return std::string(name(f->phase)) + " " + f->code + " " + f->message;
  return "measured";
}
bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

}  // namespace

TEST_CASE("runner: measures, and is used again") {
  Runner runner(fake(), {{"kind", "fake"}}, "x");
  REQUIRE(runner.ready());
  CHECK(runner.device() == "fake");
  const pid_t first = runner.process().pid();
  for (double us : {3.0, 2.0}) {
    const auto o = runner.time({{"us", us}}, {}, Fault::none);
    REQUIRE(text(o) == "measured");
    CHECK(std::get<Measured>(*o).us == std::vector<double>{us});
  }
  CHECK(runner.process().pid() == first);
  const auto finals = runner.finals({{{"us", 1.0}}, {{"us", 2.0}}}, 0);
  REQUIRE(finals);
  CHECK(std::get<Measured>((*finals)[1]).us.size() == 2);
}

TEST_CASE("runner: one that hangs or dies is a failure without a time, and is replaced") {
  Runner runner(fake(), {{"kind", "fake"}}, "x");
  REQUIRE(runner.ready());
  const pid_t first = runner.process().pid();
  CHECK(text(runner.time({{"us", 1.0}}, {}, Fault::hang)) ==
        "timeout E0520 the candidate ran for over 300 ms and was stopped; raise --candidate-limit if the workload is that slow");
  CHECK_FALSE(alive(first));
  CHECK(text(runner.time({{"us", 1.0}}, {}, Fault::none)) == "measured");
  CHECK(text(runner.time({{"us", 1.0}}, {}, Fault::die)) == "died E0521 the runner process died while it measured: signal 11 (Segmentation fault)");
  CHECK(text(runner.time({{"us", 1.0}}, {}, Fault::none)) == "measured");
}

TEST_CASE("runner: E0537 when a compiler takes too long") {
  RunnerProcess compiler(fake().runner);
  const auto answer = compiler.ask({{"op", "time"}, {"candidate", {{"us", 1.0}}}, {"inject", "hang"}}, 200, "it compiled", Code::compile_timeout);
  REQUIRE_FALSE(answer);
  CHECK(render(answer.error()) == "error E0537: the candidate compiled for over 200 ms and was given up; raise --compile-limit if that is what its kernels take");
  CHECK_FALSE(compiler.running());
}

TEST_CASE("runner: E0528 when the reference fails, E0521 and E0523 when there is no process") {
  Runner refuses(fake(), {{"refuse", true}}, "gemm");
  const Check r = refuses.ready();
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0528: the reference of 'gemm' failed: no such device");
  MeasureOptions none = fake();
  none.runner = {"/no/such/program"};
  Runner absent(none, Message::object(), "gemm");
  CHECK(render(absent.ready().error()) == "error E0528: the reference of 'gemm' failed: the runner process died while it prepared: exit code 127");
}

TEST_CASE("runner: answers that cannot be understood are E0522") {
  const auto o = outcome_of({{"nothing", 1}});
  REQUIRE_FALSE(o);
  CHECK(render(o.error()) == "error E0522: the runner process answered what cannot be understood: {\"nothing\":1}");
  CHECK_FALSE(outcome_of({{"us", Message::array()}}));
  CHECK_FALSE(outcome_of({{"failed", {{"phase", "lunch"}, {"code", "E1"}, {"message", ""}}}}));
}

TEST_CASE("runner: no orphan survives SIGKILL of the process that started it") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t tuner = ::fork();
  if (tuner == 0) {  // stands for `tecc tune`
    Runner runner(fake(), {{"kind", "fake"}}, "x");
    const pid_t pid = runner.ready() ? runner.process().pid() : -1;
    (void)!::write(ends[1], &pid, sizeof pid);
    (void)runner.time({{"us", 1.0}}, {}, Fault::hang);  // a candidate that hangs, at that
    for (;;) ::pause();
  }
  pid_t runner = -1;
  REQUIRE(::read(ends[0], &runner, sizeof runner) == sizeof runner);
  REQUIRE(runner > 0);
  CHECK(alive(runner));
  ::kill(tuner, SIGKILL);
  int status = 0;
  ::waitpid(tuner, &status, 0);
  for (int n = 0; n < 200 && alive(runner); ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK_FALSE(alive(runner));
  ::close(ends[0]), ::close(ends[1]);
}

TEST_CASE("TECC_INJECT: percentages, the same for the same candidate; E0529") {
  const auto injector = Injector::parse("compile:5,hang:10,wrong:20,die:5");
  REQUIRE(injector);
  int counts[5] = {};
  for (std::uint64_t h = 0; h < 10000; ++h) {
    const Fault f = injector->fault_of(h * 0x9e3779b97f4a7c15ull);
    ++counts[static_cast<int>(f)];
    CHECK(f == injector->fault_of(h * 0x9e3779b97f4a7c15ull));
  }
  CHECK(std::abs(counts[1] - 500) < 100);
  CHECK(std::abs(counts[3] - 2000) < 200);
  CHECK(Injector::parse(""));
  for (const char* bad : {"hang", "hang:", "hang:x", "sleep:3", "hang:60,die:60"}) {
    const auto r = Injector::parse(bad);
    REQUIRE_FALSE(r);
    CHECK(render(r.error()) == "error E0529: '" + std::string(bad) + "' is not a list of faults; write for example TECC_INJECT=compile:5,hang:5,wrong:2,die:2");
  }
}
