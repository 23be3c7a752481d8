#include "autotune/search/space.h"
#include "tests/support/asynchronous_schedules.h"
#include "tests/support/mutants.h"
#include "tests/support/workload.h"

using namespace tecc;

// Barriers cost time and hide mistakes of schedules: each that lowering puts must be one without which threads race.

namespace {

struct Counted {
  std::size_t barriers = 0;
  std::vector<std::string> superfluous;  // those that the simulator does not miss, in the order of the program
};

/// What the simulator sees of a race does not depend on the order in which it runs warps; another one costs little.
std::vector<SimulateOptions> orders() {
  SimulateOptions last;
  last.order = SimulateOptions::Order::last;
  return {SimulateOptions{}, last};
}

/// Takes each barrier out in turn.
Counted count(const loop::Program& lowered, const std::vector<Array>& inputs, const std::vector<Array>& want) {
  REQUIRE(test::simulation_fault(lowered, {}, inputs, want, orders(), 4) == "");
  Counted out;
  for (const test::Mutant& m : test::mutants(lowered)) {
    if (!m.name.starts_with("drop barrier")) continue;
    ++out.barriers;
    if (test::simulation_fault(m.program, {}, inputs, want, orders(), 4).empty()) out.superfluous.push_back(m.name);
  }
  return out;
}

void check_needed(const std::string& text, const std::string& dims, const std::string& types, const std::string& schedule, std::size_t barriers, const std::string& arch = "sm_90a") {
  const test::Operator op{text, dims, types, schedule};
  const test::Prepared p = test::prepare(op);
  const loop::Program lowered = test::require(test::try_lower(op, test::require(codegen::find_target(arch)).limits));
  INFO(schedule << "\n" << test::outline(lowered));
  const std::vector<Array> inputs = test::random_inputs(p);
  const Counted c = count(lowered, inputs, test::require(interpret(p.lifted, p.runtime, inputs)));
  CHECK(c.superfluous == std::vector<std::string>{});
  CHECK(c.barriers == barriers);
}

/// The first candidates of the rules; returns how many barriers they have in all.
std::size_t check_rules(const std::string& file, const std::string& dims, const std::string& types, int candidates) {
  const codegen::Workload w = test::workload(test::cases().at(file), dims, types);
  const codegen::Target target = test::require(codegen::find_target("sm_90a"));
  const autotune::ScheduleSpace space(w, target);
  const std::vector<Array> inputs = test::random_inputs(test::Prepared{w.lifted, w.naive, w.naive, w.naive, {}});
  const std::vector<Array> want = test::require(interpret(w.lifted, {}, inputs));
  std::size_t barriers = 0;
  for (int n = 0; n < candidates; ++n) {
    autotune::Rng rng(static_cast<std::uint64_t>(n));
    const auto point = space.make(n ? autotune::Chooser({}, &rng) : autotune::Chooser());
    if (!point) continue;
    const loop::Program lowered = test::require(codegen::lowered(w, {target, point->trace}));
    INFO(file << " " << dims << "\n" << schedule::print(point->trace, w.naive) << test::outline(lowered));
    const Counted c = count(lowered, inputs, want);
    CHECK(c.superfluous == std::vector<std::string>{});
    barriers += c.barriers;
  }
  return barriers;
}

const std::string product = "kernel product(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) }";
const std::string tiles =
    "i0, i1 = split(C.i, 16); j0, j1 = split(C.j, 16); k0, k1 = split(C.k, 8); reorder(i0, j0, k0, k1, i1, j1); bind([i0, j0], block); bind([i1, j1], thread)\n"
    "as, al = cache_read(C, A, shared, at=k0); bs, bl = cache_read(C, B, shared, at=k0); bind([al.0, al.1, bl.0, bl.1], thread)\n";

}  // namespace

