#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "ir/loop/affine.h"
#include "ir/simulate/code.h"

namespace tecc::simulator {
namespace {

constexpr std::int64_t most_threads = 1024;                    // a block
constexpr std::int64_t most_elements = std::int64_t{1} << 31;  // of a buffer, of a grid: what a run can take

bool is_thread_group(Group g) { return g == Group::thread || g == Group::warp || g == Group::warpgroup; }
bool is_bulk(Via v) { return v == Via::bulk || v == Via::bulk_tensor; }
Via via_of(const Block& b) { return b.tile ? b.tile->via : Via::plain; }
/// Done at once by many threads, or by another unit: not by running loops.
bool is_whole(Via v) { return is_bulk(v) || v == Via::wgmma || v == Via::mma_sync || v == Via::stmatrix || v == Via::ldmatrix; }

class Compiler {
 public:
  Compiler(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit) : p_(p), dims_(dims), shared_limit_(shared_limit) {
    k_.p = &p;
    k_.root = root;
    k_.name = p[root].as<Root>()->name;
    k_.loops.resize(p.stmts.size());
    k_.buffers.resize(p.buffers.size());
    k_.channels.resize(p.channels.size());
  }

  Result<Kernel> run() {
    for (BlockId b : blocks_under(p_, k_.root)) TECC_CHECK(tops(b));
    TECC_CHECK(grid());
    TECC_CHECK(loops(k_.root));
    TECC_CHECK(buffers());
    TECC_CHECK(channels());
    TECC_CHECK(roles());
    for (RoleCode& r : k_.roles) {
      role_ = r.role;
      const std::vector<LoopId> frame = grid_of(p_, k_.root);
      const StmtId inside = frame.empty() ? k_.root : StmtId(frame.back());
      if (!frame.empty()) {
        r.code.push_back({Op::Kind::grid, frame.back()});
        if (k_.grid_stages) skewed_ = k_.grid.back();
        TECC_CHECK(statements(inside, r, 0));
        skewed_.reset();
        r.code.push_back({Op::Kind::next_tile, frame.back(), 0});
        r.code[0].other = r.code.size();
        TECC_CHECK(statements(k_.root, r, 1));
      } else {
        TECC_CHECK(statements(inside, r, 0));
      }
    }
    return std::move(k_);
  }

 private:
  const Program& p_;
  const std::vector<std::int64_t>& dims_;
  std::int64_t shared_limit_;
  Kernel k_;
  std::map<StmtId, BlockId> tops_;
  std::map<BlockId, std::size_t> compiled_;
  std::uint32_t role_ = Stmt::every_role;
  std::optional<LoopId> skewed_;

  Refusal wrong(StmtId s, const std::string& what) const { return at(p_[s].at, refuse(Code::sim_form, k_.name, what)); }
  Refusal unknown(StmtId s, const std::string& what) const { return at(p_[s].at, refuse(Code::no_lowering, "simulator", what)); }
  std::string name(StmtId s) const { return p_[s].as<Block>() ? p_.block(s).name : loop_name(p_, s); }

  // ---- the frame: grid, loops, buffers, roles -----------------------------------------------------------------------------
  Check tops(BlockId id) {
    const Block& b = p_.block(id);
    if (!is_whole(via_of(b))) return Ok{};
    const auto live = [&](StmtId s) { return s != StmtId{} && p_.stmts.has(s) && (s == id || (p_[s].as<Loop>() && !p_.loop(s).retired && is_inside(p_, id, s))); };
    StmtId top = b.tile->top;
    if (!live(top)) {
      top = id;
      while (p_[p_[top].parent].as<Loop>() && p_[p_[top].parent].children.size() == 1) {
        const Group g = p_.loop(p_[top].parent).group;
        if (g != Group::none && (g != Group::thread || is_bulk(b.tile->via))) break;
        top = p_[top].parent;
      }
    }
    if (blocks_under(p_, top).size() != 1) return wrong(id, fmt::format("the tile of '{}' holds several blocks", b.name));
    tops_[top] = id;
    return Ok{};
  }

