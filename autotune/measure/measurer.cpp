#include "autotune/measure/measurer.h"

#include <algorithm>

namespace tecc::autotune {

std::map<std::string, std::int64_t> measuring_dims(const codegen::Workload& w) {
  constexpr std::int64_t usual = 4096;  // large enough to fill a device
  std::map<std::string, std::int64_t> out;
  for (const auto& [v, r] : w.lifted.runtime) {
    const std::int64_t high = std::min(r.max, std::max(r.min, usual));
    const std::int64_t value = high / r.multiple_of * r.multiple_of;
    out[w.lifted.kernel[v].name] = value >= r.min ? value : (r.min + r.multiple_of - 1) / r.multiple_of * r.multiple_of;
  }
  return out;
}

Check Measurer::stream(const std::function<std::optional<schedule::Trace>()>& next, const std::function<void(std::size_t, Outcome)>& done,
                       const std::function<bool()>& stop) {
  std::optional<double> best_us;
  for (std::size_t n = 0; !stop(); ++n) {
    const auto trace = next();
    if (!trace) break;
    TECC_CHECK(measure({&*trace, 1}, best_us,
                       [&](std::size_t, Outcome outcome) {
                         if (const auto* m = std::get_if<Measured>(&outcome)) best_us = std::min(best_us.value_or(median(m->us)), median(m->us));
                         done(n, std::move(outcome));
                       },
                       stop));
  }
  return Ok{};
}

Result<std::unique_ptr<Measurer>> make_measurer(const codegen::Workload& workload, const codegen::Target& target, const MeasureOptions& options) {
  return target.kind == codegen::Target::Kind::cuda ? make_cuda_measurer(workload, target, options) : make_cpu_measurer(workload, target, options);
}

}  // namespace tecc::autotune
