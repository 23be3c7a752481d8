#pragma once
#include <functional>
#include <optional>
#include <span>
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

using Work = std::function<Check(const Stream&)>;  // enqueues what is timed

/// Times what works enqueue on a stream, as deployed: between two events, one sample a run, in microseconds; `order` says whose turn it
/// is, run by run. The device never waits for the host meanwhile: with pauses
/// between its runs an H100 took up to 16 % longer for some kernels than in a row. The flush memset before each run also hides what a launch costs the host. The
/// chip is looked at while it works. One result a work, all with the same `chip`. `options.runs` does not count here. E0605, and
/// whatever a work refuses with.
Result<std::vector<Timed>> time_in_turns(const Device& device, std::span<const Work> works, std::span<const std::size_t> order,
                                         const TimeOptions& options = {});
/// One work, `options.runs` times.
Result<Timed> time_us(const Device& device, const Work& work, const TimeOptions& options = {});

}  // namespace tecc::cuda
