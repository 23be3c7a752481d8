#include "codegen/llvm/kernel.h"
#include "ir/loop/affine.h"

/// Expressions as LLVM values. What is not chosen is not evaluated: by a branch where all lanes agree, by masks otherwise.
namespace tecc::codegen::cpu {

using namespace loop;
using llvm::Value;

Value* KernelEmitter::and_mask(Value* a, Value* c) {
  if (!a) return c;
  v_.unify(a, c);
  return b_.CreateAnd(a, c);
}

bool KernelEmitter::surely_inside(const Read& r) const {
  const Block& b = p_.block(block_);
  for (std::size_t d = 0; d < r.index.size(); ++d) {
    const auto range = range_of(p_, &b, r.index[d]);
    const auto extent = range_of(p_, nullptr, p_[r.tensor].shape[d]);
    if (!range || !extent || range->low < 0 || range->high >= extent->low) return false;
  }
  return true;
}

/// Worth evaluating without need, and allowed to be: no read that may leave its buffer, no function call.
bool KernelEmitter::harmless(const Expr& e) const {
  int cost = 0;
  bool safe = true;
  walk(e, [&](const Expr& x) {
    ++cost;
    if (const auto* r = x.as<Read>()) safe &= surely_inside(*r);
    if (const auto* u = x.as<Unary>(); u && is_float(u->a->type)) cost += u->op == UnOp::neg || u->op == UnOp::abs || u->op == UnOp::square ? 0 : 8;
    return safe;
  });
  return safe && cost <= 24;
}

Value* KernelEmitter::choose(Value* condition, const std::function<Value*()>& then, const std::function<Value*()>& otherwise) {
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) return known->isZero() ? otherwise() : then();
  if (Values::lanes(condition)) {
    Value* all = mask_;
    mask_ = and_mask(all, condition);
    Value* a = then();
    mask_ = and_mask(all, b_.CreateNot(condition));
    Value* c = otherwise();
    mask_ = all;
    return v_.select(condition, a, c);
  }
  auto& context = module_.getContext();
  auto* yes = llvm::BasicBlock::Create(context, "then", function_);
  auto* no = llvm::BasicBlock::Create(context, "else", function_);
  auto* done = llvm::BasicBlock::Create(context, "chosen", function_);
  b_.CreateCondBr(condition, yes, no);
  b_.SetInsertPoint(yes);
  Value* a = then();
  yes = b_.GetInsertBlock();
  b_.SetInsertPoint(no);
  Value* c = otherwise();
  c = v_.splat(c, Values::lanes(a));
  b_.CreateBr(done);
  no = b_.GetInsertBlock();
  b_.SetInsertPoint(yes);
  a = v_.splat(a, Values::lanes(c));
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  auto* out = b_.CreatePHI(a->getType(), 2);
  out->addIncoming(a, yes);
  out->addIncoming(c, no);
  return out;
}

Value* KernelEmitter::value(const Expr& e) {
  const DType type = e->type;
  return match(
      e, [&](const Literal& l) -> Value* { return v_.literal(l, type); },
      [&](const Var& v) -> Value* { return variable(v.id); },
      [&](const Unary& u) -> Value* { return v_.unary(u.op, value(u.a), u.a->type, type); },
      [&](const Binary& x) -> Value* { return binary(x, type); },
      [&](const Select& s) -> Value* {
        Value* condition = value(s.condition);
        if (harmless(s.then) && harmless(s.otherwise)) {
          Value* a = value(s.then);
          return v_.select(condition, a, value(s.otherwise));
        }
        return choose(condition, [&] { return value(s.then); }, [&] { return value(s.otherwise); });
      },
      [&](const Cast& c) -> Value* { return v_.cast(value(c.a), c.a->type, c.to.concrete()); },
      [&](const Read& r) -> Value* { return read(e, r); },
      [&](const Reduce&) -> Value* {
        invariant(false, "a reduction inside of a block's body");
        return nullptr;
      });
}

Value* KernelEmitter::variable(VarId v) {
  if (const auto dim = dims_.find(v); dim != dims_.end()) return dim->second;
  if (const auto iter = iters_.find(v); iter != iters_.end()) return iter->second;
  return loop_value(layout_.loop_of.at(v));  // in the extent of a ragged loop
}

Value* KernelEmitter::binary(const Binary& x, DType type) {
  if ((x.op == BinOp::logical_and || x.op == BinOp::logical_or) && !harmless(x.b)) {
    Value* a = value(x.a);
    const auto rest = [&] { return value(x.b); };
    if (x.op == BinOp::logical_and) return choose(a, rest, [&]() -> Value* { return b_.getFalse(); });
    return choose(a, [&]() -> Value* { return b_.getTrue(); }, rest);
  }
  const DType operand = x.a->type;
  if (operand == DType::i64 && (x.op == BinOp::div || x.op == BinOp::mod))
    if (const auto by = constant_of(x.b); by && *by > 0) {
      const auto range = range_of(p_, in_block_ ? &p_.block(block_) : nullptr, x.a);
      const bool positive = range && range->low >= 0 && !mask_;  // lanes without an instance may be anywhere
      Value* a = value(x.a);
      return x.op == BinOp::div ? v_.floor_div(a, *by, positive) : v_.floor_mod(a, *by, positive);
    }
  Value* a = value(x.a);
  return v_.binary(x.op, a, value(x.b), operand, type);
}

Value* KernelEmitter::read(const Expr&, const Read& r) {
  const auto load_it = [&]() -> Value* {
    const Place at = place(block_, r.tensor, r.index);
    return load(at, surely_inside(r) ? exists_ : mask_);
  };
  if (!r.otherwise) return load_it();
  Value* condition = nullptr;
  for (const Expr& c : in_bounds(p_, p_.block(block_), r)) {
    // An index that itself reads must be evaluated once the earlier ones are known to be legal: indices never depend on
    // each other, so all conditions may be evaluated together.
    condition = and_mask(condition, value(c));
  }
  return condition ? choose(condition, load_it, [&] { return value(r.otherwise); }) : load_it();
}

}  // namespace tecc::codegen::cpu