  Check grid() {
    for (LoopId l : grid_of(p_, k_.root)) (p_.loop(l).group == Group::cluster ? k_.ranks : k_.grid).push_back(l);
    if (k_.ranks.size() > 1) return unknown(k_.ranks[1], "two loops bound to the blocks of a cluster");
    if (!k_.ranks.empty()) {
      const auto size = constant_extent(p_, k_.ranks[0]);
      if (!size || *size < 1 || *size > 16) return wrong(k_.ranks[0], fmt::format("loop '{}' is bound to the blocks of a cluster but its extent is no constant from 1 to 16", name(k_.ranks[0])));
      k_.cluster = *size;
    }
    for (LoopId l : k_.grid) {
      bool constant = true;
      walk(p_.loop(l).extent, [&](const Expr& e) {
        if (const auto* v = e.as<Var>()) constant &= p_.dims.count(v->id) > 0;
        return true;
      });
      if (!constant) return unknown(l, fmt::format("a grid whose extent '{}' follows other loops", print(p_.loop(l).extent, names_of(p_))));
      k_.grid_extents.push_back(std::max<std::int64_t>(value(p_.loop(l).extent), 0));
      if (const auto& raster = p_.loop(l).raster)
        if (k_.grid.size() < 2 || std::find(k_.grid.begin(), k_.grid.end(), raster->outer) + 1 != std::find(k_.grid.begin(), k_.grid.end(), l))
          return wrong(l, fmt::format("the raster of loop '{}' is not with the loop around it", name(l)));
    }
    std::int64_t tiles = 1;
    for (std::int64_t e : k_.grid_extents)
      if (__builtin_mul_overflow(tiles, e, &tiles) || tiles > most_elements) return wrong(k_.grid[0], "its grid has too many blocks");
    for (std::size_t n = 0; n < k_.grid.size(); ++n) {
      if (p_.loop(k_.grid[n]).persistent && n + 1 != k_.grid.size()) return wrong(k_.grid[n], fmt::format("the persistent loop '{}' is not the innermost of the grid", name(k_.grid[n])));
      k_.persistent |= p_.loop(k_.grid[n]).persistent;
    }
    if (!k_.grid.empty() && p_.loop(k_.grid.back()).stages) {
      k_.grid_stages = k_.most_stages = p_.loop(k_.grid.back()).stages;
      if (!k_.persistent || k_.grid_stages > 31) return wrong(k_.grid.back(), fmt::format("copies run {} rounds ahead of loop '{}', whose blocks do not take iterations in turn", k_.grid_stages, name(k_.grid.back())));
    }
    return Ok{};
  }

  /// An expression over runtime dims.
  std::int64_t value(const Expr& e) const {
    if (const auto* l = e.as<Literal>()) return l->integer;
    if (const auto* v = e.as<Var>()) return dims_[v->id.n];
    if (const auto* s = e.as<Select>()) return value(s->condition) ? value(s->then) : value(s->otherwise);
    if (const auto* u = e.as<Unary>()) return interpreter::unary(u->op, {.integer = value(u->a)}, DType::i64, e->type).integer;
    const auto* b = e.as<Binary>();
    return b ? interpreter::binary(b->op, {.integer = value(b->a)}, {.integer = value(b->b)}, DType::i64, e->type).integer : 0;
  }

  std::int64_t inside_of(StmtId s, Group group) const {
    std::int64_t most = 1;
    for (StmtId c : p_[s].children) {
      const auto* l = p_[c].as<Loop>();
      const std::int64_t own = l && l->group == group ? std::clamp<std::int64_t>(constant_extent(p_, c).value_or(1), 1, most_elements) : 1;
      most = std::max(most, std::min(own * inside_of(c, group), most_elements));
    }
    return most;
  }

  Check loops(StmtId s) {
    for (StmtId c : p_[s].children) {
      if (const auto* l = p_[c].as<Loop>()) {
        LoopInfo& info = k_.loops[c.n];
        if (l->group == Group::cluster && std::find(k_.ranks.begin(), k_.ranks.end(), c) == k_.ranks.end())
          return wrong(c, fmt::format("loop '{}' is bound to the blocks of a cluster inside of other statements", name(c)));
        if (l->group == Group::block && std::find(k_.grid.begin(), k_.grid.end(), c) == k_.grid.end())
          return wrong(c, fmt::format("loop '{}' is bound to blocks inside of other statements", name(c)));
        info.extent = node(l->extent, nullptr);
        walk(l->extent, [&](const Expr& e) {
          if (const auto* v = e.as<Var>(); v && !p_.dims.count(v->id))
            if (const auto other = loop_of_var(p_, v->id)) info.follows_threads |= follows_threads(*other);
          return true;
        });
        if (is_thread_group(l->group)) {
          const auto extent = constant_extent(p_, c);
          if (!extent || *extent < 1 || *extent > most_threads) return wrong(c, fmt::format("loop '{}' is bound to threads but its extent is no constant from 1 to {}", name(c), most_threads));
          info.threads_extent = *extent;
          info.weight = inside_of(c, l->group) * (l->group == Group::warpgroup ? 128 : l->group == Group::warp ? 32 : 1);
          const std::vector<LoopId> around = loops_around(p_, c);
          if (info.weight > most_threads) return wrong(c, fmt::format("loop '{}' is bound to threads and holds more than {} of them", name(c), most_threads));
          if (std::none_of(around.begin(), around.end(), [&](LoopId o) { return is_thread_group(p_.loop(o).group); })) info.reach = info.weight * *extent;
        }
      }
      TECC_CHECK(loops(c));
    }
    return Ok{};
  }
  bool follows_threads(LoopId l) const {
    const auto& retired = p_.loop(l).retired;
    if (!retired) return is_thread_group(p_.loop(l).group) || k_.loops[l.n].follows_threads;
    return std::any_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return follows_threads(d.loop); });
  }

