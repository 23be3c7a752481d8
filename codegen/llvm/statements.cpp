#include <algorithm>

#include "codegen/llvm/kernel.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

/// Loops and blocks.
namespace tecc::codegen::cpu {

using namespace loop;
using llvm::Value;

namespace {

constexpr std::int64_t most_lanes = 64;            // as legal for `vectorize`
constexpr std::int64_t most_unrolled = 1024;       // instances under loops that are unrolled whole, asked or to reach registers
constexpr std::int64_t most_copied = 4096;         // .. under loops that LLVM unrolls as far as it likes: of more it makes one function for minutes

llvm::MDNode* loop_metadata(llvm::LLVMContext& context, std::string_view property) {
  llvm::Metadata* hint = llvm::MDNode::get(context, {llvm::MDString::get(context, {property.data(), property.size()})});
  llvm::MDNode* self = llvm::MDNode::getDistinct(context, {nullptr, hint});
  self->replaceOperandWith(0, self);
  return self;
}

/// `open`: iterations of a loop whose extent is not known.
std::int64_t instances_under(const Program& p, StmtId s, std::int64_t open) {
  std::int64_t sum = p[s].as<Loop>() ? 0 : 1;
  for (StmtId c : p[s].children) sum += instances_under(p, c, open);
  if (p[s].as<Loop>()) sum *= std::min<std::int64_t>(constant_extent(p, s).value_or(open), most_copied);
  return std::min(sum, most_copied + 1);
}

}  // namespace

void KernelEmitter::statement(StmtId s) {
  if (why_) return;
  if (p_[s].as<Loop>()) loop(s);
  else if (p_[s].as<Block>()) block(s);
  else why_ = refuse(Code::no_lowering, "CPU", "statements that only a GPU has");
}

void KernelEmitter::children(StmtId s) {
  for (StmtId c : p_[s].children) statement(c);
}

// ---- loops ------------------------------------------------------------------------------------------------------------
void KernelEmitter::loop(LoopId id) {
  const Loop& l = p_.loop(id);
  const auto extent = constant_extent(p_, id);
  if (extent && *extent <= 0) return;
  if (extent && *extent == 1) {
    loops_[id] = v_.index(0);
    children(id);
    loops_.erase(id);
    return;
  }
  if (l.kind == LoopKind::vectorized && !lanes_ && can_be_lanes(id)) {
    lanes_ = static_cast<unsigned>(*extent);
    lanes_of_ = id;
    std::vector<llvm::Constant*> lanes;
    for (unsigned n = 0; n < lanes_; ++n) lanes.push_back(b_.getInt64(n));
    loops_[id] = llvm::ConstantVector::get(lanes);
    children(id);
    loops_.erase(id);
    lanes_ = 0;
    return;
  }
  const auto run = [&] {
    std::vector<Guard> settled;
    Value* count = value(l.extent);
    if (stays_a_loop(id) && !lanes_) count = shorten(id, count, settled);
    for (const Guard& g : settled) settled_.insert({g.block, &*g.condition});
    counted(id, count, [&] { children(id); });
    for (const Guard& g : settled) settled_.erase({g.block, &*g.condition});
  };
  const std::vector<Guard> tile = in_partial_ || lanes_ ? std::vector<Guard>() : tile_guards(id);
  if (tile.empty()) run();
  else versioned(tile, run);
}

/// for (i = 0; i < count; ++i), tested at the end of the body.
void KernelEmitter::counted(LoopId id, Value* count, const std::function<void()>& body) {
  const Loop& l = p_.loop(id);
  auto& context = module_.getContext();
  const std::string& name = p_.vars[l.var].name;
  auto* before = b_.GetInsertBlock();
  auto* top = llvm::BasicBlock::Create(context, name, function_);
  auto* done = llvm::BasicBlock::Create(context, name + ".done", function_);
  if (llvm::isa<llvm::ConstantInt>(count)) b_.CreateBr(top);
  else b_.CreateCondBr(b_.CreateICmpSGT(count, v_.index(0)), top, done);
  b_.SetInsertPoint(top);
  auto* i = b_.CreatePHI(b_.getInt64Ty(), 2, name);
  i->addIncoming(v_.index(0), before);
  loops_[id] = i;
  body();
  loops_.erase(id);
  Value* next = b_.CreateAdd(i, v_.index(1), "", true, true);
  i->addIncoming(next, b_.GetInsertBlock());
  auto* back = b_.CreateCondBr(b_.CreateICmpSLT(next, count), top, done);
  const bool small = constant_extent(p_, id) && instances_under(p_, id, most_unrolled) <= most_unrolled;
  if (small && (l.kind == LoopKind::unrolled || indexes_registers(id))) back->setMetadata(llvm::LLVMContext::MD_loop, loop_metadata(context, "llvm.loop.unroll.full"));
  else if (l.kind == LoopKind::unrolled && instances_under(p_, id, 1) <= most_copied) back->setMetadata(llvm::LLVMContext::MD_loop, loop_metadata(context, "llvm.loop.unroll.enable"));
  b_.SetInsertPoint(done);
}

/// The iterations of `v` can run as lanes, statement by statement: nothing inside is allocated anew in each iteration, no
/// inner loop's extent differs between lanes, nothing is carried.
bool KernelEmitter::can_be_lanes(LoopId v) const {
  const auto extent = constant_extent(p_, v);
  if (!extent || *extent > most_lanes) return false;
  for (const auto& [t, m] : memory_)
    if (p_[t].storage && is_inside(p_, p_[t].storage->at, v)) return false;
  const std::function<bool(StmtId)> fits = [&](StmtId s) {
    if (const auto* l = p_[s].as<Loop>()) {
      bool same = true;
      walk(l->extent, [&](const Expr& e) {
        if (const auto* x = e.as<Var>())
          if (const auto found = layout_.loop_of.find(x->id); found != layout_.loop_of.end())
            same &= found->second != v && !(p_.loop(found->second).retired && depends_on(p_, *p_.loop(found->second).retired, v));
        return true;
      });
      if (!same) return false;
    }
    if (const auto* b = p_[s].as<Block>()) {
      if (feeds(p_, v, *b, IterKind::reduce) || feeds(p_, v, *b, IterKind::scan)) return false;
      if (b->combiner && !feeds(p_, v, *b, IterKind::spatial)) return false;
    }
    return std::all_of(p_[s].children.begin(), p_[s].children.end(), fits);
  };
  return std::all_of(p_[v].children.begin(), p_[v].children.end(), fits);
}

/// True if the address in a small private buffer changes with the loop: unless unrolled, the buffer would stay in memory.
bool KernelEmitter::indexes_registers(LoopId l) const {
  for (BlockId id : blocks_under(p_, l)) {
    const Block& b = p_.block(id);
    bool found = false;
    const auto check = [&](TensorId t, const std::vector<Expr>& index) {
      if (memory_.at(t).registers && is_inside(p_, l, p_[t].storage->at)) found |= !is_uniform(p_, b, address_of(p_, id, t, index), l);
    };
    for (const Write& w : b.writes) {
      check(w.buffer, w.index);
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<Read>()) check(r->tensor, r->index);
        return true;
      });
    }
    if (found) return true;
  }
  return false;
}

