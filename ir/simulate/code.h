#pragma once
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/instruction/instruction.h"
#include "ir/interpret/scalar.h"
#include "ir/loop/cluster.h"
#include "ir/loop/program.h"

/// A kernel made ready to run: statements as flat code a role, expressions as nodes, addresses as sums.
namespace tecc::simulator {

using namespace loop;
using interpreter::Scalar;

/// A binding: offset + sum of (value / div % mod) * stride, where a value is a loop's counter, a part of the thread number, or what a
/// retired loop follows from.
struct Digits {
  struct Part {
    enum class Of : std::uint8_t { counter, thread, retired } of = Of::counter;
    LoopId loop;
    std::int64_t weight = 1, extent = 0;  // thread: thread number / weight % extent
    std::size_t retired = 0;              // index into Kernel::digits
    std::int64_t ahead = 0, div = 1, mod = 0, stride = 1;
  };
  std::vector<Part> parts;
  std::int64_t offset = 0;
};

using NodeId = std::uint32_t;
struct Node {
  enum class Kind : std::uint8_t { constant, iteration, digits, unary, binary, select, cast, read } kind;
  DType type = DType::i64, operand = DType::i64;
  BinOp binary = BinOp::add;
  UnOp unary = UnOp::neg;
  NodeId a = 0, b = 0, c = 0;
  std::uint32_t index = 0;  // of the iteration, the digits or the place
  Scalar constant = {};
};

/// The address of an element: its coordinates, and where they lie.
struct Place {
  TensorId buffer;
  std::vector<NodeId> index;
  std::vector<std::size_t> minus;  // digits a dimension, of storage that is relative
  bool in_slot_loop = false;
  std::int64_t ahead = 0, carried_ahead = 0;  // iterations of the slot loop: of its counter, of those that statements of this stage have begun
  std::optional<NodeId> otherwise;
};

/// A buffer of the kernel and where its copies lie.
struct BufferInfo {
  const Buffer* row = nullptr;
  std::vector<std::int64_t> shape;
  std::int64_t bytes = 1, elements = 0;  // of an element; of a slot
  bool is_private = false;
  std::size_t file = 0;                  // private: place among a thread's registers
  std::vector<std::size_t> owners;       // shared: digits of the loops whose iterations have copies of their own, slow to fast
  std::vector<std::int64_t> owner_extents;
  std::optional<LoopId> generation;      // the loop in whose iterations the buffer is made anew
};

/// The parts of a tile statement that is a product, for its operands.
struct ProductPlan {
  std::size_t factor[2];           // places of the rows' (0) and of the columns' (1) operand
  NodeId value[2];                 // the casts around the reads: what is multiplied
  std::array<std::vector<std::size_t>, 2> iters;  // block iterations that address them
  std::vector<std::size_t> depth;
  std::vector<LoopId> spatial_loops, reduce_loops;  // of the tile, in order
  std::vector<bool> in_order;      // of all tile loops: true for reduce
  bool separable = false;          // each loop feeds either rows and columns or the depth
};

struct Statement {
  BlockId id;
  std::uint32_t stage = 0;
  const Block* block = nullptr;
  std::vector<std::size_t> iters;  // digits
  std::vector<NodeId> uppers, guards, predicate;
  struct Output {
    std::size_t place;
    NodeId value;
  };
  std::vector<Output> writes;
  NodeId identity = 0;
  std::optional<std::size_t> scan;       // index of the iteration
  std::vector<LoopId> reduce_loops;      // of an instruction that starts sums itself: those around the block that feed the reduction
  /// Who runs it: every thread that reaches it, or one of the role, or one of the warpgroup.
  enum class Who : std::uint8_t { all, one, one_of_warpgroup } who = Who::all;
  Via via = Via::plain;
  std::vector<LoopId> tile;              // its loops, outermost first
  /// A bulk load that blocks of a cluster share out: who they are, the dimension that they cut, and how many rows of a box each brings to all of
  /// them.
  std::vector<loop::RankLoop> sharers;
  std::optional<std::size_t> shared_dim;
  std::int64_t shared_rows = 0;
  std::vector<bool> in_atom;
  std::optional<ProductPlan> product;
};

struct Op {
  enum class Kind : std::uint8_t { grid, next_tile, loop, next, threads, end_threads, block, tile, barrier, combine, sync } kind;
  StmtId stmt;
  std::size_t other = 0;  // of grid, loop, threads: behind the end; of the ends: the beginning; of block and tile: the statement
  std::uint32_t stages = 0;        // of a loop with statements that lag: how many iterations
  std::optional<LoopId> skewed = {};  // such a loop around
  std::uint32_t runs = 1;          // bits: the stages of what stands inside
};

struct LoopInfo {
  NodeId extent = 0;
  bool follows_threads = false;                    // its extent differs from thread to thread
  std::int64_t weight = 1, threads_extent = 1;     // bound to threads
  std::int64_t reach = -1;                         // the outermost of a nest: threads from here on pass it by
  struct Counted {
    LoopId loop;
    std::vector<LoopId> extents;  // multiply to its iterations in one of this loop
  };
  std::vector<Counted> alternates;                 // warpgroups alternate over this loop: what counts on while others have their turn
};

struct RoleCode {
  std::uint32_t role = Stmt::every_role;
  std::int64_t threads = 1, first_warp = 0, warps = 1;
  bool elected = false;   // its first warp does all there is to do
  bool produces = false;  // it issues bulk loads
  std::vector<Op> code;
};

struct ChannelInfo {
  std::size_t first_barrier = 0;  // [owner][slot]
  bool live = false;              // mbarriers of this kernel
};

struct Kernel {
  const Program* p = nullptr;
  StmtId root;
  std::string name;
  std::vector<LoopId> grid;                 // loops bound to blocks
  std::vector<std::int64_t> grid_extents;
  std::uint32_t grid_stages = 0;            // a block's copies run so many of its rounds ahead
  bool persistent = false;
  std::vector<loop::RankLoop> ranks;        // loops bound to the blocks of a cluster
  std::int64_t cluster = 1;
  std::vector<RoleCode> roles;
  std::int64_t warps = 0;                   // of a block
  std::vector<Node> nodes;
  std::vector<Digits> digits;
  std::vector<Place> places;
  std::vector<Statement> statements;
  std::vector<LoopInfo> loops;        // by row
  std::vector<BufferInfo> buffers;    // by TensorId; row is null where the kernel does not use it
  std::vector<ChannelInfo> channels;
  std::map<std::uint32_t, std::vector<std::vector<loop::RankLoop>>> sharings;  // of a channel whose copies blocks of a cluster share out
  std::size_t barriers = 0;
  std::int64_t registers = 0;         // a thread
  std::int64_t shared_bytes = 0, granule = 16;
  std::size_t most_iters = 1;
  std::uint32_t most_stages = 0;

  std::int64_t tiles() const {
    std::int64_t n = 1;
    for (std::int64_t e : grid_extents) n *= e;
    return n;
  }
};

/// E0412 for what the simulator does not know, B0910 for what no GPU can run.
Result<Kernel> compile(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit);

}  // namespace tecc::simulator
