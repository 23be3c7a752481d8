#include <algorithm>
#include <limits>
#include <numeric>

#include "compiler/pass/passes.h"
#include "compiler/pass/place_shared.h"
#include "ir/loop/affine.h"
#include "ir/loop/roles.h"
#include "ir/loop/digits.h"
#include "ir/loop/fill.h"

namespace tecc::compiler {

using namespace loop;

namespace {

struct Access {
  BlockId block;
  std::vector<Expr> index;
  enum class Kind : std::uint8_t { read, write, before } kind = Kind::read;  // before: a scan goes on from what it wrote itself
  bool collective = false;  // an instruction reads it from the registers of all its threads: its layout was compared when it was chosen
};

std::vector<Access> accesses_of(const Program& p, TensorId buffer) {
  std::vector<Access> out;
  for (BlockId id : all_blocks(p)) {
    const Block& b = p.block(id);
    const bool collective = b.tile && b.tile->instruction && p[buffer].scope == Scope::reg && !writes(b, buffer);
    const auto visit = [&](const Expr& e) {
      walk(e, [&](const Expr& x) {
        if (const auto* r = x.as<Read>(); r && r->tensor == buffer) out.push_back({id, r->index, Access::Kind::read, collective});
        return true;
      });
    };
    for (const Write& w : b.writes) {
      if (w.buffer == buffer) out.push_back({id, w.index, Access::Kind::write});
      visit(w.value);
      for (const Expr& i : w.index) visit(i);
    }
    for (const Expr& c : b.predicate) visit(c);
    if (is_scan(b) && writes(b, buffer)) {  // a scan reads the element before
      for (const Write& w : b.writes)
        if (w.buffer == buffer) {
          std::vector<Expr> before = w.index;
          for (Expr& e : before)
            if (const auto* v = e.as<Var>(); v && iter_of(b, v->id) && iter_of(b, v->id)->kind == IterKind::scan) e = e - 1;
          out.push_back({id, before, Access::Kind::before});
        }
    }
  }
  return out;
}

/// The statement that combines what threads hold in the buffer, or leaves its results there; blocks alone do not show where it is used.
std::optional<StmtId> combine_of(const Program& p, TensorId buffer) {
  if (p[buffer].scope != Scope::local) return std::nullopt;
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n) {
    const auto* c = p.stmts.has({n}) ? p[StmtId{n}].as<Combine>() : nullptr;
    if (!c) continue;
    if (std::find(c->buffers.begin(), c->buffers.end(), buffer) != c->buffers.end() || (c->scan && (c->scan->before == buffer || c->scan->carry == buffer))) return StmtId{n};
  }
  return std::nullopt;
}

/// Where the buffer lives: the innermost loop around everything that uses it, outside of loops that carry a scan through it.
StmtId home_of(const Program& p, TensorId buffer, const std::vector<Access>& accesses) {
  StmtId at = accesses[0].block;
  for (const Access& a : accesses) at = common_ancestor(p, at, a.block);
  if (const auto combined = combine_of(p, buffer)) at = common_ancestor(p, at, *combined);
  if (p[at].as<Block>()) at = p[at].parent;
  for (const Access& a : accesses)
    for (LoopId l : loops_around(p, a.block))
      if (feeds(p, l, p.block(a.block), IterKind::scan) && is_inside(p, at, l)) at = p[l].parent;
  return at;
}

struct Part {
  bool whole = false;
  const Access* access = nullptr;
  Binding still;  // digits only
  std::int64_t low = 0, high = 0;
  bool exact = true;
  std::vector<std::pair<std::int64_t, std::int64_t>> digits;  // stride and largest value of each varying digit, if exact
};

Part part_of(const Program& p, const Block& b, const Expr& e, const std::function<bool(LoopId)>& still) {
  const Region r = region_of(p, b, e, still);
  Part out;
  if (r.whole) {
    out.whole = true;
    return out;
  }
  out.still = normal(p, {r.fixed.digits, 0});
  out.low = r.fixed.offset;
  out.high = r.fixed.offset + r.span - 1;
  out.exact = r.exact;
  // What runs ahead of a loop makes one more iteration, behind the last: it has a place, too.
  const bool further = b.ahead && b.ahead->by > 0 && !still(b.ahead->loop);
  bool found = false;
  for (const Digit& d : r.varying) {
    std::int64_t most = range_of(p, Digit{d.loop, d.div, d.mod, 1}).high;
    if (further && d.loop == b.ahead->loop) {
      found = true;
      const std::int64_t more = d.mod ? 0 : (range_of(p, d.loop).high + b.ahead->by) / d.div - most;
      most += more;
      out.high += more * d.stride;
    }
    out.digits.push_back({d.stride, most});
  }
  const auto affine = further && !found ? affine_of(e) : std::nullopt;
  const auto binding = affine ? binding_of(b, *affine) : std::nullopt;
  out.whole = further && !found && (!binding || depends_on(p, *binding, b.ahead->loop));  // digits of loops that it was made into
  return out;
}

/// Mixed radix digits that hold all parts: strides that continue each other share a cut, gaps between them are left out.
std::vector<Storage::Cut> cuts_of(const std::vector<Part>& parts, std::int64_t low, std::int64_t high) {
  std::vector<Storage::Cut> plain{{1, high - low + 1, 1}};
  std::vector<std::pair<std::int64_t, std::int64_t>> digits;
  for (const Part& part : parts) {
    if (!part.exact || part.low != low) return plain;
    digits.insert(digits.end(), part.digits.begin(), part.digits.end());
  }
  std::sort(digits.begin(), digits.end());
  digits.erase(std::unique(digits.begin(), digits.end()), digits.end());
  std::vector<Storage::Cut> cuts;  // from fast to slow while building
  std::int64_t reach = 0;          // of the current cut
  for (const auto& [stride, most] : digits) {
    if (most == 0) continue;
    if (cuts.empty() || stride > reach + cuts.back().unit) {
      for (const Storage::Cut& c : cuts)
        if (stride % c.unit) return plain;
      cuts.push_back({stride, 1, 1});
      reach = 0;
    } else if (stride % cuts.back().unit) {
      return plain;
    }
    reach += stride * most;
  }
  for (std::size_t n = 0; n < cuts.size(); ++n) {
    const std::int64_t above = n + 1 < cuts.size() ? cuts[n + 1].unit : std::numeric_limits<std::int64_t>::max();
    for (const Part& part : parts) {
      std::int64_t sum = 0;
      for (const auto& [stride, most] : part.digits)
        if (stride >= cuts[n].unit && stride < above) sum += stride * most;
      if (sum >= above) return plain;
      cuts[n].count = std::max(cuts[n].count, sum / cuts[n].unit + 1);
    }
  }
  if (cuts.empty()) cuts.push_back({1, 1, 1});
  std::reverse(cuts.begin(), cuts.end());
  return cuts;
}

/// Same still part: loops around the buffer by identity, loops bound to threads by the digits of the thread number.
bool same_still(const Program& p, const Binding& a, const Binding& b) {
  std::vector<Digit> x, y;
  std::vector<ThreadDigit> tx, ty;
  for (const Digit& d : a.digits) {
    if (const auto t = thread_digit(p, d)) tx.push_back(*t);
    else x.push_back(d);
  }
  for (const Digit& d : b.digits) {
    if (const auto t = thread_digit(p, d)) ty.push_back(*t);
    else y.push_back(d);
  }
  std::sort(tx.begin(), tx.end());
  std::sort(ty.begin(), ty.end());
  return x == y && tx == ty;
}

/// True if the digit follows a loop bound to threads inside of `at`: threads around it have a buffer each.
bool names_thread(const Program& p, StmtId at, const Digit& d) {
  const Loop& l = p.loop(d.loop);
  if (l.retired) return std::any_of(l.retired->digits.begin(), l.retired->digits.end(), [&](const Digit& made) { return names_thread(p, at, made); });
  return is_thread_group(l.group) && !is_inside(p, at, d.loop);
}
bool names_thread(const Program& p, StmtId at, const Binding& b) {
  return std::any_of(b.digits.begin(), b.digits.end(), [&](const Digit& d) { return names_thread(p, at, d); });
}

/// The first threads of a block that hold what was written to a private buffer; absent: all do.
struct Holding {
  std::int64_t threads;
  BlockId writer;  // that runs in no more
};
std::optional<Holding> holding(const Program& p, TensorId buffer, std::vector<TensorId> seen = {}, BlockId but = {}) {
  std::optional<Holding> least;
  const auto at_most = [&](std::int64_t threads, BlockId writer) {
    if (!least || threads < least->threads) least = Holding{threads, writer};
  };
  seen.push_back(buffer);
  for (BlockId w : writers_of(p, buffer)) {
    if (w == but) continue;
    if (thread_nest(p, w)) {
      at_most(threads_at(p, w), w);
      continue;
    }
    for (TensorId t : read_buffers(p.block(w)))  // every thread runs it, on what it holds
      if ((p[t].scope == Scope::local || p[t].scope == Scope::reg) && std::find(seen.begin(), seen.end(), t) == seen.end())
        if (const auto from = holding(p, t, seen)) at_most(from->threads, w);
  }
  return least;
}

/// True if the index tells which iteration of the loop is running.
bool names_loop(const Program& p, const Access& a, LoopId l) {
  std::vector<Digit> digits;
  for (const Expr& e : a.index)
    walk(e, [&](const Expr& x) {
      const auto* v = x.as<Var>();
      if (const Iter* i = v ? iter_of(p.block(a.block), v->id) : nullptr) digits.insert(digits.end(), i->binding.digits.begin(), i->binding.digits.end());
      return true;
    });
  return tell(p, digits, l);
}

/// A block that reads a private buffer, or adds to it, in threads that nobody wrote it in. Threads that the index names read elements that nobody wrote
/// either: domains cut them off.
Check check_holding(const Program& p, TensorId buffer, const std::vector<Access>& accesses) {
  const auto by_all = holding(p, buffer);
  if (!by_all) return Ok{};
  for (const Access& a : accesses) {
    const bool adds = writes(p.block(a.block), buffer);
    if (adds && p.block(a.block).init != Init::apart) continue;
    const auto held = adds ? holding(p, buffer, {}, a.block) : by_all;
    if (!held) continue;
    // Outside of nests every thread makes what is private, and one thread what is not.
    const Block& b = p.block(a.block);
    const bool by_every = !thread_nest(p, a.block) && std::any_of(b.writes.begin(), b.writes.end(), [&](const Write& w) { return p[w.buffer].scope == Scope::local || p[w.buffer].scope == Scope::reg; });
    if (by_every && p[a.block].role == Stmt::every_role && threads_of(p, root_of(p, a.block)) > held->threads) return refuse(Code::other_thread, p[buffer].name, b.name, p.block(held->writer).name);
    for (LoopId l : thread_loops(p, a.block))
      if (const std::int64_t extent = constant_extent(p, l).value_or(1); extent > 1 && thread_weight(p, l) * extent > held->threads && !names_loop(p, a, l))
        return refuse(Code::other_thread, p[buffer].name, p.block(a.block).name, p.block(held->writer).name);
  }
  return Ok{};
}

/// How far from the part that holds still the elements of a part lie, in order.
std::vector<std::int64_t> offsets_of(const Part& part) {
  std::vector<std::int64_t> out{part.low};
  if (!part.exact) {  // all that it may be
    out.resize(static_cast<std::size_t>(part.high - part.low + 1));
    std::iota(out.begin(), out.end(), part.low);
    return out;
  }
  for (const auto& [stride, most] : part.digits) {
    std::vector<std::int64_t> more;
    for (const std::int64_t from : out)
      for (std::int64_t n = 0; n <= most; ++n) more.push_back(from + n * stride);
    std::sort(more.begin(), more.end());
    more.erase(std::unique(more.begin(), more.end()), more.end());
    out = std::move(more);
  }
  return out;
}

/// A block that reads elements of dimension `d` that its own thread has not written: the index names threads as the writers do, and goes on
/// from there to where other threads begin. What domains cut off does not count.
Check check_reach(const Program& p, TensorId buffer, std::size_t d, const std::vector<Part>& parts) {
  std::vector<std::int64_t> written;
  const Part* writer = nullptr;
  for (const Part& part : parts) {
    if (part.access->kind != Access::Kind::write) continue;
    const std::vector<std::int64_t> more = offsets_of(part);
    written.insert(written.end(), more.begin(), more.end());
    writer = &part;
  }
  std::sort(written.begin(), written.end());
  for (const Part& part : parts) {
    if (!writer || part.access->kind != Access::Kind::read) continue;
    const Block& b = p.block(part.access->block);
    const Interval at = range_of(p, part.still);
    const auto inside = range_of(p, &b, part.access->index[d]);
    for (const std::int64_t n : offsets_of(part))
      if (!std::binary_search(written.begin(), written.end(), n) && (!inside || (at.low + n <= inside->high && at.high + n >= inside->low)))
        return refuse(Code::other_thread, p[buffer].name, b.name, p.block(writer->access->block).name);
  }
  return Ok{};
}

/// The same of an index.
bool has_thread(const Program& p, StmtId at, const Block& b, const Expr& e) {
  bool found = false;
  walk(e, [&](const Expr& x) {
    if (const auto* v = x.as<Var>())
      if (const Iter* i = iter_of(b, v->id))
        found |= names_thread(p, at, i->binding);
    return true;
  });
  return found;
}

/// Places of the cuts of a buffer: the strides of its elements in memory, or in a thread's registers.
void order_cuts(const Buffer& b, Storage& st) {
  std::int64_t stride = 1;
  if (!b.fragment.empty()) {  // registers as an instruction wants them, then what repeats it
    for (const Buffer::Fragment& f : b.fragment) {
      std::vector<Storage::Cut>& cuts = st.dims[static_cast<std::size_t>(f.dim)].cuts;
      for (std::size_t n = 0; n < cuts.size(); ++n)
        if (cuts[n].unit == f.unit && cuts[n].count > f.count && cuts[n].count % f.count == 0) {  // the digit goes on outside of the instruction
          cuts.insert(cuts.begin() + static_cast<std::ptrdiff_t>(n), {f.unit * f.count, cuts[n].count / f.count, 1});
          cuts[n + 1].count = f.count;
          break;
        }
    }
    std::vector<Storage::Cut*> given;
    for (const Buffer::Fragment& f : b.fragment)
      for (Storage::Cut& c : st.dims[static_cast<std::size_t>(f.dim)].cuts)
        if (c.unit == f.unit) {
          c.place = stride;
          stride *= c.count;
          given.push_back(&c);
        }
    for (auto d = st.dims.rbegin(); d != st.dims.rend(); ++d)
      for (auto c = d->cuts.rbegin(); c != d->cuts.rend(); ++c)
        if (std::find(given.begin(), given.end(), &*c) == given.end()) {
          c->place = stride;
          stride *= c->count;
        }
    st.elements = stride;
    return;
  }
  std::vector<int> order = b.order;
  if (order.empty()) {
    order.resize(b.shape.size());
    std::iota(order.begin(), order.end(), 0);
  }
  if (b.panel) {  // one panel after the other, each as wide as the swizzle
    std::vector<Storage::Cut>& fast = st.dims[static_cast<std::size_t>(order.back())].cuts;
    const std::int64_t extent = st.dims[static_cast<std::size_t>(order.back())].extent();
    stride = b.panel;
    for (std::size_t n = order.size() - 1; n-- > 0;) {
      Storage::Dimension& d = st.dims[static_cast<std::size_t>(order[n])];
      d.cuts = {{1, d.extent(), stride}};
      stride *= d.cuts[0].count;
    }
    const std::int64_t panels = (extent + b.panel - 1) / b.panel;
    fast = {{b.panel, panels, stride}, {1, b.panel, 1}};
    if (panels == 1) fast.erase(fast.begin());
    st.elements = stride * panels;
    return;
  }
  for (std::size_t n = order.size(); n-- > 0;) {  // the last of the order is the fastest
    std::vector<Storage::Cut>& cuts = st.dims[static_cast<std::size_t>(order[n])].cuts;
    for (auto c = cuts.rbegin(); c != cuts.rend(); ++c) {
      c->place = stride;
      stride *= c->count;
    }
    if (n + 1 == order.size()) stride += b.pad;
  }
  st.elements = stride;
}

}  // namespace

