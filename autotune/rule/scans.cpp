#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// The one elementwise stage that reads the scan's element at its own place, such as the cast of a sum; nullopt if there are others.
std::optional<std::uint32_t> follower(const Context& c, const Block& scan) {
  const Program& p = c.program();
  const auto readers = readers_of(p, scan.writes[0].buffer);
  if (readers.size() != 1) return std::nullopt;
  const Block& reader = p.block(readers[0]);
  for (std::uint32_t s = 0; s < p.stages.size(); ++s)
    if (p.stages[s].block == readers[0] && !c.done[s] && !reader.combiner && reader.iters.size() == scan.iters.size()) return s;
  return std::nullopt;
}

/// A team of threads a row: each thread has `width` neighbours at a time, the row passes through registers.
///   for row (blocks): { copy x;  for j0: for jt (threads): for jv: scan;  copy y }
/// The scan writes an output, or `next` follows it and stores.
Check by_teams(Context& c, std::uint32_t stage, std::optional<std::uint32_t> next, const Ref& row, std::int64_t threads) {
  const Ref scan = Builder::stage(stage);
  const Block b = c.block(stage);  // a copy: every step replaces rows
  const std::size_t along = static_cast<std::size_t>(std::find_if(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::scan; }) - b.iters.begin());
  const Ref run = Builder::axis(scan, along);
  const std::int64_t length = c.build.extent(run);
  std::int64_t bytes = bytes_of(c.program()[b.writes[0].buffer].type);
  for (const Read& r : form_of(c.program(), b).reads) bytes = std::max(bytes, bytes_of(c.program()[r.tensor].type));
  std::vector<std::int64_t> widths;
  for (std::int64_t w = 1; w * bytes <= 2 * c.target.vector_bytes && w * threads < 2 * length; w *= 2) widths.push_back(w);
  const std::int64_t width = c.choose.choose(b.name + " vector", widths, std::clamp<std::int64_t>(c.target.vector_bytes / bytes, widths.front(), widths.back()));

  // What follows the scan element by element, and stores it.
  std::optional<Ref> stored;
  std::vector<Ref> once;
  if (next) {
    stored = Builder::stage(*next);
    c.done[*next] = 1;
  }
  TECC_TRY(const auto parts, c.build.add(Split{run, {threads, width}}));
  const auto lines_up = [&](const std::vector<Ref>& axes) -> Check {
    const auto line = c.build.fuse_all(axes, "line");
    if (!line) return Ok{};
    TECC_TRY(const auto cut, c.build.add(Split{*line, {threads, width}}));
    if (width > 1) (void)c.build.try_add(Vectorize{{cut[2]}});
    TECC_CHECK(c.build.add(Bind{{cut[1]}, Group::thread}));
    return Ok{};
  };
  if (stored) {
    TECC_TRY(const auto axes, c.build.add(ReverseComputeAt{*stored, row}));
    TECC_CHECK(lines_up(axes));
    once.push_back(*stored);
  } else {
    TECC_TRY(const auto copy, c.build.add(CacheWrite{scan, *c.build.tensor(b.writes[0].buffer), Scope::local, row}));
    std::vector<Ref> axes;
    for (std::size_t a = 0; a < b.iters.size(); ++a) axes.push_back(Builder::axis(copy[1], a));
    once.push_back(copy[1]);
    TECC_CHECK(lines_up(axes));
  }
  for (const Read& r : form_of(c.program(), b).reads) {
    const auto* last = r.index.empty() ? nullptr : r.index.back().as<Var>();
    if (!last || last->id != b.iters[along].var || r.otherwise || c.program()[r.tensor].role != loop::Role::input) continue;
    auto copy = c.build.add(CacheRead{{scan}, *c.build.tensor(r.tensor), Scope::local, row});
    if (!copy) continue;
    std::vector<Ref> axes;
    for (std::size_t a = 0; a < r.index.size(); ++a) axes.push_back(Builder::axis((*copy)[1], a));
    once.push_back((*copy)[1]);
    TECC_CHECK(lines_up(axes));
  }
  TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
  TECC_CHECK(c.build.add(schedule::Scan{{scan}, c.build.present(parts[0]) ? parts[0] : row}));
  TECC_CHECK(c.build.add(Bind{{row}, Group::block}));
  decide_once(c, b.name, once, true);
  return Ok{};
}

}  // namespace

Check scans(Context& c) {
  const bool gpu = c.target.kind == codegen::Target::Kind::cuda;
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    const Block b = c.block(s);
    if (!form_of(c.program(), b).is_scan) continue;
    c.done[s] = 1;
    std::vector<Ref> spatial;
    for (std::size_t a = 0; a < b.iters.size(); ++a)
      if (b.iters[a].kind == IterKind::spatial) spatial.push_back(Builder::axis(Builder::stage(s), a));
    const auto row = c.build.fuse_all(spatial, "rows");
    if (!row) continue;
    if (!gpu) {
      TECC_CHECK(c.build.add(Parallel{{*row}}));
      continue;
    }
    const std::int64_t length = largest(c.program(), b.iters.back().upper);
    std::vector<std::int64_t> teams = {1};
    const bool output = c.program()[b.writes[0].buffer].role == loop::Role::output;
    const auto next = output ? std::nullopt : follower(c, b);
    constexpr std::int64_t kept = 64;  // elements of a row that a thread keeps in registers
    for (std::int64_t t = 32; t <= c.target.limits.threads_per_block && t <= length && (output || next); t *= 2)
      if (t * kept >= length) teams.push_back(t);
    std::int64_t liked = teams.size() > 1 ? teams[1] : 1;
    for (std::int64_t t : teams)
      if (t <= 256 && t * 16 <= length) liked = std::max(liked, t);
    const std::int64_t team = c.choose.choose(b.name + " team", teams, liked);
    if (team > 1) {
      TECC_CHECK(by_teams(c, s, next, *row, team));
      continue;
    }
    const std::int64_t threads = c.choose.choose(b.name + " threads", {32, 64, 128, 256}, 64);
    TECC_TRY(const auto parts, c.build.add(Split{*row, {threads}}));
    TECC_CHECK(c.build.add(Bind{{parts[0]}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
  }
  return Ok{};
}

}  // namespace tecc::autotune
