#include <algorithm>
#include <map>
#include <set>

#include "ir/loop/affine.h"
#include "tests/oracle/nests.h"

namespace tecc::oracle {

namespace {

using Iteration = std::map<loop::LoopId, std::int64_t>;

std::int64_t value(const loop::Program& p, const loop::Binding& b, const Iteration& at) {
  std::int64_t out = b.offset;
  for (const loop::Digit& d : b.digits) {
    const auto& retired = p.loop(d.loop).retired;
    const std::int64_t v = floor_div(retired ? value(p, *retired, at) : at.at(d.loop), d.div);
    out += d.stride * (d.mod ? floor_mod(v, d.mod) : v);
  }
  return out;
}

/// True if one iteration of a loop around the block has all of its instances: a split may overshoot by whole rounds. All extents are constants.
bool has_idle_loop(const loop::Program& p, loop::BlockId id) {
  const loop::Block& b = p.block(id);
  const std::vector<loop::LoopId> around = loop::loops_around(p, id);
  std::map<loop::LoopId, std::set<std::int64_t>> busy;
  Iteration at;
  for (loop::LoopId l : around) at[l] = 0;
  for (std::size_t n = 0; n < around.size();) {
    if (std::all_of(b.iters.begin(), b.iters.end(), [&](const loop::Iter& i) { const std::int64_t v = value(p, i.binding, at); return i.lower <= v && v < *constant_of(i.upper); }))
      for (const auto& [l, v] : at) busy[l].insert(v);
    for (n = 0; n < around.size() && ++at[around[n]] == *loop::constant_extent(p, around[n]); ++n) at[around[n]] = 0;
  }
  return std::any_of(around.begin(), around.end(), [&](loop::LoopId l) { return busy[l].size() < 2; });
}

}  // namespace

std::string outside_of_fragment(const loop::Program& p) {
  for (loop::BlockId id : loop::all_blocks(p)) {
    const loop::Block& b = p.block(id);
    for (loop::LoopId l : loop::loops_around(p, id)) {
      const auto extent = loop::constant_extent(p, l);
      if (!extent) return "an extent that is no constant";
      if (*extent < 2) return "a loop that runs once";
    }
    for (loop::LoopId l : loop::loops_around(p, id))
      if (loop::feeds(p, l, b, loop::IterKind::scan) && loop::feeds(p, l, b, loop::IterKind::spatial)) return "a loop that carries a scan and another axis";
    for (const loop::Iter& i : b.iters)
      if (!constant_of(i.upper)) return "an extent that is no constant";
    if (has_idle_loop(p, id)) return "a loop that runs once, the rest of its iterations lying outside of the domain";
    for (const loop::Write& w : b.writes) {
      for (const Expr& e : w.index)
        if (!loop::affine_of(e)) return "an index that is not affine";
      bool affine = true;
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<Read>())
          for (const Expr& i : r->index) affine &= loop::affine_of(i).has_value();
        return affine;
      });
      if (!affine) return "an index that is not affine";
    }
  }
  return "";
}

}  // namespace tecc::oracle
