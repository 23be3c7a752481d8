#include <fmt/format.h>

#include "ir/simulate/machine.h"

namespace tecc::simulator {
namespace {

std::uint64_t mixed(std::uint64_t h, std::int64_t x) {  // splitmix64; h first apart, since buffers and coordinates are small numbers
  std::uint64_t v = ((h * 0xd6e8feb86659fd93ull) ^ static_cast<std::uint64_t>(x)) + 0x9e3779b97f4a7c15ull;
  v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
  v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
  return v ^ (v >> 31);
}

}  // namespace

std::int64_t Machine::value(const Digits& d, const Frame& f, std::int64_t thread) const {
  std::uint64_t sum = static_cast<std::uint64_t>(d.offset);  // wraps: a program that was edited may have any numbers
  for (const Digits::Part& x : d.parts) {
    std::int64_t v = 0;
    switch (x.of) {
      case Digits::Part::Of::counter: v = f.counters[x.loop.n]; break;
      case Digits::Part::Of::thread: v = thread / x.weight % x.extent; break;
      case Digits::Part::Of::retired: v = value(k_.digits[x.retired], f, thread); break;
    }
    v += x.ahead;
    if (x.div != 1) v = floor_div(v, x.div);
    if (x.mod) v = floor_mod(v, x.mod);
    sum += static_cast<std::uint64_t>(v) * static_cast<std::uint64_t>(x.stride);
  }
  return static_cast<std::int64_t>(sum);
}

void Machine::iterations(Thread& t, const Statement& st) {
  for (std::size_t n = 0; n < st.iters.size(); ++n) t.iters[n] = digits(st.iters[n], t);
}

Scalar Machine::eval(NodeId id, Thread& t) {
  const Node& n = k_.nodes[id];
  switch (n.kind) {
    case Node::Kind::constant: return n.constant;
    case Node::Kind::iteration: return {.integer = t.iters[n.index]};
    case Node::Kind::digits: return {.integer = digits(n.index, t)};
    case Node::Kind::unary: return interpreter::unary(n.unary, eval(n.a, t), n.operand, n.type);
    case Node::Kind::binary: {
      const Scalar a = eval(n.a, t);
      if (n.binary == BinOp::logical_and && !a.integer) return a;
      if (n.binary == BinOp::logical_or && a.integer) return a;
      return interpreter::binary(n.binary, a, eval(n.b, t), n.operand, n.type);
    }
    case Node::Kind::select: return eval(n.a, t).integer ? eval(n.b, t) : eval(n.c, t);
    case Node::Kind::cast: return interpreter::cast(eval(n.a, t), n.operand, n.type);
    case Node::Kind::read: return load(k_.places[n.index], t);
  }
  return {};
}

// ---- addresses ----------------------------------------------------------------------------------------------------------
Tag Machine::tag_of(const Place& p, Thread& t, Address& a) {
  a.rank = p.index.size();
  a.tag = p.buffer.n;
  for (std::size_t d = 0; d < a.rank; ++d) {
    a.coordinates[d] = eval(p.index[d], t).integer;
    a.tag = mixed(a.tag, a.coordinates[d]);
  }
  return a.tag;
}

std::uint32_t generation(const BufferInfo& info, const Frame& frame, std::uint32_t stage, std::int64_t iteration) {
  return static_cast<std::uint32_t>(mixed(mixed(1, info.generation ? frame.begins(*info.generation, stage) : 0), iteration));
}

std::optional<Machine::Address> Machine::address(const Place& p, Thread& t) {
  const BufferInfo& info = k_.buffers[p.buffer.n];
  const Buffer& b = *info.row;
  Address a;
  tag_of(p, t, a);
  if (failed_) return std::nullopt;
  if (!b.storage) {
    std::uint64_t at = 0;  // means something inside alone
    for (std::size_t d = 0; d < a.rank; ++d) {
      a.inside = a.inside && a.coordinates[d] >= 0 && a.coordinates[d] < info.shape[d];
      at = at * static_cast<std::uint64_t>(info.shape[d]) + static_cast<std::uint64_t>(a.coordinates[d]);
    }
    a.at = static_cast<std::size_t>(at);
    return a;
  }
  std::int64_t place = 0, slot = 0;
  for (std::size_t d = 0; d < a.rank; ++d) {
    const Storage::Dimension& dim = b.storage->dims[d];
    std::int64_t rest = a.coordinates[d] - dim.origin;
    if (dim.relative) rest -= digits(p.minus[d], t);
    const auto own = dim.place_of(rest);
    if (!own) {
      fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_outside, k_.name, said(t.actor.self.site), element(p, a), "its storage")));
      return std::nullopt;
    }
    place += *own;
  }
  std::int64_t iteration = 0;
  const std::uint32_t stage = t.statement ? t.statement->stage : 0;
  if (b.channel) {
    if (!p.in_slot_loop) {
      fail_form(StmtId{t.actor.self.site}, fmt::format("{} uses a slot of '{}' outside of the loop that its channel belongs to", said(t.actor.self.site), b.name));
      return std::nullopt;
    }
    iteration = t.frame.begins(b.slot_loop, stage) - 1 + p.carried_ahead;
    slot = floor_mod(iteration, k_.p->channels[*b.channel].slots);
  } else if (b.slots > 1 && p.in_slot_loop) {
    iteration = t.frame.counts[b.slot_loop.n] + p.ahead;
    slot = floor_mod(iteration, b.slots);
  }
  a.generation = generation(info, t.frame, stage, iteration);
  if (place < 0 || place >= info.elements || slot >= b.slots) {
    fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_outside, k_.name, said(t.actor.self.site), slot >= b.slots ? fmt::format("slot {} of '{}'", slot, b.name) : element(p, a),
                                                              slot >= b.slots ? fmt::format("its {} slots", b.slots) : fmt::format("its {} elements", info.elements))));
    return std::nullopt;
  }
  if (info.is_private) {
    a.at = info.file + static_cast<std::size_t>(slot * info.elements + place);
    return a;
  }
  std::int64_t owner = 0;
  for (std::size_t n = 0; n < info.owners.size(); ++n) owner = owner * info.owner_extents[n] + digits(info.owners[n], t);
  const std::int64_t byte = b.storage->offset_bytes + ((owner * b.slots + slot) * info.elements + place) * info.bytes;
  a.at = static_cast<std::size_t>(byte / k_.granule) + t.warp.rank * granules_;
  return a;
}

