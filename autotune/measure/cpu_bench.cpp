#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <optional>

#include "autotune/measure/compare.h"
#include "autotune/measure/points.h"
#include "autotune/measure/serve.h"
#include "codegen/llvm/jit.h"
#include "compiler/pass/passes.h"
#include "runtime/bind.h"
#include "runtime/cpu/launch.h"
#include "runtime/devices.h"

namespace tecc::autotune {
namespace {

constexpr std::size_t guard_bytes = 4096;
constexpr unsigned char poison = 0xff;           // a NaN in every float type, -1 in every integer
constexpr std::int64_t most_samples = 2048;      // output elements that are computed again
constexpr std::int64_t most_steps = 30'000'000;  // a second or two
constexpr std::size_t flush_bytes = 64 << 20;    // written before every run: beyond the caches of one socket's share

/// Host memory between guard zones, 64-byte aligned.
class Guarded {
 public:
  explicit Guarded(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)), memory_(bytes_ + 2 * guard_bytes + 64, poison) {
    start_ = guard_bytes + (64 - reinterpret_cast<std::uintptr_t>(memory_.data() + guard_bytes) % 64) % 64;
  }
  unsigned char* data() { return memory_.data() + start_; }
  std::size_t bytes() const { return bytes_; }
  Check intact(const std::string& name) const {
    for (std::size_t n = 0; n < memory_.size(); ++n) {
      if (n == start_) n += bytes_;
      if (n < memory_.size() && memory_[n] != poison)
        return refuse(Code::guard_touched, name, n < start_ ? start_ - n : n - start_ - bytes_, n < start_ ? "before its begin" : "after its end");
    }
    return Ok{};
  }

 private:
  std::size_t bytes_, start_ = 0;
  std::vector<unsigned char> memory_;
};

class CpuBench final : public Bench {
 public:
  Result<Device> prepare(const Message& m) override {
    task_ = task_from(m.at("task"));
    cpu_ = m.at("cpu");
    TECC_TRY(const auto kernels, te::parse({intern("task.te"), m.at("te").get<std::string>()}));
    te::Bindings bindings;
    TECC_TRY(bindings.dims, te::parse_dims(m.at("dims").get<std::string>()));
    TECC_TRY(bindings.types, te::parse_type_bindings(m.at("types").get<std::string>()));
    TECC_TRY(codegen::Workload w, codegen::make_workload(kernels.at(0), bindings));
    workload_.emplace(std::move(w));
    for (const InputSpec& i : task_.inputs) {
      TECC_TRY(HostTensor x, i.by_value ? make_tensor(i.type, {}, i.name) : random_input(i, task_.seed));
      if (i.by_value) x.set(0, scalar_input(i));
      Guarded& g = memory_.emplace_back(i.by_value ? 8 : static_cast<std::int64_t>(x.bytes.size()));
      if (i.by_value) std::memcpy(g.data(), scalar_bits(i.type, scalar_input(i)).bytes, 8);
      else if (!x.bytes.empty()) std::memcpy(g.data(), x.bytes.data(), x.bytes.size());
      inputs_.push_back(std::move(x));
    }
    for (const OutputSpec& o : task_.outputs) {
      TECC_TRY(HostTensor x, make_tensor(o.type, o.shape, o.name));
      memory_.emplace_back(static_cast<std::int64_t>(x.bytes.size()));
      got_.push_back(std::move(x));
    }
    points_.emplace(workload_->lifted, task_.dims, inputs_);
    for (std::size_t n = 0; n < got_.size(); ++n) TECC_CHECK(sample(n));
    return Device{cpu_facts().name, ""};
  }

  Result<std::unique_ptr<Loaded>> load(const Message& m) override {
    TECC_TRY(const schedule::Trace trace, schedule::parse({intern("candidate.schedule"), m.at("schedule").get<std::string>()}, workload_->naive));
    TECC_TRY(const schedule::State state, schedule::replay(workload_->naive, trace));
    TECC_TRY(const loop::Program lowered, compiler::lower(state.program, compiler::Limits{false, 1, 0, 0}));
    codegen::cpu::Target target;
    if (cpu_ != "native") target.cpu = cpu_;
    TECC_TRY(const codegen::cpu::Module module, codegen::cpu::emit(lowered, target));
    TECC_TRY(const codegen::cpu::Jit jit, codegen::cpu::Jit::make(module));
    auto out = std::make_unique<InProcess>(*this, jit);
    const Env dims(task_.dims.begin(), task_.dims.end());
    for (const auto& [v, range] : lowered.dims) out->dims.push_back(task_.dims.at(lowered.vars[v].name));
    for (const codegen::cpu::Kernel& k : module.kernels) {
      const auto function = jit.function(k.name);
      if (!function) return refuse(Code::bug, "no function '" + k.name + "' in a module");
      TECC_TRY(const std::int64_t tasks, evaluate(codegen::formula_of(lowered, k.tasks), dims));
      out->steps.push_back({k.name, function, tasks});
    }
    for (Guarded& g : memory_) out->buffers.push_back(g.data());
    TECC_TRY(const std::int64_t workspace, evaluate(codegen::formula_of(lowered, module.workspace_bytes), dims));
    out->workspace.resize(static_cast<std::size_t>(workspace) + 64, poison);
    out->buffers.push_back(out->workspace.data() + (64 - reinterpret_cast<std::uintptr_t>(out->workspace.data()) % 64) % 64);
    return std::unique_ptr<Loaded>(std::move(out));
  }

