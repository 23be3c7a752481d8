#include "runtime/devices.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ir/base/errors.h"
#include "runtime/cpu/pool.h"

namespace tecc {
namespace {

std::string bytes_text(std::int64_t bytes) {
  constexpr std::int64_t kib = 1024, mib = kib * 1024, gib = mib * 1024;
  if (bytes >= gib) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / gib);
  if (bytes >= mib) return fmt::format("{:.0f} MiB", static_cast<double>(bytes) / mib);
  return fmt::format("{:.0f} KiB", static_cast<double>(bytes) / kib);
}

std::int64_t system_value(int what) {
  const long value = ::sysconf(what);
  return value > 0 ? value : 0;
}

std::string text(const cuda::DeviceFacts& d) {
  std::string out = fmt::format("cuda:{}  {}  ({})\n", d.ordinal, d.name, d.arch());
  out += fmt::format("  {} SMs, {} threads and {} registers each; {} threads a block\n", d.sm_count, d.threads_per_sm,
                     d.registers_per_sm, d.threads_per_block);
  out += fmt::format("  shared memory {} an SM, {} a block ({} reserved); L2 {}; memory {}\n",
                     bytes_text(d.shared_per_sm), bytes_text(d.shared_per_block_optin),
                     bytes_text(d.reserved_shared_per_block), bytes_text(d.l2_bytes), bytes_text(d.memory_bytes));
  std::string clocks;
  if (d.clock_khz) clocks += fmt::format("  clock {} MHz", d.clock_khz / 1000);
  if (d.memory_clock_khz && d.memory_bus_bits)  // two transfers a clock
    clocks += fmt::format("{} memory {:.0f} GB/s ({} bits at {} MHz)", clocks.empty() ? " " : ",",
                          2.0 * d.memory_clock_khz * d.memory_bus_bits / 8 * 1e3 / 1e9, d.memory_bus_bits,
                          d.memory_clock_khz / 1000);
  return clocks.empty() ? out : out + clocks + "\n";
}

}  // namespace

CpuFacts cpu_facts() {
  CpuFacts f;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; f.name.empty() && std::getline(info, line);)
    if (line.starts_with("model name")) f.name = line.substr(std::min(line.size(), line.find(':') + 2));
  f.threads = thread_count();
  f.memory_bytes = system_value(_SC_PHYS_PAGES) * system_value(_SC_PAGESIZE);
  f.l2_bytes = system_value(_SC_LEVEL2_CACHE_SIZE);
  f.l3_bytes = system_value(_SC_LEVEL3_CACHE_SIZE);
  return f;
}

DeviceReport device_report(std::string nvrtc) {
  DeviceReport out;
  out.nvrtc = std::move(nvrtc);
  out.cpu = cpu_facts();
  if (const auto version = cuda::driver_version()) out.driver = fmt::format("{}.{}", version->first, version->second);
  const Result<int> count = cuda::device_count();
  if (!count) {
    out.why_no_cuda = message(count.error());
    return out;
  }
  for (int i = 0; i < *count; ++i) {
    const Result<cuda::DeviceFacts> facts = cuda::device_facts(i);
    if (facts) out.cuda.push_back(*facts);
    else out.why_no_cuda = message(facts.error());
  }
  if (*count == 0) out.why_no_cuda = "the CUDA driver is there and sees no device";
  if (!out.cuda.empty()) out.why_no_cuda.clear();
  return out;
}

std::string text(const DeviceReport& r) {
  std::string out;
  for (const cuda::DeviceFacts& d : r.cuda) out += text(d);
  if (r.cuda.empty()) out += fmt::format("cuda    none: {}\n", r.why_no_cuda);
  out += fmt::format("cpu     {}, {} thread{}", r.cpu.name.empty() ? "unnamed" : r.cpu.name, r.cpu.threads,
                     r.cpu.threads == 1 ? "" : "s");
  if (r.cpu.l2_bytes) out += fmt::format(", L2 {}", bytes_text(r.cpu.l2_bytes));
  if (r.cpu.l3_bytes) out += fmt::format(", L3 {}", bytes_text(r.cpu.l3_bytes));
  out += fmt::format(", memory {}\n", bytes_text(r.cpu.memory_bytes));
  out += fmt::format("driver  {}\n", r.driver.empty() ? "none" : "CUDA " + r.driver);
  out += fmt::format("nvrtc   {}\n", r.nvrtc.empty() ? "none (needed to build for CUDA, not to run)" : r.nvrtc);
  return out;
}

std::string json(const DeviceReport& r) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  Json devices = Json::array();
  for (const cuda::DeviceFacts& d : r.cuda)
    devices.push_back({{"ordinal", d.ordinal},
                       {"name", d.name},
                       {"uuid", d.uuid},
                       {"pci_bus_id", d.pci_bus_id},
                       {"arch", d.arch()},
                       {"sm_count", d.sm_count},
                       {"threads_per_sm", d.threads_per_sm},
                       {"blocks_per_sm", d.blocks_per_sm},
                       {"threads_per_block", d.threads_per_block},
                       {"registers_per_sm", d.registers_per_sm},
                       {"registers_per_block", d.registers_per_block},
                       {"shared_bytes_per_sm", d.shared_per_sm},
                       {"shared_bytes_per_block", d.shared_per_block_optin},
                       {"reserved_shared_bytes_per_block", d.reserved_shared_per_block},
                       {"l2_bytes", d.l2_bytes},
                       {"memory_bytes", d.memory_bytes},
                       {"clock_khz", d.clock_khz},
                       {"memory_clock_khz", d.memory_clock_khz},
                       {"memory_bus_bits", d.memory_bus_bits},
                       {"cluster_launch", d.cluster_launch}});
  const Json out = {{"cuda",
                     {{"driver", or_null(r.driver)},
                      {"nvrtc", or_null(r.nvrtc)},
                      {"why_none", or_null(r.why_no_cuda)},
                      {"devices", devices}}},
                    {"cpu",
                     {{"name", or_null(r.cpu.name)},
                      {"threads", r.cpu.threads},
                      {"l2_bytes", r.cpu.l2_bytes},
                      {"l3_bytes", r.cpu.l3_bytes},
                      {"memory_bytes", r.cpu.memory_bytes}}}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tecc
