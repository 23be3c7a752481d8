#pragma once
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/expr.h"
#include "ir/loop/table.h"
#include "ir/te/kernel.h"

namespace tecc {
struct Instruction;  // a row of the table in ir/instruction
}

/// Loop IR: how to compute. A Program is an ordered list of kernels, each a tree of loops and blocks over buffers. Statements
/// live in a persistent table by id with parent and child ids: a schedule step replaces a few rows, everything else is shared
/// with the program before. One language from the naive nest to what an emitter prints; levels are in verify.h.
namespace tecc::loop {

using StmtId = Id<struct StmtTag>;  // a row of Program::stmts
using LoopId = StmtId;              // a row that holds a Loop; `retired` loops keep their row (see Loop::digits)
using BlockId = StmtId;             // a row that holds a Block

enum class LoopKind : std::uint8_t { serial, parallel, unrolled, vectorized };
/// What a loop is bound to on a parallel machine. Nested loops bound to the same group form one mixed-radix number, the
/// outermost loop counting slowest. On a CPU bound loops run in series.
enum class Group : std::uint8_t { none, block, cluster, warpgroup, warp, thread };

/// (loop / div % mod) * stride; mod 0: no remainder is taken.
struct Digit {
  LoopId loop;
  std::int64_t div = 1, mod = 0, stride = 1;
  bool operator==(const Digit&) const = default;
};
/// offset + sum of digits: how an iteration variable follows from the loops. A step rewrites bindings, never bodies.
struct Binding {
  std::vector<Digit> digits;
  std::int64_t offset = 0;
  bool operator==(const Binding&) const = default;
};

/// The order in which a grid runs through two nested loops: bands of `group` iterations of the outer loop, in each band the inner loop
/// slower than the outer, so that tiles that run at the same time share rows and columns (L2). Stands on the inner loop.
struct Raster {
  LoopId outer;
  std::int64_t group = 1;
  bool longest_first = false;  // the inner loop counts downwards: where its iterations grow (triangles), the short ones come last
  bool operator==(const Raster&) const = default;
};

struct Loop {
  VarId var;
  Expr extent;  // may use runtime dims and the variables of enclosing (also retired) loops
  LoopKind kind = LoopKind::serial;
  Group group = Group::none;
  std::optional<Raster> raster;
  bool reversed = false;     // runs from its last iteration to its first
  bool partitioned = false;  // iterations in which no guard can fail are printed apart, without guards
  std::uint32_t stages = 0;  // skew: the largest stage of a statement inside
  bool persistent = false;  // on the innermost loop bound to blocks: a block takes every n-th iteration of the grid, n blocks in all
  /// A loop that was split or fused is retired: it is in no tree any more, and its value follows from these digits.
  /// Bindings and extents may go on naming it where mixed radices do not line up (fuse 3 and 5, split by 4).
  std::optional<Binding> retired;
};

enum class IterKind : std::uint8_t { spatial, reduce, scan };
/// An iteration variable of a block. Its domain is lower <= v < upper; the binding may overshoot (partial tiles), and the
/// instances outside the domain do not exist: guards follow from domain and binding, nobody writes them by hand.
struct Iter {
  VarId var;
  IterKind kind = IterKind::spatial;
  std::int64_t lower = 0;
  Expr upper;  // may use runtime dims and earlier iteration variables of the block (ragged)
  Binding binding;
};

struct Write {
  TensorId buffer;
  std::vector<Expr> index;
  Expr value;
};
/// How a block's writes combine with what is there.
///   none     w = value
///   reducer  w = w (+) value over the reduce iterations, starting from the reducer's identity
///            (argmax, argmin: two writes, the value and its i64 position, smallest position on ties, -1 for none)
///   scan     w[.., k] = w[.., k-1] (+) value along the scan iteration
/// `init`: who stores the identity. fused: the block itself before its first reduce iteration; apart: another block did.
enum class Init : std::uint8_t { fused, apart };

/// Who carries out a statement: the threads with plain loads and stores, or an instruction for a whole tile.
enum class Via : std::uint8_t { plain, vector, cp_async, bulk, bulk_tensor, ldmatrix, stmatrix, mma_sync, wgmma };
/// True if the statement goes on after the thread that issued it: its effects are awaited by channels or by Sync.
inline bool is_asynchronous(Via v) { return v == Via::cp_async || v == Via::bulk || v == Via::bulk_tensor || v == Via::wgmma; }
/// A tile statement: the loops from `top` down to the block are one statement over a tile. It keeps its loops and its scalar body, so
/// that everything that runs loops can run it; the instruction says how it is done, never what.
struct Tile {
  LoopId top;                // row 0: the loops that hold nothing but the block
  Via via = Via::plain;
  bool swap = false;         // the second factor of a product takes the place of the first (rows of the instruction)
  /// From level `tiled` on. Loops from `atom` down, and the loop bound to threads around it, are one execution of `instruction`; what
  /// stands between `top` and `atom` repeats it.
  LoopId atom{};
  const Instruction* instruction = nullptr;
  bool operator==(const Tile&) const = default;
};

/// How long what a block touches in global memory should stay in L2: what is used once gives its place away first.
enum class Hint : std::uint8_t { none, evict_first, evict_last };

struct Block {
  std::string name;  // for printing: the stage, or what made the block ("C.sum", "as")
  std::vector<Iter> iters;
  std::vector<Write> writes;
  std::optional<Reducer> combiner;
  Init init = Init::fused;
  std::vector<Expr> predicate;  // further conditions over the iteration variables
  /// After lowering: the guards that must be tested at run time, over iteration variables; empty means always run.
  std::vector<Expr> guards;
  /// After the pass `pipeline`: the block runs for a later iteration of this loop than the one that is running.
  struct Ahead {
    LoopId loop;
    std::int64_t by;
  };
  std::optional<Ahead> ahead;
  std::optional<Tile> tile;
  Hint hint = Hint::none;
  std::vector<LoopId> axes;  // the loops made with the block, one an iteration variable (absent: none was made, row 0)
};

/// Loops of a block's threads: bound to thread, warp (32 threads) or warpgroup (128).
inline bool is_thread_group(Group g) { return g == Group::thread || g == Group::warp || g == Group::warpgroup; }
inline bool is_bulk(Via v) { return v == Via::bulk || v == Via::bulk_tensor; }
inline Via via_of(const Block& b) { return b.tile ? b.tile->via : Via::plain; }

/// True if the block is a prefix scan: running values along one iteration.
inline bool is_scan(const Block& b) {
  for (const Iter& i : b.iters)
    if (b.combiner && i.kind == IterKind::scan) return true;
  return false;
}
/// True if the block's instruction can start the sum itself: its first execution overwrites what the accumulator held.
inline bool overwrites(const Block& b) { return b.tile && b.tile->via == Via::wgmma; }

/// All threads of the block (of the role, where there are roles), or of the warpgroup, meet here.
struct Barrier {
  Group group = Group::block;
};
/// After lowering: the partial results that `threads` consecutive threads (`stride` apart) hold in a private buffer are
/// combined; afterwards each of them holds the whole. Several buffers: argmax's value and position.
/// With `scan` the results stay apart (all of these are private scalars):
///   before = carry (+) the partial results of the threads with smaller numbers;   carry = carry (+) all partial results
struct Combine {
  std::vector<TensorId> buffers;
  Reducer op;
  std::int64_t threads, stride;
  TensorId scratch;  // shared memory for what shuffles cannot reach
  struct Scan {
    TensorId before, carry;
  };
  std::optional<Scan> scan;
};
/// Shuffles reach 2^n neighbouring threads of a warp; more threads meet in shared memory, with barriers around.
inline bool needs_scratch(const Combine& c) { return c.stride != 1 || c.threads > 32 || (c.threads & (c.threads - 1)) != 0; }
/// From level `pipelined` on: one of the four events of a channel, in the role that runs it. A producer acquires a free slot and commits
/// it full, a consumer waits for a full slot and releases it.
struct Event {
  enum class Kind : std::uint8_t { acquire, commit, wait, release };
  std::uint32_t channel;  // index of Program::channels
  Kind kind;
  std::int64_t lag = 0;   // it concerns the slot of `lag` iterations of the channel's loop before the one that is running
  LoopId not_first{};     // skipped in the first iterations of this loop: in `lag` of them, and in one where that is 0 (row 0: never)
};
/// At level `threaded`: what events and the ends of asynchronous work become. Operations on a slot's barriers name the channel; the
/// slot is (iterations of the channel's loop that this role has begun - 1 - lag) mod slots, the parity flips with every round of slots.
///   wait_full, wait_empty   until the phase of the slot's barrier is complete; a fresh `empty` barrier counts as complete
///   expect                  one arrival at `full`, and `count` bytes that copies into the slot will bring; one thread of `group`
///   arrive_full, -_empty    one arrival, by one thread of each `group`; at the barriers of `count` blocks of the cluster, where it is above 1
///   fence_async             what this thread wrote to shared memory is seen by bulk copies and wgmma issued after a later barrier
///   await_mma               until at most `count` of the wgmma groups of this warpgroup are running (a tile statement is a group)
///   commit_bulk             closes a group of bulk stores; one thread of `group`, the one that issued them
///   await_bulk_read         until at most `count` groups of bulk stores have yet to read shared memory; the same thread
///   await_bulk              until at most `count` groups of bulk stores have yet to be visible; the same thread
///   commit_copies   closes a group of the cp.async of each thread. Of a skewed loop it runs in every round, whatever its stage: at the end groups
///                   are empty, and counts hold
///   await_copies    until at most `count` of these groups are running
///   await_turn, pass_turn   take_turns: one warpgroup at a time passes between them, in order of their numbers, `count` in all; turns
///                           begin with the first
struct Sync {
  enum class Op : std::uint8_t {
    wait_full, wait_empty, expect, arrive_full, arrive_empty, fence_async, await_mma, commit_bulk, await_bulk_read, await_bulk, commit_copies, await_copies,
    await_turn, pass_turn
  };
  Op op;
  std::uint32_t channel = 0;
  std::int64_t lag = 0, count = 0;
  Group group = Group::block;  // block: the role's threads (all, where there are no roles)
  LoopId not_first{};
};
/// A kernel: the root of a tree.
struct Root {
  /// When it begins; the last two are CUDA's programmatic dependent launch.
  enum class Start : std::uint8_t {
    ordered,    // when all kernels before it have ended
    dependent,  // while the one before it runs, whose end it awaits before it touches memory
    concurrent  // likewise, and awaits that end at its own: all before it are concurrent or the first, and none writes what it touches, or touches what it writes
  };
  std::string name;
  Start start = Start::ordered;
};

struct Stmt {
  StmtId parent;  // of a Root: itself
  std::vector<StmtId> children;
  std::variant<Root, Loop, Block, Barrier, Combine, Event, Sync> node;
  CallSite at;
  /// The role that runs the statement; every_role where it has none. Each role runs its own copy of the loops around its statements:
  /// there is one tree, and a role passes by what is not its own. Loops have no role.
  std::uint32_t role = every_role;
  static constexpr std::uint32_t every_role = ~std::uint32_t{0};
  /// skew: in iteration n of the loop around that has stages, the statement does the work of iteration n - stage. The loop runs for its
  /// extent and its stages; a statement passes by what lies outside of its own extent.
  std::uint32_t stage = 0;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&node);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&node);
  }
};

