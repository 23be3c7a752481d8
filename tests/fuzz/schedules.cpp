#include "tests/fuzz/schedules.h"

#include <algorithm>
#include <array>

#include "autotune/rule/rules.h"

namespace tecc::fuzz {

using namespace schedule;

namespace {

/// Every handle that names something now.
struct Live {
  std::vector<std::pair<Ref, loop::LoopId>> loops;
  std::vector<std::pair<Ref, loop::BlockId>> blocks;
  std::vector<Ref> buffers;
};
Live live(const State& s, const loop::Program& naive) {
  Live out;
  const auto add = [&](Ref r) {
    if (const auto l = loop_of(s, r)) out.loops.emplace_back(r, *l);
    else if (const auto b = block_of(s, r)) {
      out.blocks.emplace_back(r, *b);
      for (std::uint32_t n = 0; n < s.program.block(*b).axes.size(); ++n) {
        r.axis = n;
        if (const auto own = loop_of(s, r)) out.loops.emplace_back(r, *own);
      }
    } else if (buffer_of(s, r)) out.buffers.push_back(r);
  };
  for (std::uint32_t n = 0; n < naive.stages.size(); ++n) add({Ref::Base::stage, n, 0, {}});
  for (std::uint32_t n = 0; n < naive.inputs.size(); ++n) out.buffers.push_back({Ref::Base::input, n, 0, {}});
  for (std::uint32_t n = 0; n < s.results.size(); ++n)
    for (std::uint32_t k = 0; k < s.results[n].size(); ++k) add({Ref::Base::step, n, k, {}});
  for (const auto& [r, id] : out.blocks) out.buffers.push_back(r);
  return out;
}

class Drawer {
 public:
  Drawer(const State& s, const loop::Program& naive, Random& r) : s_(s), p_(s.program), r_(r), l_(live(s, naive)) {}

