#include <fmt/format.h>

#include <algorithm>

#include "ir/simulate/machine.h"

/// Copies that go on while threads do: bulk copies of one thread, and cp.async of every thread.
namespace tecc::simulator {
namespace {

constexpr std::size_t nowhere = ~std::size_t{0};  // outside of the tensor: zero

struct BulkLoad : Asynchronous {
  TensorId global;
  std::vector<std::pair<std::size_t, std::size_t>> elements;  // from, to
  std::size_t barrier;
  std::int64_t bytes;
  Clock issued;
  bool land(Machine& m) override {
    for (const auto& [from, to] : elements) m.shared_values_[to] = from == nowhere ? Scalar{} : m.global_[global.n].values[from];
    m.bytes_arrive(barrier, bytes, site, issued);
    return true;
  }
};

/// Reads shared memory at one moment, writes global memory at a later one.
struct BulkStore : Asynchronous {
  TensorId global;
  std::vector<std::pair<std::size_t, std::size_t>> elements;
  std::vector<Scalar> values;
  bool has_read = false;
  Warp* warp;
  std::size_t group;
  bool land(Machine& m) override {
    StoreGroup& g = warp->stores[group];
    if (!has_read) {
      for (const auto& [from, to] : elements) values.push_back(m.shared_values_[from]);
      has_read = true;
      --g.reads;
      return false;
    }
    for (std::size_t n = 0; n < elements.size(); ++n) m.global_[global.n].values[elements[n].second] = values[n];
    --g.writes;
    return true;
  }
};

struct CopyAsync : Asynchronous {
  TensorId global;
  std::size_t from, to;
  Warp* warp;
  std::size_t group;
  bool land(Machine& m) override {
    m.shared_values_[to] = from == nowhere ? Scalar{} : m.global_[global.n].values[from];
    --warp->copies[group].pending;
    return true;
  }
};

}  // namespace

void Machine::bulk(Warp& w, const Statement& st) {
  const Place& to = k_.places[st.writes[0].place];
  const Place& from = k_.places[k_.nodes[st.writes[0].value].index];
  const bool load = k_.buffers[to.buffer.n].row->scope == Scope::shared;
  const BufferInfo &global = k_.buffers[(load ? from : to).buffer.n], &shared = k_.buffers[(load ? to : from).buffer.n];
  Frame frame = w.frame;
  const auto agent = static_cast<Agent>(w.number);
  Thread t{w, frame, 0, w.thread(0), iters_, &st, {{agent, 0, false, w.clock[agent], st.id.n, id_}, &w.clock, first_id_, true, Actor::Issuer{agent, 0}}};
  const auto misaligned = [&](const std::string& what) { fail_form(st.id, fmt::format("the bulk copy {} {}", said(st.id.n), what)); };
  if (st.via == Via::bulk_tensor) {
    if (global.row->alignment % 16) return misaligned(fmt::format("goes to or from '{}', whose pointer is {}-byte aligned; legal: 16", global.row->name, global.row->alignment));
    std::int64_t stride = global.bytes;
    for (std::size_t d = global.shape.size(); d-- > 1;)
      if (stride *= global.shape[d]; stride % 16) return misaligned(fmt::format("goes to or from '{}', whose rows are {} bytes apart; legal: a multiple of 16", global.row->name, stride));
  }

  Actor reading = t.actor, writing = t.actor;
  std::size_t barrier = 0;
  StoreGroup& group = w.stores.back();
  if (load) {
    std::int64_t round = 0, slot = 0;
    const auto found = barrier_of(w, st.id, *k_.buffers[to.buffer.n].row->channel, -to.carried_ahead, round, slot);
    if (!found) return;
    barrier = *found;
    writing.self = {agents_.loads(barrier), 0, true, full_[barrier].phases, st.id.n, id_};
    reading.self = writing.self;
  } else {
    const auto number = static_cast<std::uint32_t>(w.stores.size() - 1);
    reading.self = {agents_.store_reads(w.number), 0, true, number, st.id.n, id_};
    writing.self = {agents_.store_writes(w.number), 0, true, number, st.id.n, id_};
  }

  std::vector<std::pair<std::size_t, std::size_t>> elements;
  // What the blocks of a cluster share out: this block brings its rows to all of them.
  std::vector<std::size_t> ranks, barriers;
  for (std::int64_t rank : ranks_beside(static_cast<std::int64_t>(w.rank), st.sharers)) ranks.push_back(static_cast<std::size_t>(rank));
  const std::int64_t own_part = std::find(ranks.begin(), ranks.end(), w.rank) - ranks.begin();
  std::vector<Actor> writers;
  for (std::size_t rank : ranks) {
    barriers.push_back(load ? rank * k_.barriers + barrier % k_.barriers : barrier);
    writers.push_back(writing);
    if (load) writers.back().self = {agents_.loads(barriers.back()), 0, true, full_[barriers.back()].phases, st.id.n, id_};
  }
  std::optional<std::int64_t> first_row;
  std::int64_t count = 0;
  std::size_t run_start = 0, last_shared = nowhere, last_global = nowhere;  // neighbours in memory that one copy moves
  std::int64_t run = 0;
  const std::size_t step = static_cast<std::size_t>(shared.bytes / k_.granule);
  const auto end_run = [&] {
    const std::int64_t start = static_cast<std::int64_t>(run_start % granules_) * k_.granule;
    if (run && !failed_ && start % 16) misaligned(fmt::format("begins at byte {} of shared memory; legal: a multiple of 16", start));
    if (run && !failed_ && run * shared.bytes % 16) misaligned(fmt::format("moves {} neighbouring bytes; legal: a multiple of 16", run * shared.bytes));
  };
  for_each(st.tile, 0, frame, t.number, [&] {
    iterations(t, st);
    const auto source = address(from, t);
    const auto target = address(to, t);
    if (!source || !target || failed_) return;
    if (st.shared_dim) {
      const std::int64_t row = target->coordinates[*st.shared_dim];
      if (!first_row) first_row = row;
      if ((row - *first_row) % (st.shared_rows * static_cast<std::int64_t>(ranks.size())) / st.shared_rows != own_part) return;
    }
    ++count;
    const bool inside = load ? source->inside : target->inside;
    const std::size_t in_shared = load ? target->at : source->at, in_global = load ? source->at : target->at;
    if (st.via == Via::bulk && !inside)
      return fail(at(k_.p->stmts[st.id].at, refuse(Code::sim_outside, k_.name, said(st.id.n), load ? element(from, *source) : element(to, *target), "the tensor")));
    const bool follows = in_shared == last_shared + step && (st.via == Via::bulk_tensor || in_global == last_global + 1);
    if (!follows || last_shared == nowhere) {
      end_run();
      run = 0;
      run_start = in_shared;
      const std::int64_t start = static_cast<std::int64_t>(in_global) * global.bytes;
      if (st.via == Via::bulk && (start % 16 || global.row->alignment % 16)) return misaligned(fmt::format("begins at byte {} of '{}'; legal: a multiple of 16", start, global.row->name));
    }
    ++run;
    last_shared = in_shared;
    last_global = in_global;
    if (load) {
      if (source->inside && !note_read(from, *source, reading)) return;
      for (std::size_t n = 0; n < ranks.size(); ++n) {
        Address there = *target;
        there.at = in_shared % granules_ + ranks[n] * granules_;
        if (!note_write(to, there, writers[n], 0)) return;
      }
      elements.push_back({source->inside ? in_global : nowhere, in_shared});
    } else if (target->inside) {
      if (!note_read(from, *source, reading) || !note_write(to, *target, writing, 0)) return;
      elements.push_back({in_shared, in_global});
    } else if (shared_[in_shared].buffer) {  // read, and left out
      if (const auto before = shared_.read(in_shared, reading)) fail_race(from, *source, reading, false, *before, true);
    }
  });
  end_run();
  if (failed_) return;
  counts_.instances += count;
  if (load) {
    for (std::size_t n = 0; n < ranks.size() && !failed_; ++n) {
      auto op = std::make_unique<BulkLoad>();
      op->site = st.id;
      op->global = from.buffer;
      op->elements = elements;
      for (auto& [source, target] : op->elements) target = target % granules_ + ranks[n] * granules_;
      op->barrier = barriers[n];
      op->bytes = count * shared.bytes;
      op->issued = w.clock;
      Counter& c = full_[barriers[n]];
      ++c.loads;
      c.used = std::max(c.used, c.phases + 1);
      start(std::move(op));
    }
  } else {
    auto op = std::make_unique<BulkStore>();
    op->site = st.id;
    op->global = to.buffer;
    op->elements = std::move(elements);
    op->warp = &w;
    op->group = w.stores.size() - 1;
    ++group.issued, ++group.reads, ++group.writes;
    start(std::move(op));
  }
}

/// What a guard leaves out is filled with zeros.
void Machine::copy_async(Thread& t, const Statement& st, bool exists) {
  ++counts_.instances;
  const Place& to = k_.places[st.writes[0].place];
  const Place& from = k_.places[k_.nodes[st.writes[0].value].index];
  const auto source = address(from, t);
  const auto target = address(to, t);
  if (!source || !target || failed_) return;
  if (!exists) {
    // nothing is read
  } else if (!source->inside) {
    if (!from.otherwise) return fail(at(k_.p->stmts[st.id].at, refuse(Code::sim_outside, k_.name, said(st.id.n), element(from, *source), "the tensor")));
    if (const Scalar fill = eval(*from.otherwise, t); fill.integer != 0) return fail_form(st.id, fmt::format("{} fills with another value than zero, cp.async does not", said(st.id.n)));
  } else if (!note_read(from, *source, t.actor)) {
    return;
  }
  Warp& w = t.warp;
  Actor writing = t.actor;
  writing.self = {agents_.copies(w.number), static_cast<std::uint8_t>(t.lane), true, 0, st.id.n, id_};
  writing.issuer = {static_cast<Agent>(w.number), static_cast<std::uint8_t>(t.lane)};
  if (!note_write(to, *target, writing, 0)) return;
  CopyGroup& g = w.copies.back();
  ++g.pending;
  for (std::size_t n = 0; n < static_cast<std::size_t>(k_.buffers[to.buffer.n].bytes / k_.granule); ++n) g.written.push_back({target->at + n, static_cast<std::uint8_t>(t.lane)});
  auto op = std::make_unique<CopyAsync>();
  op->site = st.id;
  op->global = from.buffer;
  op->from = exists && source->inside ? source->at : nowhere;
  op->to = target->at;
  op->warp = &w;
  op->group = w.copies.size() - 1;
  start(std::move(op));
}

/// What the threads awaited is as if they had written it now.
void Machine::convert_copies(Warp& w, std::size_t group) {
  for (const auto& [granule, lane] : w.copies[group].written) {
    Cell& c = shared_[granule];
    if (c.write.agent != agents_.copies(w.number) || c.write.block != id_) continue;
    c.write = actor(w, lane, StmtId{c.write.site}).self;
    c.fence = w.fences;
  }
  w.copies[group].written.clear();
}

}  // namespace tecc::simulator
