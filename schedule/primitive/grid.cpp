/// raster(outer, inner, group): two nested parallel loops become one that runs through them in bands (also called: swizzle of tiles,
/// grouped order): `group` iterations of `outer` are run through for each iteration of `inner`
///   for i0 in 0..6: for j0 in 0..2, group 4   ->   (0,0) (1,0) (2,0) (3,0) (0,1) .. (3,1) (4,0) (5,0) (4,1) (5,1)
/// cluster(loop, size): `size` neighbouring iterations run on blocks that reach each other's shared memory (also called: thread block cluster);
/// what bulk copies bring is fetched once for all of them where it does not vary across them (multicast)
///   for i0: ..   ->   for ic in 0..ceildiv(E, size): for c in 0..size: ..     # i0 = ic*size + c, c the rank in the cluster
/// persist(loop): as many blocks as the device runs at once take the iterations of the loop (and of those around it) in turn.
///   order=longest_first: `inner` counts downwards, so that the longest iterations of a triangle come first
/// Results  raster: the loop that carries both; cluster: the two loops; persist: none.
/// Keeps    every instance; iterations run in any order.
/// Refuses  E0308 the loops are not nested directly; E0315 a reduction or scan needs the order; E0364 the group; E0359 a raster already;
///          E0370 more than 8 blocks in a cluster.
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

Check unordered(const Program& p, LoopId l, const std::string& how) {
  for (BlockId b : loop::blocks_under(p, l)) {
    if (loop::feeds(p, l, p.block(b), IterKind::scan)) return refuse(Code::carries, say(p, l), "a scan", say_block(p, b), how);
    if (loop::feeds(p, l, p.block(b), IterKind::reduce)) return refuse(Code::carries, say(p, l), "the reduction", say_block(p, b), how);
  }
  return Ok{};
}

}  // namespace

Check check(const State& state, const Raster& step) {
  TECC_TRY(const LoopId outer, loop_of(state, step.outer));
  TECC_TRY(const LoopId inner, loop_of(state, step.inner));
  const Program& p = state.program;
  if (step.group < 1 || step.group > 65536) return refuse(Code::raster_group, step.group);
  LoopId below = outer;  // ranks of a cluster between the two do not count: they take no part in the order
  while (p[below].children.size() == 1 && p[p[below].children[0]].as<Loop>() && p.loop(p[below].children[0]).group == Group::cluster) below = p[below].children[0];
  if (p[below].children.size() != 1 || p[below].children[0] != inner) return refuse(Code::not_nested, say(p, outer), say(p, inner));
  for (LoopId l : {outer, inner}) {
    if (const auto other = loop::raster_partner(p, l)) return refuse(Code::rastered, say(p, l), say(p, *other));
    TECC_CHECK(unordered(p, l, "put in another order"));
  }
  return Ok{};
}
Applied apply(const State& state, const Raster& step) {
  Applied out{state.program, {}};
  const LoopId outer = *loop_of(state, step.outer), inner = *loop_of(state, step.inner);
  out.program.stmts.edit(inner, [&](Stmt& s) { std::get<Loop>(s.node).raster = loop::Raster{outer, step.group, step.order == Order::longest_first}; });
  out.results = {LoopHandle{inner}};
  return out;
}

Check check(const State& state, const Cluster& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  std::int64_t blocks = step.size;  // along two loops a cluster has as many as both make together
  for (BlockId b : loop::blocks_under(state.program, l)) {
    std::int64_t others = 1;
    for (LoopId around : loop::loops_around(state.program, b))
      if (state.program.loop(around).group == Group::cluster) others *= loop::constant_extent(state.program, around).value_or(1);
    blocks = std::max(blocks, others * step.size);
  }
  if (step.size < 2 || blocks > 8 || (blocks & (blocks - 1))) return refuse(Code::cluster_size, blocks);
  TECC_CHECK(unordered(state.program, l, "shared out to a cluster"));
  return check(state, Split{step.loop, {step.size}});
}
Applied apply(const State& state, const Cluster& step) {
  Applied out = apply(state, Split{step.loop, {step.size}});
  const LoopId rank = std::get<LoopHandle>(out.results[1]).id;
  out.program.stmts.edit(rank, [](Stmt& s) { std::get<Loop>(s.node).group = Group::cluster; });
  return out;
}

Check check(const State& state, const Persist& step) {
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  if (const auto other = loop::raster_partner(state.program, l); other && !state.program.loop(l).raster) return refuse(Code::rastered, say(state.program, l), say(state.program, *other));
  TECC_CHECK(check_widened(state.program, l, [](LoopId) { return true; }));
  if (const auto partner = loop::raster_partner(state.program, l)) TECC_CHECK(check_widened(state.program, *partner, [](LoopId) { return true; }));
  return unordered(state.program, l, "shared out to blocks");
}
Applied apply(const State& state, const Persist& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const LoopId l = *loop_of(state, step.loop);
  std::vector<LoopId> grid{l};
  if (const auto partner = loop::raster_partner(p, l)) grid.push_back(*partner);
  for (LoopId g : grid) {
    const Expr extent = loop::relaxed(p, p.loop(g).extent, [](LoopId) { return true; });  // a grid is rectangular
    p.stmts.edit(g, [&](Stmt& s) {
      std::get<Loop>(s.node).group = Group::block;
      std::get<Loop>(s.node).extent = extent;
    });
  }
  p.stmts.edit(l, [&](Stmt& s) { std::get<Loop>(s.node).persistent = true; });
  return out;
}

}  // namespace tecc::schedule