std::string Machine::element(const Place& p, const Address& a) const {
  const BufferInfo& info = k_.buffers[p.buffer.n];
  std::string out = fmt::format("'{}[{}]'", info.row->name, fmt::join(a.coordinates.begin(), a.coordinates.begin() + static_cast<std::ptrdiff_t>(a.rank), ", "));
  if (info.row->storage && !info.is_private && info.row->slots > 1) {
    const std::int64_t at = (static_cast<std::int64_t>(a.at % granules_) * k_.granule - info.row->storage->offset_bytes) / info.bytes;
    if (at >= 0) out += fmt::format(" in slot {}", at / info.elements % info.row->slots);
  }
  return out;
}

// ---- memory ---------------------------------------------------------------------------------------------------------------
bool Machine::note_read(const Place& p, const Address& a, const Actor& who) {
  const BufferInfo& info = k_.buffers[p.buffer.n];
  const auto unwritten = [&](const std::string& what) {
    fail(at(k_.p->stmts[StmtId{who.self.site}].at, refuse(Code::sim_unwritten, k_.name, said(who.self.site), element(p, a), what)));
    return false;
  };
  const auto unfenced = [&](const Cell& c) {
    return who.by_proxy && c.write.block == id_ && !c.write.asynchronous && (*who.clock)[agents_.fences(c.write.agent)] <= c.fence;
  };
  const auto no_fence = [&](const Cell& c) {
    fail(at(k_.p->stmts[StmtId{who.self.site}].at, refuse(Code::sim_fence, k_.name, fmt::format("{} reads {} and", said(who.self.site), element(p, a)), fmt::format("{} wrote", said(c.write.site)), "fence_async of the threads that wrote, then a barrier")));
    return false;
  };
  if (!info.row->storage) {
    GlobalMemory& m = global_[p.buffer.n];
    if (!m.written[a.at]) return unwritten("nobody has written by then");
    if (!m.shadow) return true;
    if (const auto before = m.shadow->read(a.at, who)) return fail_race(p, a, who, false, *before, true), false;
    if (const Cell& c = (*m.shadow)[a.at]; unfenced(c)) return no_fence(c);
    return true;
  }
  const std::size_t granules = static_cast<std::size_t>(info.bytes / k_.granule);
  const Cell& first = shared_[a.at];
  if (!first.buffer) return unwritten("nobody has written by then");
  for (std::size_t n = 0; n < granules; ++n)
    if (const auto before = shared_.read(a.at + n, who)) return fail_race(p, a, who, false, *before, true), false;
  for (std::size_t n = 0; n < granules; ++n)  // another buffer that shares bytes may have got some of them
    if (const Cell& c = shared_[a.at + n]; c.buffer != p.buffer.n + 1) return unwritten(fmt::format("{} wrote as '{}'", said(c.write.site), (*k_.p)[TensorId{c.buffer - 1}].name));
  if (first.tag != a.tag) return unwritten(fmt::format("{} wrote as another element", said(first.write.site)));
  if (first.generation != a.generation) return unwritten(fmt::format("{} wrote for another iteration", said(first.write.site)));
  if (unfenced(first)) return no_fence(first);
  return true;
}