  Step step() {
    const std::vector<loop::Scope> scopes = {loop::Scope::shared, loop::Scope::shared, loop::Scope::local, loop::Scope::local, loop::Scope::global};
    switch (below(r_, 34)) {
      case 0: case 1: case 2: case 3: {
        std::vector<std::int64_t> factors{1 + below(r_, 5)};
        if (one_in(r_, 6)) factors[0] = one_of<std::int64_t>(r_, {7, 8, 16});
        if (one_in(r_, 3)) factors.push_back(1 + below(r_, 3));
        return Split{loop(), factors, one_in(r_, 6) ? Tail::exact : Tail::guard};
      }
      case 4: case 5: {
        const auto chain = path();
        if (chain.size() < 2) return Fuse{loop(), loop()};
        const auto at = static_cast<std::size_t>(below(r_, chain.size() - 1));
        return Fuse{chain[at], chain[at + 1]};
      }
      case 6: case 7: case 8: {
        auto some = path();
        std::shuffle(some.begin(), some.end(), r_);
        some.resize(std::min<std::size_t>(some.size(), 2 + static_cast<std::size_t>(below(r_, 2))));
        return Reorder{some};
      }
      case 9: case 10: return bind();
      case 11: return one_in(r_, 2) ? Step{Parallel{some_loops()}} : Step{Vectorize{{loop()}}};
      case 12: return one_in(r_, 3) ? fuse_kernels() : one_in(r_, 3) ? tile() : Step{Unroll{some_loops()}};
      case 13: return one_in(r_, 3) ? Step{ReverseInline{block()}} : Step{Inline{{block()}}};
      case 14: case 15: case 16: {
        const Ref b = block();
        return ComputeAt{b, loop_around(users(b, true))};
      }
      case 17: case 18: {
        const Ref b = block();
        return ReverseComputeAt{b, loop_around(users(b, false))};
      }
      case 19: case 20: {
        // Under a loop around the reader.
        const Ref reader = block();
        const auto around = path_to(reader);
        std::vector<Ref> readers{reader};
        if (one_in(r_, 4)) {
          const Ref other = block();
          if (!(other == reader)) readers.push_back(other);
        }
        return CacheRead{readers, read_by(reader), one_of(r_, scopes), around.empty() ? loop() : one_of(r_, around)};
      }
      case 21: {
        const Ref b = block();
        const auto around = path_to(b);
        return CacheWrite{b, b, one_of(r_, scopes), around.empty() ? loop() : one_of(r_, around)};
      }
      case 22: return SetScope{{block()}, one_of(r_, scopes)};
      case 23: {
        const Ref b = buffer();
        std::vector<std::int64_t> order;
        if (const auto t = buffer_of(s_, b); t && one_in(r_, 2)) {
          for (std::size_t n = 0; n < p_[*t].shape.size(); ++n) order.push_back(static_cast<std::int64_t>(n));
          std::shuffle(order.begin(), order.end(), r_);
        }
        return SetLayout{b, order, below(r_, 3)};
      }
      case 24: {
        std::vector<Ref> scans;
        for (const auto& [ref, id] : l_.blocks)
          if (loop::is_scan(p_.block(id))) scans.push_back(ref);
        if (scans.empty() || one_in(r_, 3)) return DecomposeReduction{block(), around_of_block()};
        const Ref b = one_of(r_, scans);
        const auto around = path_to(b);
        return Scan{{b}, around.empty() ? loop() : one_of(r_, around)};
      }
      case 25: {
        const Ref b = reduction();
        const auto around = path_to(b);
        return CrossThreadReduce{{b}, around.empty() ? loop() : one_of(r_, around)};
      }
      case 26: case 27: {
        const Ref b = reduction();
        const auto around = path_to(b);
        return Rfactor{b, around.empty() ? loop() : one_of(r_, around)};
      }
      case 28: return SplitReduction{loop(), 2 + below(r_, 3), 1 + below(r_, 2)};
      case 29: {
        // What lies in shared memory, in a loop around the copy that fills it.
        std::vector<std::pair<Ref, loop::BlockId>> filled;
        for (const Ref& ref : l_.buffers)
          if (const auto t = buffer_of(s_, ref); t && p_[*t].scope == loop::Scope::shared)
            for (loop::BlockId w : loop::writers_of(p_, *t)) filled.emplace_back(ref, w);
        if (filled.empty() || one_in(r_, 5)) return Pipeline{loop(), {buffer()}, 2 + below(r_, 2)};
        const auto& [ref, w] = one_of(r_, filled);
        const auto around = refs_of(loop::loops_around(p_, w));
        return Pipeline{around.empty() ? loop() : one_of(r_, around), {ref}, 2 + below(r_, 2)};
      }
      case 30: {
        const auto chain = path();
        if (chain.size() < 2) return Reverse{loop()};
        return Raster{chain[0], chain[1], 1 + below(r_, 3), one_in(r_, 3) ? Order::longest_first : Order::forward};
      }
      case 31: return one_in(r_, 2) ? Step{Reverse{loop()}} : Step{Partition{loop()}};
      case 32: return one_in(r_, 3) ? Step{Persist{loop()}} : one_in(r_, 2) ? Step{Blockize{loop()}} : Step{CopyWith{{copy()}, one_of<loop::Via>(r_, {loop::Via::vector, loop::Via::cp_async})}};
      default: {
        // Two statements of a loop that hold several: the first runs ahead.
        const Ref a = block(), b = block();
        if (a == b) return Unroll{{loop()}};
        return Skew{loop(), {{b, 1}}, {a, b}};
      }
    }
  }

  /// Binds each kernel's outermost loops to blocks and an inner one to threads, where that is legal.
  std::vector<Step> bindings() {
    std::vector<Step> out;
    for (loop::StmtId root : p_.kernels) {
      const auto blocks = loop::blocks_under(p_, root);
      if (blocks.empty()) continue;
      auto around = loop::loops_around(p_, one_of(r_, blocks));
      if (!one_in(r_, 6)) std::erase_if(around, [&](loop::LoopId l) { return shares_reduction(l) && l != around[0]; });
      const auto chain = refs_of(around);
      if (chain.empty()) continue;
      if (p_[root].children.size() == 1 && one_in(r_, 2)) out.push_back(Bind{{chain[0]}, loop::Group::block});
      if (chain.size() > 1) out.push_back(Bind{{chain[1 + static_cast<std::size_t>(below(r_, chain.size() - 1))]}, loop::Group::thread});
      else if (out.empty() || one_in(r_, 2)) out.push_back(Bind{{chain[0]}, loop::Group::thread});
    }
    return out;
  }

