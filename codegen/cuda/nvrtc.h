#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

struct NvrtcOptions {
  std::vector<std::string> flags;  // as NVRTC spells them, after tecc's own (--std=c++20, -Xptxas=-v)
  bool want_ptx = true;            // else `ptx` stays empty
};

/// What ptxas said of one kernel. All zero where NVRTC's log has no -v lines.
struct KernelResources {
  std::string kernel;
  int registers = 0;    // a thread
  int stack_bytes = 0;  // a thread
  int spill_store_bytes = 0, spill_load_bytes = 0;
  int shared_bytes = 0;  // static, a block
  int barriers = 0;
};

struct Compiled {
  std::string cubin;  // bytes; empty for a compute_ architecture
  std::string ptx;
  std::string log;  // warnings and ptxas lines
  std::vector<KernelResources> kernels;
  bool poisoned = false;  // ptxas dropped setmaxnreg or serialised wgmma (C7504 C7508 C7510 C7520): do not measure
};

/// CUDA C++ text to a cubin for exactly `arch` (sm_80, sm_90a; compute_80 gives PTX only). `name` appears in messages.
/// May be called from several threads at once. E0606 without NVRTC, E0440 with the first error lines of the log.
Result<Compiled> compile(const std::string& source, const std::string& name, const std::string& arch,
                         const NvrtcOptions& options = {});

bool nvrtc_available();
/// The file that NVRTC was loaded from; empty without it.
std::string nvrtc_path();
/// {13, 0}; E0606.
Result<std::pair<int, int>> nvrtc_version();
/// The ptxas -v lines of a log, one row a kernel.
std::vector<KernelResources> parse_ptxas_log(const std::string& log);

}  // namespace tecc
