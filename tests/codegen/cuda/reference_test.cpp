#include "codegen/cuda/reference.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <random>

#include "ir/base/files.h"
#include "ir/interpret/te.h"
#include "tests/support/te.h"
#include "tests/support/temporary_folder.h"

using namespace tecc;
using test::require;

namespace {

// What the reference's text uses of CUDA, for a C++ compiler: threads run one after the other.
constexpr const char* shim = R"cpp(
#include <cmath>
#define __device__ static
#define __global__ static
struct Index { unsigned x; };
static Index blockIdx, threadIdx;
static int max(int a, int b) { return a > b ? a : b; }
using std::isinf; using std::nan;
struct Any { void* p; template <class T> operator T*() const { return (T*)p; } };
#define C_TEXT
)cpp";

struct Case {
  std::string text, dims, types = {};
  std::map<std::string, std::int64_t> runtime = {};
};

struct Prepared {
  te::Lifted lifted;
  codegen::cuda::Reference reference;
  std::vector<Array> inputs, want;
};

/// Adds the case's kernels in a namespace of their own, and a function that runs all launches.
std::string host_text(const Prepared& p, std::size_t number) {
  std::string source = p.reference.source, calls;
  for (std::size_t at; (at = source.find("extern \"C\" ")) != std::string::npos;) source.erase(at, 11);
  const Contract& c = p.reference.contract;
  const auto place = [&](const std::string& name) {
    for (std::size_t n = 0; n < c.buffers.size(); ++n)
      if (c.buffers[n].name == name) return n;
    return c.buffers.size();
  };
  for (const Launch& each : c.variants[0].launches) {
    const CudaLaunch& l = std::get<CudaLaunch>(each);
    std::string arguments;
    for (const LaunchArg& a : l.args) {
      arguments += arguments.empty() ? "" : ", ";
      if (const auto* b = std::get_if<BufferArg>(&a)) arguments += fmt::format("Any{{(char*)b[{}] + {}}}", place(b->buffer), b->offset_bytes);
      else {
        const auto& s = std::get<ScalarArg>(a);
        arguments += fmt::format("*({}*)b[{}]", is_float(s.type) ? "double" : "long long", place(std::get<std::string>(s.value)));
      }
    }
    calls += fmt::format("  for (blockIdx.x = 0; blockIdx.x < {}; ++blockIdx.x)\n    for (threadIdx.x = 0; threadIdx.x < {}; ++threadIdx.x) {}({});\n",
                         l.grid[0], l.block[0], l.kernel, arguments);
  }
  return fmt::format("namespace case{0} {{\n{1}\n}}\nextern \"C\" void run{0}(void** b) {{\n  using namespace case{0};\n{2}}}\n", number, source, calls);
}

Array random_array(DType type, std::vector<std::int64_t> shape, std::mt19937& rng) {
  Array a(type, std::move(shape));
  for (std::int64_t n = 0; n < a.size(); ++n)
    if (is_float(type)) a.set(n, std::normal_distribution<double>()(rng));
    else a.set_integer(n, type == DType::boolean ? rng() % 2 : static_cast<std::int64_t>(rng() % 5));
  return a;
}

}  // namespace

