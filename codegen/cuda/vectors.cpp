#include "codegen/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/access.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/numeric.h"

namespace tecc::codegen::cuda {

using namespace loop;

bool KernelEmitter::fits_vector(std::int64_t bytes) { return bytes == 2 || bytes == 4 || bytes == 8 || bytes % 16 == 0; }

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
  // Bytes of one access; none where the elements are not neighbours, or the pointer allows no more than one of them.
  const auto wide = [&](TensorId t, const std::vector<Expr>& index) -> std::optional<std::int64_t> {
    const Buffer& buffer = p_[t];
    const std::int64_t element = bytes_of(buffer.type), bytes = *extent * element;
    const bool in_registers = buffer.storage && buffer.storage->private_to_thread;
    if (buffer.by_value || in_registers || !fits_vector(bytes)) return std::nullopt;
    const std::int64_t word = std::min({bytes, std::int64_t{16}, buffer.scope == Scope::global ? buffer.alignment : 16});
    if (word < bytes && word == element) return std::nullopt;
    return is_vector(p_, address_of(p_, id, t, index), v, std::min(word / element, *extent)) ? std::optional(word) : std::nullopt;
  };
  const auto narrow = [&](TensorId t, std::int64_t word) { return word < std::min<std::int64_t>(*extent * bytes_of(p_[t].type), 16); };
  struct Load { const ExprNode* node; TensorId t; std::vector<Expr> index; std::int64_t word; };
  std::vector<Load> loads;
  walk(w.value, [&](const Expr& e) {
    if (const auto* r = e.as<Read>(); r && (!r->otherwise || in_bounds(p_, b, *r).empty()))
      if (const auto word = wide(r->tensor, r->index)) loads.push_back({&*e, r->tensor, r->index, *word});
    return true;
  });
  const auto wide_store = wide(w.buffer, w.index);
  const bool zeros = fills(b);
  if (!wide_store && (loads.empty() || (zeros && loads[0].node != &*w.value))) return false;
  const bool or_zeros = zeros && !wide_store;  // the load itself is left out, not the statement

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
    const std::string load = narrow(loads[n].t, loads[n].word) ? fmt::format("{}<{}, {}>", call("tecc_load_words"), from, loads[n].word) : fmt::format("{}<{}>", is_once(b, loads[n].t) ? call("tecc_load_once") : "tecc_load", from);
    const std::string loaded = fmt::format("{}(&{})", load, element(id, loads[n].t, loads[n].index));
    if (!or_zeros) line(fmt::format("const auto tecc_r{} = {};", n, loaded));
    else if (narrow(loads[n].t, loads[n].word)) line(fmt::format("const auto tecc_r{} = {} ? {} : tecc_vec<{}>{{}};", n, condition, loaded, from));
    else line(fmt::format("const auto tecc_r{} = {}<{}>(&{}, {});", n, call("tecc_load_or_zeros"), from, element(id, loads[n].t, loads[n].index), condition));
    lanes_[loads[n].node] = fmt::format("tecc_r{}.lane[tecc_lane]", n);
  }
  if (wide_store) line(fmt::format("tecc_vec<{}, {}> tecc_w;", memory_type(p_[w.buffer].type), *extent));
  line("#pragma unroll");
  line(fmt::format("for (int tecc_lane = 0; tecc_lane < {}; ++tecc_lane) {{", *extent));
  ++depth_;
  line(fmt::format("const {} {} = tecc_lane;", index_type(), loop_var(v)));
  {
    std::set<LoopId> retired;
    for (const Iter& i : b.iters) declare_retired(i.binding, retired);
    for (const Iter& i : b.iters)
      if (depends_on(p_, i.binding, v)) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
  }
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
