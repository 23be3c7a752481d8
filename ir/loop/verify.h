#pragma once
#include "ir/base/errors.h"
#include "ir/loop/program.h"

/// What a Program must be at each level, so that a pass can rely on it. Run after every pass (compiler/lower.cpp) and on what
/// a search sends to be compiled. It checks structure; meaning is the interpreters' affair.
namespace tecc::loop {

enum class Level : std::uint8_t {
  scheduled,   // what steps leave, the naive program included
  tiled,       // tile statements have instructions, their operands layouts; their loops are cut into threads and registers
  decomposed,  // no reduction initialises itself, but scans and tile products that can overwrite
  pipelined,   // channels have realisations, statements have roles, events stand where slots change hands
  placed,      // buffers that are not global have storage
  threaded,    // events have become Sync; barriers and guards stand: what an emitter prints and the simulator runs
};

/// Holds at every level
///   tree      parents and children agree, every row stands in one tree; loops have children, blocks have none
///   loops     no live loop is retired; an extent names runtime dims and loops around it, or retired ones that follow from such
///   blocks    bindings name loops around the block, or retired ones that follow from such; bodies name iteration variables and
///             runtime dims, existing buffers with the right rank, and have the buffers' types
///   order     what is read is an input or is written by a block that stands before
///   kernels   what runs beside kernels before it shares with them nothing that one of them writes, and they begin alike
///   parallel  no loop that runs in parallel carries a scan, or a reduction (but on threads that combine)
/// B0902 with what is wrong; the caller names the pass.
Check verify(const Program& p, Level level);

}  // namespace tecc::loop
