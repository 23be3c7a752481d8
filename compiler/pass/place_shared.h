#pragma once
#include "compiler/memory/lifetime.h"
#include "compiler/pass/passes.h"

/// Where the shared buffers of a kernel lie: part of the pass `place_buffers`, which knows their sizes.
///
/// Buffers share bytes where their lives in the kernel are apart. The statements that a block of threads runs once, one after the other, are
/// the kernel's phases; a buffer lives from the first phase that touches it to the last one, or until what reads it asynchronously was awaited.
/// Lives say nothing yet about threads: some are in a later phase than others. So insert_barriers takes accesses to the same bytes by two
/// buffers for a conflict, and has all threads meet in between, once and outside of all loops. What a barrier there does not order stays
/// apart from everything:
///   in a loop that a block runs several times, persistent ones included, what is in it lives through it
///   what another role touches, but to fill a channel's slots: then whoever awaits the slots has seen it done
///   what bulk copies fill lives from the kernel's beginning on: they run ahead of the threads that await them
///   what bulk stores, or products that nothing awaits behind them, read lives until the kernel's end
///   what threads combine their results in
/// The allocator is the memory planner's (compiler/memory/place.h). One buffer lies behind the other as long as sharing lets no kernel fit that
/// would not, and no further block on an SM: a barrier would buy nothing.
namespace tecc::compiler {

/// The lives of the buffers in a kernel, in their order, counted in phases; sizes and alignments in bytes.
std::vector<Lifetime> shared_lives(const loop::Program& p, loop::StmtId root, const std::vector<TensorId>& buffers);
/// Gives each buffer its offset, and the barriers of the kernel's channels theirs; the bytes that all take together. Buffers that `reuse` others
/// are not listed. `kept` is what a thread keeps in registers, in words.
std::int64_t place_shared(loop::Program& p, loop::StmtId root, const std::vector<TensorId>& buffers, std::int64_t kept,
                          const Limits& limits);

}  // namespace tecc::compiler
