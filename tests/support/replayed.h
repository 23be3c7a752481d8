#pragma once
#include "tests/support/cpu.h"

/// Schedules under test, without a code generator: what a schedule makes of a kernel is run by the loop interpreter and
/// compared with the naive program and with the interpreter of expressions.
namespace tecc::test {

/// The scheduled program. Its text form has been through a round trip (prepare), its results agree with both interpreters,
/// and it still agrees when lowered for a CPU. `keeps_instances`: every statement instance runs as often as before.
inline loop::Program replayed(const Operator& op, bool keeps_instances = true) {
  INFO(op.text << "\ndims " << op.dims << "\n" << op.schedule);
  const Prepared p = prepare(op);
  INFO(print(p.scheduled));
  const std::vector<Array> inputs = random_inputs(p);
  const std::vector<Array> want = require(interpret(p.lifted, p.runtime, inputs));
  const LoopRun before = require(interpret(p.naive, p.runtime, inputs));
  for (const loop::Program* each : {&p.scheduled, &p.lowered}) {
    const LoopRun after = require(interpret(reread(*each), p.runtime, inputs));
    REQUIRE(after.outputs.size() == want.size());
    for (std::size_t n = 0; n < want.size(); ++n) check_close(after.outputs[n], want[n], tolerance(want[n].type));
    if (keeps_instances && each == &p.scheduled) CHECK(after.instances == before.instances);
  }
  return p.scheduled;
}

/// What the user reads when a schedule is refused, place and all; "" if it is accepted.
inline std::string refused(const std::string& kernel_text, const std::string& dims, const std::string& schedule) {
  const loop::Program naive = loop::naive(te::lift(bind(kernel_text, dims)));
  const auto trace = schedule::parse({intern("s"), schedule}, naive);
  return trace ? "" : render(trace.error());
}

/// A kernel to refuse things of, with its dims.
struct Subject {
  std::string text, dims;
  std::string refused(const std::string& schedule) const { return test::refused(text, dims, schedule); }
  Operator with(const std::string& schedule) const { return {text, dims, "", schedule}; }
};

inline const Subject row{"kernel row(X: f32[N]) -> (Y) { Y[i: N] = X[i] + 1 }", "N=10"};
inline const Subject product{"kernel product(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) }",
                             "M=5,N=7,K=6"};
inline const Subject epilogue{
    "kernel epilogue(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C) { x[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) C[i: M, j: N] = max(x[i, j] + b[j], 0) }",
    "M=5,N=7,K=6"};
inline const Subject chain{"kernel chain(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 b[i: N] = a[i] + 1 Y[i: N] = b[i] * a[i] }", "N=10"};
inline const Subject halo{"kernel halo(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N] = (a[i - 1] else 0) + a[i] + (a[i + 1] else 0) }", "N=10"};
inline const Subject running{"kernel running(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) }", "M=4,N=6"};

}  // namespace tecc::test
