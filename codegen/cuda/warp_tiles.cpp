#include <fmt/format.h>

#include <algorithm>

#include "codegen/cuda/instructions.h"
#include "codegen/cuda/kernel.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"

/// What a warp does together, mma.sync and ldmatrix, and what each thread copies by cp.async.
namespace tecc::codegen::cuda {

using namespace loop;

/// The place of an element in shared memory. Where the swizzle of a sum is the swizzles of its terms (they share no bits, or are multiples of
/// what it repeats after), they are printed apart: what follows from the thread alone is worked out once, before loops.
std::string KernelEmitter::swizzled(TensorId t, const Address& a) {
  const Buffer& b = p_[t];
  if (!b.swizzle) return address(a, t);
  const auto swizzle = [&](const std::string& text) { return fmt::format("{}<{}, {}>({})", call("tecc_swizzle"), memory_type(b.type), b.swizzle, text); };
  std::string whole = swizzle(address(a, t));
  const std::int64_t period = 8 * b.swizzle / bytes_of(b.type);
  const bool copies = b.slots > 1 || !b.storage->owners.empty();
  if (!a.symbolic.empty() || !a.general.empty() || a.linear.offset < 0 || (copies && b.storage->elements % period)) return whole;
  Address far = a;  // multiples of the period
  far.linear = {{}, a.linear.offset / period * period};
  Binding lanes, rest{{}, a.linear.offset % period};
  std::int64_t bits = rest.offset;
  for (const Digit& d : a.linear.digits) {
    if (d.stride % period == 0) {
      far.linear.digits.push_back(d);
      continue;
    }
    std::int64_t values = 1;
    while (values <= range_of(p_, Digit{d.loop, d.div, d.mod, 1}).high) values *= 2;
    const std::int64_t own = (values - 1) * d.stride;
    if (d.stride < 1 || (d.stride & (d.stride - 1)) || (bits & own)) return whole;
    bits |= own;
    (!p_.loop(d.loop).retired && loop::is_thread_group(p_.loop(d.loop).group) ? lanes : rest).digits.push_back(d);
  }
  std::string near;
  if (!lanes.digits.empty()) near = swizzle(binding(lanes));
  if (!rest.digits.empty() || rest.offset) near = near.empty() ? swizzle(binding(rest)) : fmt::format("({} ^ {})", near, swizzle(binding(rest)));
  const std::string base = address(far, t);
  return near.empty() ? base : base == "0" ? near : base + " + " + near;
}

/// One mma.sync: all operands in registers, as its fragments say.
void KernelEmitter::warp_product(BlockId id) {
  const Block& b = p_.block(id);
  const Tile& tile = *b.tile;
  const Product factors = *product_of(b);
  const Read &ra = *factors.factor[tile.swap].read, &rb = *factors.factor[!tile.swap].read;
  const Write& w = b.writes[0];
  const auto words = [&](const Read& r, int n) { return fmt::format("*reinterpret_cast<const unsigned(*)[{}]>(&{})", n, element(at_atom(id, r.tensor, r.index), r.tensor)); };
  line(fmt::format("{}(*reinterpret_cast<{}(*)[4]>(&{}), {}, {});", call(product_function(*tile.instruction, tile.instruction->n_most, true, false, false)), memory_type(p_[w.buffer].type),
                   element(at_atom(id, w.buffer, w.index), w.buffer), words(ra, 4), words(rb, 2)));
}

/// One ldmatrix: each lane names a row of a matrix, and gets four bytes of each.
void KernelEmitter::load_matrix(BlockId id) {
  const Block& b = p_.block(id);
  const Write& w = b.writes[0];
  const Read& r = *w.value.as<Read>();
  const Buffer& from = p_[r.tensor];
  std::vector<LoopId> atom = atom_loops(id);
  const LoopId t = atom[0];
  const std::vector<LoopId> matrices(atom.begin() + 1, atom.end() - (bytes_of(from.type) < 4 ? 1 : 0));  // from slow to fast
  const std::size_t fast = from.order.empty() ? from.shape.size() - 1 : static_cast<std::size_t>(from.order.back());
  bool transposed = false;
  for (const Iter& i : b.iters)
    for (const Digit& d : i.binding.digits)
      if (const auto* v = r.index[fast].as<Var>(); d.loop == t && d.div == 4) transposed = v && v->id == i.var;
  // The same copy, with the lanes where rows begin.
  Program named = p_;
  named.stmts.edit(id, [&](Stmt& s) {
    for (Iter& i : std::get<Block>(s.node).iters) {
      std::vector<Digit> digits;
      for (const Digit& d : i.binding.digits) {
        const auto m = std::find(matrices.rbegin(), matrices.rend(), d.loop);
        if (m != matrices.rend()) digits.push_back({t, std::int64_t{8} << (m - matrices.rbegin()), 2, d.stride});
        else if (d.loop == t && d.div == (transposed ? 1 : 4)) digits.push_back({t, 1, 8, 1});
        else if (std::find(atom.begin(), atom.end(), d.loop) == atom.end()) digits.push_back(d);
      }
      i.binding.digits = std::move(digits);
    }
  });
  const Address place = address_of(named, id, r.tensor, r.index);
  if (!place.general.empty()) why_ = refuse(Code::tile_form, b.name, fmt::format("the place of its part of '{}' is no sum of digits", from.name));
  const Address to = address_of(p_, id, w.buffer, w.index);
  std::string registers;
  for (std::int64_t n = 0; n < std::int64_t{1} << matrices.size(); ++n) {
    Address own = at_atom(id, w.buffer, w.index);
    for (const Digit& d : to.linear.digits)
      if (const auto m = std::find(matrices.rbegin(), matrices.rend(), d.loop); m != matrices.rend()) {
        const std::int64_t v = (n >> (m - matrices.rbegin()) & 1) / d.div;
        own.linear.offset += (d.mod ? v % d.mod : v) * d.stride;
      }
    registers += fmt::format(", reinterpret_cast<unsigned&>({})", element(own, w.buffer));
  }
  line("{");
  line(fmt::format("  const int {} = {};", loop_var(t), threads_ > 32 ? "tid % 32" : "tid"));
  line(fmt::format("  {}<{}>({}({}) + ({}) * {}{});", call("tecc_ldmatrix"), transposed, call("tecc_smem"), buffer_names_[r.tensor], swizzled(r.tensor, place), bytes_of(from.type), registers));
  line("}");
}

/// One thread's part of a copy: up to 16 bytes, or zeros where the tensor has none. What lies at places that no cp.async takes is loaded and
/// stored, as single elements or as a run.
void KernelEmitter::copy_async(BlockId id) {
  const Block& b = p_.block(id);
  const Write& w = b.writes[0];
  const Read& r = *w.value.as<Read>();
  const DType type = p_[w.buffer].type;
  const std::vector<LoopId> atom = atom_loops(id);
  const std::int64_t width = atom.empty() ? 1 : *constant_extent(p_, atom[0]), bytes = width * bytes_of(type);
  const Address far = address_of(p_, id, r.tensor, r.index);
  std::vector<Expr> conditions = guards_of(b);
  for (const Expr& c : in_bounds(p_, b, r)) conditions.push_back(c);
  bool aligned = width == 1 || is_vector(p_, far, atom[0], width);
  std::string end;  // of a run: the first index along it that is outside
  if (width > 1)
    std::erase_if(conditions, [&](const Expr& c) {
      if (guard_is_uniform(p_, b, c, atom[0], width)) return false;
      const auto* less = c.as<Binary>();
      const auto* v = less && less->op == BinOp::less ? less->a.as<Var>() : nullptr;
      if (!v || !end.empty()) why_ = refuse(Code::copy_form, p_[w.buffer].name, "cp_async", "a condition leaves out elements in the middle of a run");
      else end = fmt::format("{} - {}", value(less->b), variable(v->id));
      aligned = false;
      return true;
    });
  for (LoopId l : atom) line(fmt::format("const {} {} = 0;", index_type(), loop_var(l)));  // the first element stands for all
  std::set<LoopId> retired = placed_;
  for (const Iter& i : b.iters) {
    const bool named = !end.empty() || std::any_of(conditions.begin(), conditions.end(), [&](const Expr& c) { return uses(c, i.var); });
    if (!named && far.general.empty()) continue;
    declare_retired(i.binding, retired);
    line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
  }
  std::string condition;
  for (const Expr& c : conditions) condition += (condition.empty() ? "" : " && ") + value(c);
  const std::string from = element(far, r.tensor), place = swizzled(w.buffer, at_atom(id, w.buffer, w.index)), there = condition.empty() ? "true" : condition;
  if (!aligned) line(fmt::format("{}(&{}[{}], &{}, {} ? {} : 0);", call("tecc_copy_run"), buffer_names_[w.buffer], place, from, there, end.empty() ? std::to_string(width) : end));
  else if (bytes < 4) line(fmt::format("{}[{}] = {};", buffer_names_[w.buffer], place, condition.empty() ? from : fmt::format("{} ? {} : {}", condition, from, value(literal(0, type)))));
  else line(fmt::format("{}<{}>({}({}) + ({}) * {}, &{}, {});", call("tecc_copy_async"), bytes, call("tecc_smem"), buffer_names_[w.buffer], place, bytes_of(type), from, there));
}

}  // namespace tecc::codegen::cuda