Result<Storage> storage_of(const Program& p, TensorId id, bool gpu) {
  const Buffer& b = p[id];
  std::vector<Access> accesses = accesses_of(p, id);
  Storage st;
  if (accesses.empty()) return st;
  for (const Access& a : accesses)
    if (const StmtId one = root_of(p, accesses[0].block), other = root_of(p, a.block); one != other)
      return refuse(Code::several_kernels, b.name, b.scope == Scope::shared ? "shared" : b.scope == Scope::reg ? "register" : "local", p.block(accesses[0].block).name, p.block(a.block).name);
  st.at = home_of(p, id, accesses);
  std::erase_if(accesses, [](const Access& a) { return a.collective; });
  if (gpu && b.scope != Scope::shared) TECC_CHECK(check_holding(p, id, accesses));
  const bool shared = b.scope == Scope::shared;
  st.private_to_thread = gpu && !shared;
  if (rotates(b) && is_inside(p, st.at, b.slot_loop)) st.at = p[b.slot_loop].parent;
  const std::vector<LoopId> alternating = b.channel ? alternating_loops(p, p.channels[*b.channel]) : std::vector<LoopId>{};
  if (gpu && shared)
    for (LoopId l : thread_loops(p, st.at)) {
      if (std::find(alternating.begin(), alternating.end(), l) != alternating.end()) continue;  // the slots are everybody's
      if (p.loop(l).group == Group::thread) return refuse(Code::divergent_barrier, b.name, loop_name(p, l));
      st.owners.push_back(l);
    }
  const auto still = [&](LoopId l) {
    if (rotates(b) && l == b.slot_loop) return true;
    if (st.private_to_thread && is_thread_group(p.loop(l).group)) return true;
    return is_inside(p, st.at, l);
  };
  for (std::size_t d = 0; d < b.shape.size(); ++d) {
    std::optional<Part> all;
    std::vector<Part> parts;
    std::optional<std::vector<Digit>> along;
    bool whole = false;
    BlockId first = accesses[0].block;
    for (const Access& a : accesses) {
      Part one = part_of(p, p.block(a.block), a.index[d], still);
      if (rotates(b)) {  // a slot moves along with its loop, if everybody's index does
        std::vector<Digit> mine;
        std::erase_if(one.still.digits, [&](const Digit& x) { return x.loop == b.slot_loop && (mine.push_back(x), true); });
        if (is_inside(p, a.block, b.slot_loop) && !one.whole) {
          whole |= along && *along != mine;
          along = std::move(mine);
        }
      }
      if (one.whole) {
        whole = true;
        if (st.private_to_thread && has_thread(p, st.at, p.block(a.block), a.index[d])) return refuse(Code::other_thread, b.name, p.block(a.block).name, p.block(first).name);
        continue;
      }
      one.access = &a;
      parts.push_back(one);
      if (!all) {
        all = one;
        first = a.block;
        continue;
      }
      if (!same_still(p, all->still, one.still)) {
        if (st.private_to_thread && (names_thread(p, st.at, one.still) || names_thread(p, st.at, all->still))) return refuse(Code::other_thread, b.name, p.block(a.block).name, p.block(first).name);
        whole = true;
        continue;
      }
      all->high = std::max(all->high, one.high);
      all->low = std::min(all->low, one.low);
    }
    if (whole) {
      if (st.private_to_thread && all && names_thread(p, st.at, all->still))
        return refuse(Code::other_thread, b.name, p.block(accesses[0].block).name, p.block(first).name);
      std::int64_t low = 0, high = largest(p, b.shape[d]) - 1;
      for (const Access& a : accesses) {
        const Block& user = p.block(a.block);
        const bool fills = a.kind == Access::Kind::write && copies_zeros(user);  // and leaves nothing out
        if (const auto r = fills ? reach_of(p, user, a.index[d]) : range_of(p, &user, a.index[d])) low = std::min(low, r->low), high = std::max(high, r->high);
      }
      st.dims.push_back({false, low, {{1, high - low + 1, 1}}});
      continue;
    }
    if (st.private_to_thread && !rotates(b) && names_thread(p, st.at, all->still)) TECC_CHECK(check_reach(p, id, d, parts));
    st.dims.push_back({true, all->low, cuts_of(parts, all->low, all->high)});
  }
  order_cuts(b, st);
  return st;
}

