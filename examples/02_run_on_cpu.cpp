// From an expression to a result in this process: choose a schedule, compile for this CPU, bind memory, run.
#include <cstdlib>
#include <iostream>

#include "autotune/pick.h"
#include "codegen/build.h"
#include "codegen/llvm/jit.h"
#include "runtime/cpu/launch.h"

using namespace tecc;

/// Rows of floats in aligned memory, as the contract asks for.
struct Floats {
  explicit Floats(std::size_t n) : count(n), data(static_cast<float*>(std::aligned_alloc(256, (4 * n + 255) / 256 * 256))) {}
  ~Floats() { std::free(data); }
  Floats(const Floats&) = delete;
  BoundBuffer bound() const { return {reinterpret_cast<std::uint64_t>(data), static_cast<std::int64_t>(4 * count)}; }
  std::size_t count;
  float* data;
};

int main() {
  const Source source{"softmax.te", R"(
    kernel softmax(X: f32[M, N]) -> (Y) {
      top[i: M] = max[j: N](X[i, j])
      e[i: M, j: N] = exp(X[i, j] - top[i])
      total[i: M] = sum[j: N](e[i, j])
      Y[i: M, j: N] = e[i, j] / total[i]
    })"};
  te::Bindings sizes;
  sizes.dims = te::parse_dims("M=2,N=4").or_throw();
  const codegen::Workload w = codegen::make_workload(te::parse(source).or_throw().at(0), sizes).or_throw();

  const codegen::Target cpu = codegen::find_target("cpu").or_throw();
  const codegen::Plan plan{cpu, autotune::pick(w, cpu).or_throw()};
  const codegen::Built built = codegen::build(w, {plan}, {}).or_throw();
  const auto jit = codegen::cpu::Jit::make(built.modules.at(0)).or_throw();

  Floats x(8), y(8);
  for (int n = 0; n < 8; ++n) x.data[n] = n < 4 ? 0.0f : static_cast<float>(n % 4);
  Binding memory;
  memory.buffers = {{"X", x.bound()}, {"Y", y.bound()}};
  const auto call = CpuCall::bind(built.contract, ".", memory, [&](const CpuLaunch& l) { return jit.function(l.symbol); }).or_throw();
  call.run().or_throw();

  std::cout.precision(4);
  for (int n = 0; n < 8; ++n) std::cout << y.data[n] << (n % 4 == 3 ? "\n" : " ");
}