  Check buffers() {
    std::vector<TensorId> used;
    const auto use = [&](TensorId t) {
      if (std::find(used.begin(), used.end(), t) == used.end()) used.push_back(t);
    };
    for (BlockId id : blocks_under(p_, k_.root)) {
      for (TensorId t : read_buffers(p_.block(id))) use(t);
      for (const Write& w : p_.block(id).writes) use(w.buffer);
    }
    const std::function<void(StmtId)> visit = [&](StmtId s) {
      if (const auto* c = p_[s].as<Combine>()) {
        for (TensorId t : c->buffers) use(t);
        if (c->scan) use(c->scan->before), use(c->scan->carry);
      }
      for (StmtId c : p_[s].children) visit(c);
    };
    visit(k_.root);
    struct Range { std::int64_t first, last; std::string name; };
    std::vector<Range> barriers;
    std::vector<std::pair<Range, TensorId>> placed;
    for (std::size_t n = 0; n < p_.channels.size(); ++n) {
      const Channel& c = p_.channels[n];
      if (!has_barriers(c)) continue;
      if (c.slots < 1 || c.slots > most_threads || c.owners < 1 || c.owners > most_threads || c.offset_bytes < 0 || c.offset_bytes > most_elements) return wrong(c.loop, fmt::format("channel c{} has {} slots for {} owners at byte {} of shared memory", n, c.slots, c.owners, c.offset_bytes));
      if (c.offset_bytes % 8) return wrong(c.loop, fmt::format("the barriers of channel c{} lie at byte {} of shared memory, which is no multiple of 8", n, c.offset_bytes));
      barriers.push_back({c.offset_bytes, c.offset_bytes + 16 * c.slots * c.owners, fmt::format("c{}", n)});
      k_.shared_bytes = std::max(k_.shared_bytes, barriers.back().last);
    }
    for (TensorId t : used) {
      const Buffer& b = p_[t];
      BufferInfo& info = k_.buffers[t.n];
      info.row = &b;
      if (b.shape.size() > 8) return unknown(k_.root, fmt::format("'{}', which has more than 8 dimensions", b.name));
      info.bytes = bytes_of(b.type);
      std::int64_t size = 1;
      for (const Expr& e : b.shape) {
        info.shape.push_back(std::max<std::int64_t>(value(e), 0));
        if (__builtin_mul_overflow(size, info.shape.back(), &size) || size > most_elements) return refuse(Code::out_of_memory, "many", b.name);
      }
      if (b.scope == Scope::global) continue;
      if (!b.storage) return wrong(k_.root, fmt::format("'{}' has no storage", b.name));
      const Storage& st = *b.storage;
      info.elements = st.elements;
      if (st.elements < 1 || st.elements > most_elements || b.slots < 1 || b.slots > most_threads || st.elements * b.slots > most_elements) return wrong(k_.root, fmt::format("'{}' has {} slots of {} elements", b.name, b.slots, st.elements));
      info.is_private = b.scope != Scope::shared;
      if (info.is_private && !st.private_to_thread) return wrong(k_.root, fmt::format("'{}' is in registers but not private to threads", b.name));
      if (p_[st.at].as<Loop>()) info.generation = st.at;
      if (info.is_private) {
        info.file = static_cast<std::size_t>(k_.registers);
        k_.registers += st.elements * b.slots;
        if (k_.registers > 65536) return wrong(k_.root, fmt::format("it keeps {} values a thread in registers", k_.registers));
        continue;
      }
      std::int64_t copies = 1;
      for (LoopId l : st.owners) {
        info.owners.push_back(digits({{Digit{l}}, 0}, nullptr));
        info.owner_extents.push_back(constant_extent(p_, l).value_or(1));
        copies *= info.owner_extents.back();
        if (copies < 1 || copies > most_threads) return wrong(k_.root, fmt::format("'{}' has too many copies", b.name));
      }
      if (st.offset_bytes < 0 || st.offset_bytes > most_elements || st.offset_bytes % info.bytes) return wrong(k_.root, fmt::format("'{}' lies at byte {} of shared memory, which is no multiple of {}", b.name, st.offset_bytes, info.bytes));
      const std::int64_t end = st.offset_bytes + st.elements * b.slots * copies * info.bytes;
      k_.shared_bytes = std::max(k_.shared_bytes, end);
      k_.granule = std::gcd(k_.granule, info.bytes);
      // Slots of a channel are in use all the time. What else shares memory is seen when it is used.
      for (const auto& [other, o] : placed)
        if (st.offset_bytes < other.last && other.first < end && (b.channel || p_[o].channel) && b.reuses != o && p_[o].reuses != t)
          return wrong(k_.root, fmt::format("'{}' overlaps '{}' in shared memory, and slots of a channel are in use all the time", b.name, other.name));
      placed.push_back({{st.offset_bytes, end, b.name}, t});
      for (const Range& r : barriers)
        if (st.offset_bytes < r.last && r.first < end) return wrong(k_.root, fmt::format("'{}' overlaps the barriers of channel {} in shared memory", b.name, r.name));
    }
    for (std::size_t n = 0; n < barriers.size(); ++n)
      for (std::size_t m = 0; m < n; ++m)
        if (barriers[m].first < barriers[n].last && barriers[n].first < barriers[m].last) return wrong(k_.root, fmt::format("the barriers of channels {} and {} overlap in shared memory", barriers[m].name, barriers[n].name));
    if (k_.shared_bytes > shared_limit_) return wrong(k_.root, fmt::format("it needs {} bytes of shared memory > {}", k_.shared_bytes, shared_limit_));
    return Ok{};
  }

