#include "runtime/devices.h"

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"

namespace tecc {
namespace {

TEST_CASE("devices: this machine is described, and says why it has no CUDA device") {
  const DeviceReport r = device_report("");
  CHECK(r.cpu.threads >= 1);
  CHECK(r.cpu.memory_bytes > 0);
  CHECK(r.cuda.empty() == !r.why_no_cuda.empty());
  CHECK(text(r).find(r.cuda.empty() ? "cuda    none: " + r.why_no_cuda : "cuda:0  " + r.cuda[0].name) == 0);
  const auto j = nlohmann::json::parse(json(r));
  CHECK(j["cuda"]["nvrtc"].is_null());
  CHECK(j["cpu"]["threads"] == r.cpu.threads);
}

TEST_CASE("devices: text and JSON of a known report") {
  DeviceReport r;
  cuda::DeviceFacts d;
  d.name = "NVIDIA H100";
  d.major = 9;
  d.sm_count = 132;
  d.threads_per_sm = 2048;
  d.registers_per_sm = 65536;
  d.threads_per_block = 1024;
  d.shared_per_sm = 233472;
  d.shared_per_block_optin = 232448;
  d.reserved_shared_per_block = 1024;
  d.l2_bytes = 50 << 20;
  d.memory_bytes = std::int64_t{80} << 30;
  d.clock_khz = 1980000;
  d.memory_clock_khz = 2619000;
  d.memory_bus_bits = 5120;
  r.cuda = {d};
  r.driver = r.nvrtc = "13.0";
  r.cpu = {"A CPU", 16, std::int64_t{128} << 30, 2 << 20, 0};
  CHECK(text(r) ==
        "cuda:0  NVIDIA H100  (sm_90)\n"
        "  132 SMs, 2048 threads and 65536 registers each; 1024 threads a block\n"
        "  shared memory 228 KiB an SM, 227 KiB a block (1 KiB reserved); L2 50 MiB; memory 80.0 GiB\n"
        "  clock 1980 MHz, memory 3352 GB/s (5120 bits at 2619 MHz)\n"
        "cpu     A CPU, 16 threads, L2 2 MiB, memory 128.0 GiB\n"
        "driver  CUDA 13.0\n"
        "nvrtc   13.0\n");
  const auto j = nlohmann::json::parse(json(r));
  CHECK(j["cuda"]["devices"][0]["arch"] == "sm_90");
  CHECK(j["cuda"]["devices"][0]["shared_bytes_per_block"] == 232448);
  CHECK(j["cuda"]["why_none"].is_null());
}

}  // namespace
}  // namespace tecc