  /// A copy in shared memory of what a block reads or writes in one of its outer loops, mostly in a tile that is cut for it: several loops are left
  /// inside, and threads may number what they hand over in one order and take it in another.
  std::vector<Step> stage() {
    const Ref b = block();
    const auto around = path_to(b);
    if (around.empty()) return {};
    std::vector<Step> out;
    Ref at = around[static_cast<std::size_t>(below(r_, (around.size() + 1) / 2))];
    if (!one_in(r_, 3)) {
      out.push_back(Split{at, {2 + below(r_, 3)}});
      at = made(0, 0);
    }
    if (one_in(r_, 2)) out.push_back(CacheWrite{b, b, loop::Scope::shared, at});
    else out.push_back(CacheRead{{b}, read_by(b), loop::Scope::shared, at});
    return out;
  }

  /// A tile that a block takes from shared memory or leaves there, with two loops on either side: each side makes them one loop over threads, mostly in
  /// another order than the other. What its threads touch is told by quotients and remainders of their numbers.
  std::vector<Step> trade() {
    std::vector<std::array<Ref, 3>> places;  // a block and two loops around it, the one directly inside of the other
    const auto free = [&](loop::LoopId l) {
      return loop::constant_extent(p_, l).value_or(2) > 1 && !shares_reduction(l) && loop_group(l) == loop::Group::none && !loop::raster_partner(p_, l);
    };
    for (const auto& [ref, id] : l_.blocks) {
      const auto around = loop::loops_around(p_, id);
      for (std::size_t n = 1; n < around.size(); ++n)
        if (const auto both = refs_of({around[n - 1], around[n]}); both.size() == 2 && free(around[n - 1]) && free(around[n])) places.push_back({ref, both[0], both[1]});
    }
    if (places.empty()) return {};
    const auto [b, cut, inner] = one_of(r_, places);
    std::vector<Step> out{Split{cut, {2 + below(r_, 3)}}};
    if (one_in(r_, 2)) out.push_back(CacheWrite{b, b, loop::Scope::shared, made(0, 0)});
    else out.push_back(CacheRead{{b}, read_by(b), loop::Scope::shared, made(0, 0)});
    const auto threads = [&](Ref slow, Ref fast, bool swapped) {
      if (swapped) {
        std::swap(slow, fast);
        out.push_back(Reorder{{slow, fast}});
      }
      out.push_back(Fuse{slow, fast});
      out.push_back(Bind{{made(out.size() - 1, 0)}, loop::Group::thread});
    };
    const bool swapped = one_in(r_, 2);
    threads(made(0, 1), inner, swapped);
    threads(made(1, 1, 0), made(1, 1, 1), swapped == one_in(r_, 4));
    return out;
  }

  /// What a block reads or makes, held by threads in tiles that need not divide anything: guards, and zeros from beyond the tensor.
  std::vector<Step> hold() {
    const Ref b = block();
    const auto around = path_to(b);
    if (around.empty()) return {};
    const Ref cut = one_of(r_, around), inner = made(0, 1);
    const Ref at = one_in(r_, 2) ? made(0, static_cast<std::uint32_t>(below(r_, 2))) : one_of(r_, around);
    std::vector<Step> out{Split{cut, {2 + below(r_, 4)}}, Bind{{one_in(r_, 3) ? made(0, 0) : inner}, loop::Group::thread}};
    if (one_in(r_, 3)) out.push_back(CacheWrite{b, b, loop::Scope::local, at});
    else out.push_back(CacheRead{{b}, read_by(b), loop::Scope::local, at});
    const Ref copy = made(2, 1, static_cast<std::uint32_t>(below(r_, 2)));
    out.push_back(Split{copy, {2 + below(r_, 4)}});
    if (one_in(r_, 2)) out.push_back(one_in(r_, 2) ? Step{Vectorize{{made(3, 1)}}} : Step{Bind{{made(3, static_cast<std::uint32_t>(below(r_, 2)))}, loop::Group::thread}});
    return out;
  }