// ---- blocks -----------------------------------------------------------------------------------------------------------
/// True if all lanes may read one element whose place follows from what decides about the lanes: where no lane runs, it may lie
/// anywhere. An affine index with one such variable differs from lane to lane, and is masked.
bool KernelEmitter::must_run_a_lane(const Block& b, const std::set<VarId>& masked) const {
  bool must = false;
  const auto check_index = [&](const Expr& i) {
    const auto affine = affine_of(i);
    int deciding = 0;
    if (affine)
      for (const auto& [v, c] : affine->terms) deciding += masked.count(v) != 0;
    walk(i, [&](const Expr& x) {
      if (const auto* v = x.as<Var>()) must |= masked.count(v->id) && (!affine || deciding > 1);
      must |= x.as<Read>() != nullptr;
      return !must;
    });
  };
  for (const Write& w : b.writes) {
    for (const Expr& i : w.index) check_index(i);
    walk(w.value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>())
        for (const Expr& i : r->index) check_index(i);
      return !must;
    });
  }
  return must;
}

void KernelEmitter::where(const std::vector<Expr>& conditions, const std::function<void()>& body) {
  auto& context = module_.getContext();
  auto* done = llvm::BasicBlock::Create(context, "done", function_);
  const auto only_if = [&](Value* condition) {
    auto* yes = llvm::BasicBlock::Create(context, "run", function_);
    b_.CreateCondBr(condition, yes, done);
    b_.SetInsertPoint(yes);
  };
  Value *scalar = nullptr, *by_lane = nullptr;
  std::set<VarId> masked;  // what decides about lanes
  for (const Expr& c : conditions) {
    if (scalar && !harmless(c)) {
      only_if(scalar);
      scalar = nullptr;
    }
    mask_ = by_lane;
    Value* holds = value(c);
    if (Values::lanes(holds)) {
      by_lane = and_mask(by_lane, holds);
      walk(c, [&](const Expr& e) {
        if (const auto* v = e.as<Var>()) masked.insert(v->id);
        return true;
      });
    } else {
      scalar = and_mask(scalar, holds);
    }
  }
  if (by_lane && must_run_a_lane(p_.block(block_), masked)) {
    Value* any = b_.CreateOrReduce(by_lane);
    scalar = and_mask(scalar, any);
  }
  if (scalar) only_if(scalar);
  mask_ = exists_ = by_lane;
  body();
  mask_ = exists_ = nullptr;
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
}

