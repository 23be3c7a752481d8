#include <fmt/format.h>

#include <algorithm>

#include "codegen/cuda/instructions.h"
#include "codegen/cuda/kernel.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"

/// Statements that instructions carry out, and the operations that order asynchronous work.
namespace tecc::codegen::cuda {

using namespace loop;

/// Cache policies as createpolicy makes them (CUTLASS, TMA::CacheHintSm90).
constexpr std::string_view evict_first = "0x12f0000000000000ull", evict_last = "0x14f0000000000000ull";

/// The loops of one execution of the instruction, its threads included.
std::vector<LoopId> KernelEmitter::atom_loops(BlockId id) const {
  std::vector<LoopId> out = loops_around(p_, id);
  std::erase_if(out, [&](LoopId l) { return !is_inside(p_, l, p_.block(id).tile->atom); });
  return out;
}

// ---- addresses ----------------------------------------------------------------------------------------------------------
/// The address of the first element that one execution touches.
Address KernelEmitter::at_atom(BlockId id, TensorId t, const std::vector<Expr>& index) {
  Address a = address_of(p_, id, t, index, atom_loops(id));
  if (!a.general.empty()) why_ = refuse(Code::tile_form, p_.block(id).name, fmt::format("the place of its part of '{}' is no sum of digits", p_[t].name));
  return a;
}

std::string KernelEmitter::shared_bytes(TensorId t, const Address& a) {
  return fmt::format("{}({}) + ({}) * {}", call("tecc_smem"), buffer_names_[t], address(a, t), bytes_of(p_[t].type));
}

// ---- tiles --------------------------------------------------------------------------------------------------------------
void KernelEmitter::tile(StmtId top, BlockId id) {
  const Block& b = p_.block(id);
  enter(id);
  line(fmt::format("{{  // {}", b.name));
  ++depth_;
  if (b.tile->via == Via::wgmma) line(call("tecc_wgmma_fence") + "();");
  tile_loops(top, id);
  if (b.tile->via == Via::wgmma) line(call("tecc_wgmma_commit") + "();");
  close_block();
}

void KernelEmitter::tile_loops(StmtId s, BlockId id) {
  const Block& b = p_.block(id);
  if (s != b.tile->atom) {
    const LoopId l = s;
    line("#pragma unroll");
    line(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", loop_var(l), *constant_extent(p_, l)));
    ++depth_;
    tile_loops(p_[s].children[0], id);
    --depth_;
    line("}");
    return;
  }
  // Loops that were split where radices do not line up place the tile as others do; those that run within the instruction stand at their first iteration.
  placed_.clear();
  for (const Iter& i : b.iters) declare_retired(at_zero(p_, normal(p_, i.binding), atom_loops(id)), placed_);
  switch (b.tile->via) {
    case Via::wgmma: return product(id);
    case Via::mma_sync: return warp_product(id);
    case Via::stmatrix: return store_matrix(id);
    case Via::ldmatrix: return load_matrix(id);
    case Via::cp_async: return copy_async(id);
    default: return bulk_copy(id);
  }
}

/// A factor in shared memory as a matrix descriptor.
std::string KernelEmitter::descriptor(BlockId id, const Read& r, VarId depth, bool& transposed) {
  const Buffer& b = p_[r.tensor];
  const std::size_t fast = b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back());
  transposed = !uses(r.index[fast], depth);
  // Between panels, when its rows are contiguous; along the depth the operand is one panel wide.
  const std::vector<Storage::Cut>& cuts = b.storage->dims[fast].cuts;
  const std::int64_t leading = transposed && cuts.size() == 2 ? cuts[0].place * bytes_of(b.type) : 16;
  const int mode = b.swizzle == 128 ? 1 : b.swizzle == 64 ? 2 : 3;
  return fmt::format("{}<{}, {}, {}>({})", call("tecc_descriptor"), leading, 8 * b.swizzle, mode, shared_bytes(r.tensor, at_atom(id, r.tensor, r.index)));
}

void KernelEmitter::product(BlockId id) {
  const Block& b = p_.block(id);
  const Tile& tile = *b.tile;
  const Product factors = *product_of(b);
  const Read &ra = *factors.factor[tile.swap].read, &rb = *factors.factor[!tile.swap].read;
  const std::vector<LoopId> atom = atom_loops(id);
  VarId depth{};
  std::string add;  // the first execution over all of the depth overwrites
  for (const Iter& i : b.iters) {
    if (i.kind != IterKind::reduce) continue;
    depth = i.var;
    for (const Digit& d : at_zero(p_, i.binding, atom).digits) add += (add.empty() ? "" : " | ") + counter(d.loop);
  }
  if (b.init == Init::apart) add = "1";
  else add = add.empty() ? "0" : fmt::format("({}) != 0", add);
  const Write& w = b.writes[0];
  const bool in_registers = p_[ra.tensor].scope != Scope::shared;
  bool ta = false, tb = false;
  const std::string db = descriptor(id, rb, depth, tb);
  std::int64_t width = 1;  // columns of one execution: its registers, over all threads
  for (LoopId l : atom)
    if (p_.loop(l).group == Group::none && !feeds(p_, l, b, IterKind::reduce)) width *= *constant_extent(p_, l);
  const std::int64_t registers = width, columns = 2 * registers;
  std::string a;
  if (in_registers) {
    a = fmt::format("*reinterpret_cast<const unsigned(*)[4]>(&{})", element(at_atom(id, ra.tensor, ra.index), ra.tensor));
  } else {
    a = descriptor(id, ra, depth, ta);
  }
  const std::string function = call(product_function(*tile.instruction, columns, in_registers, ta, tb));
  line(fmt::format("{}(*reinterpret_cast<{}(*)[{}]>(&{}), {}, {}, {});", function, memory_type(p_[w.buffer].type), registers, element(at_atom(id, w.buffer, w.index), w.buffer), a, db, add));
}

void KernelEmitter::store_matrix(BlockId id) {
  const Block& b = p_.block(id);
  const Write& w = b.writes[0];
  const std::vector<LoopId> atom = atom_loops(id);
  const LoopId t = atom[0];
  const MatrixMove move = matrix_move(4);
  // Each thread names a run of eight elements: of a row of the accumulator, or of a column where those are contiguous.
  const Address place = at_atom(id, w.buffer, w.index);
  const Buffer& to = p_[w.buffer];
  const std::size_t fast = to.order.empty() ? to.shape.size() - 1 : static_cast<std::size_t>(to.order.back());
  std::int64_t pitch = 0;  // elements from one run to the next
  bool transposed = false;
  for (std::size_t d = 0; d < w.index.size(); ++d) {
    const auto* v = w.index[d].as<Var>();
    const Iter* i = v ? iter_of(b, v->id) : nullptr;
    if (!i) continue;
    for (const Digit& x : i->binding.digits)
      if (x.loop == t) {
        if (d != fast) pitch = to.storage->dims[d].cuts.back().place;
        else transposed |= x.div == 4;
      }
  }
  std::string row, column;
  for (Piece x : move.address) {
    // Matrices keep their places; transposed, the lanes of one run through its columns.
    if (transposed && x.div == 1) x.dim = 1;
    std::string& sum = x.dim == 0 ? row : column;
    sum += fmt::format("{}{} % {} * {}", sum.empty() ? "" : " + ", x.div == 1 ? loop_var(t) : fmt::format("{} / {}", loop_var(t), x.div), x.count, x.stride);
  }
  if (*constant_extent(p_, t) > 32) row += fmt::format(" + {} / 32 * 16", loop_var(t));
  if (transposed) std::swap(row, column);
  line(fmt::format("const int {} = {};", loop_var(t), *constant_extent(p_, t) < threads_ ? fmt::format("tid % {}", *constant_extent(p_, t)) : std::string("tid")));
  line(fmt::format("tecc_vec<{}, 8> tecc_w;", memory_type(to.type)));
  std::set<LoopId> retired = placed_;
  std::size_t opened = 0;
  for (std::size_t n = 1; n < atom.size(); ++n, ++opened) {
    line("#pragma unroll");
    line(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", loop_var(atom[n]), *constant_extent(p_, atom[n])));
    ++depth_;
  }
  std::string lane;  // registers of the instruction in order: the innermost loop is the fastest
  std::int64_t weight = 1;
  for (std::size_t n = atom.size(); n-- > 1;) {
    lane = fmt::format("{}{}{}{}", loop_var(atom[n]), weight == 1 ? "" : fmt::format(" * {}", weight), lane.empty() ? "" : " + ", lane);
    weight *= *constant_extent(p_, atom[n]);
  }
  for (const Iter& i : b.iters) declare_retired(i.binding, retired);
  for (const Iter& i : b.iters) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
  std::string text = value(w.value), condition;
  for (const Expr& g : guards_of(b)) condition += (condition.empty() ? "" : " && ") + value(g);
  line(fmt::format("if ({}) tecc_w.lane[{}] = {};", condition.empty() ? "true" : condition, lane, text));
  for (; opened > 0; --opened) {
    --depth_;
    line("}");
  }
  const std::string at = fmt::format("{} + ({}) * {} + {}", address(place, w.buffer), row, pitch, column);
  line(fmt::format("{}(&{}[{}<{}, {}>({})], tecc_w);", call(transposed ? "tecc_stmatrix_transposed" : "tecc_stmatrix"), buffer_names_[w.buffer], call("tecc_swizzle"), memory_type(to.type), to.swizzle, at));
}

/// The tensor map of a copy between `global` and `shared`; made where there is none like it.
std::string KernelEmitter::map_of(BlockId id, TensorId global, TensorId shared) {
  const Block& b = p_.block(id);
  // Products of tf32 want operands that are rounded already; the copy rounds on its way.
  const std::vector<BlockId> readers = readers_of(p_, shared);
  const bool rounds = p_[global].type == DType::f32 && p_[b.writes[0].buffer].scope == Scope::shared && std::all_of(readers.begin(), readers.end(), [&](BlockId r) {
    const auto& tile = p_.block(r).tile;
    return tile && tile->instruction && tile->instruction->a == DType::tf32;
  });
  MapArgument map{global, rounds ? DType::tf32 : p_[global].type, {}, p_[shared].swizzle};
  for (std::size_t d = b.writes[0].index.size(); d-- > 0;) {  // innermost first
    std::int64_t extent = 1;
    if (const auto* v = b.writes[0].index[d].as<Var>())
      for (LoopId l : atom_loops(id))
        if (depends_on(p_, iter_of(b, v->id)->binding, l)) extent *= *constant_extent(p_, l);
    map.box.push_back(extent);
  }
  if (const std::int64_t blocks = blocks_of(compiler::sharers_of(p_, id)); blocks > 1) {
    const auto cut = shared_dim(id);
    std::int64_t& extent = map.box[map.box.size() - 1 - cut.value_or(0)];
    if (!cut || extent % (8 * blocks)) why_ = refuse(Code::copy_form, p_[shared].name, "bulk_tensor", fmt::format("{} blocks of a cluster cannot share out its {} rows; legal: multiples of {}", blocks, extent, 8 * blocks));
    extent /= blocks;
  }
  for (std::size_t n = 0, m = 0; n < kernel_.arguments.size(); ++n)
    if (const auto* known = std::get_if<MapArgument>(&kernel_.arguments[n])) {
      if (*known == map) return maps_[m];
      ++m;
    }
  std::string name = identifier(p_[global].name) + "_map";
  while (!taken_.insert(name).second) name += "_";
  kernel_.arguments.push_back(std::move(map));
  maps_.push_back(name);
  call("tecc_tensor_map");
  return name;
}

/// The iteration of a loop that is bound to the blocks of a cluster. Blocks of one have neighbouring numbers.
std::string KernelEmitter::rank_digit(const RankLoop& r) {
  return r.stride == 1 ? fmt::format("blockIdx.x % {}", r.extent) : fmt::format("blockIdx.x / {} % {}", r.stride, r.extent);
}

/// Of a warpgroup's threads one for each block that takes part in copies into this one, the thread of that block's rank.
std::string KernelEmitter::at_sender(std::uint32_t channel) const {
  std::string out = fmt::format("tid % 128 < {}", kernel_.cluster), any;
  const std::vector<RankLoop> ranks = ranks_of(p_, root_);
  for (const std::vector<RankLoop>& sharers : compiler::sharings_of(p_, p_.channels[channel])) {
    std::string same;  // what the copy follows: there the two ranks agree
    for (const RankLoop& r : ranks)
      if (std::none_of(sharers.begin(), sharers.end(), [&](const RankLoop& s) { return s.loop == r.loop; }))
        same += fmt::format("{}tid / {} % {} == {}", same.empty() ? "" : " && ", r.stride, r.extent, rank_digit(r));
    if (same.empty()) return out;  // all blocks of the cluster share it
    any += fmt::format("{}{}", any.empty() ? "" : " || ", same);
  }
  return out + fmt::format(" && ({})", any);
}

/// The dimension whose rows the blocks of a cluster share out: the one next to the contiguous one that is more than one element long.
std::optional<std::size_t> KernelEmitter::shared_dim(BlockId id) const {
  const Block& b = p_.block(id);
  for (std::size_t d = b.writes[0].index.size() - 1; d-- > 0;)
    if (const auto* v = b.writes[0].index[d].as<Var>())
      for (LoopId l : atom_loops(id))
        if (depends_on(p_, iter_of(b, v->id)->binding, l)) return d;
  return std::nullopt;
}

void KernelEmitter::bulk_copy(BlockId id) {
  const Block& b = p_.block(id);
  const Write& w = b.writes[0];
  const Read& r = *w.value.as<Read>();
  const bool load = p_[w.buffer].scope == Scope::shared;
  const TensorId shared = load ? w.buffer : r.tensor, global = load ? r.tensor : w.buffer;
  const std::vector<Expr>& index = w.index;
  if (load && !p_[shared].channel) {
    why_ = refuse(Code::copy_form, p_[shared].name, "bulk copies", "nothing waits for it; legal: a pipeline that names it");
    return;
  }
  const std::string place = shared_bytes(shared, at_atom(id, shared, load ? w.index : r.index));
  const std::string alone = elected_ ? "" : fmt::format("if ({}) ", elect(id));
  if (b.tile->via == Via::bulk) {
    std::int64_t bytes = bytes_of(p_[shared].type);
    for (LoopId l : atom_loops(id)) bytes *= *constant_extent(p_, l);
    const std::string far = fmt::format("&{}", element(at_atom(id, global, index), global));
    if (load) line(fmt::format("{}{}({}, {}, {}, {});", alone, call("tecc_bulk_load"), place, far, bytes, barrier_of(*p_[shared].channel, true, 0)));
    else line(fmt::format("{}{}({}, {}, {});", alone, call("tecc_bulk_store"), far, place, bytes));
    return;
  }
  const std::vector<RankLoop> sharers = load ? compiler::sharers_of(p_, id) : std::vector<RankLoop>{};
  const auto cut = sharers.empty() ? std::nullopt : shared_dim(id);
  std::string coordinates, part;
  for (std::size_t d = index.size(); d-- > 0;) {
    const auto affine = affine_of(index[d]);
    const auto all = affine ? binding_of(b, *affine) : std::nullopt;
    if (!all) {
      why_ = refuse(Code::tile_form, b.name, fmt::format("the place of its part of '{}' is no sum of digits", p_[global].name));
      return;
    }
    coordinates += ", " + binding(at_zero(p_, normal(p_, *all), atom_loops(id)));
    if (cut == d) {  // this block's rows
      std::int64_t rows = 1;
      for (LoopId l : atom_loops(id))
        if (depends_on(p_, iter_of(b, index[d].as<Var>()->id)->binding, l)) rows *= *constant_extent(p_, l);
      const std::int64_t row_bytes = p_[shared].storage->dims[d].cuts.back().place * bytes_of(p_[shared].type);
      for (const RankLoop& r : sharers) {
        rows /= r.extent;
        coordinates += fmt::format(" + (int)({}) * {}", rank_digit(r), rows);
        part += fmt::format(" + {} * {}", rank_digit(r), rows * row_bytes);
      }
    }
  }
  const std::string map = map_of(id, global, shared);
  const auto function = [&](TensorCopy copy) { return call(tensor_copy_function(copy, index.size(), b.hint != Hint::none)); };
  if (b.hint != Hint::none) coordinates += fmt::format(", {}", b.hint == Hint::evict_first ? evict_first : evict_last);
  if (!load) {
    line(fmt::format("{}{}(&{}, {}{});", alone, function(TensorCopy::store), map, place, coordinates));
    return;
  }
  if (!sharers.empty()) {
    std::int64_t mask = 0;
    for (std::int64_t rank : ranks_beside(0, sharers)) mask |= std::int64_t{1} << rank;
    std::string to = std::to_string(mask), first;  // the first of them: the ranks of the loops that the copy follows
    for (const RankLoop& r : ranks_of(p_, root_))
      if (std::none_of(sharers.begin(), sharers.end(), [&](const RankLoop& s) { return s.loop == r.loop; }))
        first += fmt::format("{}{} * {}", first.empty() ? "" : " + ", rank_digit(r), r.stride);
    if (!first.empty()) to += fmt::format(" << ({})", first);
    line(fmt::format("{}{}({}{}, &{}, {}, {}{});", alone, function(TensorCopy::share), place, part, map, barrier_of(*p_[shared].channel, true, 0), to, coordinates));
    return;
  }
  line(fmt::format("{}{}({}, &{}, {}{});", alone, function(TensorCopy::load), place, map, barrier_of(*p_[shared].channel, true, 0), coordinates));
}

// ---- order --------------------------------------------------------------------------------------------------------------
/// True if the channel's slot needs a counter: where all rounds of slots are complete each time the loop runs, its iteration tells.
bool KernelEmitter::counts(std::uint32_t n) const {
  const Channel& c = p_.channels[n];
  if (c.how == Channel::How::mbarrier || c.how == Channel::How::cp_async) return true;  // parity, or what runs ahead, goes on
  if (c.how != Channel::How::bulk_store) return false;
  const auto extent = constant_extent(p_, c.loop);
  return c.slots > 1 && (!extent || *extent % c.slots);
}

bool KernelEmitter::has_parity(std::uint32_t n) const { return p_.channels[n].how == Channel::How::mbarrier || p_.channels[n].how == Channel::How::bulk_store; }

std::string KernelEmitter::slot_of(std::uint32_t n, std::int64_t lag) const {
  const Channel& c = p_.channels[n];
  if (c.slots == 1) return "0";
  if (c.how == Channel::How::cp_async && p_[block_].stage == 0) {  // a copy: as many slots ahead as there are others, one behind
    if (ring_starts_.empty()) return fmt::format("(tecc_slot{0} == 0 ? {1} : tecc_slot{0} - 1)", n, c.slots - 1);
    return fmt::format("(tecc_slot{0} + {1} < {2} ? tecc_slot{0} + {1} : tecc_slot{0} + {1} - {2})", n, ring_starts_, c.slots);
  }
  if (c.how == Channel::How::ahead) return fmt::format("(tecc_round % {})", c.slots);
  std::string now = counts(n) ? fmt::format("tecc_slot{}", n) : fmt::format("{} % {}", identifier(names_.var(p_.loop(c.loop).var)), c.slots);  // rounds are complete: counting downwards will do
  if (lag == 0) return now;
  if (lag == 1 && counts(n)) return fmt::format("({0} == 0 ? {1} : {0} - 1)", now, c.slots - 1);
  if (lag < c.slots && counts(n)) return fmt::format("({0} < {1} ? {0} + {2} : {0} - {1})", now, lag, c.slots - lag);
  return fmt::format("({} + {}) % {}", now, c.slots - lag % c.slots, c.slots);
}

std::string KernelEmitter::parity_of(std::uint32_t n) const {
  return p_.channels[n].how == Channel::How::ahead ? fmt::format("(tecc_round / {} & 1)", p_.channels[n].slots) : fmt::format("tecc_parity{}", n);
}

std::string KernelEmitter::barrier_of(std::uint32_t n, bool full, std::int64_t lag) {
  const Channel& c = p_.channels[n];
  const std::string slot = slot_of(n, lag);
  std::string out = fmt::format("tecc_c{}", n);
  if (c.owners > 1) out += fmt::format(" + tid / 128 * {}", 16 * c.slots);
  if (!full) out += fmt::format(" + {}", 8 * c.slots);
  if (slot != "0") out += fmt::format(" + 8 * {}", slot);
  return out;
}

std::string KernelEmitter::one_thread(Group group) const {
  if (elected_) return "";
  return group == Group::warpgroup && threads_ > 128 ? "if (tid % 128 == 0) " : group == Group::warp ? "if (tid % 32 == 0) " : "if (tid == 0) ";
}

void KernelEmitter::barrier(const Barrier& b) {
  if (b.group == Group::warp) line("__syncwarp();");
  else if (b.group == Group::warpgroup) line(fmt::format("{}(threadIdx.x / 128 + 1, 128);", call("tecc_group_barrier")));
  else if (kernel_roles_.empty()) line("__syncthreads();");
  else line(fmt::format("{}({}, {});", call("tecc_group_barrier"), 15 - (role_ - kernel_roles_.front()), threads_));  // 0: the block, 1..: warpgroups
}

void KernelEmitter::sync(StmtId s, const Sync& op) {
  // After the loop's last iteration its counter stands at the next slot.
  const std::int64_t lag = op.lag + (p_.channels.empty() || is_inside(p_, s, p_.channels[op.channel].loop) ? 0 : 1);
  const std::string first = op.not_first == LoopId{} ? "" : op.lag > 1 ? fmt::format("if ({} >= {}) ", counter(op.not_first), op.lag) : fmt::format("if ({} != 0) ", counter(op.not_first));
  const auto parity = [&] { return parity_of(op.channel); };
  switch (op.op) {
    case Sync::Op::wait_full: line(fmt::format("{}({}, {});", call("tecc_wait"), barrier_of(op.channel, true, lag), parity())); break;
    case Sync::Op::wait_empty: line(fmt::format("{}({}, {} ^ 1);", call("tecc_wait"), barrier_of(op.channel, false, lag), parity())); break;
    case Sync::Op::expect: line(fmt::format("{}{}({}, {});", one_thread(op.group), call("tecc_expect"), barrier_of(op.channel, true, lag), op.count)); break;
    case Sync::Op::arrive_full: line(fmt::format("{}{}{}({});", first, one_thread(op.group), call("tecc_arrive"), barrier_of(op.channel, true, lag))); break;
    case Sync::Op::arrive_empty:
      if (op.count > 1) line(fmt::format("{}if ({}) {}({}, tid % 128);", first, at_sender(op.channel), call("tecc_arrive_cluster"), barrier_of(op.channel, false, lag)));
      else line(fmt::format("{}{}{}({});", first, one_thread(op.group), call("tecc_arrive"), barrier_of(op.channel, false, lag)));
      break;
    case Sync::Op::fence_async: line(call("tecc_fence_async") + "();"); break;
    case Sync::Op::await_mma: {  // at the two ends of a skewed loop fewer groups run
      const bool all = first_stage_ == 0 && last_stage_ != 0;
      line(fmt::format("{}<{}>();", call("tecc_wgmma_wait"), all ? op.count : 0));
      break;
    }
    case Sync::Op::await_turn: line(fmt::format("{}({} + tid / 128);", call("tecc_await_turn"), first_turn)); break;
    case Sync::Op::pass_turn: line(fmt::format("{}({} + (tid / 128 + 1) % {});", call("tecc_pass_turn"), first_turn, op.count)); break;
    case Sync::Op::commit_bulk: line(fmt::format("{}{}();", one_thread(op.group), call("tecc_commit_bulk"))); break;
    case Sync::Op::await_bulk_read: line(fmt::format("{}{}<{}>();", one_thread(op.group), call("tecc_await_bulk_read"), op.count)); break;
    case Sync::Op::await_bulk: line(fmt::format("{}{}<{}>();", one_thread(op.group), call("tecc_await_bulk"), op.count)); break;
    case Sync::Op::commit_copies: line(call("tecc_commit_copies") + "();"); break;
    case Sync::Op::await_copies: line(fmt::format("{}<{}>();", call("tecc_await_copies"), op.count)); break;
  }
}

}  // namespace tecc::codegen::cuda