  bool has_barriers(const Channel& c) const {
    return (c.how == Channel::How::mbarrier || c.how == Channel::How::ahead) && p_.stmts.has(c.loop) && root_of(p_, c.loop) == k_.root;
  }

  Check channels() {
    for (std::size_t n = 0; n < p_.channels.size(); ++n) {
      const Channel& c = p_.channels[n];
      if (!has_barriers(c)) continue;
      k_.channels[n] = {k_.barriers, true};
      if (c.full_arrivals < 1 || c.empty_arrivals < 1 || c.slots < 1 || c.owners < 1) return wrong(c.loop, fmt::format("a barrier of channel c{} counts no arrivals", n));
      k_.barriers += static_cast<std::size_t>(c.slots * c.owners);
    }
    return Ok{};
  }

  Check roles() {
    std::set<std::uint32_t> found;
    const std::function<void(StmtId)> visit = [&](StmtId s) {
      if (p_[s].role != Stmt::every_role) found.insert(p_[s].role);
      for (StmtId c : p_[s].children) visit(c);
    };
    visit(k_.root);
    if (!found.empty() && *found.rbegin() >= p_.roles.size()) return wrong(k_.root, fmt::format("a statement has role r{}, there are {}", *found.rbegin(), p_.roles.size()));
    if (found.empty()) {
      RoleCode all;
      for (BlockId b : blocks_under(p_, k_.root)) all.threads = std::max(all.threads, threads_at(b));
      all.warps = (all.threads + 31) / 32;
      k_.roles.push_back(std::move(all));
    } else {
      for (std::uint32_t r = 0; r < p_.roles.size(); ++r) {
        RoleCode one;
        one.role = r;
        if (p_.roles[r].warpgroups < 1 || 128 * p_.roles[r].warpgroups > most_threads) return wrong(k_.root, fmt::format("role r{} has {} warpgroups", r, p_.roles[r].warpgroups));
        one.threads = 128 * p_.roles[r].warpgroups;
        one.warps = one.threads / 32;
        one.first_warp = k_.warps;
        k_.warps += one.warps;
        one.elected = is_elected(r);
        k_.roles.push_back(std::move(one));
      }
    }
    k_.warps = 0;
    for (const RoleCode& r : k_.roles) k_.warps += r.warps;
    if (32 * k_.warps > most_threads) return wrong(k_.root, fmt::format("it has {} threads a block > {}", 32 * k_.warps, most_threads));
    for (RoleCode& r : k_.roles)
      for (BlockId b : blocks_under(p_, k_.root))
        r.produces |= is_bulk(via_of(p_.block(b))) && (p_[b].role == r.role || p_[b].role == Stmt::every_role) && p_[p_.block(b).writes[0].buffer].scope == Scope::shared;
    return Ok{};
  }

