#include "runtime/cuda/time.h"

#include <algorithm>

namespace tecc::cuda {
namespace {

/// Twice the cache, and never under 256 MiB: caches of two halves and write-back policies need the slack.
std::int64_t flush_bytes(const DeviceFacts& f) {
  return std::max<std::int64_t>(std::int64_t{256} << 20, 2 * f.l2_bytes);
}

}  // namespace

Result<std::vector<Timed>> time_in_turns(const Device& device, std::span<const Work> works, std::span<const std::size_t> order,
                                         const TimeOptions& options) {
  TECC_CHECK(device.use());
  TECC_TRY(const Stream stream, Stream::create());
  const auto monitor = ChipMonitor::of(device.facts().pci_bus_id);  // opens NVML once a process, before anything warms up
  Memory trash;
  if (options.flush) {
    TECC_TRY(trash, Memory::allocate(flush_bytes(device.facts()), "the L2 flush"));
  }
  const auto flush = [&](std::size_t n) { return options.flush ? trash.fill_async(static_cast<unsigned char>(n), stream) : Check(Ok{}); };
  for (int i = 0; i < options.warmups; ++i)
    for (const Work& work : works) {
      TECC_CHECK(flush(0));
      TECC_CHECK(work(stream));
      TECC_CHECK(stream.synchronize());  // a failing kernel fails here, before anything is timed
    }

  struct Run {
    Event start, stop;
  };
  std::vector<Run> runs;
  for (std::size_t n = 0; n < order.size(); ++n) {
    Run run;
    TECC_TRY(run.start, Event::create());
    TECC_TRY(run.stop, Event::create());
    runs.push_back(std::move(run));
  }
  constexpr std::size_t most_in_flight = 64;  // the queue of a stream is long but not endless; a full one would stall the host inside a run
  std::vector<ChipState> moments;
  for (std::size_t n = 0; n < runs.size(); ++n) {
    if (n >= most_in_flight) TECC_CHECK(runs[n - most_in_flight].stop.synchronize());
    TECC_CHECK(flush(n));
    TECC_CHECK(runs[n].start.record(stream));
    TECC_CHECK(works[order[n]](stream));
    TECC_CHECK(runs[n].stop.record(stream));
    if (monitor && ((n + 1) % most_in_flight == 0 || n + 1 == runs.size())) moments.push_back(monitor->now());
  }
  TECC_CHECK(stream.synchronize());
  std::vector<Timed> out(works.size());
  for (std::size_t n = 0; n < runs.size(); ++n) {
    TECC_TRY(const double us, runs[n].stop.us_since(runs[n].start));
    out[order[n]].us.push_back(us);
  }
  for (Timed& t : out) t.chip = summary(moments);
  return out;
}

Result<Timed> time_us(const Device& device, const Work& work, const TimeOptions& options) {
  const std::vector<std::size_t> order(static_cast<std::size_t>(options.runs), 0);
  TECC_TRY(std::vector<Timed> all, time_in_turns(device, {&work, 1}, order, options));
  return std::move(all[0]);
}

}  // namespace tecc::cuda
