/* A libnvidia-ml.so.1 for machines without a GPU. A chip is its bus number; its clock goes down with every question, from
   FAKE_NVML_MHZ (2000) by FAKE_NVML_STEP (0), and FAKE_NVML_REASONS (0) holds it back. The chip of bus 2a does not tell its power. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static unsigned from_environment(const char* name, unsigned usual) {
  const char* text = getenv(name);
  return text ? (unsigned)strtoul(text, 0, 0) : usual;
}

int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** device) {
  unsigned long bus;
  if (strlen(id) < 12 || id[4] != ':') return 2;
  bus = strtoul(id + 5, 0, 16);
  return *device = (void*)(uintptr_t)bus, bus == 0x2b ? 6 : 0; /* not found */
}
int nvmlDeviceGetClockInfo(void* d, int type, unsigned* mhz) {
  static unsigned asked;
  if (type == 2) return *mhz = 2619, 0;
  if (type != 1) return 2;
  return *mhz = from_environment("FAKE_NVML_MHZ", 2000) + (unsigned)(uintptr_t)d - asked++ * from_environment("FAKE_NVML_STEP", 0), 0;
}
int nvmlDeviceGetPowerUsage(void* d, unsigned* milliwatts) { return *milliwatts = 612400, (uintptr_t)d == 0x2a ? 3 : 0; }
int nvmlDeviceGetTemperature(void* d, int sensor, unsigned* celsius) { return (void)d, *celsius = 61, sensor; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void* d, unsigned long long* reasons) {
  return (void)d, *reasons = from_environment("FAKE_NVML_REASONS", 0), 0;
}
