#pragma once
#include <map>
#include <span>

#include "ir/interpret/array.h"
#include "ir/loop/program.h"

/// Runs a program of level `threaded` on the CPU as a GPU would: blocks of warps, shared memory, barriers and their phases, asynchronous
/// copies and products that happen at some moment between their issue and the wait that covers them.
///
/// What runs     Every statement by the threads that an emitter would give it to: see loop::Loop, Tile, Sync and codegen/cuda. Blocks of
///               threads run one after the other, in an order drawn from the seed; they are always taken to run at the same time.
/// What is seen  Whatever the order, by what happens before what: each warp and each asynchronous operation has a vector clock, each piece of
///               memory knows who wrote and who read it last (FastTrack: Flanagan and Freund, PLDI 2009). Threads of one warp are told apart;
///               nothing but a barrier orders what they do to memory. Operations of the `Sync` kind stand for their whole warp: an emitter puts a
///               __syncwarp before an arrival that one thread makes for others.
///               What a statement stores twice, unchanged, is no race: loops may run over their end.
///               Each element in shared memory and in registers carries the coordinates, the buffer and the iteration it was written for.
/// What is not   Time, the contents of caches, the number of registers, swizzles (they permute; bounds and alignment are checked without).
///               Accesses of `Combine` to its scratch memory: it is a barrier here, as it is there.
namespace tecc {

struct SimulateOptions {
  std::uint32_t seed = 0;
  /// Which warp goes on: a random one for a few statements, or always the first (the last) that can, as far as it can; warps that issue
  /// bulk copies only when nobody else can go on, or before everybody else.
  enum class Order : std::uint8_t { random, first, last, producers_late, producers_early } order = Order::random;
  /// When asynchronous operations happen: at any moment, at once, or when nothing else can.
  enum class Landing : std::uint8_t { random, early, late } landing = Landing::random;
  std::int64_t blocks = 2;             // of a persistent grid
  std::int64_t shared_bytes = 232448;  // that a block may have
  std::int64_t steps = 1'000'000'000;  // of warps in one block, one statement each, before the run is given up (B0905)
  bool fast_products = true;           // matrix products by tile; false: element by element, as all else
};

struct SimulateRun {
  std::vector<Array> outputs;
  std::int64_t instances = 0;   // of blocks, by one thread each; a bulk copy counts its elements
  std::int64_t operations = 0;  // asynchronous ones
};

/// Inputs and outputs in call order, scalars as arrays of rank 0; `dims` by name.
/// B0904 a race; B0905 a wait that never ends; B0906 a read of what nobody wrote, or was written for something else; B0907 an address outside of
/// its buffer; B0908 operands touched while an operation runs; B0909 a missing fence; B0910 what no GPU can run; B0911 phases of barriers;
/// B0912 an output that is not written; E0412 what this simulator does not know; and those of interpret() for inputs.
Result<SimulateRun> simulate(const loop::Program& program, const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs,
                             const SimulateOptions& options = {});

}  // namespace tecc
