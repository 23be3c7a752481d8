#pragma once
#include <vector>

#include "codegen/target.h"

/// What can be said about a candidate without running it, kernel by kernel. Counts are of the whole kernel, at the largest sizes
/// of runtime dims. Features and the analytic prior are made of these.
namespace tecc::autotune {

/// One read or write in a block.
struct AccessFacts {
  TensorId buffer;
  loop::Scope scope = loop::Scope::global;
  bool is_write = false;
  double instructions = 0;     // a thread's, vectors as one; without loads that stay in a register while inner loops run
  std::int64_t width = 1;      // elements an instruction
  std::int64_t bytes = 4;      // of an element
  double sectors = 1;          // global: 32-byte sectors that one instruction of 32 threads touches; shared: bank cycles
  std::int64_t lane_stride = 0;  // elements between neighbouring threads
  double block_footprint = 0;  // bytes that differ within one block (a CPU task)
  double footprint = 0;        // bytes that differ within the kernel
};

/// What the analytic model (autotune/model/prior.h) makes of the facts, in microseconds.
struct Estimate {
  double tensor_us = 0;   // matrix instructions with what a tile costs before and after them; 0 on a CPU
  double issue_us = 0;    // other instructions
  double shared_us = 0;   // traffic of shared memory
  double memory_us = 0;   // traffic of memory and L2
  double us = 1;          // the kernel with its launch
  double least_us = 1;    // bytes that differ at the memory's bandwidth, or operations at the peak
};

struct KernelFacts {
  // Shape
  double blocks = 1, threads = 1;  // CPU: tasks and 1
  double serial = 0;               // iterations of serial loops that a thread runs, of all blocks of statements
  double unrolled = 0;             // statements a thread's code has in a row
  double vector = 1;               // elements of the widest vector loop
  double depth = 0;                // loops around the deepest statement
  double statements = 0, guards = 0, barriers = 0, combines = 0;  // barriers and combines: executed by a thread
  // Arithmetic of all threads
  double float_operations = 0, products = 0, integer_operations = 0, functions = 0, casts = 0, selects = 0;
  // Memory
  std::vector<AccessFacts> accesses;
  double global_read_bytes = 0, global_write_bytes = 0;  // between SMs and L2, whole sectors
  double shared_bytes_moved = 0;                         // bank conflicts count as more bytes
  double rounds = 0;                                     // of reads from memory that a thread makes one after the other
  double read_once_bytes = 0, write_once_bytes = 0;      // of these, with the hint that nothing reads them again
  double footprint_bytes = 0, block_bytes = 0;           // that differ: in the kernel; in one block times blocks
  double load_instructions = 0;                          // of all threads
  double flight_bytes = 0;                               // that a thread reads from memory before it needs the first of them
  // Occupancy
  double shared_bytes = 0, registers = 0;      // a block; a thread, estimated
  double spilled = 0;                          // values of a thread that find no register
  double lanes = 1;                            // of a warp, the share that has a thread
  double blocks_per_sm = 1, warps_per_sm = 1;  // at a time
  double waves = 1, last_wave = 1;             // last_wave: share of the device that the last one fills
  double independent = 1;                      // sums that a thread keeps apart: parallelism within it
  // Matrix instructions and asynchronous copies
  double tensor_operations = 0;    // additions and multiplications by matrix instructions, parts of tiles outside of the tensors included
  double tensor_shared_bytes = 0;  // that they read from shared memory
  double tensor_width = 0;         // columns of the widest one
  double element_bytes = 2;        // of what they multiply
  double bulk_bytes = 0;           // between L2 and shared memory by bulk copies; what is multicast counts once
  double slots = 0, cluster = 1;   // of the deepest channel; blocks of a cluster
  double band = 0, persistent = 0; // raster's group; 1: blocks take several tiles
  double roles = 0;
  double consumers = 0;            // warpgroups that multiply tiles
  double skewed = 0, turns = 0;    // iterations that statements of one loop are apart; 1: warpgroups take turns
  double values = 0;               // of 32 bits that a thread keeps in registers, by the sizes of its private buffers
  Estimate estimate;
};

/// Of a program after lowering.
std::vector<KernelFacts> facts_of(const loop::Program& lowered, const codegen::Target& target);

}  // namespace tecc::autotune
