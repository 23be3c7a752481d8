#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "codegen/access.h"
#include "codegen/cuda/emit.h"
#include "ir/loop/affine.h"
#include "ir/loop/cluster.h"
#include "ir/loop/roles.h"

/// One kernel as text: a walk over its statements. Of a kernel with roles the walk is made once a role. Internal to codegen/cuda.
namespace tecc::codegen::cuda {

constexpr int first_turn = 8;  // named barriers: 0 the block, 1 to 7 its warpgroups, 8.. their turns, downwards from 15 the roles

class KernelEmitter {
 public:
  KernelEmitter(const loop::Program& p, loop::StmtId root, std::string name);
  /// Appends the kernel to `out`, and to `functions` the names of the instruction functions that it calls.
  Result<Kernel> run(std::string& out, std::set<std::string>& functions);

 private:
  using LoopId = loop::LoopId;
  using BlockId = loop::BlockId;
  using StmtId = loop::StmtId;
  using Block = loop::Block;
  using Binding = loop::Binding;

  const loop::Program& p_;
  StmtId root_, inside_;  // inside_: below the loops bound to blocks
  Names names_;
  Kernel kernel_;
  std::string out_, parameters_;
  int depth_ = 1;
  bool wide_ = false;  // 64-bit indices
  bool fast_ = false;  // the block's value is rounded to a narrower type, or only feeds other statements: fast functions will do
  std::optional<Refusal> why_;
  std::vector<TensorId> globals_;
  std::map<TensorId, std::string> buffer_names_;
  std::set<std::string> taken_;
  std::set<std::string>* functions_ = nullptr;

  // The role whose statements are printed, its threads, and whether all of them are one thread's affair.
  std::vector<std::uint32_t> kernel_roles_;  // of this kernel; empty: its threads run everything together
  std::uint32_t role_ = loop::Stmt::every_role;
  std::int64_t threads_ = 1;
  bool elected_ = false;
  std::uint32_t first_stage_ = 0, last_stage_ = ~std::uint32_t{0};  // of the statements that are printed now
  std::string ring_starts_;  // the counter of the rounds that only copy, while they are printed
  std::map<StmtId, BlockId> tops_;  // of statements that an instruction carries out
  std::vector<std::string> maps_;   // names of tensor maps, as in kernel_.arguments

  // The block whose text is being printed.
  BlockId block_{};
  std::optional<Block::Ahead> ahead_;
  std::set<LoopId> placed_;  // of a tile: retired loops that are declared around its instruction
  std::map<const ExprNode*, std::string> lanes_;  // reads replaced by a vector's lane

  void line(const std::string& text) { out_ += std::string(2 * static_cast<std::size_t>(depth_), ' ') + text + "\n"; }
  std::string index_type() const { return wide_ ? "long long" : "int"; }
  std::string loop_var(LoopId l) const;
  std::string counter(LoopId l);
  std::optional<LoopId> skewed_;  // a loop whose lagging statements are printed beside the others
  std::optional<LoopId> whole_;  // a partitioned loop, in the iterations behind its first
  std::vector<Expr> guards_of(const Block& b) const;

  // emit.cpp: the kernel around its statements
  void collect();
  void header();
  void declare_storage();
  void declare_channels();
  void roles();
  void body();
  void staged_grid(std::uint32_t stages);
  void decode_grid(const std::string& bid);
  void pass_over(LoopId l, const std::string& iterations);
  void advance_channels(LoopId l);
  bool shows(StmtId s) const;
  std::uint32_t stage_of(std::uint32_t channel) const;
  bool is_elected_role() const;
  bool only_bulk(TensorId t) const;
  std::vector<LoopId> grid() const;

