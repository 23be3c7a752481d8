#pragma once
#include <optional>
#include <span>
#include <string>

/// What a chip does while something runs on it, as NVML says (libnvidia-ml.so.1, opened while running). Only read, never set. A
/// machine without the library, or a chip that it does not know, is a machine on which nobody can say: nothing is refused.
namespace tecc::cuda {

/// Why a chip runs slower than it could. Bits, since several may hold.
enum Cap : unsigned {
  power_cap = 1,    // of the driver's limit, or the power brake of the board
  thermal_cap = 2,  // of driver or hardware
  hardware_cap = 4  // "HW slowdown": temperature, brake or draw, NVML does not say which
};

/// At one moment, or of several, see summary().
struct ChipState {
  std::optional<double> sm_mhz, memory_mhz, power_w, celsius;  // absent where the chip does not tell
  unsigned caps = 0;
  bool operator==(const ChipState&) const = default;
};
/// Medians of clocks and power, the highest temperature, every cap that held at any moment. Of an empty list: nothing.
std::optional<ChipState> summary(std::span<const ChipState> moments);

/// One chip. Copies are cheap; the library stays open until the process ends.
class ChipMonitor {
 public:
  /// By PCI bus id ("0000:1b:00.0"), since CUDA_VISIBLE_DEVICES renumbers the devices of CUDA and not those of NVML.
  static std::optional<ChipMonitor> of(const std::string& pci_bus_id);
  /// Takes up to some milliseconds, the clock first. Power is the driver's own mean, on most chips of the last second.
  ChipState now() const;

 private:
  explicit ChipMonitor(void* device) : device_(device) {}
  void* device_;  // nvmlDevice_t
};

}  // namespace tecc::cuda
