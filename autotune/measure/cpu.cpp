#include "autotune/measure/inputs.h"
#include "autotune/measure/runner.h"
#include "autotune/record/workload.h"

namespace tecc::autotune {
namespace {

/// Sends schedules; the runner compiles them itself (LLVM's optimiser may crash or take for ever as well as the code may).
class CpuMeasurer final : public Measurer {
 public:
  CpuMeasurer(const codegen::Workload& w, const MeasureOptions& o, Injector injector, Message prepare)
      : workload_(w), injector_(injector), runner_(o, std::move(prepare), w.kernel.name) {}

  Check ready() { return runner_.ready(); }
  std::string device() const override { return runner_.device(); }

  Check measure(std::span<const schedule::Trace> candidates, std::optional<double> best_us,
                const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>& stop) override {
    for (std::size_t n = 0; n < candidates.size() && !stop(); ++n) {
      const Fault fault = injector_.fault_of(schedule::hash(candidates[n]));
      if (fault == Fault::compile) {
        done(n, failed(Phase::compile, refuse(Code::injected, "compile")));
        continue;
      }
      TECC_TRY(Outcome outcome, runner_.time(message_of(candidates[n]), best_us, fault));
      if (const auto* m = std::get_if<Measured>(&outcome)) best_us = std::min(best_us.value_or(1e300), median(m->us));
      done(n, std::move(outcome));
    }
    return Ok{};
  }
  Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t seed) override {
    std::vector<Message> all;
    for (const schedule::Trace& t : candidates) all.push_back(message_of(t));
    return runner_.finals(all, seed);
  }

 private:
  Message message_of(const schedule::Trace& t) const { return {{"schedule", schedule::print(t, workload_.naive)}}; }
  const codegen::Workload& workload_;
  Injector injector_;
  Runner runner_;
};

}  // namespace

Result<std::unique_ptr<Measurer>> make_cpu_measurer(const codegen::Workload& w, const codegen::Target& t, const MeasureOptions& o) {
  TECC_TRY(const Injector injector, Injector::from_environment());
  const std::string text = dims_text(w);  // "dims types"
  const std::size_t space = text.find(' ');
  std::string dims = text.substr(0, space), types = space == std::string::npos ? "" : text.substr(space + 1);
  if (w.bound.bindings.dims.empty()) std::swap(dims, types);
  Message prepare{{"kind", "cpu"}, {"te", te::print(w.kernel)}, {"dims", dims}, {"types", types}, {"cpu", t.arch},
                  {"task", to_message(task_of(w, measuring_dims(w), o.seed))}};
  auto m = std::make_unique<CpuMeasurer>(w, o, injector, std::move(prepare));
  TECC_CHECK(m->ready());
  return std::unique_ptr<Measurer>(std::move(m));
}

}  // namespace tecc::autotune
