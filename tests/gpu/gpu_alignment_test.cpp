#include <iostream>

#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/pass/passes.h"
#include "runtime/cuda/launch.h"
#include "schedule/step.h"
#include "tests/support/te.h"

using namespace tecc;

namespace {

/// Y[i] = 2 X[i] by vectors of four, emitted for pointers of these alignments, with a contract that states them.
struct Doubled {
  Contract contract;
  std::string source;
  Doubled(std::int64_t x, std::int64_t y, const std::string& arch) {
    const te::Kernel k = test::kernel("kernel f(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2 }");
    const loop::Program naive = loop::naive(te::lift(test::require(te::bind(k, {{{"N", {4096, 4096, 1}}}, {}, {{"X", x}, {"Y", y}}}))));
    const schedule::Trace trace = test::require(schedule::parse({intern("s"), "i0, i1, i2 = split(Y.i, [128, 4]); bind(i0, block); bind(i1, thread); vectorize(i2)"}, naive));
    const auto module = test::require(codegen::cuda::emit(test::require(compiler::lower(test::require(schedule::replay(naive, trace)).program, compiler::Limits{}))));
    source = module.source;
    CudaLaunch l{module.kernels.at(0).name, "f.cubin"};
    l.grid[0] = "8";
    l.block[0] = 128;
    for (const auto& a : module.kernels[0].arguments) l.args.push_back(BufferArg{naive[std::get<codegen::cuda::BufferArgument>(a).buffer].name});
    contract.name = "f";
    for (const auto& [name, role, align] : {std::tuple{"X", Role::input, x}, {"Y", Role::output, y}}) {
      ContractBuffer b;
      b.name = name, b.role = role, b.dtype = DType::f32, b.shape = {"4096"}, b.strides = {"1"}, b.align = align;
      contract.buffers.push_back(b);
    }
    contract.variants = {{CudaIsa{arch, false}, {}, {}, {l}}};
  }
};

}  // namespace

TEST_CASE("gpu: a kernel for pointers of 4 and 8 bytes' alignment takes them; one for 16 refuses them", "[gpu]") {
  const Result<int> count = cuda::device_count();
  if (!count || *count == 0 || !nvrtc_available()) {
    std::cout << "skipped: no CUDA device or no NVRTC\n";
    return;
  }
  const cuda::Device device = cuda::Device::open().or_throw();
  const std::string arch = device.facts().arch();
  constexpr int n = 4096;
  std::vector<float> x(n), y(n);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i % 251) - 100;
  const std::int64_t bytes = n * 4;
  for (const auto& [ax, ay] : {std::pair<std::int64_t, std::int64_t>{4, 4}, {8, 4}, {4, 8}, {8, 8}, {16, 16}}) {
    INFO("X " << ax << ", Y " << ay);
    const Doubled d(ax, ay, arch);
    const cuda::Memory dx = cuda::Memory::allocate(bytes + 256, "x").or_throw(), dy = cuda::Memory::allocate(bytes + 256, "y").or_throw();
    dx.upload(x.data(), bytes, ax).or_throw();
    cuda::Artifact artifact = cuda::Artifact::of(device, d.contract, {{"f.cubin", compile(d.source, "f", arch).or_throw().cubin}});
    const auto binding = [&](std::int64_t bx, std::int64_t by) {
      return Binding{{{"X", {dx.address() + static_cast<std::uint64_t>(bx), bytes}}, {"Y", {dy.address() + static_cast<std::uint64_t>(by), bytes}}}, {}, {}};
    };
    artifact.bind(binding(ax, ay)).or_throw().launch({}).or_throw();
    device.synchronize().or_throw();
    dy.download(y.data(), bytes, ay).or_throw();
    int wrong = 0;
    for (int i = 0; i < n; ++i) wrong += y[i] != 2 * x[i];
    CHECK(wrong == 0);
    const auto refused = artifact.bind(binding(ax / 2, ay));
    REQUIRE_FALSE(refused);
    CHECK(render(refused.error()) == "error E0617: buffer 'X' of 'f' is not " + std::to_string(ax) + "-byte aligned");
  }
}
