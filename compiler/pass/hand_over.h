#pragma once
#include "compiler/pass/passes.h"

namespace tecc::compiler {

/// True if what `user` touches of the buffer, as far as `writer` makes it, was made by the executor that touches it: the same thread of the
/// nest `nest` around both, or the same block of the kernel's grid (nest: absent). Others may store the same values there, too, unless the
/// buffer adds up. Between executors of one nest nothing orders two accesses; between nests barriers do, between kernels their order.
/// Conservative: false where it is not known.
bool stays_with_executor(const loop::Program& p, TensorId buffer, loop::BlockId writer, loop::BlockId user, std::optional<loop::LoopId> nest);

/// Every buffer that threads of one nest share stays with its thread there; what they hand to each other needs a barrier between two nests.
/// E0407. Buffers of channels are left out: events order them.
Check check_threads_apart(const loop::Program& p, loop::StmtId root);
/// Every buffer in global memory that the kernel writes and uses stays with its block of the grid. E0460.
Check check_blocks_apart(const loop::Program& p, loop::StmtId root);

}  // namespace tecc::compiler
