#include "compiler/pass/place_shared.h"

#include <algorithm>
#include <map>

#include "compiler/memory/place.h"
#include "ir/loop/affine.h"
#include "ir/loop/roles.h"

namespace tecc::compiler {

using namespace loop;

namespace {

std::int64_t align_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

bool has_barriers(const Program& p, const Channel& c, StmtId root) {
  return (c.how == Channel::How::mbarrier || c.how == Channel::How::ahead) && root_of(p, c.loop) == root;
}

/// The statement whose children a block of threads runs once, one after the other.
StmtId phases_of(const Program& p, StmtId root) {
  for (StmtId at = root;;) {
    if (p[at].children.size() != 1) return at;
    const auto* l = p[p[at].children[0]].as<Loop>();
    if (!l || l->persistent || l->stages) return at;
    const bool grid = l->group == Group::block || l->group == Group::cluster;
    if (!grid && (l->group != Group::none || range_of(p, p[at].children[0]).high > 0)) return at;
    at = p[at].children[0];
  }
}

/// The phase in which asynchronous products that `b` starts are known to be done: all are awaited behind it. nullopt if that is nowhere seen.
std::optional<std::int64_t> awaited_in(const Program& p, BlockId b, StmtId phases) {
  for (StmtId below = b; below != phases; below = p[below].parent) {
    const std::vector<StmtId>& row = p[p[below].parent].children;
    for (std::size_t n = position_in_parent(p, below) + 1; n < row.size(); ++n) {
      const auto* s = p[row[n]].as<Sync>();
      const bool all = s && s->op == Sync::Op::await_mma && s->count == 0 && s->not_first == LoopId{};
      const bool always =
          p[row[n]].role == p[b].role && p[row[n]].stage == (p[below].parent == phases ? 0 : p[b].stage);
      if (all && always) return static_cast<std::int64_t>(position_in_parent(p, child_towards(p, phases, row[n])));
    }
  }
  return std::nullopt;
}

/// What touches a buffer and those in its place.
struct Uses {
  std::int64_t first = 0, last = -1;
  std::vector<BlockId> writers, readers;
  bool apart = false;  // it shares nothing
};

class Lives {
 public:
  Lives(const Program& p, StmtId root, const std::vector<TensorId>& buffers)
      : p_(p), phases_(phases_of(p, root)), count_(static_cast<std::int64_t>(p[phases_].children.size())) {
    for (TensorId t : buffers) uses_[t];
    for (std::int64_t n = 0; n < count_; ++n) note(p[phases_].children[static_cast<std::size_t>(n)], n);
    role_ = main_role(buffers);
  }

  Lifetime of(TensorId t) const {
    const Buffer& b = p_[t];
    const Uses& u = uses_.at(t);
    const bool swizzled = b.swizzle != 0;
    Lifetime out{b.name, u.first, u.last + 1, shared_bytes(p_, b),
                 swizzled     ? 8 * b.swizzle
                 : rotates(b) ? 128
                              : 16};  // a swizzle repeats after 8 rows
    if (u.last < u.first || u.apart || !all_mine(u.readers)) return whole(std::move(out));
    const bool filled = b.channel && p_.channels[*b.channel].how == Channel::How::mbarrier;
    for (BlockId w : u.writers) {
      const Via via = via_of(p_.block(w));
      if (is_bulk(via) || !is_mine(w)) out.lower = 0;  // ahead of the threads that await it
      // Whoever awaits the slot has seen what filled it: each of the role's warpgroups comes past all of them, unless they take turns.
      const bool handed = filled && alternating_loops(p_, p_.channels[*b.channel]).empty();
      const bool in_groups = via == Via::cp_async && b.channel && p_.channels[*b.channel].how == Channel::How::cp_async;
      if ((is_bulk(via) || !is_mine(w)) ? !handed : via == Via::cp_async && !in_groups) out.upper = count_;
    }
    for (BlockId r : u.readers) {
      const Via via = via_of(p_.block(r));
      if (is_bulk(via)) out.upper = count_;
      if (via == Via::wgmma) out.upper = std::max(out.upper, awaited_in(p_, r, phases_).value_or(count_ - 1) + 1);
    }
    return out;
  }

 private:
  const Program& p_;
  StmtId phases_;
  std::int64_t count_;
  std::map<TensorId, Uses> uses_;
  std::uint32_t role_ = Stmt::every_role;  // whose buffers share

  Lifetime whole(Lifetime l) const {
    l.lower = 0, l.upper = std::max<std::int64_t>(count_, 1);
    return l;
  }

  /// The uses that those of `t` count as.
  Uses* uses(TensorId t) {
    const auto found = uses_.find(p_[t].reuses.value_or(t));
    return found == uses_.end() ? nullptr : &found->second;
  }
  void note(StmtId s, std::int64_t phase) {
    const auto at = [&](TensorId t) -> Uses* {
      Uses* u = uses(t);
      if (!u) return nullptr;
      if (u->last < 0) u->first = phase;
      u->last = phase;
      return u;
    };
    if (const auto* b = p_[s].as<Block>()) {
      for (const Write& w : b->writes)
        if (Uses* u = at(w.buffer)) u->writers.push_back(s);
      for (TensorId t : read_buffers(*b))
        if (Uses* u = at(t)) u->readers.push_back(s);
    }
    if (const auto* c = p_[s].as<Combine>())
      if (Uses* u = at(c->scratch)) u->apart = true;
    for (StmtId child : p_[s].children) note(child, phase);
  }