  // statements.cpp
  void statement(StmtId s);
  void loop(LoopId id, const loop::Loop& l);
  void children(StmtId s);
  bool indexes_private(LoopId l) const;
  void thread_loop(LoopId id);
  std::string turns_around(LoopId id) const;
  bool lags(StmtId s) const;
  void lagging_statement(StmtId s);
  bool tree_loop(LoopId l);
  void skewed_loop(LoopId id, const std::string& extent);
  std::optional<std::uint32_t> ring_of(LoopId l) const;
  void ring_loop(LoopId id);
  /// True if the block asks for what it touches in this buffer to leave L2 first.
  bool is_once(const loop::Block& b, TensorId t) const;
  std::int64_t registers_at_launch(std::int64_t residents) const;
  std::int64_t residents() const;
  void combine(const loop::Combine& c);
  void enter(BlockId id);
  void open_block(BlockId id, const std::string& comment);
  void close_block();
  void declare_retired(const Binding& b, std::set<LoopId>& done);
  std::string elect(BlockId id) const;
  std::string one_thread(loop::Group group) const;
  bool fills(const Block& b) const;  // there are guards, and where they do not hold it stores zero
  std::string combined(const Block& b, DType type, const std::string& a, const std::string& x);
  std::string narrow_pair(std::string_view function, DType type, const std::string& a, const std::string& x);
  void block(BlockId id);

  // vectors.cpp
  static bool fits_vector(std::int64_t bytes);
  bool vector_loop(LoopId v);
  void declare_along(const Block& b, LoopId v);
  void load_existing(BlockId id, LoopId v, TensorId t, const std::vector<Expr>& index, std::int64_t width, const std::vector<Expr>& exists, const std::string& into, const std::string& type);

  // tiles.cpp: instructions, barriers
  std::vector<LoopId> atom_loops(BlockId id) const;
  void tile(StmtId top, BlockId id);
  void tile_loops(StmtId s, BlockId id);
  void product(BlockId id);
  void store_matrix(BlockId id);
  void bulk_copy(BlockId id);
  void barrier(const loop::Barrier& b);
  void sync(StmtId s, const loop::Sync& op);
  std::string slot_of(std::uint32_t channel, std::int64_t lag) const;
  std::string barrier_of(std::uint32_t channel, bool full, std::int64_t lag);
  bool counts(std::uint32_t channel) const;
  bool has_parity(std::uint32_t channel) const;
  std::string parity_of(std::uint32_t channel) const;
  Address at_atom(BlockId id, TensorId t, const std::vector<Expr>& index);
  std::string shared_bytes(TensorId t, const Address& a);
  std::string descriptor(BlockId id, const Read& r, VarId depth, bool& transposed);
  static std::string rank_digit(const loop::RankLoop& r);
  std::string at_sender(std::uint32_t channel) const;
  std::optional<std::size_t> shared_dim(BlockId id) const;
  std::string map_of(BlockId id, TensorId global, TensorId shared);
  std::string call(const std::string& function) {
    functions_->insert(function);
    return function;
  }

  // warp_tiles.cpp
  void warp_product(BlockId id);
  void load_matrix(BlockId id);
  void copy_async(BlockId id);
  std::string swizzled(TensorId t, const Address& a);

  // expressions.cpp
  std::string digit(const loop::Digit& d);
  std::string literal_text(std::int64_t v) const;
  std::string binding(const Binding& b);
  std::string address(const Address& a, TensorId t);
  std::string element(const Address& a, TensorId t);
  std::string element(BlockId id, TensorId t, const std::vector<Expr>& index);
  static bool nonnegative(const std::optional<loop::Interval>& r);
  std::string value(const Expr& e);
  std::string variable(VarId v);
  std::string literal_value(const Literal& l, DType type);
  std::string unary(const Unary& u, DType type);
  std::string scaled(const Expr& e, double by, bool whole = true);
  std::string logistic(const Expr& e, double by, double times);
  std::string binary(const Binary& b, DType type);
  std::string cast(const std::string& a, DType from, DType to);
};

}  // namespace tecc::codegen::cuda
