#include "tests/fuzz/fuzz.h"

#include <cstdlib>
#include <random>

#include "tests/support/te.h"
#include "tests/support/temporary_folder.h"

using namespace tecc;
using namespace tecc::fuzz;

// Random expressions x random legal schedules x witnesses, for 40 s or TECC_FUZZ_SECONDS=n. The seed is another one every time, and printed;
// TECC_FUZZ_SEED=n takes that one. build/release/tecc_fuzz does the same with more to say.

namespace {

std::string told(const Report& r) {
  std::string out;
  for (const Report::Kept& f : r.failures) out += f.name + ": " + f.fault + "\n" + f.text + "\n" + f.schedule + "\n";
  return out;
}

}  // namespace

TEST_CASE("random schedules of random expressions agree in all witnesses", "[fuzz]") {
  const char *seed = std::getenv("TECC_FUZZ_SEED"), *seconds = std::getenv("TECC_FUZZ_SECONDS");
  Settings s;
  s.seed = seed ? std::strtoull(seed, nullptr, 10) : std::random_device{}();
  s.seconds = seconds ? std::strtod(seconds, nullptr) : 40;
  s.failures = 3;
  WARN("again with the environment variable TECC_FUZZ_SEED=" << s.seed);
  const Report r = fuzz::fuzz(s);
  CHECK(told(r) == "");
  INFO(summary(r));
  CHECK(r.failed == 0);
  CHECK(r.steps >= 8 * r.pairs);  // the generator still finds legal steps
}

TEST_CASE("a seed gives the same cases every time", "[fuzz]") {
  const auto run = [] {
    Settings s;
    s.seed = 7, s.seconds = 1e9, s.count = 25;
    s.witnesses = {true, false, false};
    const Report r = fuzz::fuzz(s);
    CHECK(r.pairs == 25);
    return r.primitives;
  };
  CHECK(run() == run());
}

TEST_CASE("shrinking leaves the steps that a failure needs, and those they name") {
  const Case c = test::require(make_case({"kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] }", "N=12", "", "stages"}, 1));
  const loop::Program& naive = c.workload.naive;
  const auto trace = test::require(schedule::parse({intern("s"), "i0, i1 = split(Y.i, 4)\nunroll(i1)\na, b = split(i1, 2)\nparallel(i0)\nvectorize(b)\n"}, naive));
  const auto has_vectorize = [&](const schedule::Trace& t) {
    return schedule::replay(naive, t) && std::any_of(t.begin(), t.end(), [](const schedule::Traced& each) { return std::holds_alternative<schedule::Vectorize>(each.step); });
  };
  CHECK(print(shrink(trace, has_vectorize, 10), naive) == "i0, i1 = split(Y.i, 4)\na, b = split(i1, 2)\nvectorize(b)\n");
  CHECK(without(trace, 0).empty());  // all others name its results
}

TEST_CASE("a failure is written and read back") {
  const TemporaryFolder folder;
  Random r = random_of(3, 4);
  const Expression e = random_stages(r);
  const Case c = test::require(make_case(e, 9));
  const Drawn drawn = random_steps(c.workload.naive, r, 8);
  REQUIRE(drawn.fault == "");
  write_failure(folder.path, "one", {e, 9, drawn.trace, "said\nin two lines"});
  const auto back = test::require(read_failure(folder.path + "/one"));
  CHECK(print(back.second, back.first.workload.naive) == print(drawn.trace, c.workload.naive));
  for (std::size_t n = 0; n < c.want.size(); ++n) CHECK(back.first.want[n].data == c.want[n].data);
}
