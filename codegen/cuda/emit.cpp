#include "codegen/cuda/emit.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/cuda/instructions.h"
#include "codegen/cuda/kernel.h"
#include "codegen/cuda/prelude.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"

namespace tecc::codegen::cuda {

using namespace loop;

namespace {

bool by_instruction(const Block& b) {
  return b.tile && (is_bulk(b.tile->via) || b.tile->via == Via::wgmma || b.tile->via == Via::mma_sync || b.tile->via == Via::stmatrix || b.tile->via == Via::ldmatrix || b.tile->via == Via::cp_async);
}

}  // namespace

KernelEmitter::KernelEmitter(const Program& p, StmtId root, std::string name) : p_(p), root_(root), names_(names_of(p)) {
  kernel_.name = std::move(name);
  kernel_.start = p[root].as<Root>()->start;
  for (BlockId b : blocks_under(p, root))
    if (p[b].role != Stmt::every_role && std::find(kernel_roles_.begin(), kernel_roles_.end(), p[b].role) == kernel_roles_.end()) kernel_roles_.push_back(p[b].role);
  std::sort(kernel_roles_.begin(), kernel_roles_.end());
  kernel_.threads = kernel_roles_.empty() ? compiler::threads_of(p, root) : 0;
  for (std::uint32_t r : kernel_roles_) kernel_.threads += 128 * p.roles[r].warpgroups;
  kernel_.residents = residents();
  threads_ = kernel_.threads;
  kernel_.cluster = blocks_of(ranks_of(p, root));
  for (BlockId b : blocks_under(p, root))
    if (by_instruction(p.block(b))) tops_[p.block(b).tile->via == Via::cp_async ? p.block(b).tile->atom : p.block(b).tile->top] = b;  // its threads stand around
}

/// Registers that a thread starts with where an SM runs so many blocks, as ptxas hands them out.
std::int64_t KernelEmitter::registers_at_launch(std::int64_t residents) const {
  constexpr std::int64_t file = 65536, most_of_a_thread = 255, unit = 8;
  return std::min(file / (residents * kernel_.threads), most_of_a_thread) / unit * unit;
}

/// Blocks that an SM has registers for at once: what the threads start with must be what the roles will take. Without roles it is an estimate, by what
/// threads keep; a block too many waits for the end of another one.
std::int64_t KernelEmitter::residents() const {
  constexpr std::int64_t threads_an_sm = 2048, registers_an_sm = 65536;
  if (kernel_roles_.empty()) {
    std::int64_t registers = 32;  // addresses, and what is on its way
    std::set<TensorId> kept;
    for (BlockId b : blocks_under(p_, root_))
      for (const Write& w : p_.block(b).writes)
        if (const auto& storage = p_[w.buffer].storage; storage && storage->private_to_thread && kept.insert(w.buffer).second) registers += (storage->elements * bytes_of(p_[w.buffer].type) + 3) / 4;
    return std::max<std::int64_t>(std::min(threads_an_sm, registers_an_sm / registers) / kernel_.threads, 1);
  }
  std::int64_t taken = 0, best = 1;
  for (std::uint32_t r : kernel_roles_) {
    if (p_.roles[r].registers == 0) return 1;
    taken += p_.roles[r].warpgroups * 128 * p_.roles[r].registers;
  }
  for (std::int64_t n = 2; n * kernel_.threads <= threads_an_sm; ++n)
    if (registers_at_launch(n) * kernel_.threads >= taken) best = n;
  return best;
}

Result<Kernel> KernelEmitter::run(std::string& out, std::set<std::string>& functions) {
  functions_ = &functions;
  collect();
  header();
  const auto next = std::find(p_.kernels.begin(), p_.kernels.end(), root_) + 1;
  if (next != p_.kernels.end() && p_[*next].as<Root>()->start != Root::Start::ordered) line(call("tecc_launch_next") + "();");
  declare_storage();
  declare_channels();
  if (kernel_.start == Root::Start::dependent) line(call("tecc_await_kernel") + "();");
  if (kernel_roles_.empty()) {
    if (kernel_.threads > 1) line("const int tid = threadIdx.x;");
    body();
  } else {
    roles();
  }
  if (kernel_.cluster > 1) line(call("tecc_cluster_sync") + "();");  // others may still arrive at this block's barriers
  if (kernel_.start == Root::Start::concurrent) line(call("tecc_await_kernel") + "();");  // whoever awaits this kernel's end awaits theirs
  if (why_) return *why_;
  const std::string bounds = kernel_roles_.empty() ? fmt::format("{}", kernel_.threads) : fmt::format("{}, {}", kernel_.threads, kernel_.residents);
  out += fmt::format("\nextern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n", bounds, kernel_.name, parameters_) + out_ + "}\n";
  return kernel_;
}

std::string KernelEmitter::loop_var(LoopId l) const { return identifier(names_.var(p_.loop(l).var)); }

/// What counts the iterations that have run.
std::string KernelEmitter::counter(LoopId l) { return p_.loop(l).reversed ? loop_var(l) + "_n" : loop_var(l); }

/// The loops of the grid, outermost first.
std::vector<LoopId> KernelEmitter::grid() const { return grid_of(p_, root_); }

/// What the kernel touches, in order of first use; whether 32 bits suffice for its indices.
void KernelEmitter::collect() {
  const std::vector<LoopId> blocks = grid();
  inside_ = blocks.empty() ? root_ : blocks.back();
  const auto touch = [&](TensorId t) {
    if (buffer_names_.count(t)) return;
    std::string name = identifier(p_[t].name);
    while (!taken_.insert(name).second) name += "_";
    buffer_names_[t] = name;
    if (p_[t].scope == Scope::global) globals_.push_back(t);
  };
  constexpr std::int64_t limit = (std::int64_t{1} << 31) - 1;
  const auto measure = [&](TensorId t) {
    if (only_bulk(t)) return;  // coordinates, not addresses
    std::int64_t elements = 1;
    for (const Expr& e : p_[t].shape)
      if (__builtin_mul_overflow(elements, std::max<std::int64_t>(largest(p_, e), 1), &elements)) elements = limit + 1;
    wide_ |= p_[t].scope == Scope::global && elements > limit;
  };
  // What a formula of indices has on the way may be larger than what comes out.
  const auto measure_formulas = [&](const Block& b, const Expr& e) {
    walk(e, [&](const Expr& x) {
      const auto r = x.as<Binary>() && x->type == DType::i64 ? range_of(p_, &b, x) : std::nullopt;
      wide_ |= r && (r->low < -limit || r->high > limit);
      return true;
    });
  };
  for (BlockId id : blocks_under(p_, root_)) {
    const Block& b = p_.block(id);
    for (TensorId t : read_buffers(b)) touch(t), measure(t);
    for (const Expr& e : b.predicate) measure_formulas(b, e);
    for (const Write& w : b.writes) {
      touch(w.buffer), measure(w.buffer);
      measure_formulas(b, w.value);
      for (const Expr& e : w.index) measure_formulas(b, e);
      walk(w.value, [&](const Expr& e) {  // i64 arithmetic of tensors needs its own width: values are typed, indices are not
        if (e.as<Read>() || e.as<Cast>()) wide_ |= e->type == DType::i64;
        return true;
      });
    }
    for (const Iter& i : b.iters) wide_ |= range_of(p_, i.binding).high > limit || largest(p_, i.upper) > limit;
    if (b.combiner == Reducer::argmax || b.combiner == Reducer::argmin) wide_ = true;
  }
}

/// True if bulk tensor copies alone touch the buffer: they go through a tensor map.
bool KernelEmitter::only_bulk(TensorId t) const {
  for (BlockId id : blocks_under(p_, root_)) {
    const Block& b = p_.block(id);
    if ((reads(b, t) || writes(b, t)) && !(b.tile && b.tile->via == Via::bulk_tensor)) return false;
  }
  return true;
}

void KernelEmitter::header() {
  std::vector<std::string> params;
  for (BlockId id : blocks_under(p_, root_)) {
    const Block& b = p_.block(id);
    if (!b.tile || b.tile->via != Via::bulk_tensor) continue;
    const TensorId written = b.writes[0].buffer, read = b.writes[0].value.as<Read>()->tensor;
    const bool load = p_[written].scope == Scope::shared;
    map_of(id, load ? read : written, load ? written : read);
  }
  for (const std::string& m : maps_) params.push_back(fmt::format("const __grid_constant__ tecc_tensor_map {}", m));
  for (TensorId t : globals_) {
    const Buffer& b = p_[t];
    if (only_bulk(t)) continue;
    kernel_.arguments.push_back(BufferArgument{t});
    const std::vector<BlockId> all = blocks_under(p_, root_);
    const bool written = std::any_of(all.begin(), all.end(), [&](BlockId x) { return writes(p_.block(x), t); });
    if (b.by_value) params.push_back(fmt::format("{} {}", memory_type(b.type), buffer_names_[t]));
    else if (kernel_.start == Root::Start::dependent && !written && b.role != Role::input) params.push_back(fmt::format("const {}* {}", memory_type(b.type), buffer_names_[t]));  // another kernel may be writing it
    else params.push_back(fmt::format("{}{}* __restrict__ {}", written ? "" : "const ", memory_type(b.type), buffer_names_[t]));
  }
  for (const auto& [v, range] : p_.dims) {
    kernel_.arguments.push_back(DimArgument{v});
    params.push_back(fmt::format("long long {}", identifier(p_.vars[v].name) + "_dim"));
  }
  parameters_ = fmt::format("{}", fmt::join(params, ", "));
  for (const auto& [v, range] : p_.dims)
    line(fmt::format("const {} {} = {}_dim;", index_type(), identifier(p_.vars[v].name), identifier(p_.vars[v].name)));
}

void KernelEmitter::declare_storage() {
  const std::function<void(StmtId)> scratch = [&](StmtId s) {
    if (const auto* c = p_[s].as<Combine>()) {
      std::string name = identifier(p_[c->scratch].name);
      while (!taken_.insert(name).second) name += "_";
      buffer_names_[c->scratch] = name;
    }
    for (StmtId child : p_[s].children) scratch(child);
  };
  scratch(root_);
  kernel_.shared_bytes = compiler::shared_bytes(p_, root_);
  if (kernel_.shared_bytes) line("extern __shared__ __align__(1024) unsigned char tecc_shared[];");
  for (const auto& [t, name] : buffer_names_) {
    const Buffer& b = p_[t];
    if (b.scope == Scope::shared) {
      line(fmt::format("{0}* const {1} = reinterpret_cast<{0}*>(tecc_shared + {2});", memory_type(b.type), name, b.storage->offset_bytes));
    } else if (b.scope != Scope::global) {
      line(fmt::format("alignas(16) {} {}[{}];", memory_type(b.type), name, std::max<std::int64_t>(b.storage->elements * b.slots, 1)));
    }
  }
}

/// Full and empty barriers of each slot, set up by one thread.
void KernelEmitter::declare_channels() {
  std::vector<std::string> inits;
  for (std::uint32_t n = 0; n < p_.channels.size(); ++n) {
    const Channel& c = p_.channels[n];
    if ((c.how != Channel::How::mbarrier && c.how != Channel::How::ahead) || root_of(p_, c.loop) != root_) continue;
    line(fmt::format("const unsigned tecc_c{} = tecc_smem(tecc_shared) + {};  // {}: full and empty barriers", n, c.offset_bytes, p_[c.buffers[0]].name));
    for (std::int64_t owner = 0; owner < c.owners; ++owner)
      inits.push_back(fmt::format("for (int i = 0; i < {0}; ++i) {1}(tecc_c{2} + {3} + 8 * i, {4}), {1}(tecc_c{2} + {5} + 8 * i, {6});", c.slots, call("tecc_barrier_init"), n,
                                  16 * c.slots * owner, c.full_arrivals, 16 * c.slots * owner + 8 * c.slots, c.empty_arrivals));
  }
  for (const std::string& m : maps_) inits.push_back(fmt::format("{}(&{});", call("tecc_prefetch_map"), m));
  if (inits.empty()) return;
  line("if (threadIdx.x == 0) {");
  for (const std::string& i : inits) line("  " + i);
  line(fmt::format("  {}();", call("tecc_barrier_init_fence")));
  line("}");
  line(kernel_.cluster > 1 ? call("tecc_cluster_sync") + "();" : "__syncthreads();");
}

void KernelEmitter::roles() {
  const std::int64_t at_launch = registers_at_launch(kernel_.residents);
  std::int64_t first = 0;
  for (const std::uint32_t number : kernel_roles_) {
    role_ = number;
    const WarpRole& r = p_.roles[role_];
    const bool last = number == kernel_roles_.back();
    threads_ = 128 * r.warpgroups;
    line(fmt::format("{}{}{{  // role {}", first ? "else " : "", last ? "" : fmt::format("if (threadIdx.x < {}) ", first + threads_), role_ + 1));
    ++depth_;
    if (r.registers) line(fmt::format("{}<{}>();", call(r.registers < at_launch ? "tecc_fewer_registers" : "tecc_more_registers"), r.registers));
    line(fmt::format("const int tid = threadIdx.x - {};", first));
    elected_ = is_elected_role();
    if (elected_) {
      line("if (tid == 0) {");
      ++depth_;
    }
    body();
    if (elected_) {
      --depth_;
      line("}");
    }
    --depth_;
    line("}");
    first += threads_;
  }
}

/// True if one thread does all that the role does: it issues bulk copies.
bool KernelEmitter::is_elected_role() const {
  for (BlockId b : blocks_under(p_, root_))
    if (p_[b].role == role_ && (!is_bulk(via_of(p_.block(b))) || is_shared_out(p_, b))) return false;
  bool alone = true;
  const std::function<void(StmtId)> visit = [&](StmtId s) {
    if (p_[s].role == role_ && p_[s].as<Barrier>()) alone = false;
    for (StmtId c : p_[s].children) visit(c);
  };
  visit(root_);
  return alone;
}

/// True if the statement is printed now: it belongs to the role, and to the stages that run.
bool KernelEmitter::shows(StmtId s) const {
  const Stmt& row = p_[s];
  if (!row.children.empty()) return std::any_of(row.children.begin(), row.children.end(), [&](StmtId c) { return shows(c); });
  return (role_ == Stmt::every_role || row.role == role_ || row.role == Stmt::every_role) && row.stage >= first_stage_ && row.stage <= last_stage_;
}

/// The stage of the role's statements that use the channel.
std::uint32_t KernelEmitter::stage_of(std::uint32_t channel) const {
  std::uint32_t stage = 0;
  const std::function<void(StmtId)> visit = [&](StmtId s) {
    if (const auto* op = p_[s].as<Sync>(); op && op->channel == channel && p_[s].role == role_ && op->op != Sync::Op::await_mma) stage = std::max(stage, p_[s].stage);
    for (StmtId c : p_[s].children) visit(c);
  };
  visit(root_);
  return stage;
}

/// The statements of the kernel, or of the role.
void KernelEmitter::body() {
  for (std::uint32_t n = 0; n < p_.channels.size(); ++n)
    if (root_of(p_, p_.channels[n].loop) == root_ && counts(n)) line(fmt::format("int tecc_slot{0} = 0;{1}", n, has_parity(n) ? fmt::format(" unsigned tecc_parity{} = 0;", n) : ""));
  for (const Turns& t : p_.turns)  // the first warpgroup finds its turn
    if (root_of(p_, t.loop) == root_ && p_[t.critical[0]].role == role_)
      line(fmt::format("if (tid / 128 == {}) {}({});", constant_extent(p_, t.loop).value_or(1) - 1, call("tecc_pass_turn"), first_turn));
  const std::vector<LoopId> blocks = grid();
  kernel_.grid = index_literal(1);  // clusters, where there are any
  for (LoopId l : blocks)
    if (p_.loop(l).group == Group::block) kernel_.grid = kernel_.grid * p_.loop(l).extent;
  const std::string first = kernel_.cluster > 1 ? fmt::format("blockIdx.x / {}", kernel_.cluster) : "blockIdx.x", all = kernel_.cluster > 1 ? fmt::format("gridDim.x / {}", kernel_.cluster) : "gridDim.x";
  kernel_.persistent = !blocks.empty() && p_.loop(blocks.back()).persistent;
  if (kernel_.persistent && p_.loop(blocks.back()).stages) {
    staged_grid(p_.loop(blocks.back()).stages);
  } else if (kernel_.persistent) {
    line(fmt::format("for ({0} bid = {2}; bid < {1}; bid += {3}) {{", index_type(), value(kernel_.grid), first, all));
    ++depth_;
    decode_grid("bid");
  } else if (!blocks.empty()) {
    line(fmt::format("const {} bid = {};", index_type(), first));
    decode_grid("bid");
  }
  if (!kernel_.persistent || !p_.loop(blocks.back()).stages)
    for (StmtId c : p_[inside_].children)
      if (shows(c)) statement(c);
  if (kernel_.persistent && !p_.loop(blocks.back()).stages) {
    for (LoopId l : blocks) advance_channels(l);
    --depth_;
    line("}");
  }
  if (inside_ != root_)
    for (std::size_t n = 1; n < p_[root_].children.size(); ++n)
      if (shows(p_[root_].children[n])) statement(p_[root_].children[n]);
}

/// Rounds of a block that runs ahead of itself: what has stage 0 works on this round, the rest on that of `stages` rounds before.
void KernelEmitter::staged_grid(std::uint32_t stages) {
  line(fmt::format("const int tecc_rounds = ({} - blockIdx.x + gridDim.x - 1) / gridDim.x;", value(kernel_.grid)));
  line(fmt::format("for (int tecc_n = 0; tecc_n < tecc_rounds + {}; ++tecc_n) {{", stages));
  ++depth_;
  for (const std::uint32_t stage : {std::uint32_t{0}, stages}) {
    line(stage == 0 ? "if (tecc_n < tecc_rounds) {" : fmt::format("if (tecc_n >= {}) {{", stages));
    ++depth_;
    line(fmt::format("const int tecc_round = tecc_n - {};", stage));
    line(fmt::format("const {} bid = blockIdx.x + tecc_round * gridDim.x;", index_type()));
    decode_grid("bid");
    first_stage_ = last_stage_ = stage;
    for (StmtId c : p_[inside_].children)
      if (shows(c)) statement(c);
    --depth_;
    line("}");
  }
  first_stage_ = 0;
  last_stage_ = ~std::uint32_t{0};
  --depth_;
  line("}");
}

/// The loops of the grid from the number of the block: mixed radix, or in bands where two loops form a raster.
void KernelEmitter::decode_grid(const std::string& bid) {
  const std::vector<LoopId> loops = grid();
  std::string faster;
  const auto divided = [&] { return faster.empty() ? bid : fmt::format("{} / ({})", bid, faster); };
  const auto let = [&](const std::string& name, const std::string& text) { line(fmt::format("const {} {} = {};", index_type(), name, text)); };
  for (auto l = loops.rbegin(); l != loops.rend(); ++l) {
    if (p_.loop(*l).group == Group::cluster) continue;
    const auto& raster = p_.loop(*l).raster;
    const bool slowest = (raster ? raster->outer : *l) == *std::find_if(loops.begin(), loops.end(), [&](LoopId x) { return p_.loop(x).group == Group::block; });
    if (!raster) {
      const std::string extent = value(p_.loop(*l).extent);
      let(loop_var(*l), divided() + (slowest ? "" : " % " + extent));
      faster += (faster.empty() ? "" : " * ") + extent;
      continue;
    }
    const LoopId outer = raster->outer, inner = *l;
    const std::string rows = value(p_.loop(outer).extent), columns = value(p_.loop(inner).extent), i = loop_var(outer), j = loop_var(inner);
    const std::string tile = slowest ? divided() : fmt::format("{} % ({} * {})", divided(), rows, columns);
    let("tecc_tile", tile);
    let("tecc_band", fmt::format("tecc_tile / ({} * {}) * {}", raster->group, columns, raster->group));
    let("tecc_high", fmt::format("tecc_min<{}>({}, {} - tecc_band)", index_type(), raster->group, rows));
    let("tecc_rest", fmt::format("tecc_tile - tecc_band * {}", columns));
    let(i, "tecc_band + tecc_rest % tecc_high");
    let(j, raster->longest_first ? fmt::format("{} - 1 - tecc_rest / tecc_high", columns) : "tecc_rest / tecc_high");
    faster += fmt::format("{}{} * {}", faster.empty() ? "" : " * ", rows, columns);
    while (*l != outer) ++l;
  }
  for (const RankLoop& r : ranks_of(p_, root_)) let(loop_var(r.loop), rank_digit(r));
}

/// Rounds of alternating channels that belong to as many other iterations of `l`.
void KernelEmitter::pass_over(LoopId l, const std::string& iterations) {
  for (std::uint32_t n = 0; n < p_.channels.size(); ++n) {
    const Channel& c = p_.channels[n];
    if (!counts(n)) continue;
    if (const auto loops = alternating_loops(p_, c); std::find(loops.begin(), loops.end(), l) == loops.end()) continue;
    std::string rounds = iterations;
    for (LoopId r : rounds_within(p_, c, l)) rounds += fmt::format(" * {}", value(p_.loop(r).extent));
    line(fmt::format("tecc_slot{0} += {1}; tecc_parity{0} ^= tecc_slot{0} / {2} & 1; tecc_slot{0} %= {2};", n, rounds, c.slots));
  }
}

/// At the end of an iteration of `l`: its channels go on to the next slot.
void KernelEmitter::advance_channels(LoopId l) {
  for (std::uint32_t n = 0; n < p_.channels.size(); ++n) {
    const Channel& c = p_.channels[n];
    if (c.loop != l || !counts(n)) continue;
    if (const std::uint32_t stage = stage_of(n); stage < first_stage_ || stage > last_stage_) continue;
    if (c.slots == 1) line(fmt::format("tecc_parity{} ^= 1;", n));
    else line(fmt::format("if (++tecc_slot{0} == {1}) tecc_slot{0} = 0{2};", n, c.slots, has_parity(n) ? fmt::format(", tecc_parity{} ^= 1", n) : ""));
  }
}

Result<Module> emit(const Program& p) {
  Module module;
  std::string kernels;
  std::set<std::string> functions;
  for (std::size_t n = 0; n < p.kernels.size(); ++n) {
    const std::string name = identifier(p.name) + (p.kernels.size() == 1 ? "" : fmt::format("_{}", n));
    TECC_TRY(Kernel k, KernelEmitter(p, p.kernels[n], name).run(kernels, functions));
    module.kernels.push_back(std::move(k));
  }
  module.source = std::string(prelude) + instruction_functions(functions) + kernels;
  return module;
}

}  // namespace tecc::codegen::cuda