  std::int64_t threads_at(BlockId b) const {
    for (LoopId l : loops_around(p_, b))
      if (k_.loops[l.n].reach >= 0) return k_.loops[l.n].reach;
    return 1;
  }

  /// One thread does all that the role does: it issues bulk copies.
  bool is_elected(std::uint32_t role) const {
    for (BlockId b : blocks_under(p_, k_.root))
      if (p_[b].role == role && (!is_bulk(via_of(p_.block(b))) || threads_at(b) != 1)) return false;
    bool alone = true;
    const std::function<void(StmtId)> visit = [&](StmtId s) {
      if (p_[s].role == role && p_[s].as<Barrier>()) alone = false;
      for (StmtId c : p_[s].children) visit(c);
    };
    visit(k_.root);
    return alone;
  }

  // ---- statements ---------------------------------------------------------------------------------------------------------
  bool has_role(StmtId s) const {
    if (role_ == Stmt::every_role) return true;
    if (p_[s].children.empty()) return p_[s].role == role_ || p_[s].role == Stmt::every_role;
    return std::any_of(p_[s].children.begin(), p_[s].children.end(), [&](StmtId c) { return has_role(c); });
  }

  Check statements(StmtId parent, RoleCode& r, std::size_t first) {
    for (std::size_t n = first; n < p_[parent].children.size(); ++n)
      if (has_role(p_[parent].children[n])) TECC_CHECK(statement(p_[parent].children[n], r));
    return Ok{};
  }

  Check statement(StmtId s, RoleCode& r) {
    const std::size_t begin = r.code.size();
    const std::optional<LoopId> around = skewed_;
    TECC_CHECK(printed(s, r));
    if (const auto* y = p_[s].as<Sync>(); y && y->op == Sync::Op::commit_copies) return Ok{};  // in every round
    for (std::size_t n = begin; around && n < r.code.size(); ++n)
      if (r.code[n].stmt == s || n == begin) {
        r.code[n].skewed = around;
        r.code[n].runs = stages_of(s);
      }
    return Ok{};
  }

  /// The stages of the role's statements inside, as bits.
  std::uint32_t stages_of(StmtId s) const {
    if (!has_role(s)) return 0;
    if (p_[s].children.empty()) return 1u << p_[s].stage;
    std::uint32_t bits = 0;
    for (StmtId c : p_[s].children) bits |= stages_of(c);
    return bits;
  }

  Check printed(StmtId s, RoleCode& r) {
    if (const auto top = tops_.find(s); top != tops_.end()) {
      TECC_TRY(const std::size_t n, compiled(top->second));
      r.code.push_back({Op::Kind::tile, top->second, n});
      return Ok{};
    }
    const Stmt& row = p_[s];
    if (const auto* l = row.as<Loop>()) {
      const bool threads = is_thread_group(l->group);
      const std::size_t begin = r.code.size();
      const bool lags = l->stages && (stages_of(s) & (stages_of(s) - 1));  // statements of several stages
      if (lags && (skewed_ || k_.loops[s.n].follows_threads || l->stages > 31)) return unknown(s, "skewed loops in each other");
      r.code.push_back({threads ? Op::Kind::threads : Op::Kind::loop, s});
      if (lags) skewed_ = s;
      TECC_CHECK(statements(s, r, 0));
      if (lags) skewed_.reset();
      r.code.push_back({threads ? Op::Kind::end_threads : Op::Kind::next, s, begin});
      r.code[begin].other = r.code.size();
      if (lags) {
        r.code[begin].stages = r.code.back().stages = l->stages;
        k_.most_stages = std::max(k_.most_stages, l->stages);
      }
    } else if (row.as<Block>()) {
      TECC_TRY(const std::size_t n, compiled(s));
      r.code.push_back({Op::Kind::block, s, n});
    } else if (row.as<Barrier>()) {
      r.code.push_back({Op::Kind::barrier, s});
    } else if (row.as<Combine>()) {
      r.code.push_back({Op::Kind::combine, s});
    } else if (const auto* y = row.as<Sync>()) {
      if (y->op <= Sync::Op::arrive_empty && (y->channel >= k_.channels.size() || !k_.channels[y->channel].live))
        return wrong(s, fmt::format("an operation on channel c{}, which has no barriers in this kernel", y->channel));
      r.code.push_back({Op::Kind::sync, s});
    } else {
      return wrong(s, "an event of a channel that was not lowered to operations on barriers");
    }
    return Ok{};
  }