enum class Scope : std::uint8_t { global, shared, reg, local };  // reg: distributed over threads; local: private to a thread
enum class Role : std::uint8_t { input, output, workspace };

/// Where the elements of a non-global buffer lie, set by the pass `place_buffers`. The buffer is allocated anew in every
/// iteration of `at`; loops around `at` (and, where every thread has a copy of its own, loops bound to threads; and the slot
/// loop of a pipelined buffer) hold still. Of a coordinate x, what holds still (if `relative`) and the origin are subtracted;
/// the rest is cut into digits, rest / unit % count, which lie `place` elements apart. One cut is a plain stride; several
/// leave out what the threads in between own.
struct Storage {
  struct Cut {
    std::int64_t unit = 1, count = 1, place = 1;
    bool operator==(const Cut&) const = default;
  };
  struct Dimension {
    bool relative = false;
    std::int64_t origin = 0;
    std::vector<Cut> cuts;  // from slow to fast
    std::int64_t extent() const {
      std::int64_t n = 1;
      for (const Cut& c : cuts) n *= c.count;
      return n;
    }
    /// The place of a coordinate whose still part and origin were subtracted; nullopt outside of the storage.
    std::optional<std::int64_t> place_of(std::int64_t rest) const;
  };
  StmtId at;
  bool private_to_thread = false;
  std::vector<LoopId> owners;     // shared: loops around `at` bound to warps or warpgroups, each iteration has a copy of its own
  std::vector<Dimension> dims;
  std::int64_t elements = 0;      // of one slot
  std::int64_t offset_bytes = 0;  // shared: place in the block's shared memory
};
struct Buffer {
  std::string name;
  DType type = DType::f32;
  std::vector<Expr> shape;
  Scope scope = Scope::global;
  Role role = Role::workspace;
  bool by_value = false;             // a scalar parameter
  std::vector<int> order;            // set_layout: dimensions from slowest to fastest; empty: as declared
  std::int64_t pad = 0;              // set_layout: elements added to the length of the fastest dimension
  std::int64_t slots = 1;            // pipeline: copies of the buffer
  LoopId slot_loop;                  // pipeline: the slot is (iteration of this loop) % slots
  std::optional<TensorId> reuses;    // reuse: the buffer lies in the slots of this one
  std::optional<std::uint32_t> channel;  // ... counted over the whole kernel, not anew each time the loop starts (Channel::carried)
  /// From level `tiled` on, of a shared buffer that a tile instruction uses: the fastest dimension is cut into panels of `panel`
  /// elements, each a tile of its own, and byte address bits 4.. are xored with bits 7.. over spans of `swizzle` bytes (0, 32, 64, 128).
  std::int64_t panel = 0, swizzle = 0;
  /// From level `tiled` on, of a register buffer that an instruction uses: which register of a thread holds an element, from the
  /// fastest digit: (coordinate of `dim` / unit % count) registers `place` apart. Further digits of a coordinate follow, slower.
  struct Fragment {
    int dim;
    std::int64_t unit, count, place;
    bool operator==(const Fragment&) const = default;
  };
  std::vector<Fragment> fragment;
  std::int64_t alignment = 16;       // bytes; of a global pointer
  std::optional<Storage> storage;
};