TEST_CASE("reference: its text computes what the interpreter does") {
  const std::vector<Case> cases{
      {"kernel mm<T>(A: T[M, K], B: T[N, K], bias: T[N]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) + f32(bias[j]) C[i: M, j: N] = T(max(x[i, j], 0)) }", "M=5,N=7,K=300", "T=bf16"},
      {"kernel sm(X: f32[M, N]) -> (Y) { m[i: M] = max[j: N](X[i, j]) s[i: M] = sum[j: N](exp(X[i, j] - m[i])) Y[i: M, j: N] = exp(X[i, j] - m[i]) / s[i] }", "M=4,N=33"},
      {"kernel pool(X: f32[M]) -> (Y) { Y[i: M] = (X[i - 1] else 0.5) + (X[i + 1] else 0.25) }", "M=300"},
      {"kernel scan(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) }", "M=3,N=40"},
      {"kernel am(X: f32[M, N]) -> (I) { I[i: M] = argmax[j: N](X[i, j]) }", "M=9,N=17"},
      {"kernel gather(X: f32[M], I: i32[N]) -> (Y) { Y[i: N] = X[i64(I[i])] * 2.0 }", "M=5,N=20"},
      {"kernel ints(A: i8[M, K], B: i8[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](i32(A[i, k]) * i32(B[j, k])) }", "M=4,N=5,K=60"},
      {"kernel small<T>(X: f32[M]) -> (Y) { Y[i: M] = f32(T(X[i] * 100.0)) + f32(i % 3) }", "M=500", "T=e4m3"},
      {"kernel small<T>(X: f32[M]) -> (Y) { Y[i: M] = T(X[i] * 0.001) }", "M=500", "T=f16"},
      {"kernel f(X: f32[M], a: f32) -> (Y) { Y[i: M] = select(X[i] < 0.0, tanh(X[i]) * a, sqrt(X[i]) + sigmoid(X[i])) }", "M=1..1000:4", "", {{"M", 260}}},
  };
  std::mt19937 rng(1);
  std::vector<Prepared> all;
  std::string text = shim;
  for (const Case& c : cases) {
    INFO(c.text);
    Prepared p{te::lift(test::bind(c.text, c.dims, c.types)), {}, {}, {}};
    p.reference = require(codegen::cuda::reference(p.lifted, c.runtime, "sm_90a"));
    for (TensorId t : p.lifted.kernel.inputs) {
      const ContractBuffer* b = p.reference.contract.find_buffer(p.lifted.kernel[t].name);
      REQUIRE(b);
      std::vector<std::int64_t> shape;
      for (const std::string& e : b->shape) shape.push_back(std::stoll(e));
      p.inputs.push_back(random_array(p.lifted.kernel[t].type.concrete(), shape, rng));
    }
    p.want = require(interpret(p.lifted, c.runtime, p.inputs, {true}));
    text += host_text(p, all.size());
    all.push_back(std::move(p));
  }
  const TemporaryFolder folder;
  require(write_file(folder.path + "/r.cpp", text));
  REQUIRE(std::system(fmt::format("c++ -std=c++20 -w -O0 -ffp-contract=off -shared -fPIC -o {0}/r.so {0}/r.cpp", folder.path).c_str()) == 0);
  void* library = ::dlopen((folder.path + "/r.so").c_str(), RTLD_NOW);
  REQUIRE(library);
  for (std::size_t n = 0; n < all.size(); ++n) {
    INFO(cases[n].text);
    const Prepared& p = all[n];
    std::vector<std::vector<unsigned char>> memory;
    std::size_t input = 0, output = 0;
    for (const ContractBuffer& b : p.reference.contract.buffers) {
      if (b.role == Role::input) {
        const auto& d = p.inputs[input++].data;
        memory.emplace_back(reinterpret_cast<const unsigned char*>(d.data()), reinterpret_cast<const unsigned char*>(d.data()) + d.size());
      } else if (b.role == Role::scalar) {
        const double v = p.inputs[input++].get(0);
        memory.emplace_back(8);
        std::memcpy(memory.back().data(), &v, 8);
      } else {
        memory.emplace_back(static_cast<std::size_t>(b.role == Role::workspace ? std::stoll(b.bytes) : 8 * p.want[output++].size()));
      }
    }
    std::vector<void*> pointers;
    for (auto& m : memory) pointers.push_back(m.data());
    const auto run = reinterpret_cast<void (*)(void**)>(::dlsym(library, fmt::format("run{}", n).c_str()));
    REQUIRE(run);
    run(pointers.data());
    output = 0;
    for (std::size_t b = 0; b < memory.size(); ++b) {
      if (p.reference.contract.buffers[b].role != Role::output) continue;
      const Array& want = p.want[output++];
      for (std::int64_t i = 0; i < want.size(); ++i) {
        double real = 0;
        std::int64_t integer = 0;
        std::memcpy(&real, memory[b].data() + 8 * i, 8);
        std::memcpy(&integer, memory[b].data() + 8 * i, 8);
        const bool same = is_float(want.type) ? std::abs(real - want.get(i)) <= 1e-6 * (1e-3 + std::abs(want.get(i))) : integer == want.get_integer(i);
        if (!same) FAIL("element " << i << ": " << (is_float(want.type) ? real : static_cast<double>(integer)) << ", not " << want.get(i));
      }
    }
  }
  ::dlclose(library);
}

TEST_CASE("reference: shapes of its contract, and that it verifies") {
  const auto lifted = te::lift(test::bind("kernel sm(X: f32[M, N]) -> (Y) { s[i: M] = sum[j: N](X[i, j]) Y[i: M, j: N] = X[i, j] / s[i] }", "M=1..64,N=10"));
  const auto r = require(codegen::cuda::reference(lifted, {{"M", 32}}, "sm_80"));
  CHECK(verify(r.contract));
  CHECK(r.contract.variants[0].launches.size() == 2);
  CHECK(r.contract.find_buffer("Y")->dtype == DType::f64);
  CHECK(r.contract.find_buffer("Y")->shape == std::vector<std::string>{"32", "10"});
  CHECK_FALSE(codegen::cuda::reference(lifted, {}, "sm_80"));
}