  Result<std::size_t> compiled(BlockId id) {
    if (const auto found = compiled_.find(id); found != compiled_.end()) return found->second;
    const Block& b = p_.block(id);
    Statement st;
    st.id = id;
    st.block = &b;
    st.stage = p_[id].stage;
    st.via = via_of(b);
    k_.most_iters = std::max(k_.most_iters, b.iters.size());
    for (const Iter& i : b.iters) {
      st.iters.push_back(digits(i.binding, &b));
      st.uppers.push_back(node(i.upper, &b));
      if (i.kind == IterKind::scan) st.scan = &i - b.iters.data();
    }
    for (const Expr& e : b.guards) st.guards.push_back(node(e, &b));
    for (const Expr& e : b.predicate) st.predicate.push_back(node(e, &b));
    for (const Write& w : b.writes) st.writes.push_back({place(id, w.buffer, w.index), node(w.value, &b, id)});
    if (b.combiner) st.identity = node(identity_of(*b.combiner, p_[b.writes[0].buffer].type), &b);
    if (b.combiner && b.init == Init::fused && !st.scan) {
      if (st.via != Via::wgmma) return wrong(id, fmt::format("block '{}' initialises itself, which only wgmma can", b.name));
      for (LoopId l : loops_around(p_, id))
        if (feeds(p_, l, b, IterKind::reduce)) st.reduce_loops.push_back(l);
    }
    const std::vector<LoopId> around = loops_around(p_, id);
    const bool only_warpgroups = std::all_of(around.begin(), around.end(), [&](LoopId l) { return !is_thread_group(p_.loop(l).group) || p_.loop(l).group == Group::warpgroup; });
    const bool in_warpgroup = std::any_of(around.begin(), around.end(), [&](LoopId l) { return p_.loop(l).group == Group::warpgroup; });
    if (only_warpgroups && !k_.buffers[b.writes[0].buffer.n].is_private) st.who = in_warpgroup ? Statement::Who::one_of_warpgroup : Statement::Who::one;
    if (is_bulk(st.via) && st.who == Statement::Who::all) return wrong(id, fmt::format("the bulk copy '{}' is issued by many threads", b.name));
    if (is_whole(st.via)) {
      for (const auto& [top, block] : tops_)
        if (block == id)
          for (LoopId l : around)
            if (is_inside(p_, l, top)) st.tile.push_back(l);
      std::int64_t size = 1;  // an instruction's tile, or a copy's, is done as one step
      for (LoopId l : st.tile) {
        const auto extent = constant_extent(p_, l);
        if (!extent) return wrong(id, fmt::format("loop '{}' of the tile of '{}' has no constant extent", name(l), b.name));
        if (__builtin_mul_overflow(size, std::max<std::int64_t>(*extent, 1), &size) || size > (1 << 24)) return wrong(id, fmt::format("the tile of '{}' has over {} elements", b.name, 1 << 24));
      }
      for (LoopId l : st.tile) st.in_atom.push_back(b.tile->atom != StmtId{} && p_.stmts.has(b.tile->atom) && is_inside(p_, l, b.tile->atom));
    }
    if (k_.cluster > 1 && st.via == Via::bulk_tensor && p_[b.writes[0].buffer].scope == Scope::shared) TECC_CHECK(share(id, st));
    TECC_CHECK(form(id, st));
    k_.statements.push_back(std::move(st));
    return compiled_[id] = k_.statements.size() - 1;
  }

  /// A bulk load that does not vary across the cluster: each block brings its part of the rows to all of them.
  Check share(BlockId id, Statement& st) {
    const Block& b = *st.block;
    for (const Iter& i : b.iters)
      if (depends_on(p_, i.binding, k_.ranks[0])) return Ok{};
    const auto rows_of = [&](std::size_t d) {
      std::int64_t rows = 0;
      if (const auto* v = b.writes[0].index[d].as<Var>())
        for (std::size_t l = 0; l < st.tile.size(); ++l)
          if (st.in_atom[l] && depends_on(p_, iter_of(b, v->id)->binding, st.tile[l])) rows = std::max<std::int64_t>(rows, 1) * *constant_extent(p_, st.tile[l]);
      return rows;
    };
    for (std::size_t d = b.writes[0].index.size() - 1; d-- > 0;)
      if (const std::int64_t rows = rows_of(d)) {
        if (rows % k_.cluster) return wrong(id, fmt::format("{} blocks of a cluster cannot share out the {} rows of '{}'", k_.cluster, rows, b.name));
        st.shared_dim = d;
        st.shared_rows = rows / k_.cluster;
        return Ok{};
      }
    return wrong(id, fmt::format("{} blocks of a cluster bring '{}', which has no rows to share out", k_.cluster, b.name));
  }

