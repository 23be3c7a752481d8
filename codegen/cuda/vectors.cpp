#include "codegen/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "codegen/access.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/numeric.h"

namespace tecc::codegen::cuda {

using namespace loop;

bool KernelEmitter::fits_vector(std::int64_t bytes) { return bytes == 2 || bytes == 4 || bytes == 8 || bytes % 16 == 0; }

/// The block's iterations that change with the loop, inside of a loop over it.
void KernelEmitter::declare_along(const Block& b, LoopId v) {
  std::set<LoopId> retired;
  for (const Iter& i : b.iters) declare_retired(i.binding, retired);
  for (const Iter& i : b.iters)
    if (depends_on(p_, i.binding, v)) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
}

/// Fills `into` by accesses of `width` elements, each of which exists as a whole or is not made.
void KernelEmitter::load_existing(BlockId id, LoopId v, TensorId t, const std::vector<Expr>& index, std::int64_t width, const std::vector<Expr>& exists, const std::string& into,
                                  const std::string& type) {
  const Block& b = p_.block(id);
  line(fmt::format("tecc_vec<{}> {};", type, into));
  line("#pragma unroll");
  line(fmt::format("for (int tecc_lane = 0; tecc_lane < {}; tecc_lane += {}) {{", *constant_extent(p_, v), width));
  ++depth_;
  line(fmt::format("const {} {} = tecc_lane;", index_type(), loop_var(v)));
  declare_along(b, v);
  std::string condition;
  for (const Expr& c : exists) condition += (condition.empty() ? "" : " && ") + value(c);
  line(fmt::format("if ({}) {}({}, tecc_lane, {}<{}, {}>(&{}));", condition, call("tecc_put"), into, is_once(b, t) ? call("tecc_load_once") : "tecc_load", memory_type(p_[t].type), width, element(id, t, index)));
  --depth_;
  line("}");
}

/// A vectorized loop around one block: wide accesses where elements are neighbours, an unrolled loop for the arithmetic.
bool KernelEmitter::vector_loop(LoopId v) {
  const auto extent = constant_extent(p_, v);
  if (!extent || p_[v].children.size() != 1 || !p_[p_[v].children[0]].as<Block>()) return false;
  const BlockId id = p_[v].children[0];
  const Block& b = p_.block(id);
  if (b.combiner || b.writes.size() != 1) return false;
  for (const Expr& g : b.guards)
    if (!guard_is_uniform(p_, b, g, v, *extent)) return false;
  const Write& w = b.writes[0];
  // Bytes of one access; none where the elements are not neighbours, or pointer and rows allow no more than one of them.
  const auto wide = [&](TensorId t, const std::vector<Expr>& index) -> std::optional<std::int64_t> {
    const Buffer& buffer = p_[t];
    const std::int64_t element = bytes_of(buffer.type), bytes = *extent * element;
    const bool in_registers = buffer.storage && buffer.storage->private_to_thread;
    if (buffer.by_value || in_registers || !fits_vector(bytes)) return std::nullopt;
    const Address address = address_of(p_, id, t, index);
    for (std::int64_t word = std::min({bytes, std::int64_t{16}, buffer.scope == Scope::global ? buffer.alignment : 16}); word == bytes || word > element; word /= 2)
      if (is_vector(p_, address, v, word / element)) return word;
    return std::nullopt;
  };
  const auto narrow = [&](TensorId t, std::int64_t word) { return word < std::min<std::int64_t>(*extent * bytes_of(p_[t].type), 16); };
  struct Load {
    const ExprNode* node;
    TensorId t;
    std::vector<Expr> index;
    std::int64_t word;         // bytes of an access
    std::vector<Expr> exists;  // the same for all elements of an access; those that do not exist are not read
  };
  std::vector<Load> loads;
  const std::function<void(const Expr&, bool)> collect = [&](const Expr& e, bool lazy) {
    const auto* chosen = e.as<Select>();
    const auto* binary = e.as<Binary>();
    const bool second_is_lazy = binary && (binary->op == BinOp::logical_and || binary->op == BinOp::logical_or);
    bool first = true;
    for_each_child(e, [&](const Expr& child) { collect(child, lazy || (!std::exchange(first, false) && (chosen || second_is_lazy))); });
    const auto* r = e.as<Read>();
    if (!r) return;
    auto word = wide(r->tensor, r->index);
    const std::vector<Expr> exists = in_bounds(p_, b, *r, lazy);
    const std::int64_t element = bytes_of(p_[r->tensor].type);
    const auto whole = [&] { return std::all_of(exists.begin(), exists.end(), [&](const Expr& c) { return guard_is_uniform(p_, b, c, v, *word / element); }); };
    while (word && !whole()) word = *word > 2 * element ? std::optional(*word / 2) : std::nullopt;
    if (word) loads.push_back({&*e, r->tensor, r->index, *word, exists});
  };
  collect(w.value, false);
  const auto wide_store = wide(w.buffer, w.index);
  const bool zeros = fills(b);
  if (!wide_store && (loads.empty() || (zeros && loads[0].node != &*w.value))) return false;
  const bool or_zeros = zeros && !wide_store;  // the load itself is left out, not the statement
  if (or_zeros && std::any_of(loads.begin(), loads.end(), [](const Load& l) { return !l.exists.empty(); })) return false;

  line(fmt::format("{{  // {}, {} at a time", b.name, *extent));
  ++depth_;
  enter(id);
  std::string condition;
  {
    // Guards for the first lane stand for all.
    std::set<LoopId> retired;
    line(fmt::format("const {} {} = 0;", index_type(), loop_var(v)));
    for (const Iter& i : b.iters) declare_retired(i.binding, retired);
    for (const Iter& i : b.iters) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
    for (const Expr& g : b.guards) condition += (condition.empty() ? "" : " && ") + value(g);
    if (const std::string alone = elect(id); !alone.empty()) condition += (condition.empty() ? "" : " && ") + alone;
    line(condition.empty() || or_zeros ? "{" : fmt::format("if ({}) {{", condition));
  }
  ++depth_;
  for (std::size_t n = 0; n < loads.size(); ++n) {
    const std::string from = fmt::format("{}, {}", memory_type(p_[loads[n].t].type), *extent);
    lanes_[loads[n].node] = fmt::format("tecc_r{}.lane[tecc_lane]", n);
    if (!loads[n].exists.empty()) {
      load_existing(id, v, loads[n].t, loads[n].index, loads[n].word / bytes_of(p_[loads[n].t].type), loads[n].exists, fmt::format("tecc_r{}", n), from);
      continue;
    }
    const std::string load = narrow(loads[n].t, loads[n].word) ? fmt::format("{}<{}, {}>", call("tecc_load_words"), from, loads[n].word) : fmt::format("{}<{}>", is_once(b, loads[n].t) ? call("tecc_load_once") : "tecc_load", from);
    const std::string loaded = fmt::format("{}(&{})", load, element(id, loads[n].t, loads[n].index));
    if (!or_zeros) line(fmt::format("const auto tecc_r{} = {};", n, loaded));
    else if (narrow(loads[n].t, loads[n].word)) line(fmt::format("const auto tecc_r{} = {} ? {} : tecc_vec<{}>{{}};", n, condition, loaded, from));
    else line(fmt::format("const auto tecc_r{} = {}<{}>(&{}, {});", n, call("tecc_load_or_zeros"), from, element(id, loads[n].t, loads[n].index), condition));
  }
  if (wide_store) line(fmt::format("tecc_vec<{}, {}> tecc_w;", memory_type(p_[w.buffer].type), *extent));
  line("#pragma unroll");
  line(fmt::format("for (int tecc_lane = 0; tecc_lane < {}; ++tecc_lane) {{", *extent));
  ++depth_;
  line(fmt::format("const {} {} = tecc_lane;", index_type(), loop_var(v)));
  declare_along(b, v);
  if (wide_store) line(fmt::format("tecc_w.lane[tecc_lane] = {};", value(w.value)));
  else line(fmt::format("{} = {};", element(id, w.buffer, w.index), value(w.value)));
  --depth_;
  line("}");
  const std::string store = wide_store && narrow(w.buffer, *wide_store) ? fmt::format("{}<{}>", call("tecc_store_words"), *wide_store) : is_once(b, w.buffer) ? call("tecc_store_once") : "tecc_store";
  if (wide_store) line(fmt::format("{}(&{}, tecc_w);", store, element(id, w.buffer, w.index)));
  --depth_;
  line("}");
  if (zeros && wide_store) line(fmt::format("else {}(&{}, tecc_vec<{}, {}>{{}});", store, element(id, w.buffer, w.index), memory_type(p_[w.buffer].type), *extent));
  lanes_.clear();
  close_block();
  return true;
}

}  // namespace tecc::codegen::cuda
