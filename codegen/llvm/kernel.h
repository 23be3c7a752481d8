#pragma once
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "codegen/access.h"
#include "codegen/llvm/emit.h"
#include "codegen/llvm/values.h"

/// One kernel of a lowered program as one LLVM function. Internal to codegen/llvm.
namespace tecc::codegen::cpu {

/// Where a program's buffers lie, for all its kernels.
struct Layout {
  std::map<TensorId, int> argument;          // place in `buffers`
  std::map<TensorId, Expr> workspace;        // byte offset in the workspace
  int workspace_argument = 0;                // place in `buffers`
  std::map<VarId, int> dims;                 // place in `dims`
  std::map<VarId, loop::LoopId> loop_of;     // the loop of a variable, retired ones included
};

class KernelEmitter {
 public:
  KernelEmitter(const loop::Program& p, const Layout& layout, llvm::Module& module, bool half);
  Result<Kernel> run(loop::StmtId root, const std::string& name);

 private:
  // ---- kernel.cpp: the function, its buffers, its tasks
  void declare_buffers(loop::StmtId root);
  Expr decode_task(loop::StmtId root, llvm::Value* task);  // sets inside_
  llvm::Value* pointer_argument(int n, const std::string& name);

  // ---- statements.cpp
  void statement(loop::StmtId s);
  void children(loop::StmtId s);
  void loop(loop::LoopId id);
  void counted(loop::LoopId id, llvm::Value* extent, const std::function<void()>& body);
  bool can_be_lanes(loop::LoopId v) const;
  bool indexes_registers(loop::LoopId l) const;
  void block(loop::BlockId id);
  void writes(loop::BlockId id);
  /// Runs `body` where the conditions hold; in lanes, for those of them.
  void where(const std::vector<Expr>& conditions, const std::function<void()>& body);
  bool must_run_a_lane(const loop::Block& b, const std::set<VarId>& masked) const;

  // ---- tails.cpp: guards of partial tiles
  struct Bound {  // position < limit, or limit <= position
    loop::Binding position;
    Expr limit;  // over runtime dims
    bool upper;
  };
  struct Guard {
    loop::BlockId block;
    Expr condition;
    std::optional<Bound> bound;  // if it has that form
  };
  std::optional<Bound> bound_of(const loop::Block& b, const Expr& guard) const;
  bool is_open(loop::LoopId l) const;
  std::vector<Guard> guards_under(loop::StmtId s) const;  // that are not settled
  llvm::Value* shorten(loop::LoopId id, llvm::Value* count, std::vector<Guard>& settled);
  bool stays_a_loop(loop::LoopId l) const;
  std::vector<Guard> tile_guards(loop::LoopId id) const;
  llvm::Value* all_hold(const std::vector<Guard>& guards);
  void versioned(const std::vector<Guard>& guards, const std::function<void()>& body);

  // ---- address.cpp: elements of buffers
  /// base[uniform + varying]; `varying` is there when the lanes touch different elements.
  struct Place {
    TensorId buffer;
    llvm::Value *uniform, *varying = nullptr;
    bool inside = false;  // surely in memory, even for instances that do not exist
    bool passes_cache = false;  // written once, and whole pieces of it: it does not come into the cache
  };
  Place place(loop::BlockId id, TensorId t, const std::vector<Expr>& index);
  llvm::Value* load(const Place& at, llvm::Value* mask);
  void store(const Place& at, llvm::Value* value, llvm::Value* mask);
  bool may_pass_cache(const loop::Block& b, TensorId t, const Address& a) const;
  void store_past_cache(const Place& at, llvm::Value* value, llvm::Value* to);
  llvm::Value* element_pointer(const Place& at, llvm::Value* index);
  template <class Access>
  Access* scoped(Access* access, TensorId t);
  llvm::Value* loop_value(loop::LoopId l);
  llvm::Value* digit(const loop::Digit& d);
  llvm::Value* binding(const loop::Binding& b);
  void add_binding(Place& at, const loop::Binding& b, llvm::Value* stride);
  void add_term(Place& at, llvm::Value* term);

  // ---- expressions.cpp
  llvm::Value* value(const Expr& e);
  llvm::Value* variable(VarId v);
  llvm::Value* read(const Expr& e, const Read& r);
  llvm::Value* binary(const Binary& x, DType type);
  /// `then` where the condition holds, `otherwise` elsewhere; neither is evaluated where it is not chosen.
  llvm::Value* choose(llvm::Value* condition, const std::function<llvm::Value*()>& then, const std::function<llvm::Value*()>& otherwise);
  bool harmless(const Expr& e) const;           // may be evaluated although not chosen
  bool surely_inside(const Read& r) const;      // for all existing instances
  llvm::Value* and_mask(llvm::Value* a, llvm::Value* b);

  struct Memory {
    llvm::Value* base = nullptr;
    llvm::MDNode *scope = nullptr, *others = nullptr;  // alias scopes: buffers never overlap
    bool registers = false;                            // small enough to end in registers
  };

  const loop::Program& p_;
  const Layout& layout_;
  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  Values v_;
  llvm::Function* function_ = nullptr;
  loop::StmtId root_{}, inside_{};
  std::map<TensorId, Memory> memory_;
  std::map<VarId, llvm::Value*> dims_, iters_;
  std::map<loop::LoopId, llvm::Value*> loops_;
  std::vector<llvm::Value*> heap_;  // to be freed
  loop::BlockId block_{};
  bool in_block_ = false;
  unsigned lanes_ = 0;               // of the loop that is open as vector lanes
  loop::LoopId lanes_of_{};          // that loop
  bool passed_cache_ = false;        // some store did
  llvm::Value* mask_ = nullptr;      // lanes that run; null: all
  llvm::Value* exists_ = nullptr;    // lanes whose instance exists: the guards' part of mask_
  std::set<std::pair<loop::BlockId, const ExprNode*>> settled_;  // guards that are known to hold here
  bool in_partial_ = false;                                      // in the slow version of a tile
  std::optional<Refusal> why_;
};

}  // namespace tecc::codegen::cpu