struct VarInfo {
  std::string name;
};

/// cross_thread_reduce(block, at) of a reduction, scan(block, at) of a scan: recorded by the step, realised by combine_threads, scan_threads.
struct CrossThread {
  BlockId block;
  LoopId at;
};
/// pipeline(loop, buffers, slots): slots of buffers passed from the statements that fill them to the statements that use them, once an
/// iteration of `loop`. Recorded by the step; what carries it out follows from who writes and who reads (compiler/pass/channels.cpp).
///   registers  loads to registers, stores to shared memory by the same threads one iteration ahead
///   mbarrier   a full and an empty barrier a slot: bulk copies or another role's threads on one side
///   ahead      bulk copies, issued by one of the threads that use the slot, slots - 1 iterations before them
///   bulk_store the same threads write, bulk copies take the slot out
///   cp_async   the same threads copy slots - 1 iterations ahead, a group an iteration: the copies have stage 0 of the loop, the rest lags
struct Channel {
  enum class How : std::uint8_t { open, registers, mbarrier, ahead, bulk_store, cp_async };
  LoopId loop;
  std::vector<TensorId> buffers;
  std::int64_t slots;
  // From level `pipelined` on.
  How how = How::open;
  Group owner = Group::block;              // who has slots of its own: the block, or each warpgroup
  std::int64_t owners = 1;                 // 1 for the block, or how many warpgroups
  std::int64_t full_arrivals = 1, empty_arrivals = 1;
  std::int64_t cluster = 1;                // blocks of a cluster whose copies also land here, because what they copy is the same for all
  std::int64_t offset_bytes = 0;           // mbarrier: place of its barriers in shared memory, [owner][full, empty][slot], 8 bytes each
};
/// specialize: the kernel's threads split into roles, in this order; each takes `warpgroups` x 128 threads with `registers` each.
struct WarpRole {
  std::vector<BlockId> blocks;
  std::int64_t warpgroups = 1, registers = 0;
};

