#include "autotune/search/space.h"

#include <iostream>

#include "codegen/build.h"
#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/support/simulated.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;

// Points of the space, drawn at random: what the rules write must be legal, must lower, and must mean what the expression says.

namespace {

struct Case {
  const char *file, *dims, *types;  // file: an example, or the text of a kernel
  const char* uses;                 // in the schedule of at least one point
  const char* arch = "sm_90a";
};

codegen::Workload workload_of(const Case& c) {
  const auto examples = test::cases();
  const auto example = examples.find(c.file);
  return test::workload(example == examples.end() ? c.file : example->second, c.dims, c.types);
}

/// Simulates `count` points; returns how many of `drawn` the space refused.
int check_points(const Case& c, int count, int drawn) {
  INFO(c.file << " " << c.dims << " " << c.types << " " << c.arch);
  const codegen::Workload w = workload_of(c);
  const codegen::Target target = test::require(codegen::find_target(c.arch));
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

TEST_CASE("space: points of products by warps are right in the simulator") {
  const char* const bytes = "kernel gemm(A: i8[M, K], B: i8[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](i32(A[i, k]) * i32(B[j, k])) }";
  const char* const bytes_nn = "kernel gemm(A: u8[M, K], B: u8[K, N]) -> (C) { C[i: M, j: N] = f32(sum[k: K](i32(A[i, k]) * i32(B[k, j]))) * 0.5 }";
  const Case cases[] = {
      {"gemm.te", "M=72,N=136,K=96", "T=bf16", "stmatrix", "sm_90"},
      {"gemm.te", "M=72,N=136,K=96", "T=bf16", "cache_write(C, C, shared", "sm_80"},
      {"gemm.te", "M=77,N=67,K=131", "T=f16", "pad(", "sm_80"},       // rows that begin anywhere
      {"gemm.te", "M=9,N=67,K=131", "T=f16", "ldmatrix", "sm_80"},    // few of them: threads shift what they copy
      {"gemm.te", "M=72,N=80,K=1024", "T=f16", "split_reduction", "sm_86"},
      {"gemm_nn.te", "M=66,N=72,K=72", "T=bf16", "ldmatrix", "sm_89"},
      {"gemm_tt.te", "M=72,N=72,K=80", "T=f16", "ldmatrix", "sm_80"},
      {"gemm_tf32.te", "M=72,N=70,K=68", "", "mma_sync", "sm_80"},
      {bytes, "M=72,N=80,K=160", "", "mma_sync", "sm_80"},
      {bytes_nn, "M=65,N=80,K=77", "", "mma_sync", "sm_89"},          // elements of 8 bits are not transposed on the way
      {"gemm_e4m3.te", "M=80,N=72,K=272", "", "split_reduction", "sm_89"},  // sums added up apart
      {"gemm_e4m3.te", "M=66,N=72,K=250", "", "pad(", "sm_89"},
      {"gemm_bias_gelu.te", "M=66,N=72,K=80", "T=bf16", "mma_sync", "sm_89"},
      {"gemm_residual_sqrelu_t.te", "M=72,N=72,K=80", "T=bf16", "mma_sync", "sm_80"},
      {"gemm_dequant.te", "M=16,N=136,K=256", "T=bf16", "compute_at(w", "sm_80"},
      {"gemm_dequant.te", "M=72,N=66,K=384", "T=f16", "compute_at(w", "sm_89"},
      {"bmm.te", "B=3,M=72,N=40,K=80", "T=bf16", "mma_sync", "sm_80"},
      {"conv2d_nhwc.te", "N=3,H=9,W=10,C=32,R=3,S=3,stride=1,pad=1,O=72", "T=f16", "ldmatrix", "sm_80"},
      {"conv2d_nhwc.te", "N=1,H=16,W=18,C=32,R=3,S=3,stride=1,pad=1,O=72", "T=f16", "ldmatrix", "sm_89"},  // boxes of one image
  };
  for (const Case& c : cases) CHECK(check_points(c, 2, 16) <= 5);
}

TEST_CASE("space: where wgmma is not, the first candidate of a product is one by warps, without spills") {
  const Case cases[] = {
      {"gemm.te", "M=1024,N=1024,K=1024", "T=bf16", "", "sm_80"},       {"gemm.te", "M=4096,N=4096,K=4096", "T=bf16", "", "sm_89"},
      {"gemm_nn.te", "M=2048,N=2048,K=2048", "T=f16", "", "sm_86"},     {"gemm_tf32.te", "M=2048,N=2048,K=2048", "", "", "sm_80"},
      {"gemm_e4m3.te", "M=2048,N=2048,K=2048", "", "", "sm_89"},        {"gemm.te", "M=1..4096,N=4096,K=4096", "T=bf16", "", "sm_90"},
      {"gemm.te", "M=1000,N=1001,K=1003", "T=bf16", "", "sm_80"},
      {"conv2d_nhwc.te", "N=32,H=56,W=56,C=64,R=3,S=3,stride=1,pad=1,O=64", "T=f16", "", "sm_89"},
  };
  for (const Case& c : cases) {
    INFO(c.file << " " << c.dims << " " << c.arch);
    const codegen::Workload w = workload_of(c);
    const codegen::Target target = test::require(codegen::find_target(c.arch));
    const Candidate first = test::require(propose(w.naive, target, Chooser()));
    CHECK(schedule::print(first.trace, w.naive).find("mma_sync") != std::string::npos);
    const std::string text = test::require(codegen::cuda::emit(test::require(compiler::lower(first.state.program, target.limits)))).source;
    if (!nvrtc_version()) {
      std::cout << "skipped: no NVRTC\n";
      continue;
    }
    for (const auto& k : test::require(compile(text, c.file, c.arch)).kernels) {
      CHECK(k.spill_store_bytes == 0);
      CHECK(k.stack_bytes == 0);
    }
  }
}

TEST_CASE("space: sums over a part of each row count nothing of the rest") {
  const char* const part = "kernel part(A: f16[M, L], B: f16[N, L]; K) -> (C) { C[i: M, j: N] = f16(sum[k: K](f32(A[i, k]) * f32(B[j, k]))) }";
  for (const char* arch : {"sm_80", "sm_90a"}) {
    CHECK(check_points({part, "M=40,N=72,L=128,K=100", "", "local", arch}, 2, 8) <= 4);  // tiles of matrix instructions would run over
    CHECK(check_points({part, "M=40,N=72,L=200,K=128", "", "tensorize", arch}, 2, 8) <= 4);
  }
}

TEST_CASE("space: what reads neighbours of a sum, or elements across from each other, is a kernel of its own") {
  const char* const pairs = "kernel pairs(A: bf16[M, K], B: bf16[N, K]) -> (C) { z[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N / 2] = bf16(z[i, 2 * j] * z[i, 2 * j + 1]) }";
  const char* const across = "kernel across(A: bf16[M, K], B: bf16[M, K]) -> (C) { z[i: M, j: M] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: M] = bf16(z[i, j] + z[j, i]) }";
  CHECK(check_points({pairs, "M=40,N=72,K=64", "", "mma_sync", "sm_80"}, 2, 12) <= 4);
  CHECK(check_points({across, "M=72,K=64", "", "mma_sync", "sm_80"}, 2, 12) <= 4);
  CHECK(check_points({pairs, "M=40,N=72,K=64", "", "wgmma"}, 2, 12) <= 4);
  CHECK(check_points({"kernel sym(A: f32[M, M]) -> (C) { C[i: M, j: M] = A[i, j] + A[j, i] }", "M=300", "", "thread"}, 2, 12) <= 4);
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
