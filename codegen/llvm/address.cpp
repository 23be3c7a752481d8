#include <llvm/IR/Constants.h>

#include "codegen/llvm/kernel.h"
#include "ir/loop/affine.h"

/// Elements of buffers: their addresses, loads and stores, one by one or by lanes.
namespace tecc::codegen::cpu {

using namespace loop;
using llvm::Value;

// ---- loops and digits -------------------------------------------------------------------------------------------------
Value* KernelEmitter::loop_value(LoopId l) {
  Value* v = nullptr;
  if (const auto open = loops_.find(l); open != loops_.end()) v = open->second;
  else if (p_.loop(l).retired) v = binding(*p_.loop(l).retired);
  invariant(v != nullptr, "a binding names a loop that is not around the block");
  if (in_block_)
    if (const auto& ahead = p_.block(block_).ahead; ahead && ahead->loop == l) v = b_.CreateAdd(v, llvm::ConstantInt::get(v->getType(), static_cast<std::uint64_t>(ahead->by)));
  return v;
}

Value* KernelEmitter::digit(const Digit& d) {
  const Interval range = range_of(p_, d.loop);
  Value* v = v_.floor_div(loop_value(d.loop), d.div, range.low >= 0);
  if (d.mod) v = v_.floor_mod(v, d.mod, range.low >= 0);
  return b_.CreateNSWMul(v, llvm::ConstantInt::get(v->getType(), static_cast<std::uint64_t>(d.stride)));
}

Value* KernelEmitter::binding(const Binding& b) {
  Value* sum = v_.index(b.offset);
  for (const Digit& d : b.digits) {
    Value* term = digit(d);
    v_.unify(sum, term);
    sum = b_.CreateNSWAdd(sum, term);
  }
  return sum;
}

// ---- addresses --------------------------------------------------------------------------------------------------------
void KernelEmitter::add_term(Place& at, Value* term) {
  Value*& sum = Values::lanes(term) ? at.varying : at.uniform;
  sum = sum ? b_.CreateNSWAdd(sum, term) : term;
}

/// Digit by digit, so that what all lanes share stays a scalar.
void KernelEmitter::add_binding(Place& at, const Binding& b, Value* stride) {
  const auto scaled = [&](Value* v) {
    if (!stride) return v;
    Value* by = v_.splat(stride, Values::lanes(v));
    return b_.CreateNSWMul(v, by);
  };
  for (const Digit& d : b.digits) add_term(at, scaled(digit(d)));
  if (b.offset) add_term(at, scaled(v_.index(b.offset)));
}

KernelEmitter::Place KernelEmitter::place(BlockId id, TensorId t, const std::vector<Expr>& index) {
  Place at{t, v_.index(0)};
  if (p_[t].by_value) return at;
  const Address a = address_of(p_, id, t, index);
  add_binding(at, a.linear, nullptr);
  for (const Address::Symbolic& s : a.symbolic) add_binding(at, s.index, value(s.stride));
  for (const Address::General& g : a.general) {
    Value* term = value(g.index);
    const auto subtract = [&](Value* what) {
      v_.unify(term, what);
      term = b_.CreateNSWSub(term, what);
    };
    if (!g.minus.digits.empty()) subtract(binding(g.minus));
    if (g.origin) subtract(v_.index(g.origin));
    if (g.unit != 1) term = v_.floor_div(term, g.unit, false);
    if (g.count) term = v_.floor_mod(term, g.count, false);
    Value* stride = value(g.stride);
    v_.unify(term, stride);
    add_term(at, b_.CreateNSWMul(term, stride));
  }
  if (a.slot && a.slot->loop) {
    Value* slot = loops_.at(*a.slot->loop);
    if (a.slot->ahead) slot = b_.CreateAdd(slot, llvm::ConstantInt::get(slot->getType(), static_cast<std::uint64_t>(a.slot->ahead)));
    slot = v_.floor_mod(slot, a.slot->slots, true);
    add_term(at, b_.CreateNSWMul(slot, llvm::ConstantInt::get(slot->getType(), static_cast<std::uint64_t>(a.slot->elements))));
  }
  if (p_[t].storage && a.general.empty() && a.symbolic.empty()) {
    const Interval reach = range_of(p_, a.linear);
    at.inside = reach.low >= 0 && reach.high < p_[t].storage->elements;
  }
  return at;
}

// ---- access -----------------------------------------------------------------------------------------------------------
namespace {
/// The first element's offset if the lanes are neighbours.
std::optional<std::int64_t> run_of_neighbours(const Value* varying) {
  const auto* c = llvm::dyn_cast<llvm::ConstantDataVector>(varying);
  if (!c) return std::nullopt;
  const auto first = static_cast<std::int64_t>(c->getElementAsInteger(0));
  for (unsigned n = 1; n < c->getNumElements(); ++n)
    if (static_cast<std::int64_t>(c->getElementAsInteger(n)) != first + static_cast<std::int64_t>(n)) return std::nullopt;
  return first;
}
/// The offset of all lanes if they agree.
std::optional<std::int64_t> same_for_all(const Value* varying) {
  const auto* c = llvm::dyn_cast<llvm::Constant>(varying);
  const auto* one = c ? llvm::dyn_cast_or_null<llvm::ConstantInt>(c->getSplatValue()) : nullptr;
  return one ? std::optional(one->getSExtValue()) : std::nullopt;
}
}  // namespace

Value* KernelEmitter::element_pointer(const Place& at, Value* index) {
  const Buffer& buffer = p_[at.buffer];
  llvm::Type* type = buffer.by_value && is_narrow_float(buffer.type) ? b_.getFloatTy() : v_.memory_type(buffer.type);
  return b_.CreateInBoundsGEP(type, memory_.at(at.buffer).base, index);
}

template <class Access>
Access* KernelEmitter::scoped(Access* access, TensorId t) {
  const Memory& m = memory_.at(t);
  access->setMetadata(llvm::LLVMContext::MD_alias_scope, m.scope);
  if (m.others->getNumOperands()) access->setMetadata(llvm::LLVMContext::MD_noalias, m.others);
  return access;
}

Value* KernelEmitter::load(const Place& where, Value* mask) {
  Place at = where;
  const DType type = p_[at.buffer].type;
  llvm::Type* memory = v_.memory_type(type);
  const llvm::Align align(static_cast<std::uint64_t>(bytes_of(type)));
  if (p_[at.buffer].by_value && is_narrow_float(type))
    return v_.from_f32(scoped(b_.CreateLoad(b_.getFloatTy(), element_pointer(at, at.uniform)), at.buffer), type);
  if (at.varying)
    if (const auto same = same_for_all(at.varying)) {
      at.varying = nullptr;
      at.uniform = b_.CreateNSWAdd(at.uniform, v_.index(*same));
    }
  if (at.inside) mask = nullptr;
  if (!at.varying && (!mask || mask == exists_)) {  // an instance that exists reads the same element
    Value* one = scoped(b_.CreateAlignedLoad(memory, element_pointer(at, at.uniform), align), at.buffer);
    return v_.from_memory(one, type);
  }
  llvm::Type* vector = llvm::FixedVectorType::get(memory, lanes_);
  Value* out = nullptr;
  if (const auto first = at.varying ? run_of_neighbours(at.varying) : std::nullopt) {
    Value* from = element_pointer(at, b_.CreateNSWAdd(at.uniform, v_.index(*first)));
    if (mask) out = scoped(b_.CreateMaskedLoad(vector, from, align, mask, llvm::Constant::getNullValue(vector)), at.buffer);
    else out = scoped(b_.CreateAlignedLoad(vector, from, align), at.buffer);
  } else {
    Value* index = v_.splat(at.uniform, lanes_);
    if (at.varying) index = b_.CreateNSWAdd(index, at.varying);
    out = scoped(b_.CreateMaskedGather(vector, element_pointer(at, index), align, mask, llvm::Constant::getNullValue(vector)), at.buffer);
  }
  return v_.from_memory(out, type);
}

void KernelEmitter::store(const Place& where, Value* value, Value* mask) {
  Place at = where;
  const DType type = p_[at.buffer].type;
  const llvm::Align align(static_cast<std::uint64_t>(bytes_of(type)));
  value = v_.to_memory(value, type);
  if (at.varying)
    if (const auto same = same_for_all(at.varying)) {
      at.varying = nullptr;
      at.uniform = b_.CreateNSWAdd(at.uniform, v_.index(*same));
    }
  if (!at.varying && !Values::lanes(value) && !mask) {
    scoped(b_.CreateAlignedStore(value, element_pointer(at, at.uniform), align), at.buffer);
    return;
  }
  value = v_.splat(value, lanes_);
  if (const auto first = at.varying ? run_of_neighbours(at.varying) : std::nullopt) {
    Value* to = element_pointer(at, b_.CreateNSWAdd(at.uniform, v_.index(*first)));
    if (mask && at.inside) {  // a plain store, so that the buffer can end in registers
      value = b_.CreateSelect(mask, value, scoped(b_.CreateAlignedLoad(value->getType(), to, align), at.buffer));
      mask = nullptr;
    }
    if (mask) scoped(b_.CreateMaskedStore(value, to, align, mask), at.buffer);
    else if (at.passes_cache) store_past_cache(at, value, to);
    else scoped(b_.CreateAlignedStore(value, to, align), at.buffer);
    return;
  }
  Value* index = v_.splat(at.uniform, lanes_);
  if (at.varying) index = b_.CreateNSWAdd(index, at.varying);
  scoped(b_.CreateMaskedScatter(value, element_pointer(at, index), align, mask), at.buffer);
}

/// Lines that are written as a whole and not read again need not be fetched before (also called: streaming, non-temporal stores). They are made of
/// pieces of 16 bytes, which is what a pointer is a multiple of.
constexpr std::int64_t piece_bytes = 16;

bool KernelEmitter::may_pass_cache(const Block& b, TensorId t, const Address& a) const {
  const Buffer& buffer = p_[t];
  const std::int64_t width = piece_bytes / bytes_of(buffer.type);
  const bool ordered = module_.getTargetTriple().compare(0, 6, "x86_64") == 0;  // by the fence behind them
  return ordered && b.hint == Hint::evict_first && buffer.scope == Scope::global && buffer.alignment % piece_bytes == 0 && lanes_ && lanes_ % width == 0 && is_vector(p_, a, lanes_of_, width);
}

void KernelEmitter::store_past_cache(const Place& at, Value* value, Value* to) {
  const auto width = static_cast<unsigned>(piece_bytes / bytes_of(p_[at.buffer].type));
  for (unsigned first = 0; first < lanes_; first += width) {
    std::vector<int> lanes;
    for (unsigned n = 0; n < width; ++n) lanes.push_back(static_cast<int>(first + n));
    llvm::StoreInst* made = scoped(b_.CreateAlignedStore(b_.CreateShuffleVector(value, lanes), b_.CreateConstInBoundsGEP1_64(value->getType()->getScalarType(), to, first), llvm::Align(piece_bytes)), at.buffer);
    made->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(module_.getContext(), llvm::ConstantAsMetadata::get(b_.getInt32(1))));
  }
  passed_cache_ = true;
}

}  // namespace tecc::codegen::cpu
