#include "codegen/cuda/cubin.h"

#include <iostream>

#include "codegen/cuda/nvrtc.h"
#include "ir/base/errors.h"
#include "tests/support/catch.h"

using namespace tecc;

namespace {

const char* const kernels = R"(
extern "C" __global__ void __launch_bounds__(256) staged(const float* x, float* y, int n) {
  __shared__ float tile[512];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x ^ 1];
}
extern "C" __global__ void table(const int* where, float* y) {
  float all[64];
  for (int i = 0; i < 64; ++i) all[i] = y[i] * i;
  for (int i = 0; i < 64; ++i) y[i] = all[where[i] & 63];
})";

}  // namespace

TEST_CASE("cubin: what its sections say is what ptxas says") {
  if (!nvrtc_available()) {
    std::cout << "skipped: no NVRTC\n";
    return;
  }
  for (const char* arch : {"sm_80", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_100a"}) {
    INFO(arch);
    const Compiled c = compile(kernels, "two.cu", arch).or_throw();
    const Cubin cubin = read_cubin(c.cubin, "two.cubin").or_throw();
    CHECK(cubin.arch == arch);
    REQUIRE(cubin.kernels.size() == 2);
    REQUIRE(c.kernels.size() == 2);
    for (const KernelResources& said : c.kernels) {
      const auto k = std::find_if(cubin.kernels.begin(), cubin.kernels.end(), [&](const CubinKernel& x) { return x.name == said.kernel; });
      REQUIRE(k != cubin.kernels.end());
      CHECK(k->registers == said.registers);
      CHECK(k->stack_bytes == said.stack_bytes);
      CHECK(k->barriers == said.barriers);
      CHECK(k->most_threads == (said.kernel == "staged" ? 256 : 0));
      // The system's 1 KiB is part of a section on some architectures.
      CHECK((k->shared_bytes == said.shared_bytes || k->shared_bytes == said.shared_bytes + 1024));
      CHECK((said.kernel == "table") == (k->stack_bytes >= 256));
      CHECK(k->code_bytes > 0);
    }
  }
}

TEST_CASE("cubin: E0624 what is none") {
  const auto says = [](const std::string& bytes) {
    const auto r = read_cubin(bytes, "x.cubin");
    return r ? std::string() : render(r.error());
  };
  CHECK(says("") == "error E0624: 'x.cubin' is no cubin: it ends before byte 4");
  CHECK(says("text, and some more") == "error E0624: 'x.cubin' is no cubin: it is no ELF file");
  std::string other = "\x7f" "ELF\1\1\1";
  other.resize(200);
  CHECK(says(other) == "error E0624: 'x.cubin' is no cubin: it is an ELF file of another machine");
  if (!nvrtc_available()) return;
  // Cut off anywhere, it is refused and never read beyond its end.
  const std::string whole = compile(kernels, "two.cu", "sm_90a").or_throw().cubin;
  for (std::size_t n = 0; n < whole.size(); n += 97) {
    const auto r = read_cubin(whole.substr(0, n), "x.cubin");
    if (!r) CHECK(r.error().code == Code::cubin_bad);
  }
  CHECK_FALSE(read_cubin(whole.substr(0, whole.size() / 2), "x.cubin"));
}