  Result<std::vector<cuda::Timed>> time_in_turns(std::span<Loaded* const> candidates, std::span<const std::size_t> order) override {
    std::vector<cuda::Timed> out(candidates.size());
    for (Loaded* one : candidates) TECC_CHECK(one->time_us(1, 0));
    for (const std::size_t n : order) {
      TECC_TRY(const cuda::Timed once, candidates[n]->time_us(0, 1));
      out[n].us.push_back(once.us[0]);
    }
    return out;
  }

 private:
  struct InProcess final : Loaded {
    struct Step {
      std::string name;
      CpuFunction function;
      std::int64_t tasks;
    };
    CpuBench& bench;
    codegen::cpu::Jit jit;
    std::vector<Step> steps;
    std::vector<void*> buffers;
    std::vector<std::int64_t> dims;
    std::vector<unsigned char> workspace;
    InProcess(CpuBench& b, codegen::cpu::Jit j) : bench(b), jit(std::move(j)) {}

    Check run() const {
      for (const Step& s : steps) TECC_CHECK(run_cpu(s.name, s.function, buffers.data(), dims.data(), s.tasks));
      return Ok{};
    }
    Check check(bool corrupt) override {
      const std::size_t first = bench.inputs_.size();
      for (std::size_t n = 0; n < bench.got_.size(); ++n) std::memset(bench.memory_[first + n].data(), poison, bench.memory_[first + n].bytes());
      TECC_CHECK(run());
      for (std::size_t n = 0; n < bench.got_.size(); ++n) {
        Guarded& g = bench.memory_[first + n];
        if (!bench.got_[n].bytes.empty()) std::memcpy(bench.got_[n].bytes.data(), g.data(), g.bytes());
        if (corrupt) std::fill(bench.got_[n].bytes.begin(), bench.got_[n].bytes.end(), poison);
        TECC_CHECK(bench.compare_samples(n));
        TECC_CHECK(g.intact(bench.task_.outputs[n].name));
      }
      for (std::size_t n = 0; n < first; ++n) TECC_CHECK(bench.memory_[n].intact(bench.task_.inputs[n].name));
      return Ok{};
    }
    Result<cuda::Timed> time_us(int warmups, int runs) override {
      cuda::Timed out;
      for (int n = -warmups; n < runs; ++n) {
        bench.flush_.assign(flush_bytes, static_cast<unsigned char>(n));
        const auto begin = std::chrono::steady_clock::now();
        TECC_CHECK(run());
        const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
        if (n >= 0) out.us.push_back(std::max(us, 1e-3));
      }
      return out;
    }
  };

  /// Which elements of an output to check, and what they should be.
  Check sample(std::size_t output) {
    const HostTensor& x = got_[output];
    std::vector<std::int64_t> at;
    const std::int64_t count = x.count();
    std::uint64_t state = task_.seed + output;
    for (std::int64_t n = 0; n < std::min(count, most_samples); ++n) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      at.push_back(count <= most_samples || n == 0 ? n : n == 1 ? count - 1 : static_cast<std::int64_t>((state >> 16) % static_cast<std::uint64_t>(count)));
    }
    Expected e;
    const std::int64_t begin = points_->steps();
    for (std::size_t n = 0; n < at.size(); ++n) {
      if (n >= 16 && points_->steps() - begin > most_steps) {
        at.resize(n);
        break;
      }
      add(output, at[n], e);
    }
    samples_.push_back(std::move(at));
    expected_.push_back(std::move(e));
    return Ok{};
  }
  void add(std::size_t output, std::int64_t n, Expected& e) {
    const HostTensor& x = got_[output];
    std::vector<std::int64_t> index(x.shape.size());
    for (std::size_t d = index.size(); d-- > 0; n /= x.shape[d]) index[d] = n % x.shape[d];
    const interpreter::Scalar v = points_->element(workload_->lifted.kernel.outputs[output], index);
    if (is_float(x.dtype)) e.real.push_back(v.real);
    else e.integer.push_back(v.integer);
  }

  Check compare_samples(std::size_t output) {
    const HostTensor& x = got_[output];
    std::vector<std::int64_t> at = samples_[output];
    Expected e = expected_[output];
    // What still looks like poison was perhaps never written: such elements are computed, too.
    const auto width = static_cast<std::size_t>(bytes_of(x.dtype));
    constexpr std::size_t most_suspects = 8;
    for (std::size_t n = 0, found = 0; n * width < x.bytes.size() && found < most_suspects; ++n) {
      const auto* p = x.bytes.data() + n * width;
      if (!std::all_of(p, p + width, [](unsigned char c) { return c == poison; })) continue;
      at.push_back(static_cast<std::int64_t>(n));
      add(output, at.back(), e);
      ++found;
    }
    HostTensor some{x.dtype, {static_cast<std::int64_t>(at.size())}, std::vector<unsigned char>(at.size() * width)};
    for (std::size_t n = 0; n < at.size(); ++n) std::memcpy(some.bytes.data() + n * width, x.bytes.data() + static_cast<std::size_t>(at[n]) * width, width);
    return compare(task_.outputs[output].name, some, e, task_.rtol, task_.exact_integers);
  }

  TaskSpec task_;
  std::string cpu_;
  std::optional<codegen::Workload> workload_;
  std::vector<HostTensor> inputs_, got_;
  std::deque<Guarded> memory_;  // inputs, then outputs
  std::optional<PointEvaluator> points_;
  std::vector<std::vector<std::int64_t>> samples_;
  std::vector<Expected> expected_;
  std::vector<unsigned char> flush_;
};

}  // namespace

std::unique_ptr<Bench> cpu_bench() { return std::make_unique<CpuBench>(); }

}  // namespace tecc::autotune