TEST_CASE("minimal barriers: stages that hand over in shared memory") {
  const std::string turn = "kernel turn(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N] = (a[i - 1] else 0) + (a[i + 1] else 0) }";
  check_needed(turn, "N=256", "", "i0, i1 = split(Y.i, 64); p = compute_at(a, i0); set_scope(a, shared); bind(i0, block); bind([p, i1], thread)", 1);
  const std::string two = "kernel two(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 b[i: N] = (a[i - 1] else 0) + (a[i + 1] else 0) Y[i: N] = (b[i - 1] else 0) + (b[i + 1] else 0) }";
  check_needed(two, "N=256", "", "i0, i1 = split(Y.i, 64); q = compute_at(b, i0); p = compute_at(a, i0); set_scope([a, b], shared); bind(i0, block); bind([p, q, i1], thread)", 2);
  // A serial loop around them: each barrier also stands between the readers of one round and the writers of the next.
  check_needed(two, "N=256", "", "i0, i1 = split(Y.i, 64); q = compute_at(b, i0); p = compute_at(a, i0); set_scope([a, b], shared); bind([p, q, i1], thread)", 2);
}

TEST_CASE("minimal barriers: tiles of products and transpositions") {
  check_needed(product, "M=32,N=32,K=32", "", tiles, 2);
  check_needed(product, "M=32,N=32,K=32", "", tiles + "pipeline(k0, [as, bs])", 1);
  check_needed(product, "M=32,N=32,K=64", "", tiles + "copy_with([al, bl], cp_async); pipeline(k0, [as, bs], slots=3)", 1);
  check_needed("kernel turned(X: f32[M, N]) -> (Y) { Y[j: N, i: M] = X[i, j] }", "M=64,N=64", "",
               "j0, j1 = split(Y.j, 16); i0, i1 = split(Y.i, 16); reorder(j0, i0, j1, i1); xs, xl = cache_read(Y, X, shared, at=i0); bind([j0, i0], block); bind([j1, i1, xl.0, xl.1], thread)", 1);
  const std::string mma = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_mma.schedule");
  check_needed(test::cases().at("gemm.te"), "M=128,N=128,K=128", "T=bf16", mma, 1, "sm_80");
}

TEST_CASE("minimal barriers: rows in shared memory") {
  const std::string rows = "kernel rows(X: f32[M, N]) -> (Y) { m[i: M] = max[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] - m[i] }";
  const std::string copied = "_, mj = compute_at(m, Y.i); xs, xb = cache_read([m, Y], X, shared, at=Y.i); m0, m1 = split(mj, 64); y0, y1 = split(Y.j, 64); x0, x1 = split(xb.1, 64)\n"
                             "bind([m1, y1, x1], thread); cross_thread_reduce([m], at=Y.i); ";
  check_needed(rows, "M=3,N=256", "", copied + "bind(Y.i, block)", 0);  // a thread reads what it copied
  const std::string turned = "kernel turned(X: f32[M, N]) -> (Y) { a[i: M, j: N] = X[i, j] * 2 Y[i: M, j: N] = a[i, N - 1 - j] }";
  check_needed(turned, "M=3,N=128", "", "_, j = compute_at(a, Y.i); set_scope(a, shared); bind([j, Y.j], thread); bind(Y.i, block)", 1);
  check_needed(turned, "M=3,N=128", "", "_, j = compute_at(a, Y.i); set_scope(a, shared); bind([j, Y.j], thread)", 2);
}

TEST_CASE("minimal barriers: what the rules of the space write") {
  CHECK(check_rules("transpose.te", "M=50,N=70", "T=f32", 4) >= 3);
  CHECK(check_rules("softmax.te", "M=5,N=300", "T=bf16", 4) + check_rules("layernorm.te", "M=5,N=300", "T=bf16", 4) < 20);
  CHECK(check_rules("gemm.te", "M=72,N=80,K=48", "T=f32", 3) >= 3);
  check_rules("gemm.te", "M=136,N=72,K=64", "T=bf16", 2);
}

TEST_CASE("releases that nobody waits for are left out: a block that takes one tile gives no slot back behind its loop") {
  const auto releases = [](const loop::Program& p) {
    const auto under = [&](const auto& self, loop::StmtId s) -> int {
      const auto* y = p[s].as<loop::Sync>();
      int n = y && y->op == loop::Sync::Op::arrive_empty;
      for (loop::StmtId c : p[s].children) n += self(self, c);
      return n;
    };
    return under(under, p.kernels[0]);
  };
  for (const test::AsynchronousSchedule& s : test::asynchronous_schedules()) {
    if (s.name == "gemm, results out of registers") CHECK(releases(test::lowered(s, test::workload(s.text, s.dims, s.types))) == 1);
    if (s.name == "gemm into f32") CHECK(releases(test::lowered(s, test::workload(s.text, s.dims, s.types))) == 2);  // its blocks take tiles in turn
  }
}
