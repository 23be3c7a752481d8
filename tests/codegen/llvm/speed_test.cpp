#include <chrono>
#include <iostream>

#include "codegen/llvm/object.h"
#include "tests/support/cpu.h"

using namespace tecc;

/// Not run by default: `tecc_tests "[speed]"`. One core, f32, the operands as gemm_nn stores them.
TEST_CASE("cpu: speed of a matrix product on one core", "[.][speed]") {
  const std::string text = "kernel gemm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }";
  const char* asked = std::getenv("TECC_SCHEDULE");  // another one, for experiments
  const std::string schedule = asked ? asked :
      "j0, j1, jv = split(C.j, [2, 16]); i0, i1 = split(C.i, 8); k0, k1 = split(C.k, 256)\n"
      "reorder(j0, k0, i0, k1, i1, j1, jv); bs, bl = cache_read(C, B, local, at=k0); vectorize(jv); unroll([i1, j1])";
  const char* size = std::getenv("TECC_SIZE");
  const std::int64_t n = size ? std::atoll(size) : 1024;
  const std::string dim = std::to_string(n);
  const test::Prepared p = test::prepare({text, "M=" + dim + ",N=" + dim + ",K=" + dim, "", schedule});
  const char* cpu = std::getenv("TECC_CPU");
  const auto module = test::require(codegen::cpu::emit(p.lowered, {"", cpu ? cpu : "", ""}));
  if (std::getenv("TECC_SHOW")) std::cerr << print(p.lowered) << codegen::cpu::text(module) << *codegen::cpu::assembly(module);
  const auto jit = test::require(codegen::cpu::Jit::make(module));
  std::vector<std::vector<float>> memory;
  for (int b = 0; b < 3; ++b) memory.emplace_back(static_cast<std::size_t>(n * n), 0.5f);
  std::vector<float> workspace(static_cast<std::size_t>(p.value(module.workspace_bytes) / 4 + 1));
  void* buffers[] = {memory[0].data(), memory[1].data(), memory[2].data(), workspace.data()};
  double best = 1e9;
  for (int round = 0; round < 10; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (const auto& k : module.kernels)
      for (std::int64_t t = 0; t < p.value(k.tasks); ++t) jit.function(k.name)(buffers, nullptr, t);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::cerr << 2e-9 * static_cast<double>(n * n * n) / best << " GFLOP/s\n";
  CHECK(memory[2][12345] == Catch::Approx(static_cast<double>(n) / 4));
}
