#include <algorithm>

#include "codegen/llvm/kernel.h"
#include "ir/loop/affine.h"

/// Guards of partial tiles, tested as far outside as they can be. A guard that every instance under a loop passes is `settled`
/// there and not tested again:
///   shorten   for k in 0..8: if k0*8 + k < K: S      ->   for k in 0..min(8, K - k0*8): S
///   version   for k: for i in 0..4: if i0*4 + i < M  ->   if i0*4 + 3 < M: the loop without guards; else: with them
namespace tecc::codegen::cpu {

using namespace loop;
using llvm::Value;

namespace {
constexpr std::int64_t tile_instances = 1024;  // a guard's loops inside a versioned one: a tile, not the whole problem
}

std::optional<KernelEmitter::Bound> KernelEmitter::bound_of(const Block& b, const Expr& guard) const {
  const auto* test = guard.as<Binary>();
  if (!test || (test->op != BinOp::less && test->op != BinOp::less_equal)) return std::nullopt;
  const bool upper = test->op == BinOp::less;
  const Expr &side = upper ? test->a : test->b, &limit = upper ? test->b : test->a;
  bool only_dims = true;
  walk(limit, [&](const Expr& e) {
    if (const auto* v = e.as<Var>()) only_dims &= p_.dims.count(v->id) != 0;
    only_dims &= !e.as<Read>();
    return only_dims;
  });
  const auto affine = only_dims ? affine_of(side) : std::nullopt;
  const auto position = affine ? binding_of(b, *affine) : std::nullopt;
  if (!position) return std::nullopt;
  return Bound{normal(p_, *position), limit, upper};
}

bool KernelEmitter::is_open(LoopId l) const {
  const auto& retired = p_.loop(l).retired;
  if (!retired) return loops_.count(l) != 0;
  return std::all_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return is_open(d.loop); });
}

std::vector<KernelEmitter::Guard> KernelEmitter::guards_under(StmtId s) const {
  std::vector<Guard> out;
  for (BlockId id : blocks_under(p_, s))
    for (const Expr& g : p_.block(id).guards)
      if (!settled_.count({id, &*g})) out.push_back({id, g, p_.block(id).ahead ? std::nullopt : bound_of(p_.block(id), g)});
  return out;
}

/// The number of iterations of `id` that any instance under it exists for; settles the guards that say so.
Value* KernelEmitter::shorten(LoopId id, Value* count, std::vector<Guard>& settled) {
  std::optional<Bound> common;
  std::set<BlockId> bounded;
  for (const Guard& g : guards_under(id)) {
    if (!g.bound || !g.bound->upper) continue;
    std::int64_t stride = 0;
    bool plain = true;
    Binding rest{{}, g.bound->position.offset};
    for (const Digit& d : g.bound->position.digits) {
      if (d.loop == id && d.div == 1 && d.mod == 0) stride = d.stride;
      else if (is_open(d.loop)) rest.digits.push_back(d);
      else plain = false;
    }
    if (!plain || stride != 1) continue;
    const Bound here{rest, g.bound->limit, true};
    if (common && !(common->position == here.position && same_value(common->limit, here.limit))) continue;
    common = here;
    bounded.insert(g.block);
    settled.push_back(g);
  }
  if (!common || bounded.size() != blocks_under(p_, id).size()) {
    settled.clear();
    return count;
  }
  Value* left = b_.CreateNSWSub(value(common->limit), binding(common->position));
  return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, count, left);
}

bool KernelEmitter::stays_a_loop(LoopId l) const {
  const LoopKind kind = p_.loop(l).kind;
  return kind != LoopKind::unrolled && kind != LoopKind::vectorized && !indexes_registers(l);
}

/// The guards for which `id` is the innermost loop that they do not change with, and whose own loops inside of it make a tile:
/// there the test is made often enough that few instances are tested one by one, and seldom enough to cost nothing.
std::vector<KernelEmitter::Guard> KernelEmitter::tile_guards(LoopId id) const {
  std::vector<Guard> out;
  if (!stays_a_loop(id)) return out;
  for (Guard& g : guards_under(id)) {
    if (!g.bound || depends_on(p_, g.bound->position, id)) continue;
    const auto& parts = g.bound->position.digits;  // without an open one the test would be about the whole problem
    if (std::none_of(parts.begin(), parts.end(), [&](const Digit& d) { return is_open(d.loop); })) continue;
    std::int64_t instances = 1;
    std::optional<LoopId> innermost, steady;
    for (LoopId l : loops_around(p_, g.block)) {
      if (l == id || !is_inside(p_, l, id)) continue;
      if (!depends_on(p_, g.bound->position, l)) {
        if (stays_a_loop(l)) steady = l;
        continue;
      }
      innermost = l;
      instances = std::min(instances * std::clamp<std::int64_t>(constant_extent(p_, l).value_or(tile_instances + 1), 1, tile_instances + 1), tile_instances + 1);
    }
    if (steady || instances > tile_instances) continue;
    if (innermost && g.bound->upper && stays_a_loop(*innermost)) {  // it will be shortened
      if (std::count(parts.begin(), parts.end(), Digit{*innermost, 1, 0, 1}) == 1) continue;
    }
    out.push_back(std::move(g));
  }
  return out;
}

/// True if the guards hold for every iteration of the loops that are not open yet.
Value* KernelEmitter::all_hold(const std::vector<Guard>& guards) {
  Value* all = nullptr;
  for (const Guard& g : guards) {
    Binding extreme{{}, g.bound->position.offset};
    for (const Digit& d : g.bound->position.digits) {
      if (is_open(d.loop)) {
        extreme.digits.push_back(d);
        continue;
      }
      const Interval range = range_of(p_, d);
      extreme.offset += g.bound->upper ? range.high : range.low;
    }
    Value* limit = value(g.bound->limit);
    all = and_mask(all, g.bound->upper ? b_.CreateICmpSLT(binding(extreme), limit) : b_.CreateICmpSLE(limit, binding(extreme)));
  }
  return all;
}

/// Emits `body` twice: where the guards hold for all, and where they must be tested.
void KernelEmitter::versioned(const std::vector<Guard>& guards, const std::function<void()>& body) {
  auto& context = module_.getContext();
  auto* full = llvm::BasicBlock::Create(context, "full", function_);
  auto* partial = llvm::BasicBlock::Create(context, "partial", function_);
  auto* done = llvm::BasicBlock::Create(context, "tile", function_);
  b_.CreateCondBr(all_hold(guards), full, partial);
  b_.SetInsertPoint(full);
  for (const Guard& g : guards) settled_.insert({g.block, &*g.condition});
  body();
  for (const Guard& g : guards) settled_.erase({g.block, &*g.condition});
  b_.CreateBr(done);
  b_.SetInsertPoint(partial);
  in_partial_ = true;
  body();
  in_partial_ = false;
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
}

}  // namespace tecc::codegen::cpu
