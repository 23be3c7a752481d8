#include "codegen/cuda/nvrtc.h"

#include <iostream>
#include <thread>

#include "ir/base/errors.h"
#include "tests/support/catch.h"

namespace tecc {
namespace {

const char* const saxpy = R"(
extern "C" __global__ void __launch_bounds__(256) saxpy(const float* x, float* y, float a, int n) {
  __shared__ float tile[256];
  tile[threadIdx.x] = a;
  __syncthreads();
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < n) y[i] = tile[threadIdx.x ^ 1] * x[i] + y[i];
})";

bool absent() {
  if (nvrtc_available()) return false;
  std::cout << "skipped: no NVRTC\n";
  return true;
}

TEST_CASE("nvrtc: cubin, PTX and what ptxas says of the kernel") {
  if (absent()) return;
  const Compiled c = compile(saxpy, "saxpy.cu", "sm_80").or_throw();
  CHECK(c.cubin.substr(1, 3) == "ELF");
  CHECK(c.ptx.find(".target sm_80") != std::string::npos);
  CHECK_FALSE(c.poisoned);
  REQUIRE(c.kernels.size() == 1);
  CHECK(c.kernels[0].kernel == "saxpy");
  CHECK(c.kernels[0].registers > 0);
  CHECK(c.kernels[0].shared_bytes == 1024);
  CHECK(c.kernels[0].spill_store_bytes == 0);
}

TEST_CASE("nvrtc: a compute_ architecture gives PTX only") {
  if (absent()) return;
  const Compiled c = compile(saxpy, "saxpy.cu", "compute_90").or_throw();
  CHECK(c.cubin.empty());
  CHECK(c.ptx.find(".target sm_90") != std::string::npos);
}

TEST_CASE("nvrtc: the same bytes from parallel threads") {
  if (absent()) return;
  std::vector<std::string> cubins(4);
  std::vector<std::thread> threads;
  for (std::string& cubin : cubins)
    threads.emplace_back([&cubin] { cubin = compile(saxpy, "saxpy.cu", "sm_90a").or_throw().cubin; });
  for (std::thread& t : threads) t.join();
  for (const std::string& cubin : cubins) CHECK(cubin == cubins[0]);
  CHECK_FALSE(cubins[0].empty());
}

TEST_CASE("nvrtc: E0440 shows the first error lines") {
  if (absent()) return;
  const auto r = compile("extern \"C\" __global__ void f(float* x) { x[0] = y; }\n", "f.cu", "sm_80");
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) ==
        "error E0440: NVRTC refused 'f.cu' for sm_80:\n"
        "  f.cu(1): error: identifier \"y\" is undefined\n"
        "    extern \"C\" __global__ void f(float* x) { x[0] = y; }");
  const auto odd = compile(saxpy, "saxpy.cu", "sm_12");  // the rest is NVRTC's wording
  REQUIRE_FALSE(odd);
  CHECK(render(odd.error()).starts_with("error E0440: NVRTC refused 'saxpy.cu' for sm_12:\n  nvrtc: error: "));
}

TEST_CASE("nvrtc: ptxas lines of two kernels, spills included") {
  const auto kernels = parse_ptxas_log(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'a' for 'sm_90a'\n"
      "ptxas info    : Function properties for a\n"
      "    64 bytes stack frame, 48 bytes spill stores, 52 bytes spill loads\n"
      "ptxas info    : Used 168 registers, used 3 barriers, 64 bytes cumulative stack size, 2048 bytes smem, 400 bytes "
      "cmem[0]\n"
      "ptxas info    : Compiling entry function 'b' for 'sm_90a'\n"
      "ptxas info    : Used 10 registers, used 0 barriers, 360 bytes cmem[0]\n");
  REQUIRE(kernels.size() == 2);
  CHECK(kernels[0].kernel == "a");
  CHECK(kernels[0].stack_bytes == 64);
  CHECK(kernels[0].spill_store_bytes == 48);
  CHECK(kernels[0].spill_load_bytes == 52);
  CHECK(kernels[0].registers == 168);
  CHECK(kernels[0].barriers == 3);
  CHECK(kernels[0].shared_bytes == 2048);
  CHECK(kernels[1].registers == 10);
  CHECK(kernels[1].spill_store_bytes == 0);
}

}  // namespace
}  // namespace tecc
