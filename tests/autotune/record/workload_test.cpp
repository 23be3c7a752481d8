#include "autotune/record/workload.h"

#include "autotune/record/task.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;
using test::require;
using test::workload;

namespace {

const std::string mm = "kernel mm<T>(A: T[M, K], B: T[K, N]) -> (C) { C[i: M, j: N] = T(sum[k: K](f32(A[i, k]) * f32(B[k, j]))) }";

}  // namespace

TEST_CASE("records: a record makes its workload, target and point again") {
  const codegen::Target h100 = require(codegen::find_target("sm_90a"));
  for (const auto& w : {workload(mm, "M=128,N=1..256:8,K=64", "T=bf16"), workload("kernel c(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2.0 }", "N=4096"),
                        workload("kernel c<T>(X: T[16]) -> (Y) { Y[i: 16] = X[i] * 2.0 }", "", "T=f32")}) {
    const ScheduleSpace space(w, h100);
    const Point p = require(space.preferred());
    const Record line = record_of(w, h100, "a device", p, Measured{{2, 1, 3}});
    const Record r = require(parse_record(json_line(line), "file", 1));
    CHECK(r == line);
    const codegen::Workload again = require(workload_of(r));
    CHECK(again.hash == w.hash);
    CHECK(fingerprint(require(target_of(r.target))) == fingerprint(h100));
    const Point q = require(point_of(r, again, h100));
    CHECK(q.program_hash == p.program_hash);
    CHECK(q.features == p.features);
    CHECK(q.genome == p.genome);
  }
}

TEST_CASE("records: E0530 where the workload cannot be made again") {
  const codegen::Target h100 = require(codegen::find_target("sm_90a"));
  const auto w = workload(mm, "M=128,N=128,K=64", "T=bf16");
  const Record good = record_of(w, h100, "a device", require(ScheduleSpace(w, h100).preferred()), Measured{{1}});
  const auto text = [](const Record& r) {
    const auto made = workload_of(r);
    return made ? std::string() : render(made.error());
  };
  const std::string begin = "error E0530: the record of 'mm' (K=64,M=128,N=128 T=bf16) cannot be used for learning: ";
  Record r = good;
  r.expression.clear();
  CHECK(text(r) == begin + "it was made by a version that did not record the expression");
  r = good;
  r.workload = std::string(64, 'a');
  CHECK(text(r) == begin + "its expression is not that of its workload");
  r = good;
  r.expression = "kernel (";
  CHECK(text(r).starts_with(begin));
}

TEST_CASE("records: tasks have each candidate once, the last round's time, and count what does not replay") {
  const codegen::Target h100 = require(codegen::find_target("sm_90a"));
  const auto w = workload(mm, "M=128,N=128,K=64", "T=bf16"), other = workload(mm, "M=256,N=128,K=64", "T=bf16");
  Record a = record_of(w, h100, "a device", require(ScheduleSpace(w, h100).preferred()), Measured{{4, 5, 6}});
  Record again = a, failed_one = a, stale = a;
  again.outcome = Measured{{7, 8, 9}};
  again.round = 1;
  Rng rng(1);
  const Point drawn = require(ScheduleSpace(w, h100).make(Chooser({}, &rng)));
  REQUIRE(drawn.program_hash != a.program_hash);
  failed_one = record_of(w, h100, "a device", drawn, Failed{Phase::timeout, "E0520", "too long"});
  stale.program_hash = "another";
  stale.schedule = "i0, i1 = split(C.nowhere, 8)\n";
  const Record b = record_of(other, h100, "a device", require(ScheduleSpace(other, h100).preferred()), Measured{{3}});
  const auto tasks = require(tasks_of({a, failed_one, b, stale, again}));
  REQUIRE(tasks.size() == 2);
  REQUIRE(tasks[0].candidates.size() == 2);
  CHECK(tasks[0].candidates[0].us == 8);
  CHECK_FALSE(tasks[0].candidates[1].us);
  CHECK(tasks[0].stale == 1);
  CHECK(tasks[1].candidates.at(0).us == 3);
}
