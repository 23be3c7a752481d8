#include "autotune/pick.h"
#include "tests/support/cpu.h"

using namespace tecc;

namespace {

/// Operations of one program at a size N, by the interpreter of loops; what it computes is what the expression says.
std::int64_t operations(const std::string& text, const std::string& n, const char* arch) {
  te::Bindings bindings;
  bindings.dims = test::require(te::parse_dims("N=" + n));
  const auto kernels = test::require(te::parse({intern("scan.te"), text}));
  const codegen::Workload w = test::require(codegen::make_workload(kernels[0], bindings));
  loop::Program p = w.naive;
  if (arch) {
    const codegen::Target target = test::require(codegen::find_target(arch));
    p = test::require(schedule::replay(w.naive, test::require(autotune::pick(w, target)))).program;
    if (target.kind == codegen::Target::Kind::cpu) p = test::require(compiler::lower(p, target.limits));
  }
  Array x(DType::f32, {std::stoll(n)});
  for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i % 7) - 2.5);
  const LoopRun run = test::require(interpret(p, {}, std::vector{x}));
  const std::vector<Array> want = test::require(interpret(w.bound, {}, std::vector{x}));
  for (std::int64_t i = 0; i < want[0].size(); ++i) CHECK(run.outputs[0].get(i) == Catch::Approx(want[0].get(i)).epsilon(1e-5));
  return run.operations;
}

}  // namespace

TEST_CASE("scan: of 2N elements takes at most 2.1 times the operations of N") {
  const char* const scans[] = {
      "kernel s(X: f32[N]) -> (Y) { Y[j: N] = sum[k: j + 1](X[k]) }",
      "kernel s(X: f32[N]) -> (Y) { Y[j: N] = sum[k: j](X[k]) }",
      "kernel s(X: f32[N]) -> (Y) { Y[j: N] = max[k: j + 1](exp(X[k]) * 2) }",
      "kernel s(X: f32[N]) -> (Y) { Y[j: N] = sum[k: j + 3](X[k] else 0) }",
      "kernel s(X: f32[N]) -> (Y) { e[j: N] = X[j] * X[j] Y[j: N] = sum[k: j + 1](e[k]) / f32(j + 1) + max[k: j + 1](e[k]) }",
      "kernel s(X: f32[N]) -> (Y) { a[j: N] = sum[k: j + 1](X[k]) Y[j: N] = sum[k: j + 1](a[k]) }",
  };
  for (const char* text : scans)
    for (const char* arch : {static_cast<const char*>(nullptr), "cpu", "sm_90a"}) {
      INFO(text << " " << (arch ? arch : "naive"));
      const std::int64_t once = operations(text, "100", arch), twice = operations(text, "200", arch);
      CHECK(once >= 99);
      CHECK(static_cast<double>(twice) <= 2.1 * static_cast<double>(once));
    }
}
