#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

/// What a cubin says of one kernel: the sections and attributes of its ELF file that the driver itself reads.
struct CubinKernel {
  std::string name;
  std::int64_t registers = 0;     // a thread, when it starts (setmaxnreg may change that)
  std::int64_t stack_bytes = 0;   // a thread: arrays that are indexed at run time, and spilled registers
  std::int64_t shared_bytes = 0;  // static, a block; what the system reserves there is part of it
  std::int64_t barriers = 0;      // named ones, bar.sync 0 counted
  std::int64_t most_threads = 0;  // a block, of __launch_bounds__; 0: none given
  std::int64_t code_bytes = 0;
};
struct Cubin {
  std::string arch;  // sm_90a
  std::vector<CubinKernel> kernels;
};
/// E0624; `file` is for the message.
Result<Cubin> read_cubin(std::string_view bytes, const std::string& file);

}  // namespace tecc
