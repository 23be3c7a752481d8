#pragma once
#include <map>
#include <optional>
#include <vector>

#include "ir/loop/roles.h"
#include "ir/simulate/code.h"

namespace tecc::simulator {

constexpr std::int64_t most_threads = 1024;                    // a block
constexpr std::int64_t most_elements = std::int64_t{1} << 31;  // of a buffer, of a grid: what a run can take

/// Done at once by many threads, or by another unit: not by running loops.
inline bool is_whole(Via v) { return is_bulk(v) || v == Via::wgmma || v == Via::mma_sync || v == Via::stmatrix || v == Via::ldmatrix; }

/// Makes of a kernel what the machine runs. compile_frame.cpp: grid, loops, buffers, roles; compile_statements.cpp: the code of each role;
/// compile_expressions.cpp: values and places.
class Compiler {
 public:
  Compiler(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit);
  Result<Kernel> run();

 private:
  const Program& p_;
  const std::vector<std::int64_t>& dims_;
  std::int64_t shared_limit_;
  Kernel k_;
  std::map<StmtId, BlockId> tops_;
  std::map<BlockId, std::size_t> compiled_;
  std::uint32_t role_ = Stmt::every_role;
  std::optional<LoopId> skewed_;

  Refusal wrong(StmtId s, const std::string& what) const { return at(p_[s].at, refuse(Code::sim_form, k_.name, what)); }
  Refusal unknown(StmtId s, const std::string& what) const { return at(p_[s].at, refuse(Code::no_lowering, "simulator", what)); }
  std::string name(StmtId s) const { return p_[s].as<Block>() ? p_.block(s).name : loop_name(p_, s); }

  // ---- the frame: grid, loops, buffers, roles ------------------------------------------------------------------------
  Check tops(BlockId id);
  Check grid();
  /// An expression over runtime dims.
  std::int64_t value(const Expr& e) const;
  std::int64_t inside_of(StmtId s, Group group) const;
  Check loops(StmtId s);
  bool follows_threads(LoopId l) const;
  Check buffers();
  bool has_barriers(const Channel& c) const;
  bool in_use_with(TensorId slots, TensorId other) const;
  Check channels();
  Check roles();
  std::int64_t threads_at(BlockId b) const;
  /// One thread does all that the role does: it issues bulk copies.
  bool is_elected(std::uint32_t role) const;

  // ---- statements ----------------------------------------------------------------------------------------------------
  bool has_role(StmtId s) const;
  Check statements(StmtId parent, RoleCode& r, std::size_t first);
  Check statement(StmtId s, RoleCode& r);
  /// The stages of the role's statements inside, as bits.
  std::uint32_t stages_of(StmtId s) const;
  Check printed(StmtId s, RoleCode& r);
  Result<std::size_t> compiled(BlockId id);
  /// A bulk load that does not vary across the cluster: each block brings its part of the rows to all of them.
  Check share(BlockId id, Statement& st);
  /// What an instruction asks of its statement.
  Check form(BlockId id, Statement& st);

  // ---- expressions ---------------------------------------------------------------------------------------------------
  std::size_t digits(const Binding& binding, const Block* b);
  NodeId add(Node n);
  NodeId constant(DType type, Scalar value);
  NodeId node(const Expr& e, const Block* b, BlockId id = {});
  std::size_t place(BlockId id, TensorId t, const std::vector<Expr>& index, const Expr& otherwise = {});
  static bool rotates(const Buffer& b) { return b.slots > 1 || b.channel; }
  bool holds_still(const Buffer& b, LoopId l) const;
};

}  // namespace tecc::simulator