  /// Copies that a pipeline runs ahead through registers of the threads, which copy once more what they hold.
  std::vector<Step> run_ahead() {
    const Ref b = block();
    const auto around = path_to(b);
    if (around.empty()) return {};
    const Ref at = one_of(r_, around), from = read_by(b), store = made(0, 1);
    std::vector<Step> out{CacheRead{{b}, from, loop::Scope::shared, at}, CacheRead{{store}, from, loop::Scope::local, at}, Pipeline{at, {made(0, 0)}, 2}};
    if (one_in(r_, 2)) out.push_back(CacheRead{{store}, made(1, 0), loop::Scope::local, made(0, 1, static_cast<std::uint32_t>(below(r_, 2)))});
    return out;
  }

  /// Threads for a statement that has none: the loops that hold nothing else are reordered, become one, and are bound. Statements of a kernel come to
  /// number their threads in different orders, and hand over to each other what lies in memory.
  std::optional<Step> share_out() {
    std::vector<loop::BlockId> idle;
    for (const auto& [ref, id] : l_.blocks) {
      const auto around = loop::loops_around(p_, id);
      if (std::none_of(around.begin(), around.end(), [&](loop::LoopId l) { return loop_group(l) == loop::Group::thread; })) idle.push_back(id);
    }
    if (idle.empty()) return std::nullopt;
    auto own = loop::loops_around(p_, one_of(r_, idle));
    std::erase_if(own, [&](loop::LoopId l) { return loop::blocks_under(p_, l).size() > 1 || shares_reduction(l) || loop_group(l) != loop::Group::none; });
    std::vector<Ref> refs = refs_of(own);
    if (refs.empty()) return std::nullopt;
    if (refs.size() == 1 || one_in(r_, 8)) return Bind{{one_of(r_, refs)}, loop::Group::thread};
    if (one_in(r_, 3)) {
      std::shuffle(refs.begin(), refs.end(), r_);
      return Reorder{refs};
    }
    const auto at = static_cast<std::size_t>(below(r_, refs.size() - 1));
    return Fuse{refs[at], refs[at + 1]};
  }

 private:
  const State& s_;
  const loop::Program& p_;
  Random& r_;
  Live l_;

  /// Mostly what a GPU can run: blocks outermost, threads that share no reduction.
  Step bind() {
    const auto group = one_of<loop::Group>(r_, {loop::Group::thread, loop::Group::thread, loop::Group::block, loop::Group::none});
    if (group == loop::Group::none || one_in(r_, 5)) return Bind{some_loops(), group};
    std::vector<Ref> fits;
    for (const auto& [ref, id] : l_.loops) {
      const bool outermost = !p_[p_[id].parent].as<loop::Loop>() || p_.loop(p_[id].parent).group == loop::Group::block;
      if (group == loop::Group::block ? outermost && p_[p_[id].parent].children.size() == 1 : !shares_reduction(id)) fits.push_back(ref);
    }
    return Bind{{fits.empty() ? loop() : one_of(r_, fits)}, group};
  }
  loop::Group loop_group(loop::LoopId l) const { return p_.loop(l).group; }
  bool shares_reduction(loop::LoopId l) const {
    const auto blocks = loop::blocks_under(p_, l);
    return std::any_of(blocks.begin(), blocks.end(), [&](loop::BlockId b) {
      // Threads may share one that they combine.
      const bool combined = std::any_of(p_.cross_threads.begin(), p_.cross_threads.end(), [&](const loop::CrossThread& c) { return c.block == b && l != c.at && loop::is_inside(p_, l, c.at); });
      return (!combined && loop::feeds(p_, l, p_.block(b), loop::IterKind::reduce)) || loop::feeds(p_, l, p_.block(b), loop::IterKind::scan);
    });
  }