  /// What an instruction asks of its statement.
  Check form(BlockId id, Statement& st) {
    const Block& b = p_.block(id);
    if (is_bulk(st.via) || st.via == Via::cp_async) {
      const auto* read = b.writes[0].value.as<tecc::Read>();
      if (!read || b.combiner || b.writes.size() != 1) return wrong(id, fmt::format("'{}' copies by {} but computes what it writes", b.name, is_bulk(st.via) ? "bulk" : "cp.async"));
      const Scope from = p_[read->tensor].scope, to = p_[b.writes[0].buffer].scope;
      if (!(from == Scope::global && to == Scope::shared) && !(is_bulk(st.via) && from == Scope::shared && to == Scope::global))
        return wrong(id, fmt::format("'{}' copies by {} between memories that are not global and shared", b.name, is_bulk(st.via) ? "bulk" : "cp.async"));
      if (is_bulk(st.via) && !b.predicate.empty()) return wrong(id, fmt::format("'{}' copies by bulk under a condition", b.name));
      if (is_bulk(st.via) && to == Scope::shared) {
        const auto& channel = p_[b.writes[0].buffer].channel;
        if (!channel || !k_.channels[*channel].live) return wrong(id, fmt::format("nothing waits for the bulk copy '{}': '{}' passes through no channel with barriers", b.name, p_[b.writes[0].buffer].name));
        if (read->otherwise) {
          const auto* fill = read->otherwise.as<Literal>();
          if (!fill || fill->real != 0 || fill->integer != 0) return wrong(id, fmt::format("'{}' fills with another value than zero, bulk copies do not", b.name));
        }
      }
    }
    if (st.via != Via::wgmma && st.via != Via::mma_sync) return Ok{};
    const auto product = product_of(b);
    if (!product) return wrong(id, fmt::format("'{}' is no sum of products", b.name));
    if (!k_.buffers[b.writes[0].buffer.n].is_private) return wrong(id, fmt::format("'{}' sums up outside of registers", b.name));
    ProductPlan plan;
    const auto* product_node = b.writes[0].value.as<Binary>();
    const Expr sides[2] = {product_node->a, product_node->b};
    const int first = b.tile->swap ? 1 : 0;
    for (int side = 0; side < 2; ++side) {
      const Product::Factor& f = product->factor[side == 0 ? first : 1 - first];
      plan.value[side] = node(sides[side == 0 ? first : 1 - first], &b, id);
      plan.factor[side] = k_.nodes[k_.nodes[plan.value[side]].a].index;
      if (st.via == Via::wgmma && side == 1 && k_.buffers[f.read->tensor.n].is_private) return wrong(id, fmt::format("wgmma reads '{}' from registers; its columns lie in shared memory", p_[f.read->tensor].name));
      if (p_[f.read->tensor].scope == Scope::global) return wrong(id, fmt::format("a matrix instruction reads '{}' from global memory", p_[f.read->tensor].name));
      for (std::size_t n = 0; n < b.iters.size(); ++n) {
        const bool here = std::any_of(f.read->index.begin(), f.read->index.end(), [&](const Expr& e) { return uses(e, b.iters[n].var); });
        if (here && b.iters[n].kind == IterKind::spatial) plan.iters[side].push_back(n);
      }
    }
    for (std::size_t n = 0; n < b.iters.size(); ++n)
      if (b.iters[n].kind == IterKind::reduce) plan.depth.push_back(n);
    plan.separable = true;
    for (LoopId l : st.tile) {
      const bool reduces = feeds(p_, l, b, IterKind::reduce);
      plan.separable &= !(reduces && (feeds(p_, l, b, IterKind::spatial) || is_thread_group(p_.loop(l).group)));
      if (!is_thread_group(p_.loop(l).group)) (reduces ? plan.reduce_loops : plan.spatial_loops).push_back(l);
    }
    st.product = std::move(plan);
    return Ok{};
  }

  // ---- expressions --------------------------------------------------------------------------------------------------------
  std::size_t digits(const Binding& binding, const Block* b) {
    Digits out;
    out.offset = binding.offset;
    for (const Digit& d : binding.digits) {
      Digits::Part part;
      part.loop = d.loop;
      part.div = d.div;
      part.mod = d.mod;
      part.stride = d.stride;
      const Loop& l = p_.loop(d.loop);
      if (b && b->ahead && b->ahead->loop == d.loop) part.ahead = l.reversed ? -b->ahead->by : b->ahead->by;
      if (l.retired) {
        part.of = Digits::Part::Of::retired;
        part.retired = digits(*l.retired, b);
      } else if (is_thread_group(l.group)) {
        part.of = Digits::Part::Of::thread;
        part.weight = k_.loops[d.loop.n].weight;
        part.extent = k_.loops[d.loop.n].threads_extent;
      }
      out.parts.push_back(part);
    }
    k_.digits.push_back(std::move(out));
    return k_.digits.size() - 1;
  }

