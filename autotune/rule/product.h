#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autotune/rule/tensor_tiles.h"

/// The rules matrix_products (wgmma) and warp_products (mma.sync) in parts. Internal to them:
///   product_shape.cpp     which sums of products matrix instructions can carry out, and on what axes
///   product_window.cpp    convolutions: their pixels as rows
///   product_operands.cpp  copies that make operands fit for what copies tiles of them
///   product_results.cpp   how the depth is shared out, and what takes the sums out of the registers
///   product_choices.cpp, matrix_products.cpp   wgmma: the decisions about a product, with the starting point that a small model of the
///                         machine prefers; the steps
///   warp_choices.cpp, warp_products.cpp        mma.sync: the same
namespace tecc::autotune {

using schedule::Ref;

/// One side of the product: the axis that is cut into tiles.
struct Side {
  std::size_t axis = 0;  // of the block
  Ref loop;
  std::int64_t extent = 0;
  std::string name;
};

struct Shape {
  TensorId operand[2];
  Side rows, columns;      // of the first and of the second factor
  std::vector<Ref> batch;  // further spatial loops
  Ref depth;
  std::int64_t depth_extent = 0;
  std::int64_t element = 2;  // bytes
  const Instruction* instruction = nullptr;
  // Convolutions: the rows are several axes, from the slowest, and a window runs over them: a sum over its places and the depth.
  std::vector<Side> pixels;
  std::vector<Ref> window;
  /// The elementwise stage that makes an operand, such as dequantised weights. It may run on the way to the product, which reads rows from registers.
  std::optional<std::uint32_t> maker[2];
  /// Rows of an operand that bulk copies cannot take: the threads of the role that loads copy them, 4 or 8 bytes at a time.
  bool by_threads[2] = {false, false};
  bool along_depth[2] = {true, true};  // the depth is the operand's contiguous dimension
};

/// Sums of products over one axis for which the device has an instruction of that family (wgmma or mma_sync), and whose operands its copies
/// reach; nullopt for other blocks.
std::optional<Shape> shape_of(const Context& c, std::uint32_t stage, loop::Via via);
/// A sum over a window: X[n, p + r, q + s, c] * F[o, r, s, c], where outside of X it reads zeros. The pixels that a tile takes are a box of X.
std::optional<Shape> convolution_of(const Context& c, std::uint32_t stage, loop::Via via);
/// The instruction of that family that multiplies such factors; nullptr if the device has none, or not what its tiles come by.
const Instruction* instruction_for(const Context& c, const loop::Block& b, const loop::Product& product, loop::Via via, bool depth_is_fast);

/// Hands every product that instructions of that family can carry out to `schedule`, its operands made fit for copies before.
Check for_each_product(Context& c, loop::Via via, const std::function<Check(std::uint32_t stage, const Shape&)>& schedule);

/// How many pixels of a box may lie side by side along the fastest axis.
struct Widths {
  std::int64_t least, most;
};
/// Boxes of `count` pixels, powers of two along each axis, which `groups` can share out along the slowest; those first that waste the
/// least beyond the edges.
std::vector<std::vector<std::int64_t>> boxes_of(const std::vector<Side>& pixels, std::int64_t count, std::int64_t groups, const Widths& widths);
/// The loops of a convolution's tiles, outermost first: boxes, columns[0], rounds, pixels, further columns, inside.
struct Window {
  Ref boxes, rounds, pixels, inside;  // all boxes; places of the window and rounds of the depth; the pixels of a box; the depth of a round
  std::vector<Ref> columns;           // as cut
};
Result<Window> tile_window(Context& c, const Shape& shape, const std::vector<std::int64_t>& box, const std::vector<std::int64_t>& columns, std::int64_t depth);

/// How results may leave through shared memory, from where whole rows go: by bulk copies, or, where rows are no multiples of what these
/// move, by the threads that multiplied. Else each thread stores what it holds, a few bytes here and there.
enum class Leave : std::uint8_t { registers, threads, bulk };

/// The decisions of one product, in the order in which they are taken.
struct Decisions {
  std::optional<int> made;                 // the operand that is made on the way, in registers
  bool swap;
  std::int64_t parts;                      // of the depth, each a kernel's partial sums
  std::int64_t groups, group_rows;         // warpgroups that multiply, rows of each
  bool alternate;                          // they have tiles of their own: one stores its results while the other one multiplies
  std::int64_t residents;                  // blocks that an SM runs at once
  std::int64_t rows, columns, depth;       // of a block's tile, or of the tiles of warpgroups that alternate
  std::int64_t slots, panel, panel_slots;  // panel 0: results go to memory from registers
  std::vector<std::int64_t> box;           // pixels of a tile, axis by axis
  std::int64_t cluster;                    // 1; n neighbours along rows, -n along columns
  bool both_ways;                          // and two along the other side
  std::int64_t band;
  bool persist;
  bool once[3];                            // what leaves L2 first: tiles of rows, of columns, results
};
/// `batch`: how many products of this shape there are; `out_bytes`: of a result.
Decisions decide(Context& c, const std::string& name, const Shape& shape, std::int64_t batch, Leave leave, std::int64_t out_bytes);

/// Sums of 8-bit floats lose bits inside of the tensor core: they are added up apart every so many terms (docs/language.md, "Tensor cores").
constexpr std::int64_t promoted_terms = 128;  // or twice as many: the error is the same (8192 terms: 1.67e-3 of the largest, the library 1.66e-3)
inline bool is_promoted(const Shape& s) { return s.element == 1 && s.instruction->d == DType::f32 && (s.depth_extent > promoted_terms || !s.window.empty()); }
/// Terms that may be added up apart: there is more than one such round.
inline bool promotes(const Shape& s, std::int64_t depth) { return depth >= promoted_terms && depth <= 2 * promoted_terms && (depth < s.depth_extent || !s.window.empty()); }

/// The slowest axis that a box has more than one pixel along: warpgroups share it out.
inline std::size_t slowest(const std::vector<std::int64_t>& box) {
  return static_cast<std::size_t>(std::find_if(box.begin(), box.end() - 1, [](std::int64_t n) { return n > 1; }) - box.begin());
}

/// An operand that the threads which multiply make themselves, in registers.
struct Made {
  std::vector<Ref> tiles, copies;  // shared memory that it is made of, and the copies that fill it
  std::vector<Ref> blocks;         // what the threads do
};
/// The stage that makes an operand stands under the loop `at`, before the product: what it reads along rows and depth comes as tiles in each
/// of `rounds`, the rest (scales of rows) lies in registers. `once`: the tiles leave L2 first.
Result<Made> make_on_the_way(Context& c, std::uint32_t stage, const Ref& rounds, const Ref& at, bool once);

/// The block of a sum once its depth is shared out: over blocks of the grid, and, where sums lose bits, over rounds that are added up apart.
struct Sums {
  Ref multiplies, adds;       // the block of the product, and the one that holds the sums: the same, or another that adds them up
  std::vector<Ref> grid;      // loops of blocks besides those of the tiles
  Ref row, column;            // loops of `adds` that are to be tiled
  Ref rounds;                 // of the depth
  std::optional<Ref> inside;  // the depth of one round, where it is a loop of `adds`
  std::optional<Ref> whole;   // adds up the parts of a split reduction
};
Result<Sums> share_depth(Context& c, std::uint32_t stage, const Shape& shape, const Side& rows, const Side& columns, std::int64_t parts, std::int64_t depth);

/// Elementwise stages between the sum and the output become one that reads the sum alone; nullopt if there is none, or none that can follow
/// element by element.
std::optional<std::uint32_t> epilogue_of(Context& c, std::uint32_t stage);

/// What takes the sums out of the registers: the stage that follows, or a copy.
struct Results {
  Ref block;
  Ref rows, columns;  // its loops along the tile
  std::optional<Ref> panel, panels, store;
};
/// Under the loop `at`, inside of which a tile's sums are complete.
Result<Results> take_results(Context& c, const Sums& sums, const Ref& at, const Side& rows, const Side& columns, std::optional<std::uint32_t> follower);
/// Tiles, whose loops are `i0` and `j0`, become blocks of the grid, in bands of so many rows of tiles.
Check bind_grid(Context& c, const Sums& sums, const Ref& i0, const Ref& j0, std::int64_t band, bool persist);
/// The kernel that adds up partial sums, and what follows them: a thread a vector.
Check add_parts(Context& c, const Ref& sum, std::optional<std::uint32_t> follower);

constexpr std::int64_t panel_rows = 16;  // of a warp's results that go through shared memory at a time
/// The decisions of a product by warps, in the order in which they are taken.
struct WarpDecisions {
  std::optional<int> made;               // the operand that is made on the way, in registers
  std::int64_t warp_rows, warp_columns;  // of a warp's tile
  std::int64_t down, across;             // warps of a block along rows and columns
  std::vector<std::int64_t> box;         // pixels of a block's tile, axis by axis
  std::int64_t depth, parts, slots;
  bool panel;                            // results leave through shared memory
  std::int64_t band;
  bool persist;
  std::int64_t rows() const { return warp_rows * down; }
  std::int64_t columns() const { return warp_columns * across; }
};
/// `batch`: how many products of this shape there are; `out_bytes`: of a result.
WarpDecisions decide_warps(Context& c, const std::string& name, const Shape& shape, std::int64_t batch, std::int64_t out_bytes);

/// Operands whose rows are no multiples of what copies of that family move at best get copies whose rows are, unless threads are to copy
/// them as they are.
Check pad_operands(Context& c, std::uint32_t stage, loop::Via via);
/// Plain indices into a whole tensor whose rows are multiples of 4 bytes: cp.async reaches it.
bool threads_reach(const loop::Program& p, const tecc::Read& r);
/// The stage that makes the operand for this product alone, element by element, out of tensors that tiles can be copied from.
std::optional<std::uint32_t> maker_of(const Context& c, std::uint32_t stage, TensorId operand);
/// What the maker reads as tiles: along rows and depth alike. The others it reads from registers.
bool is_tile_of(const loop::Program& p, const loop::Block& maker, const tecc::Read& r);

}  // namespace tecc::autotune
