#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/loop/program.h"
#include "ir/type.h"

/// The instructions that carry out tile statements, as a table of facts: shapes, types and who holds what. What an instruction means is
/// the scalar body of the block that uses it; this table says how the tile lies in threads and registers while it is done. Each emitter
/// has a row of text for a row of this table (codegen/cuda/instructions.cpp).
namespace tecc {

/// A map from (thread, register) to coordinates of a tile, as sums of digits:
///   coordinate[dim] += (thread or register / div % count) * stride
/// Registers count elements, not 32-bit words. Source of the layouts: PTX ISA, "Matrix fragments" of wgmma and mma.
struct Piece {
  enum class Of : std::uint8_t { thread, reg } of;
  std::int64_t div, count;
  int dim;
  std::int64_t stride;
};
using FragmentLayout = std::vector<Piece>;

struct Instruction {
  std::string_view name;  // the family and types as PTX spells them, without the width n
  loop::Via via;
  DType a, b, d;
  std::int64_t threads;                 // that take part: 32 or 128 neighbours
  std::int64_t m, n_step, n_most, k;    // one execution: m x n x k with n a multiple of n_step up to n_most (mma.sync: n_step == n_most)
  bool a_registers, a_shared, b_shared; // where operands may lie; B in registers where it may not lie in shared memory
  bool transposed;                      // shared operands may have their rows contiguous instead of the depth
  std::string_view since;               // oldest architecture; a name that ends in `a` is needed exactly
};

/// The oldest architecture that moves data this way, or multiplies so at all; "" where every one does.
std::string_view since_of(loop::Via via);

/// All rows; order is preference.
std::span<const Instruction> instructions();
const Instruction* find_instruction(std::string_view name);

/// Fragments of one execution with n columns: D is (row, column), A is (row, depth), B is (column, depth).
FragmentLayout accumulator_of(const Instruction& i, std::int64_t n);
FragmentLayout a_fragment_of(const Instruction& i);
FragmentLayout b_fragment_of(const Instruction& i, std::int64_t n);

/// ldmatrix and stmatrix move 8x8 matrices of 16-bit elements, `matrices` at a time, by the 32 threads of a warp. The fragment says which thread
/// holds which element in which register; `address` which thread names the place of which row of eight.
struct MatrixMove {
  std::int64_t matrices;   // 1, 2 or 4
  FragmentLayout fragment, address;  // of a tile of 16 x 8 (2 matrices) or 16 x 16 (4): (row, column)
};
MatrixMove matrix_move(std::int64_t matrices);

}  // namespace tecc
