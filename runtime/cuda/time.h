#pragma once
#include <functional>
#include <vector>

#include "runtime/cuda/driver.h"

namespace tecc::cuda {

struct TimeOptions {
  int warmups = 3, runs = 20;
  bool flush = true;  // write over the L2 cache before every run
};

/// Times what `work` enqueues on a stream, as deployed: between two events, one sample a run, in microseconds. The flush
/// memset before each run also keeps the device behind the host, so that launch overhead does not show. E0605, and
/// whatever `work` refuses with.
Result<std::vector<double>> time_us(const Device& device, const std::function<Check(const Stream&)>& work,
                                    const TimeOptions& options = {});

}  // namespace tecc::cuda