  bool is_mine(BlockId b) const { return p_[b].role == role_; }
  bool all_mine(const std::vector<BlockId>& blocks) const {
    return std::all_of(blocks.begin(), blocks.end(), [&](BlockId b) { return is_mine(b); });
  }

  /// The role that reads the most bytes.
  std::uint32_t main_role(const std::vector<TensorId>& buffers) const {
    std::map<std::uint32_t, std::int64_t> read;
    for (TensorId t : buffers)
      for (BlockId r : uses_.at(t).readers) read[p_[r].role] += shared_bytes(p_, p_[t]);
    const auto most =
        std::max_element(read.begin(), read.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == read.end() ? Stmt::every_role : most->first;
  }
};

/// How many blocks an SM runs that take so many bytes each, where registers and threads allow `most`.
std::int64_t residents_of(std::int64_t bytes, std::int64_t most, const Limits& limits) {
  constexpr std::int64_t reserved = 1024;  // a block, by the system
  return bytes > limits.shared_bytes ? 0 : std::min(most, (limits.shared_bytes + reserved) / (bytes + reserved));
}

/// How many blocks an SM has registers and threads for.
std::int64_t most_residents(const Program& p, StmtId root, std::int64_t kept) {
  constexpr std::int64_t threads_an_sm = 2048, registers_an_sm = 65536, addresses = 32, warpgroup = 128;
  std::int64_t threads = threads_of(p, root), registers = threads * (kept + addresses);
  std::vector<std::uint32_t> roles;
  for (BlockId b : blocks_under(p, root))
    if (p[b].role != Stmt::every_role && std::find(roles.begin(), roles.end(), p[b].role) == roles.end())
      roles.push_back(p[b].role);
  if (!roles.empty()) {
    threads = registers = 0;
    for (std::uint32_t r : roles)
      threads += warpgroup * p.roles[r].warpgroups,
          registers += warpgroup * p.roles[r].warpgroups * p.roles[r].registers;
  }
  return std::max<std::int64_t>(std::min(threads_an_sm / std::max<std::int64_t>(threads, 1),
                                         registers_an_sm / std::max<std::int64_t>(registers, 1)),
                                1);
}

}  // namespace

std::int64_t shared_bytes(const Program& p, const Buffer& b) {
  return b.storage->elements * b.slots * copies_of(p, b) * bytes_of(b.type);
}

std::int64_t shared_bytes(const Program& p, StmtId root) {
  std::int64_t most = 0;
  const auto reach = [&](TensorId t) {
    if (const Buffer& b = p[t]; b.scope == Scope::shared && b.storage)
      most = std::max(most, b.storage->offset_bytes + shared_bytes(p, b));
  };
  const std::function<void(StmtId)> visit = [&](StmtId s) {
    if (const auto* b = p[s].as<Block>()) {
      for (const Write& w : b->writes) reach(w.buffer);
      for (TensorId t : read_buffers(*b)) reach(t);
    }
    if (const auto* c = p[s].as<Combine>()) reach(c->scratch);
    for (StmtId child : p[s].children) visit(child);
  };
  visit(root);
  for (const Channel& c : p.channels)
    if (has_barriers(p, c, root)) most = std::max(most, c.offset_bytes + 16 * c.slots * c.owners);
  return most;
}

bool share_bytes(const Program& p, TensorId a, TensorId b) {
  const Buffer &x = p[a], &y = p[b];
  if (a == b || x.scope != Scope::shared || y.scope != Scope::shared || !x.storage || !y.storage) return false;
  if (x.reuses.value_or(a) == y.reuses.value_or(b)) return false;
  const std::int64_t from = x.storage->offset_bytes, other = y.storage->offset_bytes;
  return from < other + shared_bytes(p, y) && other < from + shared_bytes(p, x);
}

std::vector<Lifetime> shared_lives(const Program& p, StmtId root, const std::vector<TensorId>& buffers) {
  const Lives lives(p, root, buffers);
  std::vector<Lifetime> out;
  for (TensorId t : buffers) out.push_back(lives.of(t));
  return out;
}

std::int64_t place_shared(Program& p, StmtId root, const std::vector<TensorId>& buffers, std::int64_t kept,
                          const Limits& limits) {
  const std::vector<Lifetime> lives = shared_lives(p, root, buffers);
  std::vector<std::int64_t> offsets;
  std::int64_t end = 0, barriers = 0;
  for (const Lifetime& l : lives) {
    offsets.push_back(align_up(end, l.alignment));
    end = offsets.back() + l.size;
  }
  for (const Channel& c : p.channels)
    if (has_barriers(p, c, root)) barriers += 16 * c.slots * c.owners;
  const auto residents = [&](std::int64_t bytes) {
    return residents_of(align_up(bytes, 8) + barriers, most_residents(p, root, kept), limits);
  };
  // The bound first: it costs little, and most kernels need all that they have at one time.
  if (const std::int64_t least = lower_bound(lives); least < end && residents(least) > residents(end)) {
    PlaceOptions options;
    options.nodes = 2000;  // a millisecond or so; a kernel has a dozen buffers at most
    if (Placement shared = place(lives, options); residents(shared.height) > residents(end)) {
      offsets = std::move(shared.offsets);
      end = shared.height;
    }
  }
  for (std::size_t n = 0; n < buffers.size(); ++n)
    p.buffers.edit(buffers[n], [&](Buffer& b) { b.storage->offset_bytes = offsets[n]; });
  for (Channel& c : p.channels)
    if (has_barriers(p, c, root)) {
      end = align_up(end, 8);
      c.offset_bytes = end;
      end += 16 * c.slots * c.owners;
    }
  return end;
}

}  // namespace tecc::compiler
