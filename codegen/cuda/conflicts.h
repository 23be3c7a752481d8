#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ir/layout/access.h"
#include "ir/loop/program.h"

namespace tecc::codegen::cuda {

/// How one statement's accesses to a buffer in shared memory fall onto its banks.
struct SharedAccess {
  std::string statement, buffer;
  bool is_write = false;
  std::string how;         // "16 bytes a thread", "stmatrix", "rows of an operand of wgmma"
  std::int64_t width = 4;  // bytes a thread
  /// nullopt where the data decide the address, or it is no sum of digits.
  std::optional<layout::BankConflicts> banks;
};
/// Of a lowered program, statement by statement. Asynchronous copies are left out: they do not
/// pass through threads.
std::vector<SharedAccess> shared_accesses(const loop::Program& lowered);

}  // namespace tecc::codegen::cuda
