#include "codegen/cuda/agreement.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ir/base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/te.h"

using namespace tecc;
using test::require;

namespace {

// What the text uses of CUDA, for a C++ compiler: threads run one after the other.
constexpr const char* shim = R"cpp(
#include <cmath>
#include <cstring>
#define __device__ static
#define __global__
struct Index { unsigned x; };
static Index blockIdx, threadIdx;
static int max(int a, int b) { return a > b ? a : b; }
using std::isfinite; using std::isinf; using std::nan;
static void atomicAdd(double* to, double x) { *to += x; }
static void atomicMax(unsigned long long* to, unsigned long long x) { if (x > *to) *to = x; }
static unsigned long long __double_as_longlong(double x) { unsigned long long y; std::memcpy(&y, &x, 8); return y; }
)cpp";

}  // namespace

TEST_CASE("agreement: its text finds how far outputs are from what is expected") {
  using codegen::cuda::Output;
  constexpr std::int64_t count = 5;
  const std::vector<Output> outputs{{DType::f32, count}, {DType::bf16, count}, {DType::i32, count}};
  const codegen::cuda::Agreement a = codegen::cuda::agreement(outputs, "sm_90a");
  require(verify(a.contract));
  const TemporaryFolder folder;
  require(write_file(folder.path + "/a.cpp", shim + a.source + "\nextern \"C\" void at(unsigned b, unsigned t) { blockIdx.x = b; threadIdx.x = t; }\n"));
  REQUIRE(std::system(fmt::format("c++ -std=c++20 -w -O1 -ffp-contract=off -shared -fPIC -o {0}/a.so {0}/a.cpp", folder.path).c_str()) == 0);
  void* library = ::dlopen((folder.path + "/a.so").c_str(), RTLD_NOW);
  REQUIRE(library);
  const auto at = reinterpret_cast<void (*)(unsigned, unsigned)>(::dlsym(library, "at"));

  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  float y[count] = {3, 4.5, inf, nan, -inf};
  const double y_expected[count] = {3, 4, inf, std::nan(""), inf};  // the last one is wrong
  std::uint16_t h[count] = {0x3f80, 0x4000, 0xbf80, 0, 0x7fc0};     // 1, 2, -1, 0 and a NaN that is not expected
  const double h_expected[count] = {1, 2, -1, 0.5, 0};
  std::int32_t i[count] = {1, 2, -3, 4, 5};
  const std::int64_t i_expected[count] = {1, 2, 3, 4, 6};
  double differences[3][5] = {};
  const std::map<std::string, void*> memory{{"got_0", y}, {"expected_0", const_cast<double*>(y_expected)}, {"difference_0", differences[0]},
                                            {"got_1", h}, {"expected_1", const_cast<double*>(h_expected)}, {"difference_1", differences[1]},
                                            {"got_2", i}, {"expected_2", const_cast<std::int64_t*>(i_expected)}, {"difference_2", differences[2]}};
  for (const Launch& each : a.contract.variants[0].launches) {
    const auto& l = std::get<CudaLaunch>(each);
    const auto kernel = reinterpret_cast<void (*)(void*, void*, void*)>(::dlsym(library, l.kernel.c_str()));
    REQUIRE(kernel);
    const auto argument = [&](std::size_t n) { return memory.at(std::get<BufferArg>(l.args[n]).buffer); };
    for (std::int64_t block = 0; block < std::stoll(l.grid[0]); ++block)
      for (std::int64_t thread = 0; thread < l.block[0]; ++thread) {
        at(static_cast<unsigned>(block), static_cast<unsigned>(thread));
        kernel(argument(0), argument(1), argument(2));
      }
  }
  // Squared differences, squares of what should be, finite elements, wrong ones, and the largest over (itself + root mean square).
  const auto same = [](const double (&got)[5], std::initializer_list<double> want) {
    std::size_t n = 0;
    for (const double w : want) CHECK(std::abs(got[n++] - w) < 1e-12);
  };
  same(differences[0], {0.25, 25, 2, 1, 0.5 / (4 + std::sqrt(12.5))});
  same(differences[1], {0.25, 6.25, 4, 1, 0.5 / (0.5 + std::sqrt(6.25 / 4))});
  same(differences[2], {0, 0, 0, 2, 0});
}
