#include "tests/support/mutants.h"

#include <random>

#include "ir/loop/verify.h"
#include "tests/support/asynchronous_schedules.h"
#include "tests/support/workload.h"

using namespace tecc;

// Every asynchronous schedule with one thing wrong: the simulator sees it, or docs/mutants.md has a proof that nothing is. CTest draws 40 of all
// these mutants (TECC_MUTANT_SEED=n draws the same again); TECC_MUTANTS=all runs each, TECC_MUTANTS=WORDS those of schedules whose names have them.

namespace {

struct Subject {
  test::AsynchronousSchedule schedule;
  codegen::Workload workload;
  loop::Program lowered;
  std::vector<test::Mutant> mutants;
};
Subject subject_of(const test::AsynchronousSchedule& s) {
  INFO(s.name);
  Subject out{s, test::workload(s.text, s.dims, s.types), {}, {}};
  out.lowered = test::lowered(s, out.workload);
  out.mutants = test::mutants(out.lowered);
  return out;
}

/// What it takes to run a subject's mutants.
struct Bench {
  explicit Bench(const Subject& s)
      : inputs(test::random_inputs(test::Prepared{s.workload.lifted, s.workload.naive, s.workload.naive, s.workload.naive, {}})), want(test::require(interpret(s.workload.lifted, {}, inputs))) {}
  std::string fault(const loop::Program& p) const { return test::simulation_fault(p, {}, inputs, want, test::simulations(3), 4); }
  std::vector<Array> inputs, want;
};

bool expected_to_survive(const Subject& s, const test::Mutant& m) { return s.schedule.equivalent.count(m.name) > 0; }

}  // namespace

TEST_CASE("simulator: 40 mutants of asynchronous schedules, or all of them") {
  const char *which = std::getenv("TECC_MUTANTS"), *given = std::getenv("TECC_MUTANT_SEED");
  const bool all = which != nullptr;
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::vector<Subject> subjects;
  for (const test::AsynchronousSchedule& s : test::asynchronous_schedules())
    if (!all || std::string_view(which) == "all" || s.name.find(which) != std::string::npos) subjects.push_back(subject_of(s));
  REQUIRE(!subjects.empty());
  std::vector<std::pair<std::size_t, const test::Mutant*>> pairs;
  for (std::size_t n = 0; n < subjects.size(); ++n)
    for (const test::Mutant& m : subjects[n].mutants)
      if (all || !expected_to_survive(subjects[n], m)) pairs.push_back({n, &m});
  if (!all) {
    WARN("TECC_MUTANT_SEED=" << seed);
    std::mt19937_64 random(seed);
    std::shuffle(pairs.begin(), pairs.end(), random);
    pairs.resize(40);
  }
  for (std::size_t n = 0; n < subjects.size(); ++n) {
    std::vector<std::string> left, want;
    std::optional<Bench> bench;
    for (const auto& [subject, mutant] : pairs) {
      if (subject != n) continue;
      if (!bench) {
        bench.emplace(subjects[n]);
        INFO(subjects[n].schedule.name);
        REQUIRE(test::simulation_fault(subjects[n].lowered, {}, bench->inputs, bench->want, all ? test::simulations(3) : std::vector<SimulateOptions>(1), 4) == "");
      }
      if (bench->fault(mutant->program).empty()) left.push_back(mutant->name);
    }
    if (all)
      for (const test::Mutant& m : subjects[n].mutants)
        if (expected_to_survive(subjects[n], m)) want.push_back(m.name);
    INFO(subjects[n].schedule.name << ": mutants that nobody sees, and those of docs/mutants.md");
    CHECK(left == want);
  }
}

// The table of docs/mutants.md has a row a schedule: its name, how many mutants it has, and how many change nothing; each of those has a
// paragraph, which begins with its name.
TEST_CASE("docs/mutants.md counts the mutants of every asynchronous schedule, and proves those that change nothing") {
  const std::string page = test::read_file(TECC_SOURCE_DIR "/docs/mutants.md");
  std::string rows;
  std::size_t mutants = 0, equivalent = 0;
  for (const test::AsynchronousSchedule& each : test::asynchronous_schedules()) {
    const Subject s = subject_of(each);
    const std::string row = fmt::format("| {} | {} | {} |", each.name, s.mutants.size(), each.equivalent.size());
    INFO(row);
    CHECK(page.find(row) != std::string::npos);
    for (const test::Mutant& m : s.mutants)  // it is the simulator that has to see it; a buffer that grows over its neighbour, the verifier sees as well
      if (!m.name.ends_with("' slots one more")) CHECK(loop::verify(m.program, loop::Level::threaded));
    for (const auto& [mutant, proof] : each.equivalent) {
      INFO(mutant << ": " << proof);
      CHECK(std::any_of(s.mutants.begin(), s.mutants.end(), [&name = mutant](const test::Mutant& m) { return m.name == name; }));
      CHECK(page.find("**" + proof + ".**") != std::string::npos);
    }
    mutants += s.mutants.size(), equivalent += each.equivalent.size();
  }
  const std::string total = fmt::format("| all | {} | {} |", mutants, equivalent);
  INFO(total);
  CHECK(page.find(total) != std::string::npos);
}