/// Slots that bulk copies fill or empty begin at multiples of what these take.
std::int64_t slot_elements(const Program& p, TensorId id, std::int64_t elements) {
  constexpr std::int64_t bulk_bytes = 16;
  const auto copied = [&](const std::vector<BlockId>& blocks) { return std::any_of(blocks.begin(), blocks.end(), [&](BlockId b) { return is_bulk(via_of(p.block(b))); }); };
  if (p[id].slots < 2 || (!copied(writers_of(p, id)) && !copied(readers_of(p, id)))) return elements;
  const std::int64_t step = bulk_bytes / bytes_of(p[id].type);
  return (elements + step - 1) / step * step;
}

Result<Program> place_buffers(Program p, const Limits& limits) {
  for (std::uint32_t n = 0; n < p.buffers.size(); ++n)
    if (p.buffers.has({n}) && p[TensorId{n}].scope != Scope::global && p[TensorId{n}].role == Role::workspace) {
      TECC_TRY(Storage st, storage_of(p, {n}, limits.gpu));
      st.elements = slot_elements(p, {n}, st.elements);
      if (st.elements > 0) p.buffers.edit({n}, [&](Buffer& b) { b.storage = std::move(st); });
    }
  if (!limits.gpu) return p;
  for (StmtId root : p.kernels) {
    std::int64_t registers = 0, largest_shared = -1, largest_private = -1;
    std::string shared_name, private_name;
    std::vector<TensorId> seen, reusing, shared_buffers;
    const auto take = [&](TensorId t) {
      if (std::find(seen.begin(), seen.end(), t) != seen.end() || p[t].scope == Scope::global) return;
      seen.push_back(t);
      Buffer b = p[t];
      if (!b.storage) {  // scratch of a Combine
        Storage st;
        st.at = root;
        st.dims = {{false, 0, {{1, *constant_of(b.shape[0]), 1}}}};
        st.elements = *constant_of(b.shape[0]);
        b.storage = st;
      }
      const std::int64_t bytes = b.storage->elements * b.slots * copies_of(p, b) * bytes_of(b.type);
      if (b.scope == Scope::shared && b.reuses) {
        reusing.push_back(t);
      } else if (b.scope == Scope::shared) {
        shared_buffers.push_back(t);
        if (bytes > largest_shared) largest_shared = bytes, shared_name = b.name;
      } else {
        registers += (bytes + 3) / 4;
        if (bytes > largest_private) largest_private = bytes, private_name = b.name;
      }
      p.buffers.set(t, b);
    };
    const std::function<void(StmtId)> visit = [&](StmtId s) {
      if (const auto* b = p[s].as<Block>()) {
        for (const Write& w : b->writes) take(w.buffer);
        for (TensorId t : read_buffers(*b)) take(t);
      }
      if (const auto* c = p[s].as<Combine>()) take(c->scratch);
      for (StmtId child : p[s].children) visit(child);
    };
    visit(root);
    const std::int64_t shared = place_shared(p, root, shared_buffers, registers, limits);
    for (TensorId t : reusing) p.buffers.edit(t, [&](Buffer& b) { b.storage->offset_bytes = p[*b.reuses].storage->offset_bytes; });
    const std::string& name = p[root].as<Root>()->name;
    if (shared > limits.shared_bytes) return refuse(Code::shared_exceeded, name, shared, limits.shared_bytes, shared_name);
    // What is indexed by loops that run serially would go to slow local memory: beyond a few times the register file it is a mistake.
    if (registers > 4 * limits.registers) return refuse(Code::registers_exceeded, name, registers, limits.registers, private_name);
  }
  return p;
}

}  // namespace tecc::compiler
