#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "runtime/cuda/driver.h"
#include "runtime/cuda/nvml.h"

namespace tecc::cuda {

struct TimeOptions {
  int warmups = 3, runs = 20;
  bool flush = true;  // write over the L2 cache before every run
};

struct Timed {
  std::vector<double> us;         // one sample a run
  std::optional<ChipState> chip;  // while they ran; nothing where NVML is not there
};

/// Times what `work` enqueues on a stream, as deployed: between two events, one sample a run, in microseconds. The flush
/// memset before each run also keeps the device behind the host, so that launch overhead does not show. The chip is looked at
/// when all runs are enqueued and the device still works on them. E0605, and whatever `work` refuses with.
Result<Timed> time_us(const Device& device, const std::function<Check(const Stream&)>& work,
                      const TimeOptions& options = {});

}  // namespace tecc::cuda
