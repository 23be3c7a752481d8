#include "autotune/search/space.h"

#include <set>

#include "codegen/build.h"
#include "tests/support/simulated.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;

// Points of the space, drawn at random: what the rules write must be legal, must lower, and must mean what the expression says.

namespace {

struct Case {
  const char *file, *dims, *types;
  const char* uses;  // in the schedule of at least one point
};

codegen::Target hopper() { return test::require(codegen::find_target("sm_90a")); }

codegen::Workload workload_of(const Case& c) {
  return test::workload(test::cases().at(c.file), c.dims, c.types);
}

/// Simulates `count` points; returns how many of `drawn` the space refused.
int check_points(const Case& c, int count, int drawn) {
  INFO(c.file << " " << c.dims << " " << c.types);
  const codegen::Workload w = workload_of(c);
  const codegen::Target target = hopper();
  const ScheduleSpace space(w, target);
  const std::vector<Array> inputs = test::random_inputs(test::Prepared{w.lifted, w.naive, w.naive, w.naive, {}});
  const std::vector<Array> want = test::require(interpret(w.lifted, {}, inputs));
  int refused = 0, simulated = 0;
  bool used = false;
  for (int n = 0; n < drawn; ++n) {
    Rng rng(static_cast<std::uint64_t>(n));
    const auto point = space.make(n ? Chooser({}, &rng) : Chooser());
    if (!point) {
      const std::string code = number(point.error().code);
      INFO(render(point.error()));
      CHECK((code.starts_with("E03") || code.starts_with("E04")));
      ++refused;
      continue;
    }
    const std::string text = schedule::print(point->trace, w.naive);
    used |= text.find(c.uses) != std::string::npos;
    if (simulated++ >= count) continue;
    INFO(text);
    const schedule::State state = test::require(schedule::replay(w.naive, test::require(schedule::parse({intern("s"), text}, w.naive))));
    const loop::Program lowered = test::require(compiler::lower(state.program, target.limits));
    CHECK(test::simulation_fault(lowered, {}, inputs, want, {SimulateOptions{}}, 4) == "");
  }
  CHECK(used);
  return refused;
}

}  // namespace

TEST_CASE("space: points of products are right in the simulator") {
  const Case cases[] = {
      {"gemm.te", "M=136,N=200,K=192", "T=bf16", "wgmma"},
      {"gemm.te", "M=136,N=201,K=192", "T=bf16", "f = fuse(cl.0, cl.1)"},  // rows of results that bulk copies do not take
      {"gemm.te", "M=16,N=136,K=512", "T=f16", "swap=true"},
      {"gemm.te", "M=72,N=80,K=1024", "T=f16", "split_reduction"},
      {"gemm_tt.te", "M=136,N=72,K=80", "T=bf16", "wgmma"},
      {"gemm_residual_sqrelu_t.te", "M=136,N=72,K=80", "T=bf16", "wgmma"},
      {"gemm_tf32.te", "M=136,N=72,K=80", "", "wgmma"},
      {"gemm_e4m3.te", "M=144,N=80,K=272", "", "split_reduction"},  // sums added up apart
      {"gemm_dequant.te", "M=16,N=136,K=512", "T=bf16", "compute_at(w"},
      {"gemm_dequant.te", "M=72,N=200,K=384", "T=f16", "compute_at(w"},
      {"gemm.te", "M=77,N=99,K=134", "T=f16", "cp_async"},
      {"bmm.te", "B=3,M=136,N=72,K=80", "T=bf16", "wgmma"},
      {"conv2d_nhwc.te", "N=3,H=9,W=10,C=32,R=3,S=3,stride=1,pad=1,O=72", "T=f16", "wgmma"},
      {"conv2d_nhwc.te", "N=1,H=16,W=18,C=32,R=3,S=3,stride=1,pad=1,O=72", "T=f16", "wgmma"},  // boxes of one image
  };
  for (const Case& c : cases) CHECK(check_points(c, 4, 24) <= 8);
}

TEST_CASE("space: points of sums in registers are right in the simulator") {
  const Case cases[] = {
      {"gemm.te", "M=70,N=90,K=36", "T=f32", "cp_async"},
      {"gemm.te", "M=33,N=50,K=37", "T=f32", "pipeline"},
      {"gemm_nn.te", "M=40,N=72,K=33", "T=f32", "cp_async"},
      {"gemm_tt.te", "M=33,N=40,K=28", "T=f32", "pipeline"},
      {"conv2d_nchw.te", "N=1,C=4,H=9,W=9,O=6,R=3,S=3,stride=1,pad=1", "T=f32", "local"},
      {"gemm_bias_gelu.te", "M=30,N=40,K=20", "T=f32", "reverse_compute_at"},
  };
  for (const Case& c : cases) CHECK(check_points(c, 4, 24) <= 10);  // copies of fewer elements than there are threads
}

TEST_CASE("space: points of cascades are right in the simulator") {
  CHECK(check_points({"attention.te", "B=1,H=2,S=136,D=64,L=200", "T=bf16", "online"}, 4, 24) <= 4);
  CHECK(check_points({"attention_causal.te", "B=1,H=2,S=136,D=64", "T=f16", "online"}, 4, 24) <= 4);
}

TEST_CASE("space: points of rows, windows and transpositions are right in the simulator") {
  CHECK(check_points({"softmax.te", "M=5,N=300", "T=bf16", "cross_thread_reduce"}, 4, 24) <= 4);
  CHECK(check_points({"gemm.te", "M=1,N=9,K=300", "T=bf16", "cross_thread_reduce"}, 4, 24) <= 4);
  CHECK(check_points({"cumsum.te", "M=5,N=300", "T=f32", "scan("}, 4, 24) <= 8);
  CHECK(check_points({"cumsum.te", "M=5,N=300", "T=bf16", "scan("}, 4, 24) <= 8);
  CHECK(check_points({"transpose.te", "M=50,N=70", "T=f32", "shared"}, 4, 24) <= 4);
  CHECK(check_points({"depthwise_nchw.te", "N=2,H=7,W=9,C=3,R=3,S=3,stride=1,pad=1", "T=f32", "thread"}, 4, 24) <= 4);
}