  NodeId add(Node n) {
    k_.nodes.push_back(n);
    return static_cast<NodeId>(k_.nodes.size() - 1);
  }
  NodeId constant(DType type, Scalar value) {
    Node n{Node::Kind::constant, type};
    n.constant = value;
    return add(n);
  }

  NodeId node(const Expr& e, const Block* b, BlockId id = {}) {
    return match(
        e, [&](const Literal& l) { return constant(e->type, interpreter::constant(l, e->type)); },
        [&](const Var& v) {
          if (p_.dims.count(v.id)) return constant(DType::i64, {.integer = dims_[v.id.n]});
          Node n{Node::Kind::iteration};
          if (b)
            for (std::size_t i = 0; i < b->iters.size(); ++i)
              if (b->iters[i].var == v.id) {
                n.index = static_cast<std::uint32_t>(i);
                return add(n);
              }
          const auto l = loop_of_var(p_, v.id);
          if (!l) return constant(DType::i64, {.integer = 0});
          n.kind = Node::Kind::digits;
          n.index = static_cast<std::uint32_t>(digits({{Digit{*l}}, 0}, b));
          return add(n);
        },
        [&](const Unary& u) {
          Node n{Node::Kind::unary, e->type, u.a->type};
          n.unary = u.op;
          n.a = node(u.a, b, id);
          return add(n);
        },
        [&](const Binary& x) {
          Node n{Node::Kind::binary, e->type, x.a->type};
          n.binary = x.op;
          n.a = node(x.a, b, id);
          n.b = node(x.b, b, id);
          return add(n);
        },
        [&](const Select& s) {
          Node n{Node::Kind::select, e->type};
          n.a = node(s.condition, b, id);
          n.b = node(s.then, b, id);
          n.c = node(s.otherwise, b, id);
          return add(n);
        },
        [&](const Cast& c) {
          Node n{Node::Kind::cast, c.to.concrete(), c.a->type};
          n.a = node(c.a, b, id);
          return add(n);
        },
        [&](const tecc::Read& r) {
          Node n{Node::Kind::read, e->type};
          n.index = static_cast<std::uint32_t>(place(id, r.tensor, r.index, r.otherwise));
          return add(n);
        },
        [&](const Reduce&) { return constant(e->type, {}); });
  }

  std::size_t place(BlockId id, TensorId t, const std::vector<Expr>& index, const Expr& otherwise = {}) {
    const Block& b = p_.block(id);
    const Buffer& buffer = p_[t];
    Place out;
    out.buffer = t;
    for (const Expr& e : index) out.index.push_back(node(e, &b, id));
    if (otherwise) out.otherwise = node(otherwise, &b, id);
    if (buffer.storage)
      for (std::size_t d = 0; d < index.size(); ++d) {
        Binding still;
        if (buffer.storage->dims[d].relative) still.digits = region_of(p_, b, index[d], [&](LoopId l) { return holds_still(buffer, l); }).fixed.digits;
        out.minus.push_back(digits(still, &b));
      }
    if (rotates(buffer) && p_.stmts.has(buffer.slot_loop) && p_[buffer.slot_loop].as<Loop>() && is_inside(p_, id, buffer.slot_loop)) {
      out.in_slot_loop = true;
      if (b.ahead && b.ahead->loop == buffer.slot_loop) {
        out.ahead = b.ahead->by;
        out.carried_ahead = b.ahead->by + p_[id].stage;  // to lag is to be ahead by less than nothing
      }
    }
    k_.places.push_back(std::move(out));
    return k_.places.size() - 1;
  }

  static bool rotates(const Buffer& b) { return b.slots > 1 || b.channel; }
  bool holds_still(const Buffer& b, LoopId l) const {
    if (const auto& retired = p_.loop(l).retired)
      return std::all_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return holds_still(b, d.loop); });
    if (rotates(b) && l == b.slot_loop) return true;
    if (b.storage->private_to_thread && is_thread_group(p_.loop(l).group)) return true;
    return is_inside(p_, b.storage->at, l);
  }
};

}  // namespace

Result<Kernel> compile(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit) { return Compiler(p, root, dims, shared_limit).run(); }

}  // namespace tecc::simulator
