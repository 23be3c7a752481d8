#include <fmt/format.h>

#include <map>

#include "ir/loop/words.h"
#include "ir/simulate/machine.h"

namespace tecc::simulator {

std::string Machine::said(std::uint32_t site) const {
  const Stmt& s = k_.p->stmts[StmtId{site}];
  std::string what = "a statement";
  if (const auto* b = s.as<Block>()) what = fmt::format("'{}'", b->name);
  else if (const auto* y = s.as<Sync>()) what = words::has_channel(y->op) ? fmt::format("'{} c{}'", words::of(words::syncs, y->op), y->channel) : fmt::format("'{}'", words::of(words::syncs, y->op));
  else if (s.as<Barrier>()) what = "a barrier";
  else if (const auto* c = s.as<Combine>()) what = fmt::format("'combine {}'", symbol(c->op));
  return s.at.file ? fmt::format("{} ({}:{})", what, s.at.file, s.at.line) : what;
}

std::string Machine::role_name(const Warp& w) const {
  std::string out = fmt::format("warp {}", w.in_role);
  if (w.role->role != Stmt::every_role) out += fmt::format(" of role r{}", w.role->role);
  return k_.cluster > 1 ? out + fmt::format(" of block {} of the cluster", w.rank) : out;
}

void Machine::fail_form(StmtId s, const std::string& what) { fail(at(k_.p->stmts[s].at, refuse(Code::sim_form, k_.name, what))); }

/// What would have ordered the two: it follows from who came first.
std::string Machine::missing(const Access& before, const Actor& now, bool before_wrote, bool writes) const {
  if (before.block != id_) return "nothing orders two blocks of threads; each element must be written by one, and be read in a later kernel";
  const Agent a = before.agent;
  const bool copies_now = now.self.asynchronous && now.self.agent >= agents_.loads(0);
  if (a >= agents_.loads(0)) return fmt::format("a wait for {}", barrier_name(a - agents_.loads(0), true));
  if (a >= agents_.products(0)) return copies_now ? "await_mma before the arrive_empty that the copy waits for" : "await_mma, and a barrier or an arrival after it";
  if (a >= agents_.store_writes(0)) return "await_bulk by the thread that issued it, then a barrier";
  if (a >= agents_.store_reads(0)) return "await_bulk_read by the thread that issued it, then a barrier";
  if (a >= agents_.copies(0)) return "await_copies by the thread that issued it, then a barrier";
  if (copies_now) return "an arrive_empty after it, and a wait_empty before the copy";
  if (now.self.asynchronous) return "a barrier between them";
  (void)before_wrote, (void)writes;
  return before.agent == now.self.agent ? "a barrier between the threads of the warp" : "a barrier, or an arrival that is awaited";
}

/// The buffer as which the statement touched the bytes, where it is another one that shares them.
std::optional<TensorId> Machine::touched_as(const Place& p, const Address& a, const Access& before) const {
  const auto* b = k_.p->stmts[StmtId{before.site}].as<Block>();
  const Buffer& now = (*k_.p)[p.buffer];
  if (!b || now.scope != Scope::shared || reads(*b, p.buffer) || writes(*b, p.buffer)) return std::nullopt;
  std::vector<TensorId> touched = read_buffers(*b);
  for (const Write& w : b->writes) touched.push_back(w.buffer);
  const std::int64_t byte = static_cast<std::int64_t>(a.at % granules_) * k_.granule;
  for (TensorId t : touched) {
    const BufferInfo& info = k_.buffers[t.n];
    if ((*k_.p)[t].scope != Scope::shared || !info.row->storage) continue;
    std::int64_t bytes = info.elements * info.row->slots * info.bytes;
    for (const std::int64_t n : info.owner_extents) bytes *= n;
    const std::int64_t from = info.row->storage->offset_bytes;
    if (byte + k_.buffers[p.buffer.n].bytes > from && byte < from + bytes) return t;
  }
  return std::nullopt;
}

void Machine::fail_race(const Place& p, const Address& a, const Actor& now, bool writes, const Access& before, bool before_wrote) {
  std::string other = before.block != id_ ? " in another block of threads" : "";
  if (const auto as = touched_as(p, a, before)) other += fmt::format(" as '{}'", (*k_.p)[*as].name);
  const std::string words = fmt::format("{} {}s it{}, then {} {}s it", said(before.site), before_wrote ? "write" : "read", other, said(now.self.site), writes ? "write" : "read");
  fail(at(k_.p->stmts[StmtId{now.self.site}].at, refuse(Code::sim_race, k_.name, element(p, a), words, missing(before, now, before_wrote, writes))));
}

Refusal Machine::stuck() const {
  std::map<std::string, int> reasons;  // and how many warps have each
  StmtId at{};
  for (const Warp& w : warps_) {
    if (w.done) continue;
    if (at == StmtId{}) at = w.waits_at;
    const std::string role = w.role->role == Stmt::every_role ? "" : fmt::format(" of role r{}", w.role->role);
    ++reasons[fmt::format("{} at {} for {}", role, said(w.waits_at.n), w.waits_for)];
  }
  std::string out;
  for (const auto& [reason, warps] : reasons) out += fmt::format("{}{} warp{}{}", out.empty() ? "" : "; ", warps, warps == 1 ? "" : "s", reason.starts_with(" of") ? reason : " " + reason.substr(reason.find_first_not_of(' ')));
  return tecc::at(at == StmtId{} ? CallSite{} : k_.p->stmts[at].at, refuse(Code::sim_stuck, k_.name, out));
}

}  // namespace tecc::simulator
