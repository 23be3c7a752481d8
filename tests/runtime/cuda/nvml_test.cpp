#include "runtime/cuda/nvml.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "runtime/cuda/time.h"
#include "tests/support/catch.h"
#include "tests/support/fake_libraries.h"
#include "tests/support/temporary_folder.h"

// As in fake_driver_test.cpp: the visible tests build the fake libraries and run the hidden ones in a process that finds them first.
namespace tecc {
namespace {

using cuda::ChipMonitor;
using cuda::ChipState;

/// What the hidden tests with a tag say, with these variables; exit code 0 is expected.
void run_hidden(const std::string& folder, const std::string& tag, const std::string& variables) {
  char self[4096] = {};
  REQUIRE(::readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  const int status = std::system((variables + " LD_LIBRARY_PATH=" + folder + ":$LD_LIBRARY_PATH '" + self + "' '" + tag + "' > " + folder + "/log 2>&1").c_str());
  INFO(read_file(folder + "/log").or_throw());
  CHECK(status == 0);
}

/// Nothing to run here: as in `cuda::time_us`, an idle stream.
cuda::Timed timed(int runs) {
  const cuda::Device device = cuda::Device::open().or_throw();
  return cuda::time_us(device, [](const cuda::Stream&) { return Check(Ok{}); }, {0, runs, false}).or_throw();
}

}  // namespace

TEST_CASE("nvml: clocks, power, temperature and caps of the chip with a bus id") {
  const TemporaryFolder f;
  if (!test::build_fake_cuda(f.path) || !test::build_fake_nvml(f.path)) return;
  run_hidden(f.path, "[fake-nvml]", "FAKE_NVML_REASONS=0x24 FAKE_NVML_STEP=10");
}

TEST_CASE("fake nvml: what the chip says while it works", "[.][fake-nvml]") {
  const auto monitor = ChipMonitor::of("0000:29:00.0");
  REQUIRE(monitor);
  CHECK(monitor->now() == ChipState{2041, 2619, 612.4, 61, cuda::power_cap | cuda::thermal_cap});
  const ChipState silent = ChipMonitor::of("0000:2a:00.0")->now();
  CHECK_FALSE(silent.power_w);
  CHECK(silent.sm_mhz == 2032);
  CHECK_FALSE(ChipMonitor::of("0000:2b:00.0"));
  CHECK_FALSE(ChipMonitor::of(""));
  // Device 0 of this driver is on bus 28. It is asked once for up to 64 runs.
  CHECK(timed(3).chip->sm_mhz == 2020);
  CHECK(timed(65).chip->sm_mhz == 2005);  // 2010 and 2000
}

TEST_CASE("nvml: a machine without it measures as before") {
  if (void* real = ::dlopen("libnvidia-ml.so.1", RTLD_LAZY)) return void(::dlclose(real));
  CHECK_FALSE(ChipMonitor::of("0000:28:00.0"));
  const TemporaryFolder f;
  if (test::build_fake_cuda(f.path)) run_hidden(f.path, "[no-nvml]", "");
}

TEST_CASE("fake driver: times without a state of the chip", "[.][no-nvml]") {
  CHECK(timed(2).us == std::vector<double>{250, 250});
  CHECK_FALSE(timed(2).chip);
}

TEST_CASE("nvml: the summary of several moments has medians, the highest temperature and every cap") {
  CHECK_FALSE(cuda::summary({}));
  const ChipState moments[] = {{1800, 2619, 500, 60, cuda::power_cap}, {1700, {}, 600, 64, 0}, {1500, {}, {}, 62, cuda::hardware_cap}};
  CHECK(cuda::summary(moments) == ChipState{1700, 2619, 550, 64, cuda::power_cap | cuda::hardware_cap});
}

}  // namespace tecc
