#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

#include "ir/loop/affine.h"
#include "ir/simulate/compiler.h"

/// The frame of a kernel: its grid, loops, buffers, channels and roles.
namespace tecc::simulator {

Check Compiler::tops(BlockId id) {
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

Check Compiler::grid() {
  for (LoopId l : grid_of(p_, k_.root)) 
    if (p_.loop(l).group != Group::cluster) k_.grid.push_back(l);
  k_.ranks = ranks_of(p_, k_.root);
  for (const RankLoop& r : k_.ranks) {
    const auto size = constant_extent(p_, r.loop);
    if (!size || *size < 1 || *size * k_.cluster > 16) return wrong(r.loop, fmt::format("loop '{}' is bound to the blocks of a cluster but its extent is no constant from 1 to {}", name(r.loop), 16 / k_.cluster));
    k_.cluster *= *size;
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

std::int64_t Compiler::value(const Expr& e) const {
  if (const auto* l = e.as<Literal>()) return l->integer;
  if (const auto* v = e.as<Var>()) return dims_[v->id.n];
  if (const auto* s = e.as<Select>()) return value(s->condition) ? value(s->then) : value(s->otherwise);
  if (const auto* u = e.as<Unary>()) return interpreter::unary(u->op, {.integer = value(u->a)}, DType::i64, e->type).integer;
  const auto* b = e.as<Binary>();
  return b ? interpreter::binary(b->op, {.integer = value(b->a)}, {.integer = value(b->b)}, DType::i64, e->type).integer : 0;
}

std::int64_t Compiler::inside_of(StmtId s, Group group) const {
  std::int64_t most = 1;
  for (StmtId c : p_[s].children) {
    const auto* l = p_[c].as<Loop>();
    const std::int64_t own = l && l->group == group ? std::clamp<std::int64_t>(constant_extent(p_, c).value_or(1), 1, most_elements) : 1;
    most = std::max(most, std::min(own * inside_of(c, group), most_elements));
  }
  return most;
}

Check Compiler::loops(StmtId s) {
  for (StmtId c : p_[s].children) {
    if (const auto* l = p_[c].as<Loop>()) {
      LoopInfo& info = k_.loops[c.n];
      if (l->group == Group::cluster && std::none_of(k_.ranks.begin(), k_.ranks.end(), [&](const RankLoop& r) { return r.loop == c; }))
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

bool Compiler::follows_threads(LoopId l) const {
  const auto& retired = p_.loop(l).retired;
  if (!retired) return is_thread_group(p_.loop(l).group) || k_.loops[l.n].follows_threads;
  return std::any_of(retired->digits.begin(), retired->digits.end(), [&](const Digit& d) { return follows_threads(d.loop); });
}

Check Compiler::buffers() {
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
    // Slots of a channel are in use while its loop runs. What else shares memory is seen when it is used.
    for (const auto& [other, o] : placed)
      if (st.offset_bytes < other.last && other.first < end && b.reuses != o && p_[o].reuses != t && (in_use_with(t, o) || in_use_with(o, t)))
        return wrong(k_.root, fmt::format("'{}' overlaps '{}' in shared memory, and slots of a channel are in use all the time that its loop runs", b.name, other.name));
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

/// True if the buffer's slots pass through a channel while the other one is in use.
bool Compiler::in_use_with(TensorId slots, TensorId other) const {
  if (!p_[slots].channel) return false;
  const LoopId own = p_.channels[*p_[slots].channel].loop;
  if (!p_.stmts.has(own)) return true;
  std::vector<LoopId> loops = loops_around(p_, own);
  loops.push_back(own);
  for (LoopId l : loops) {  // the outermost one that a block of threads comes back to
    const Group g = p_.loop(l).group;
    if (!p_.loop(l).persistent && (g == Group::block || g == Group::cluster || constant_extent(p_, l) == 1)) continue;
    const std::vector<BlockId> inside = blocks_under(p_, l);
    return std::any_of(inside.begin(), inside.end(), [&](BlockId b) { return reads(p_.block(b), other) || writes(p_.block(b), other); });
  }
  return false;
}

bool Compiler::has_barriers(const Channel& c) const {
  return (c.how == Channel::How::mbarrier || c.how == Channel::How::ahead) && p_.stmts.has(c.loop) && root_of(p_, c.loop) == k_.root;
}

Check Compiler::channels() {
  for (std::size_t n = 0; n < p_.channels.size(); ++n) {
    const Channel& c = p_.channels[n];
    if (!has_barriers(c)) continue;
    k_.channels[n] = {k_.barriers, true};
    if (c.full_arrivals < 1 || c.empty_arrivals < 1 || c.slots < 1 || c.owners < 1) return wrong(c.loop, fmt::format("a barrier of channel c{} counts no arrivals", n));
    k_.barriers += static_cast<std::size_t>(c.slots * c.owners);
    for (LoopId l : alternating_loops(p_, c)) {
      std::vector<LoopInfo::Counted>& known = k_.loops[l.n].alternates;
      LoopInfo::Counted next{l, {}};
      const auto note = [&] {
        if (std::none_of(known.begin(), known.end(), [&](const auto& k) { return k.loop == next.loop; })) known.push_back(next);
      };
      note();
      for (LoopId r : rounds_within(p_, c, l)) {
        next.loop = r;
        next.extents.push_back(r);
        note();
      }
    }
  }
  return Ok{};
}

Check Compiler::roles() {
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

std::int64_t Compiler::threads_at(BlockId b) const {
  for (LoopId l : loops_around(p_, b))
    if (k_.loops[l.n].reach >= 0) return k_.loops[l.n].reach;
  return 1;
}

bool Compiler::is_elected(std::uint32_t role) const {
  for (BlockId b : blocks_under(p_, k_.root))
    if (p_[b].role == role && (!is_bulk(via_of(p_.block(b))) || is_shared_out(p_, b))) return false;
  bool alone = true;
  const std::function<void(StmtId)> visit = [&](StmtId s) {
    if (p_[s].role == role && p_[s].as<Barrier>()) alone = false;
    for (StmtId c : p_[s].children) visit(c);
  };
  visit(k_.root);
  return alone;
}

}  // namespace tecc::simulator