void KernelEmitter::block(BlockId id) {
  const Block& b = p_.block(id);
  block_ = id;
  in_block_ = true;
  for (const Iter& i : b.iters) iters_[i.var] = binding(i.binding);
  std::vector<Expr> guards = b.guards;
  std::erase_if(guards, [&](const Expr& g) { return settled_.count({id, &*g}) != 0; });
  if (guards.empty()) writes(id);
  else where(guards, [&] { writes(id); });
  for (const Iter& i : b.iters) iters_.erase(i.var);
  in_block_ = false;
}

void KernelEmitter::writes(BlockId id) {
  const Block& b = p_.block(id);
  if (b.combiner && b.writes.size() == 2) {  // argmax, argmin: the better of two; NaN first, then the smallest position
    const Write &best = b.writes[0], &position = b.writes[1];
    const DType type = p_[best.buffer].type;
    const Place best_at = place(id, best.buffer, best.index), position_at = place(id, position.buffer, position.index);
    Value *old_value = load(best_at, mask_), *old_position = load(position_at, mask_);
    Value *new_value = value(best.value), *new_position = value(position.value);
    const auto is = [&](BinOp op, Value* x, Value* y, DType t) { return v_.binary(op, x, y, t, DType::boolean); };
    const auto both = [&](Value* x, Value* y) { v_.unify(x, y); return b_.CreateAnd(x, y); };
    const auto either = [&](Value* x, Value* y) { v_.unify(x, y); return b_.CreateOr(x, y); };
    const bool largest = *b.combiner == Reducer::argmax;
    Value* better = largest ? is(BinOp::less, old_value, new_value, type) : is(BinOp::less, new_value, old_value, type);
    Value* tie = is(BinOp::equal, old_value, new_value, type);
    if (is_float(type)) {
      Value *old_nan = is(BinOp::not_equal, old_value, old_value, type), *new_nan = is(BinOp::not_equal, new_value, new_value, type);
      tie = either(tie, both(old_nan, new_nan));
      better = both(either(better, new_nan), b_.CreateNot(old_nan));
    }
    better = either(better, both(tie, is(BinOp::less, new_position, old_position, DType::i64)));
    better = either(better, is(BinOp::less, old_position, v_.index(0), DType::i64));
    Value *chosen = v_.select(better, new_value, old_value), *chosen_position = v_.select(better, new_position, old_position);
    store(best_at, chosen, mask_);
    store(position_at, chosen_position, mask_);
    return;
  }
  if (b.combiner) {
    const Write& w = b.writes[0];
    const DType type = p_[w.buffer].type;
    const Place target = place(id, w.buffer, w.index);
    Value* before = nullptr;
    if (is_scan(b)) {
      std::vector<Expr> index = w.index;
      Value* first = nullptr;
      for (Expr& e : index)
        if (const auto* v = e.as<Var>(); v && iter_of(b, v->id) && iter_of(b, v->id)->kind == IterKind::scan) {
          first = v_.binary(BinOp::equal, value(e), v_.index(iter_of(b, v->id)->lower), DType::i64, DType::boolean);
          e = e - 1;
        }
      invariant(first != nullptr, "a scan that does not index by its axis");
      before = choose(first, [&] { return value(identity_of(*b.combiner, type)); }, [&] { return load(place(id, w.buffer, index), mask_); });
    } else {
      before = load(target, mask_);
    }
    Value* element = value(w.value);
    v_.unify(before, element);
    store(target, v_.combine(*b.combiner, before, element, type), mask_);
    return;
  }
  std::vector<Value*> made;
  for (const Write& w : b.writes) made.push_back(value(w.value));
  for (std::size_t n = 0; n < b.writes.size(); ++n) {
    const Write& w = b.writes[n];
    Place to = place(id, w.buffer, w.index);
    to.passes_cache = may_pass_cache(b, w.buffer, address_of(p_, id, w.buffer, w.index));
    store(to, made[n], mask_);
  }
}

}  // namespace tecc::codegen::cpu