  /// A result of the step that will be taken `ahead` steps from now.
  Ref made(std::size_t ahead, std::uint32_t result, std::optional<std::uint32_t> axis = {}) const { return {Ref::Base::step, static_cast<std::uint32_t>(s_.results.size() + ahead), result, axis}; }

  Ref loop() { return l_.loops.empty() ? Ref{} : one_of(r_, l_.loops).first; }
  Ref block() { return l_.blocks.empty() ? Ref{} : one_of(r_, l_.blocks).first; }
  /// Mostly a block that brings something to shared memory.
  Ref copy() {
    std::vector<Ref> out;
    for (const auto& [ref, id] : l_.blocks)
      if (p_[p_.block(id).writes[0].buffer].scope == loop::Scope::shared && !p_.block(id).combiner) out.push_back(ref);
    return out.empty() || one_in(r_, 4) ? block() : one_of(r_, out);
  }
  Ref buffer() { return one_of(r_, l_.buffers); }
  Ref reduction() {
    std::vector<Ref> out;
    for (const auto& [ref, id] : l_.blocks)
      if (p_.block(id).combiner) out.push_back(ref);
    return out.empty() ? block() : one_of(r_, out);
  }
  std::vector<Ref> refs_of(const std::vector<loop::LoopId>& ids) const {
    std::vector<Ref> out;
    for (loop::LoopId id : ids)
      for (const auto& [ref, l] : l_.loops)
        if (l == id) {
          out.push_back(ref);
          break;
        }
    return out;
  }
  std::vector<Ref> path_to(const Ref& b) const {
    const auto id = block_of(s_, b);
    return id ? refs_of(loop::loops_around(p_, *id)) : std::vector<Ref>{};
  }
  std::vector<Ref> path() { return path_to(block()); }
  /// Two loops that stand in one sequence: the outermost ones of two kernels, or what one loop holds.
  Step fuse_kernels() {
    std::vector<loop::LoopId> row;
    for (loop::StmtId k : p_.kernels) row.push_back(p_[k].children[0]);
    if (const auto around = path(); !around.empty() && one_in(r_, 3)) row = p_[*loop_of(s_, one_of(r_, around))].children;
    const auto loops = refs_of(row);
    if (loops.size() < 2) return FuseKernels{loop(), loop()};
    const std::int64_t first = below(r_, loops.size() - 1), second = first + 1 + below(r_, static_cast<std::int64_t>(loops.size()) - first - 1);
    return FuseKernels{loops[static_cast<std::size_t>(first)], loops[static_cast<std::size_t>(second)]};
  }
  Step tile() {
    std::vector<Ref> loops = path();
    loops.resize(std::min<std::size_t>(loops.size(), 1 + static_cast<std::size_t>(below(r_, 3))));
    std::vector<std::int64_t> factors;
    for (std::size_t n = 0; n < loops.size(); ++n) factors.push_back(1 + below(r_, 5));
    return TileLoops{loops, factors};
  }
  /// Blocks that read what the block writes, or that write what it reads.
  std::vector<loop::BlockId> users(const Ref& of, bool readers) const {
    std::vector<loop::BlockId> out;
    const auto id = block_of(s_, of);
    for (const auto& [ref, other] : l_.blocks) {
      if (!id || other == *id) continue;
      const loop::Block &from = p_.block(readers ? *id : other), &to = p_.block(readers ? other : *id);
      if (std::any_of(from.writes.begin(), from.writes.end(), [&](const loop::Write& w) { return loop::reads(to, w.buffer); })) out.push_back(other);
    }
    return out;
  }
  /// A loop around one of these; any loop where there is none, and now and then.
  Ref loop_around(const std::vector<loop::BlockId>& blocks) {
    if (blocks.empty() || one_in(r_, 4)) return loop();
    const auto around = refs_of(loop::loops_around(p_, one_of(r_, blocks)));
    return around.empty() ? loop() : one_of(r_, around);
  }
  Ref around_of_block() {
    const auto around = path();
    return around.empty() ? loop() : one_of(r_, around);
  }
  std::vector<Ref> some_loops() {
    std::vector<Ref> out{loop()};
    if (one_in(r_, 3)) out.push_back(loop());
    return out;
  }
  /// A tensor that the block reads.
  Ref read_by(const Ref& reader) {
    const auto id = block_of(s_, reader);
    if (!id) return buffer();
    const auto tensors = loop::read_buffers(p_.block(*id));
    std::vector<Ref> out;
    for (const Ref& b : l_.buffers)
      if (const auto t = buffer_of(s_, b); t && std::find(tensors.begin(), tensors.end(), *t) != tensors.end()) out.push_back(b);
    return out.empty() ? buffer() : one_of(r_, out);
  }
};

/// Applies a step; true if it was accepted. What it throws is a fault.
bool take(State& state, Drawn& out, const Step& step) {
  try {
    if (!run(state, step)) return false;
    out.trace.push_back({step, {}, {}});
    return true;
  } catch (const std::exception& e) {
    out.trace.push_back({step, {}, {}});
    out.fault = std::string("exception: ") + e.what();
    return false;
  }
}

}  // namespace

Step random_step(const State& s, const loop::Program& naive, Random& r) { return Drawer(s, naive, r).step(); }

Drawn random_steps(const loop::Program& naive, Random& r, std::size_t length) {
  Drawn out;
  State state{naive, {}};
  const std::int64_t last = below(r, 5);
  if (last > 1 && one_in(r, 2)) length = 2;  // what was done before often stands in the way of what follows
  for (std::size_t tries = 0; tries < 12 * length && out.trace.size() < length && out.fault.empty(); ++tries) take(state, out, random_step(state, naive, r));
  if (last == 0) return out;
  if (last == 1) {
    for (const Step& s : Drawer(state, naive, r).bindings())
      if (out.fault.empty()) take(state, out, s);
    return out;
  }
  const auto all_of = [&](const std::vector<Step>& steps) {
    return !steps.empty() && std::all_of(steps.begin(), steps.end(), [&](const Step& s) { return out.fault.empty() && take(state, out, s); });
  };
  if (last == 3) {
    std::int64_t held = 1 + below(r, 2);
    for (std::size_t tries = 0; tries < 8 && held > 0 && out.fault.empty(); ++tries) held -= all_of(one_in(r, 3) ? Drawer(state, naive, r).run_ahead() : Drawer(state, naive, r).hold());
    for (std::int64_t more = below(r, 3); more-- > 0 && out.fault.empty();) take(state, out, random_step(state, naive, r));
    return out;
  }
  bool staged = false;
  for (std::size_t tries = 0; tries < 4 && !staged && out.fault.empty(); ++tries) staged = all_of(last == 4 ? Drawer(state, naive, r).trade() : Drawer(state, naive, r).stage());
  for (std::size_t tries = 0; tries < 8 * naive.stages.size() + 8 && out.fault.empty(); ++tries)
    if (const auto step = Drawer(state, naive, r).share_out()) take(state, out, *step);
  return out;
}

Drawn random_rules(const Case& c, Random& r) {
  static const codegen::Target targets[] = {codegen::find_target("sm_90a").or_throw(), codegen::find_target("sm_80").or_throw()};
  Drawn out;
  autotune::Rng rng(r());
  for (int n = 0; n < 8; ++n) {
    try {
      const codegen::Target& target = targets[one_in(r, 6) ? 1 : 0];
      auto candidate = autotune::propose(c.workload.naive, target, autotune::Chooser({}, &rng));
      if (!candidate || !compiler::lower(candidate->state.program, target.limits)) continue;
      for (const Traced& t : candidate->trace) out.trace.push_back({t.step, {}, {}});
      if (one_in(r, 3)) {
        State state = std::move(candidate->state);
        for (std::int64_t more = 1 + below(r, 3), tries = 0; more > 0 && tries < 20 && out.fault.empty(); ++tries) more -= take(state, out, random_step(state, c.workload.naive, r));
      }
      return out;
    } catch (const std::exception& e) {
      out.fault = std::string("exception in the rules: ") + e.what();
      return out;
    }
  }
  return out;
}

}  // namespace tecc::fuzz