bool Machine::note_write(const Place& p, const Address& a, const Actor& who, std::uint32_t fence, const Scalar* value) {
  const BufferInfo& info = k_.buffers[p.buffer.n];
  const Scalar& old = info.row->storage ? shared_values_[a.at] : global_[p.buffer.n].values[a.at];
  const auto note = [&](Shadow& shadow, std::size_t n) {
    Cell& c = shadow[n];
    const bool again = value && value->integer == old.integer && c.tag == a.tag && c.generation == a.generation && c.buffer == p.buffer.n + 1;
    if (who.by_proxy && c.write.block == id_ && !c.write.asynchronous && known(c.write, who) && (*who.clock)[agents_.fences(c.write.agent)] <= c.fence) {
      fail(at(k_.p->stmts[StmtId{who.self.site}].at, refuse(Code::sim_fence, k_.name, fmt::format("{} overwrites {} and", said(who.self.site), element(p, a)), fmt::format("{} wrote", said(c.write.site)), "fence_async of the threads that wrote, then a barrier")));
      return false;
    }
    if (const auto before = shadow.write(n, who, again)) return fail_race(p, a, who, true, before->access, before->wrote), false;
    c.fence = fence;
    c.generation = a.generation;
    c.tag = a.tag;
    c.buffer = p.buffer.n + 1;
    return true;
  };
  if (!info.row->storage) {
    GlobalMemory& m = global_[p.buffer.n];
    m.written[a.at] = 1;
    return note(*m.shadow, a.at);
  }
  for (std::size_t n = 0; n < static_cast<std::size_t>(info.bytes / k_.granule); ++n)
    if (!note(shared_, a.at + n)) return false;
  return true;
}

Scalar Machine::load_raw(const Place& p, Thread& t) {
  const BufferInfo& info = k_.buffers[p.buffer.n];
  if (info.is_private && t.held) {
    Address a;
    const auto found = t.held->find(tag_of(p, t, a));
    if (found != t.held->end()) return found->second.warp->reg(found->second.place, found->second.lane).value;
  }
  const auto a = address(p, t);
  if (!a) return {};
  if (!info.row->storage) return a->inside ? global_[p.buffer.n].values[a->at] : p.otherwise ? eval(*p.otherwise, t) : Scalar{};
  return info.is_private ? t.warp.reg(a->at, t.lane).value : shared_values_[a->at];
}

Scalar Machine::load(const Place& p, Thread& t) {
  if (t.raw) return load_raw(p, t);
  if (p.otherwise) {
    Address a;
    tag_of(p, t, a);
    for (std::size_t d = 0; d < a.rank; ++d)
      if (a.coordinates[d] < 0 || a.coordinates[d] >= k_.buffers[p.buffer.n].shape[d]) return eval(*p.otherwise, t);
  }
  const auto a = address(p, t);
  if (!a || failed_) return {};
  const BufferInfo& info = k_.buffers[p.buffer.n];
  if (!a->inside) {
    fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_outside, k_.name, said(t.actor.self.site), element(p, *a), "the tensor")));
    return {};
  }
  if (!info.row->storage) return note_read(p, *a, t.actor) ? global_[p.buffer.n].values[a->at] : Scalar{};
  if (!info.is_private) return note_read(p, *a, t.actor) ? shared_values_[a->at] : Scalar{};
  const Register& r = t.warp.reg(a->at, t.lane);
  const auto unwritten = [&](const char* what) {
    if (is_issued(t.warp, p.buffer)) {
      fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_in_flight, k_.name, fmt::format("{} reads {}", said(t.actor.self.site), element(p, *a)), "the wgmma that adds to it", "await_mma")));
      return Scalar{};
    }
    fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_unwritten, k_.name, fmt::format("{} in thread {} of {}", said(t.actor.self.site), t.number, role_name(t.warp)), element(p, *a), what)));
    return Scalar{};
  };
  if (r.sums > t.warp.clock[agents_.products(t.warp.group)]) {
    fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_in_flight, k_.name, fmt::format("{} reads {}", said(t.actor.self.site), element(p, *a)), "the wgmma that adds to it", "await_mma")));
    return {};
  }
  if (!r.written) return unwritten("nobody has written in this thread");
  if (r.tag != a->tag) return unwritten("lies in a register that holds another element");
  if (r.generation != a->generation) return unwritten("was written for another iteration");
  return r.value;
}

void Machine::store(const Place& p, Thread& t, Scalar value) {
  const auto a = address(p, t);
  if (!a || failed_) return;
  const BufferInfo& info = k_.buffers[p.buffer.n];
  if (!a->inside) return fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_outside, k_.name, said(t.actor.self.site), element(p, *a), "the tensor")));
  if (!info.is_private) {
    if (!note_write(p, *a, t.actor, t.warp.fences, &value)) return;
    (info.row->storage ? shared_values_[a->at] : global_[p.buffer.n].values[a->at]) = value;
    return;
  }
  Register& r = t.warp.reg(a->at, t.lane);
  if (const std::uint32_t seen = t.warp.clock[agents_.products(t.warp.group)]; r.sums > seen || r.reads > seen)
    return fail(at(k_.p->stmts[StmtId{t.actor.self.site}].at, refuse(Code::sim_in_flight, k_.name, fmt::format("{} writes {}", said(t.actor.self.site), element(p, *a)),
                                                                    r.sums > seen ? "the wgmma that adds to it" : "the wgmma that reads it", "await_mma")));
  r.value = value;
  r.written = true;
  r.tag = a->tag;
  r.generation = a->generation;
}

}  // namespace tecc::simulator
