#include "runtime/cuda/time.h"

#include <algorithm>

namespace tecc::cuda {
namespace {

/// Twice the cache, and never under 256 MiB: caches of two halves and write-back policies need the slack.
std::int64_t flush_bytes(const DeviceFacts& f) {
  return std::max<std::int64_t>(std::int64_t{256} << 20, 2 * f.l2_bytes);
}

}  // namespace

Result<Timed> time_us(const Device& device, const std::function<Check(const Stream&)>& work, const TimeOptions& options) {
  TECC_CHECK(device.use());
  TECC_TRY(const Stream stream, Stream::create());
  const auto monitor = ChipMonitor::of(device.facts().pci_bus_id);  // opens NVML once a process, before anything warms up
  Memory trash;
  if (options.flush) {
    TECC_TRY(trash, Memory::allocate(flush_bytes(device.facts()), "the L2 flush"));
  }
  for (int i = 0; i < options.warmups; ++i) TECC_CHECK(work(stream));
  TECC_CHECK(stream.synchronize());  // a failing kernel fails here, before anything is timed

  struct Run {
    Event start, stop;
  };
  constexpr int most_in_flight =
      64;  // the queue of a stream is long but not endless; a full one would stall the host inside a run
  std::vector<ChipState> moments;
  Timed out;
  for (int done = 0; done < options.runs;) {
    const int n = std::min(most_in_flight, options.runs - done);
    std::vector<Run> runs;
    for (int i = 0; i < n; ++i) {
      Run run;
      TECC_TRY(run.start, Event::create());
      TECC_TRY(run.stop, Event::create());
      runs.push_back(std::move(run));
    }
    for (int i = 0; i < n; ++i) {
      if (options.flush) TECC_CHECK(trash.fill_async(static_cast<unsigned char>(i), stream));
      TECC_CHECK(runs[i].start.record(stream));
      TECC_CHECK(work(stream));
      TECC_CHECK(runs[i].stop.record(stream));
    }
    if (monitor) moments.push_back(monitor->now());
    TECC_CHECK(stream.synchronize());
    for (const Run& run : runs) {
      TECC_TRY(const double us, run.stop.us_since(run.start));
      out.us.push_back(us);
    }
    done += n;
  }
  out.chip = summary(moments);
  return out;
}

}  // namespace tecc::cuda
