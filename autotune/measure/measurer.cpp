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

Result<std::unique_ptr<Measurer>> make_measurer(const codegen::Workload& workload, const codegen::Target& target, const MeasureOptions& options) {
  return target.kind == codegen::Target::Kind::cuda ? make_cuda_measurer(workload, target, options) : make_cpu_measurer(workload, target, options);
}

}  // namespace tecc::autotune
