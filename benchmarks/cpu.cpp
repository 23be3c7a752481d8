#include <dlfcn.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <thread>

#include "autotune/pick.h"
#include "autotune/tune.h"
#include "codegen/build.h"
#include "codegen/llvm/jit.h"
#include "runtime/cpu/pool.h"

// CPU kernels beside what they should not lose to, in one run and in turns: matrix products beside OpenBLAS, kernels that memory bounds
// beside a copy of as many bytes.
//
//   TECC_THREADS=2 tecc_bench_cpu --records FILE [--rounds 15] [--only NAME]
//
// Schedules come from the records (`tecc tune --target=llvm --records FILE`), else they are those of a build without records. The ratio is
// their time / ours, median and quartiles over the rounds. OpenBLAS is looked for at run time (Debian: libopenblas0-pthread).

using namespace tecc;

namespace {

struct Case {
  const char *name, *text, *dims;
  bool product;  // else memory bounds it
};
constexpr const char* gemm = "kernel gemm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }";
constexpr Case cases[] = {
    {"gemm_512", gemm, "M=512,N=512,K=512", true},
    {"gemm_1024", gemm, "M=1024,N=1024,K=1024", true},
    {"gemm_1536", gemm, "M=1536,N=1536,K=1536", true},
    {"gemm_2048", gemm, "M=2048,N=2048,K=2048", true},
    {"scale_add", "kernel scale_add(X: f32[M, N], a: f32[N], b: f32[N]) -> (Y) { Y[i: M, j: N] = max(X[i, j] * a[j] + b[j], 0) }", "M=4096,N=8192", false},
    {"rowsum", "kernel rowsum(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }", "M=4096,N=8192", false},
    {"rmsnorm", "kernel rmsnorm(X: f32[M, N], g: f32[N]) -> (Y) { s[i: M] = sum[j: N](X[i, j] * X[i, j]) Y[i: M, j: N] = X[i, j] * rsqrt(s[i] / f32(N) + 1e-5) * g[j] }", "M=4096,N=8192", false},
};

using Sgemm = void (*)(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
struct Blas {
  Sgemm sgemm = nullptr;
  std::string name;
};
Blas open_blas(int threads) {
  void* const library = dlopen("libopenblas.so.0", RTLD_NOW);
  if (!library) return {};
  Blas out{reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm")), "OpenBLAS"};
  if (const auto set = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"))) set(threads);
  if (const auto config = reinterpret_cast<char* (*)()>(dlsym(library, "openblas_get_config"))) out.name = config();
  return out;
}

double seconds_of(const std::function<void()>& work) {
  std::this_thread::sleep_for(std::chrono::milliseconds(60));  // OpenBLAS's threads go on looking for work for 2^26 clocks, on the cores that the next run needs
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Memory {
  std::unique_ptr<float[], decltype(&std::free)> data{nullptr, &std::free};
  std::size_t bytes = 0;
  Memory(std::size_t n, std::mt19937& rng) : bytes(n) {
    data.reset(static_cast<float*>(std::aligned_alloc(64, (n + 63) / 64 * 64)));
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (std::size_t i = 0; i < n / sizeof(float); ++i) data[i] = uniform(rng);
  }
};

/// The copy that a kernel is held against: each thread its share.
void copy_all(const Memory& from, const Memory& to) {
  constexpr std::int64_t chunk = 1 << 20;
  const auto bytes = static_cast<std::int64_t>(std::min(from.bytes, to.bytes));
  run_tasks((bytes + chunk - 1) / chunk, [&](std::int64_t t) {
    const std::int64_t at = t * chunk;
    std::memcpy(reinterpret_cast<char*>(to.data.get()) + at, reinterpret_cast<const char*>(from.data.get()) + at, static_cast<std::size_t>(std::min(chunk, bytes - at)));
  });
}

Result<int> bench(const Case& c, const autotune::Database* records, const Blas& blas, int rounds) {
  TECC_TRY(const auto kernels, te::parse({intern(c.name), c.text}));
  te::Bindings bindings;
  TECC_TRY(bindings.dims, te::parse_dims(c.dims));
  TECC_TRY(const codegen::Workload w, codegen::make_workload(kernels.at(0), bindings));
  TECC_TRY(const codegen::Target target, codegen::find_target("cpu"));
  std::optional<schedule::Trace> trace;
  if (records) {
    TECC_TRY(trace, autotune::recorded(w, target, *records));
  }
  const bool tuned = trace.has_value();
  if (!trace) {
    TECC_TRY(trace, autotune::pick(w, target));
  }
  codegen::Emit emit;
  TECC_TRY(const codegen::Built built, codegen::build(w, {{target, *trace}}, emit));
  TECC_TRY(const auto jit, codegen::cpu::Jit::make(built.modules.at(0)));

  std::mt19937 rng(1);
  std::vector<Memory> memory;
  std::vector<void*> buffers;
  std::vector<std::int64_t> shape;  // of the first input
  std::size_t moved = 0;
  const auto bytes_of_tensor = [&](TensorId t) {
    std::size_t n = static_cast<std::size_t>(bytes_of(w.naive[t].type));
    for (const Expr& e : w.naive[t].shape) n *= static_cast<std::size_t>(constant_of(e).value_or(1));
    return n;
  };
  memory.reserve(16);
  for (const auto* list : {&w.naive.inputs, &w.naive.outputs})
    for (TensorId t : *list) {
      memory.emplace_back(bytes_of_tensor(t), rng);
      moved += bytes_of_tensor(t);
      buffers.push_back(memory.back().data.get());
    }
  memory.emplace_back(static_cast<std::size_t>(constant_of(built.modules[0].workspace_bytes).value_or(0)) + sizeof(float), rng);
  buffers.push_back(memory.back().data.get());
  const auto ours = [&] {
    for (const auto& k : built.modules[0].kernels) {
      const auto function = jit.function(k.name);
      run_tasks(constant_of(k.tasks).value_or(1), [&](std::int64_t t) { function(buffers.data(), nullptr, t); });
    }
  };
  const Memory from(moved / 2, rng), to(moved / 2, rng);
  const auto n = static_cast<int>(c.product ? constant_of(w.naive[w.naive.outputs[0]].shape[0]).value_or(1) : 0);
  std::vector<float> reference(c.product ? static_cast<std::size_t>(n) * static_cast<std::size_t>(n) : 0);
  const auto theirs = [&] {
    constexpr int row_major = 101, plain = 111;
    if (c.product) blas.sgemm(row_major, plain, plain, n, n, n, 1, memory[0].data.get(), n, memory[1].data.get(), n, 0, reference.data(), n);
    else copy_all(from, to);
  };
  ours(), theirs();
  for (std::size_t i = 0; i < reference.size(); i += 997)
    if (const double off = std::abs(reference[i] - memory[2].data[i]), most = 1e-5 * n; !(off <= most)) return refuse(Code::wrong_result, "C", fmt::format("{:.2g}", off), fmt::format("{:.2g}", most), "");
  std::vector<double> ratios;
  double mine = 1e9;
  for (int r = 0; r < rounds; ++r) {
    const bool first = r % 2 == 0;  // in turns, so that what warms up or throttles meets both
    const double a = seconds_of(first ? std::function<void()>(ours) : theirs), b = seconds_of(first ? std::function<void()>(theirs) : ours);
    ratios.push_back(first ? b / a : a / b);
    mine = std::min(mine, first ? a : b);
  }
  std::sort(ratios.begin(), ratios.end());
  const double flops = codegen::flops_of(w.naive);
  fmt::print("{:<12} {:<8} x{:.3f} [{:.3f}, {:.3f}] of {}  {}\n", c.name, tuned ? "tuned" : "untuned", ratios[ratios.size() / 2], ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4],
             c.product ? "OpenBLAS" : "a copy", c.product ? fmt::format("{:.1f} GFLOP/s", flops / mine * 1e-9) : fmt::format("{:.1f} GB/s", static_cast<double>(moved) / mine * 1e-9));
  std::cout.flush();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string path, only;
  int rounds = 15;
  CLI::App app("CPU kernels beside OpenBLAS and beside a copy");
  app.add_option("--records", path, "records of `tecc tune --target=llvm`");
  app.add_option("--rounds", rounds, "measurements of each");
  app.add_option("--only", only, "cases whose name holds this");
  CLI11_PARSE(app, argc, argv);
  std::optional<autotune::Database> records;
  if (!path.empty()) {
    auto opened = autotune::Database::open(path);
    if (!opened) return std::cerr << render(opened.error()) << "\n", 1;
    records.emplace(std::move(*opened));
  }
  const Blas blas = open_blas(thread_count());
  fmt::print("{} threads; {}\n", thread_count(), blas.sgemm ? blas.name : "no OpenBLAS: products are skipped");
  for (const Case& c : cases) {
    if (std::string(c.name).find(only) == std::string::npos || (c.product && !blas.sgemm)) continue;
    if (const auto done = bench(c, records ? &*records : nullptr, blas, rounds); !done) std::cerr << c.name << ": " << render(done.error()) << "\n";
  }
  return 0;
}
