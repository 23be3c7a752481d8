#pragma once
#include <string>
#include <vector>

#include "runtime/cuda/driver.h"

namespace tecc {

struct CpuFacts {
  std::string name;  // as the kernel gives it; empty where it does not
  int threads = 1;   // thread_count(): TECC_THREADS or what the process may use
  std::int64_t memory_bytes = 0, l2_bytes = 0, l3_bytes = 0;  // 0 where not known
};

/// What `tecc devices` prints.
struct DeviceReport {
  std::vector<cuda::DeviceFacts> cuda;
  std::string why_no_cuda;  // empty where there is a device
  std::string driver;       // "13.0"; empty without a driver
  std::string nvrtc;        // "13.0"; filled by the caller, since runtime/ does not compile; empty: not found
  CpuFacts cpu;
};

/// Never fails: what is not there is said so.
DeviceReport device_report(std::string nvrtc);
CpuFacts cpu_facts();
/// For people, with a newline at the end.
std::string text(const DeviceReport& report);
/// One JSON document.
std::string json(const DeviceReport& report);

}  // namespace tecc