/// The stage of the expression a handle can name: its block and, in order, its naive loops.
struct StageInfo {
  std::string name;  // "C", "C.sum"
  BlockId block;
};

/// take_turns(loop, critical): the warpgroups of `loop` issue these statements one warpgroup after the other.
struct Turns {
  LoopId loop;
  std::vector<BlockId> critical;
};

/// skew(loop, stage, order): recorded by the step, carried out by the pass skew_statements: the blocks, each with the loops around it
/// below their common loop, run in this order, the work of an iteration `stage` iterations later.
struct Skewing {
  LoopId loop;
  struct Entry {
    BlockId block;
    std::int64_t stage = 0;
  };
  std::vector<Entry> order;
};

struct Program {
  std::string name;
  Table<StmtId, Stmt> stmts;
  Table<TensorId, Buffer> buffers;
  Table<VarId, VarInfo> vars;
  std::vector<StmtId> kernels;              // roots, in order of execution
  std::vector<TensorId> inputs, outputs;    // in call order
  std::map<VarId, te::DimRange> dims;       // runtime dims: arguments of the program
  std::vector<StageInfo> stages;
  std::vector<CrossThread> cross_threads;
  std::vector<Channel> channels;
  std::vector<WarpRole> roles;
  std::vector<Turns> turns;
  std::vector<Skewing> skews;

