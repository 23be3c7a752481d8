#pragma once
#include <string>
#include <vector>

#include "compiler/pass/passes.h"
#include "ir/base/result.h"

namespace tecc::codegen {

/// What code is made for: facts of a device that schedules and lowering depend on.
struct Target {
  enum class Kind : std::uint8_t { cuda, cpu };
  Kind kind = Kind::cuda;
  std::string arch;  // cuda: as nvcc spells it (sm_90a); cpu: the name of a CPU, or "native"
  compiler::Limits limits;
  std::int64_t sm_count = 1;             // cuda: SMs; cpu: threads
  std::int64_t shared_per_sm = 0;        // bytes
  std::int64_t registers_per_sm = 0;     // 32 bit each
  std::int64_t threads_per_sm = 0;
  std::int64_t f32_lanes_per_sm = 128;   // f32 operations a clock
  std::int64_t l2_bytes = 0;
  double memory_gbs = 0, f32_tflops = 0, tensor_tflops = 0;  // rooflines; tensor: dense 16-bit
  std::int64_t vector_bytes = 16;        // widest access of a thread (cuda) or register (cpu)
};

/// "sm_90a", a device file (targets/*.json), "cpu" or "native"; E0414, E0431, E0601.
Result<Target> find_target(const std::string& text);
/// The text of a device file; `file` is for the message. E0414, E0431.
Result<Target> parse_device_file(const std::string& text, const std::string& file);
/// A GPU as a device file, every key in it. find_target of that file is the target again.
std::string device_file(const Target& target);
std::vector<Target> known_targets();

}  // namespace tecc::codegen
