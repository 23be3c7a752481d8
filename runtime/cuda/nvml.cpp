#include "runtime/cuda/nvml.h"

#include <algorithm>
#include <vector>

#include "ir/base/median.h"
#include "ir/base/shared_library.h"

namespace tecc::cuda {
namespace {

// nvml.h's ABI, written down here because no header of it is needed to build tecc. 0 is success everywhere.
enum : int { sm_clock = 1, memory_clock = 2, gpu_sensor = 0 };
constexpr struct {
  unsigned long long reason;  // nvmlClocksEventReasons
  Cap cap;
} reasons[] = {
    {0x04, power_cap},     // software power cap
    {0x08, hardware_cap},  // hardware slowdown
    {0x20, thermal_cap},   // software thermal slowdown
    {0x40, thermal_cap},   // hardware thermal slowdown
    {0x80, power_cap},     // hardware power brake
};  // the others (idle, clocks that somebody set, displays) say what was asked for, not that something was held back

struct Library {
  int (*init)() = nullptr;
  int (*by_bus_id)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*milliwatts)(void*, unsigned*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;
  int (*clock_reasons)(void*, unsigned long long*) = nullptr;  // null where the driver has neither name
  bool usable = false;

  Library() {
    const SharedLibrary library({"libnvidia-ml.so.1"}, {});
    if (!library) return;
    usable = library.find("nvmlInit_v2", init) && library.find("nvmlDeviceGetHandleByPciBusId_v2", by_bus_id) &&
             library.find("nvmlDeviceGetClockInfo", clock) && library.find("nvmlDeviceGetPowerUsage", milliwatts) &&
             library.find("nvmlDeviceGetTemperature", temperature) && init() == 0;
    if (!library.find("nvmlDeviceGetCurrentClocksEventReasons", clock_reasons))
      library.find("nvmlDeviceGetCurrentClocksThrottleReasons", clock_reasons);  // its name before driver 535
  }
};

const Library& library() {
  static const Library opened;
  return opened;
}

}  // namespace

std::optional<ChipState> summary(std::span<const ChipState> moments) {
  if (moments.empty()) return std::nullopt;
  const auto middle = [&](std::optional<double> ChipState::* field) {
    std::vector<double> out;
    for (const ChipState& m : moments)
      if (m.*field) out.push_back(*(m.*field));
    return out.empty() ? std::nullopt : std::optional(median(out));
  };
  ChipState out{middle(&ChipState::sm_mhz), middle(&ChipState::memory_mhz), middle(&ChipState::power_w), {}, 0};
  for (const ChipState& m : moments) {
    out.caps |= m.caps;
    if (m.celsius) out.celsius = std::max(out.celsius.value_or(*m.celsius), *m.celsius);
  }
  return out;
}

std::optional<ChipMonitor> ChipMonitor::of(const std::string& pci_bus_id) {
  void* device = nullptr;
  if (pci_bus_id.empty() || !library().usable || library().by_bus_id(pci_bus_id.c_str(), &device) != 0) return std::nullopt;
  return ChipMonitor(device);
}

ChipState ChipMonitor::now() const {
  const Library& nvml = library();
  ChipState out;
  unsigned value = 0;
  if (nvml.clock(device_, sm_clock, &value) == 0) out.sm_mhz = value;
  if (unsigned long long held = 0; nvml.clock_reasons && nvml.clock_reasons(device_, &held) == 0)
    for (const auto& row : reasons)
      if (held & row.reason) out.caps |= row.cap;
  if (nvml.clock(device_, memory_clock, &value) == 0) out.memory_mhz = value;
  if (nvml.milliwatts(device_, &value) == 0) out.power_w = value / 1000.0;
  if (nvml.temperature(device_, gpu_sensor, &value) == 0) out.celsius = value;
  return out;
}

}  // namespace tecc::cuda
