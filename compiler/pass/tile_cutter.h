#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/pass/passes.h"
#include "ir/instruction/instruction.h"
#include "ir/loop/affine.h"

/// Cuts the loops of tile statements as their instructions want them. Internal to the pass choose_instructions:
///   choose_instructions.cpp  the order of work; products    tile_nests.cpp   loops and layouts
///   tile_registers.cpp       statements on registers        tile_copies.cpp  copies between global and shared memory
namespace tecc::compiler {

/// An iteration of a tile statement and the digit of a loop of the tile that feeds it, if any: loop / div % extent.
struct TileAxis {
  std::size_t iter;
  loop::LoopId loop;  // row 0: none, the axis is one element long
  std::int64_t extent = 1, div = 1;
};
/// Rows, columns or depth of a product: one loop, which may be several axes side by side (the pixels of a convolution), from the fastest.
struct TileSide {
  std::vector<TileAxis> axes;
  loop::LoopId loop;
  std::int64_t extent = 1;
};
Result<TileSide> side_of(std::vector<TileAxis> axes, const std::string& block);

/// A loop of the new nest.
struct NewLoop {
  std::string name;
  std::int64_t extent;
  loop::Group group = loop::Group::none;
  loop::LoopKind kind = loop::LoopKind::unrolled;
};
/// One digit of an old loop: (new loop / div % mod) * stride.
struct Part {
  std::size_t loop;  // index into the new nest
  std::int64_t div = 1, mod = 0, stride = 1;
};

/// The pieces of a layout that cut one iteration, from the smallest stride.
std::vector<Piece> pieces_of(const FragmentLayout& layout, int dim);
/// True if they give an axis to threads and registers alike, as far as both go.
bool same(const std::vector<Piece>& a, const std::vector<Piece>& b);
/// The pieces of dimension `side` of an instruction's fragment, as coordinates of the axes that the side is made of (dimension dims[n] for
/// axis n); nullopt where an axis ends within a piece.
std::optional<FragmentLayout> shared_out(const FragmentLayout& layout, int side, const TileSide& axes, const std::vector<int>& dims);
/// The dimension whose index is the variable and what does not use it.
std::optional<std::size_t> dim_of(const std::vector<Expr>& index, VarId v);
/// The contiguous dimension of a buffer.
std::size_t fast_dim(const loop::Buffer& b);

class TileCutter {
 public:
  TileCutter(loop::Program& p, const Limits& limits) : p_(p), limits_(limits) {}
  Check run();

 private:
  using StmtId = loop::StmtId;
  using LoopId = loop::LoopId;
  using BlockId = loop::BlockId;
  using Block = loop::Block;
  using Axes = std::vector<TileAxis>;
  using Parts = std::map<LoopId, std::vector<Part>>;
  using PiecesOf = std::map<VarId, std::vector<Piece>>;

  loop::Program& p_;
  const Limits& limits_;
  std::map<TensorId, FragmentLayout> layouts_;  // of register buffers, in their dimensions
  std::map<TensorId, BlockId> laid_by_;
  std::vector<BlockId> done_;

  // choose_instructions.cpp
  Check product(BlockId id);
  Check operand(const Instruction& i, const loop::Product::Factor& f, const TileSide& rows, const TileSide& depth, bool is_a, BlockId id);

  // tile_nests.cpp
  StmtId top_of(BlockId id) const;
  std::vector<LoopId> chain(BlockId id, StmtId top) const;
  Result<Axes> axes_of(BlockId id, StmtId top) const;
  /// Puts a new nest in the place of the old loops, which become retired. Returns the new loops, outermost first.
  std::vector<LoopId> recut(BlockId id, StmtId top, const std::vector<NewLoop>& nest, const Parts& parts);
  void set_tile(BlockId id, StmtId top, StmtId atom, const Instruction* instruction);
  /// Loops for the registers of a layout, slowest first; digits for what they and the thread loop `thread` make of the loops of dims 0 and 1.
  static void cut(const FragmentLayout& layout, const LoopId* of, std::size_t thread, std::vector<NewLoop>& nest, Parts& parts);
  Check lay_out_shared(TensorId t, const std::string& user);
  Check spread_banks(TensorId t);
  Check lay_out_registers(TensorId t, FragmentLayout layout, BlockId by);

  // tile_registers.cpp
  Result<bool> spread(BlockId id);
  Check lay_out_others(BlockId id, const Block& b, const PiecesOf& pieces);
  Result<bool> store_matrices(BlockId id, const Block& b, StmtId top, const Axes& axes, const PiecesOf& pieces, std::int64_t threads);
  Result<bool> load_matrices(BlockId id, const Block& b, StmtId top, const Axes& axes, const PiecesOf& pieces);

  // tile_copies.cpp
  Check run_of_memory(BlockId id, const Block& b, StmtId top, const Axes& axes, TensorId global);
  Check box(BlockId id);
  Check share_out(BlockId id);
  std::int64_t widest(const Block& b, const Axes& axes, TensorId global, TensorId shared) const;
  std::int64_t run(const Block& b, const Axes& axes, TensorId shared) const;
  std::int64_t threads_for(BlockId id, StmtId top) const;
};

}  // namespace tecc::compiler
