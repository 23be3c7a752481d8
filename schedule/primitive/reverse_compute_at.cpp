/// reverse_compute_at(block, loop): compute a consumer where its input is made, for just what one iteration of `loop` made
///   for i0: for i1: P[i0*4+i1]      ->   for i0:
///   for i: C[i] uses P[i]                  for i1: P[i0*4+i1]
///                                          for c in 0..4: C[i0*4+c] uses P[i0*4+c]
/// Results  one loop for each axis of the block; absent where it would run once.
/// Keeps    every instance of the block, once.
/// Refuses  E0318 no producer inside; E0319 an index of the read is no plain axis; E0320 a loop around the place would repeat
///          the block (a reduction of the producer, say); E0321 another input is not complete there; E0313 other statements
///          share its loops; E0355 it is a copy that also runs for what lies outside of its tensor; E0315 a loop around the place
///          runs its iterations at once and would cut the block's reduction.
#include "ir/loop/digits.h"
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

struct Plan {
  BlockId producer;
  std::vector<RegionAxis> axes;  // one for each iteration of the moved block
};

Result<Plan> plan(const State& state, const ReverseComputeAt& step) {
  TECC_TRY(const BlockId id, block_of(state, step.block));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  const Program& p = state.program;
  const Block& b = p.block(id);
  if (const auto shared = company_of(p, id))
    for (BlockId other : loop::blocks_under(p, *shared))
      if (other != id) return refuse(Code::not_alone, b.name, say_block(p, other));

  if (has_rim(p, id)) return refuse(Code::copy_with_rim, p[b.writes[0].buffer].name);  // nobody makes what lies outside
  // The last producer inside the loop, and everything else the block reads.
  std::optional<BlockId> producer;
  TensorId through{};
  for (TensorId t : loop::read_buffers(b))
    for (BlockId w : loop::writers_of(p, t))
      if (loop::is_inside(p, w, l) && (!producer || loop::compare_order(p, *producer, w) <= 0)) producer = w, through = t;
  if (!producer) return refuse(Code::no_producer, b.name, say(p, l));

  // Of several writers (one that stores the identity, one that reduces) all must have run.
  for (BlockId w : loop::writers_of(p, through))
    if (!loop::is_inside(p, w, l) && loop::compare_order(p, w, *producer) > 0) return refuse(Code::too_early, b.name, p[through].name);

  const Block& made = p.block(*producer);
  const auto fixed = fixed_around(p, l);
  Plan out{*producer, {}};
  std::vector<std::optional<Region>> region(b.iters.size());
  std::optional<Refusal> why;
  std::map<std::size_t, std::size_t> along;  // dimension of the producer -> iteration: two that differ would meet on the diagonal alone
  for_each_read(b, through, [&](const tecc::Read& r) {
    const Write* w = nullptr;
    for (const Write& candidate : made.writes)
      if (candidate.buffer == through) w = &candidate;
    for (std::size_t d = 0; d < r.index.size(); ++d) {
      const auto* v = r.index[d].as<Var>();
      if (!v || !iter_of(b, v->id)) {
        why = refuse(Code::moved_read, b.name, p[through].name, print(r.index[d], loop::names_of(p)));
        return;
      }
      const std::size_t n = static_cast<std::size_t>(iter_of(b, v->id) - b.iters.data());
      Region one = loop::region_of(p, made, w->index[d], fixed);
      const bool part = one.whole ? false : !one.fixed.digits.empty() || one.span < loop::largest(p, p[through].shape[d]);
      if (part && along.try_emplace(d, n).first->second != n) why = refuse(Code::moved_read, b.name, p[through].name, print(r.index[d], loop::names_of(p)));
      if (region[n] && !(region[n]->fixed == one.fixed && region[n]->varying == one.varying))
        why = refuse(Code::moved_read, b.name, p[through].name, print(r.index[d], loop::names_of(p)));
      region[n] = std::move(one);
    }
  });
  if (why) return *why;

  // The loops around the place and the block's own must tell instances apart, so that each runs once.
  std::vector<LoopId> over = loop::loops_around(p, l);
  over.push_back(l);
  std::vector<Digit> cut;
  for (const auto& r : region)
    if (r && !r->whole) cut.insert(cut.end(), r->fixed.digits.begin(), r->fixed.digits.end());
  for (LoopId m : over)
    if (loop::range_of(p, m).high > 0 && !loop::tell(p, cut, m)) return refuse(Code::repeats, b.name, say(p, m), "it does not cut what the block reads");
  for (const auto& r : region) {
    if (!r || r->whole) continue;
    std::vector<Digit> digits = r->fixed.digits;
    digits.insert(digits.end(), r->varying.begin(), r->varying.end());
    if (!r->exact || !loop::distinct(p, digits)) return refuse(Code::repeats, b.name, say(p, l), "its parts overlap");
  }
  // A reduction that is cut runs in order: what runs its parts at once would mix them. (Threads may be combined afterwards.)
  for (LoopId m : over) {
    const Loop& loop = p.loop(m);
    const bool at_once = loop.kind == LoopKind::parallel || loop.kind == LoopKind::vectorized ||
                         (loop.group != Group::none && loop.group != Group::thread && loop.group != Group::warp);
    for (std::size_t n = 0; at_once && n < b.iters.size(); ++n)
      if (b.iters[n].kind == IterKind::reduce && region[n] && !region[n]->whole && loop::depends_on(p, region[n]->fixed, m))
        return refuse(Code::carries, say(p, m), "the reduction", b.name, "bound or parallel; legal: a place inside of loops that run in order");
  }
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    // Of a scan all parts must run in order: only a loop outside of the whole scan will do.
    if (b.iters[n].kind == IterKind::scan && region[n] && !region[n]->whole && !region[n]->fixed.digits.empty())
      return refuse(Code::repeats, b.name, say(p, l), "it would cut a scan");
    out.axes.push_back(own_axis(p, b, n, region[n].value_or(Region{{}, {}, 1, false, true})));
  }
  // Everything it reads must be complete there. (A scan's element is, as soon as it is written.)
  for (TensorId t : loop::read_buffers(b)) {
    for (BlockId w : loop::writers_of(p, t))
      for (LoopId m : over)
        if (loop::range_of(p, m).high > 0 && loop::is_inside(p, w, m) && loop::feeds(p, m, p.block(w), IterKind::reduce))
          return refuse(Code::too_early, b.name, p[t].name);
    if (t == through) continue;
    for (BlockId w : loop::writers_of(p, t)) {
      if (loop::compare_order(p, w, *producer) < 0 && loop::root_of(p, w) != loop::root_of(p, *producer)) continue;
      if (loop::root_of(p, w) != loop::root_of(p, *producer)) return refuse(Code::too_early, b.name, p[t].name);
      if (loop::compare_order(p, w, *producer) > 0) return refuse(Code::too_early, b.name, p[t].name);
      // In the same nest: it must be made for the same iterations.
      const StmtId meet = loop::common_ancestor(p, w, l);
      const auto still = fixed_around(p, meet);
      for_each_read(b, t, [&](const tecc::Read& r) {
        for (std::size_t d = 0; d < r.index.size() && !why; ++d) {
          const auto* v = r.index[d].as<Var>();
          const Iter* i = v ? iter_of(b, v->id) : nullptr;
          const std::size_t n = i ? static_cast<std::size_t>(i - b.iters.data()) : 0;
          const Region have = loop::region_of(p, p.block(w), p.block(w).writes.back().index[d], still);
          const bool all_of_it = have.fixed.digits.empty() && !have.whole;
          const bool same = i && region[n] && !have.whole && have.fixed.digits == region[n]->fixed.digits;
          const bool within = i && region[n] && !have.whole && std::all_of(have.fixed.digits.begin(), have.fixed.digits.end(), [&](const Digit& x) {
            return std::find(region[n]->fixed.digits.begin(), region[n]->fixed.digits.end(), x) != region[n]->fixed.digits.end();
          });
          if (!all_of_it && !same && !within) why = refuse(Code::too_early, b.name, p[t].name);
        }
      });
      if (why) return *why;
    }
  }
  // Its own readers run later: they must come after the place.
  for (const Write& w : b.writes)
    for (BlockId reader : loop::readers_of(p, w.buffer))
      if (reader != id && loop::compare_order(p, reader, *producer) < 0) return refuse(Code::too_early, say_block(p, reader), p[w.buffer].name);
  return out;
}

}  // namespace

Check check(const State& state, const ReverseComputeAt& step) {
  TECC_CHECK(plan(state, step));
  return Ok{};
}

Applied apply(const State& state, const ReverseComputeAt& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const BlockId id = *block_of(state, step.block);
  const LoopId l = *loop_of(state, step.loop);
  const Plan plan_ = *plan(state, step);
  const Stmt row = p[id];
  loop::detach(p, id);
  const std::size_t position = loop::position_in_parent(p, loop::child_towards(p, l, plan_.producer)) + 1;
  out.results = loop_handles(move_into_nest(p, id, row, l, position, plan_.axes));
  return out;
}

}  // namespace tecc::schedule
