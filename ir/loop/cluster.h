#pragma once
#include "ir/loop/program.h"

/// Blocks that reach each other's shared memory: which of them a loop's iteration is.
namespace tecc::loop {

/// A loop of the grid that is bound to the blocks of a cluster. Its iteration is rank / stride % extent.
struct RankLoop {
  LoopId loop;
  std::int64_t stride, extent;
};

/// Outermost first; the innermost counts fastest. A block's rank is its number in the cluster.
std::vector<RankLoop> ranks_of(const Program& p, StmtId root);
/// Blocks that these loops number.
std::int64_t blocks_of(const std::vector<RankLoop>& ranks);
/// The ranks that differ from `rank` in the iterations of `among` alone, itself included, in the order of those iterations.
std::vector<std::int64_t> ranks_beside(std::int64_t rank, const std::vector<RankLoop>& among);
/// Who takes part in copies into the block of this rank, each shared out along these loops: itself and, of a rectangle of blocks, those of its row for
/// what a row shares and those of its column for what a column shares. Ascending. They await that block's slots, so it arrives at their barriers.
std::vector<std::int64_t> senders_to(std::int64_t rank, const std::vector<std::vector<RankLoop>>& sharings);

}  // namespace tecc::loop
