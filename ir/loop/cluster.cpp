#include "ir/loop/cluster.h"

#include <set>

namespace tecc::loop {

std::vector<RankLoop> ranks_of(const Program& p, StmtId root) {
  std::vector<RankLoop> out;
  std::int64_t stride = 1;
  const std::vector<LoopId> grid = grid_of(p, root);
  for (auto l = grid.rbegin(); l != grid.rend(); ++l) {
    if (p.loop(*l).group != Group::cluster) continue;
    const std::int64_t extent = constant_extent(p, *l).value_or(1);
    out.insert(out.begin(), {*l, stride, extent});
    stride *= extent;
  }
  return out;
}

std::int64_t blocks_of(const std::vector<RankLoop>& ranks) {
  std::int64_t blocks = 1;
  for (const RankLoop& r : ranks) blocks *= r.extent;
  return blocks;
}

std::vector<std::int64_t> ranks_beside(std::int64_t rank, const std::vector<RankLoop>& among) {
  for (const RankLoop& r : among) rank -= rank / r.stride % r.extent * r.stride;
  std::vector<std::int64_t> out{rank};
  for (const RankLoop& r : among) {
    std::vector<std::int64_t> wider;
    for (std::int64_t from : out)
      for (std::int64_t i = 0; i < r.extent; ++i) wider.push_back(from + i * r.stride);
    out = std::move(wider);
  }
  return out;
}

std::vector<std::int64_t> senders_to(std::int64_t rank, const std::vector<std::vector<RankLoop>>& sharings) {
  std::set<std::int64_t> out{rank};
  for (const std::vector<RankLoop>& along : sharings)
    for (std::int64_t other : ranks_beside(rank, along)) out.insert(other);
  return {out.begin(), out.end()};
}

}  // namespace tecc::loop