  const Stmt& operator[](StmtId s) const { return stmts[s]; }
  const Loop& loop(LoopId l) const { return std::get<Loop>(stmts[l].node); }
  const Block& block(BlockId b) const { return std::get<Block>(stmts[b].node); }
  const Buffer& operator[](TensorId b) const { return buffers[b]; }
};

// ---- navigation (navigate.cpp) ----------------------------------------------------------------------------------------
StmtId root_of(const Program& p, StmtId s);
/// Loops around `s`, outermost first; `s` itself not included.
std::vector<LoopId> loops_around(const Program& p, StmtId s);
bool is_inside(const Program& p, StmtId s, StmtId ancestor);  // or equal
/// Blocks under `s` in program order.
std::vector<BlockId> blocks_under(const Program& p, StmtId s);
std::vector<BlockId> all_blocks(const Program& p);
std::vector<BlockId> writers_of(const Program& p, TensorId b);
std::vector<BlockId> readers_of(const Program& p, TensorId b);
StmtId common_ancestor(const Program& p, StmtId a, StmtId b);
/// The child of `ancestor` that holds `s`.
StmtId child_towards(const Program& p, StmtId ancestor, StmtId s);
/// -1, 0, 1: order of execution of two statements.
int compare_order(const Program& p, StmtId a, StmtId b);
bool reads(const Block& b, TensorId buffer);
bool writes(const Block& b, TensorId buffer);
std::vector<TensorId> read_buffers(const Block& b);  // in order of first use, without repeats
/// One of them writes what the other one reads or writes.
bool share_writes(const Program& p, StmtId a, StmtId b);
std::optional<std::int64_t> constant_extent(const Program& p, LoopId l);
const Iter* iter_of(const Block& b, VarId v);
/// True if the loop (or a retired loop that follows from it) feeds an iteration variable of the given kind.
bool feeds(const Program& p, LoopId l, const Block& b, IterKind kind);
bool depends_on(const Program& p, const Binding& binding, LoopId l);

/// The loops of a kernel's grid, outermost first: the chain below its root that is bound to blocks and to ranks of a cluster.
std::vector<LoopId> grid_of(const Program& p, StmtId root);
/// The loop that a raster joins with this one; nullopt if there is none.
std::optional<LoopId> raster_partner(const Program& p, LoopId l);
/// A sum of products of two reads: what matrix instructions carry out (`.te` reference, "Tensor cores"). `type` is what the factors are
/// multiplied as: the buffer's type under f32() or i32(), tf32 under tf32().
struct Product {
  struct Factor {
    const Read* read;
    DType type;
  } factor[2];
};
std::optional<Product> product_of(const Block& b);

// ---- editing ----------------------------------------------------------------------------------------------------------
StmtId add_stmt(Program& p, StmtId parent, std::size_t position, Stmt stmt);
/// Takes `s` out of its parent; loops that become empty vanish with it, so do empty kernels.
void detach(Program& p, StmtId s);
void insert_child(Program& p, StmtId parent, std::size_t position, StmtId child);
std::size_t position_in_parent(const Program& p, StmtId s);
LoopId add_loop(Program& p, StmtId parent, std::size_t position, std::string name, Expr extent, CallSite at = {});
VarId add_var(Program& p, std::string name);
/// A block of its own stores the identity of reduction `b`, in a nest directly before `before` (a loop around all of the
/// reduction); returns it. The spatial loops of `b` inside `before` are made anew, bound as the old ones.
BlockId decompose(Program& p, BlockId b, LoopId before);
/// The identity of a combiner for a type, or of argmax's position (-1).
Expr identity_of(Reducer op, DType type);

/// The naive program of an expression: one perfect nest per stage, each a kernel of its own, in order.
Program naive(const te::Lifted& lifted);

/// Text; parse(print(p)) prints the same. Names are made unique by a number where they repeat.
std::string print(const Program& p);
/// Names as the user would say them: "C.sum.k", and for derived loops "k0", ...
std::string loop_name(const Program& p, LoopId l);
Names names_of(const Program& p);

}  // namespace tecc::loop
