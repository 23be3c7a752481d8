#include <fmt/format.h>

#include <cstdlib>

#include "tests/fuzz/shrink.h"
#include "tests/oracle/nests.h"
#include "tests/support/te.h"
#ifdef TECC_ISL
#include "tests/oracle/legality.h"
#endif

using namespace tecc;
using namespace tecc::schedule;

// Steps on random nests, held against integer sets: what is accepted must be legal, and what is refused inside of the fragment illegal.
// TECC_ORACLE_STEPS=n checks n steps, TECC_ORACLE_SEED=n others.

#ifndef TECC_ISL
TEST_CASE("oracle: skipped, as isl is not installed (libisl-dev)") { WARN("no isl: the oracle of steps is skipped"); }
#else

namespace {

using fuzz::below;
using fuzz::one_in;
using fuzz::one_of;
using fuzz::Random;

struct Live {
  std::vector<std::pair<Ref, loop::LoopId>> loops;
  std::vector<Ref> blocks;
};
Live live(const State& s) {
  Live out;
  for (std::uint32_t n = 0; n < s.program.stages.size(); ++n) {
    Ref r{Ref::Base::stage, n, 0, {}};
    const auto b = block_of(s, r);
    if (!b) continue;
    out.blocks.push_back(r);
    for (std::uint32_t a = 0; a < s.program.block(*b).axes.size(); ++a) {
      r.axis = a;
      if (const auto l = loop_of(s, r)) out.loops.emplace_back(r, *l);
    }
  }
  for (std::uint32_t n = 0; n < s.results.size(); ++n)
    for (std::uint32_t k = 0; k < s.results[n].size(); ++k)
      if (const auto l = loop_of(s, {Ref::Base::step, n, k, {}})) out.loops.emplace_back(Ref{Ref::Base::step, n, k, {}}, *l);
  return out;
}

Step draw(const State& s, Random& r) {
  const Live l = live(s);
  const auto loop = [&] { return one_of(r, l.loops).first; };
  const auto near = [&](const Ref& first) {  // mostly of the same chain
    const loop::LoopId id = *loop_of(s, first);
    std::vector<Ref> inside;
    for (const auto& [ref, other] : l.loops)
      if (other != id && (loop::is_inside(s.program, other, id) || loop::is_inside(s.program, id, other))) inside.push_back(ref);
    return inside.empty() || one_in(r, 6) ? loop() : one_of(r, inside);
  };
  switch (below(r, 9)) {
    case 0: case 1: return Split{loop(), one_in(r, 4) ? std::vector<std::int64_t>{2, 2} : std::vector<std::int64_t>{2 + below(r, 3)}, Tail::guard};
    case 2: { const Ref a = loop(); return Fuse{a, near(a)}; }
    case 3: case 4: { const Ref a = loop(); return Reorder{{near(a), a}}; }
    case 5: return ComputeAt{one_of(r, l.blocks), loop()};
    case 6: return ReverseComputeAt{one_of(r, l.blocks), loop()};
    case 7: return one_in(r, 2) ? Step{Parallel{{loop()}}} : Step{Vectorize{{loop()}}};
    default: return Bind{{loop()}, one_in(r, 2) ? loop::Group::thread : loop::Group::block};
  }
}

/// The program that a refused step would have made, where that can be said without its check.
std::optional<loop::Program> made_anyway(const State& s, const Step& step, Code why) {
  const auto mark = [&](const std::vector<Ref>& loops, auto change) {
    loop::Program p = s.program;
    for (loop::LoopId l : *loops_of(s, loops)) p.stmts.edit(l, [&](loop::Stmt& row) { change(std::get<loop::Loop>(row.node)); });
    return p;
  };
  if (why == Code::tail_repeats) return apply(s, std::get<Split>(step)).program;
  if (why != Code::carries) return std::nullopt;
  if (const auto* x = std::get_if<Parallel>(&step)) return mark(x->loops, [](loop::Loop& l) { l.kind = loop::LoopKind::parallel; });
  if (const auto* x = std::get_if<Vectorize>(&step)) return mark(x->loops, [](loop::Loop& l) { l.kind = loop::LoopKind::vectorized; });
  if (const auto* x = std::get_if<Bind>(&step)) return mark(x->loops, [&](loop::Loop& l) { l.group = x->group; });
  if (const auto* x = std::get_if<Reorder>(&step)) return apply(s, *x).program;
  return std::nullopt;
}

/// Blocks that stand in other loops than before: what compute_at moved may run again.
void note_moved(const loop::Program& before, const loop::Program& after, std::set<loop::BlockId>& again) {
  for (loop::BlockId b : loop::all_blocks(after))
    if (before.stmts.has(b) && loop::loops_around(before, b) != loop::loops_around(after, b)) again.insert(b);
}

struct Counts {
  std::int64_t steps = 0, accepted = 0, refused = 0, judged = 0;  // judged: refused, and held against the oracle inside of the fragment
  std::map<std::string, std::int64_t> by_step, outside;           // outside: refused and not judged, by rule
  std::vector<std::string> wrong;
};

std::string setting(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);
  return text ? text : otherwise;
}

Counts check_steps(std::uint64_t seed, std::int64_t most) {
  Counts out;
  for (std::uint64_t n = 0; out.steps < most && out.wrong.size() < 5; ++n) {
    Random r = fuzz::random_of(seed, n);
    const fuzz::Expression e = oracle::random_nest(r);
    const fuzz::Case c = test::require(fuzz::make_case(e, 1));
    const loop::Program& naive = c.workload.naive;
    const oracle::Oracle judge(naive);
    State state{naive, {}};
    Trace trace;
    std::set<loop::BlockId> again;
    for (std::int64_t tries = 12; tries-- > 0 && trace.size() < 6 && out.steps < most;) {
      if (live(state).loops.empty()) break;  // compute_at may leave loops that no handle names
      const Step step = draw(state, r);
      const std::string name = std::visit([](const auto& s) { return std::string(s.name); }, step);
      ++out.steps;
      ++out.by_step[name];
      const std::string text = [&] {
        Trace t = trace;
        t.push_back({step, {}, {}});
        return e.text + "# " + e.dims + "\n" + print(t, naive);
      }();
      State after = state;
      const Check done = run(after, step);
      if (!done) {
        ++out.refused;
        const auto made = made_anyway(state, step, done.error().code);
        const std::string rule = !made ? number(done.error().code) : again.empty() ? oracle::outside_of_fragment(state.program) : "after compute_at, whose sums may run again";
        if (!made || !rule.empty()) {
          ++out.outside[made ? rule : name + " " + rule];
          continue;
        }
        ++out.judged;
        if (judge.fault(*made, again, oracle::Oracle::Runs::once).empty()) out.wrong.push_back("refused, but legal: " + render(done.error()) + "\n" + text);
        continue;
      }
      ++out.accepted;
      if (std::holds_alternative<ComputeAt>(step)) note_moved(state.program, after.program, again);
      const std::string fault = judge.fault(after.program, again);
      state = std::move(after);
      trace.push_back({step, {}, {}});
      if (fault.empty()) continue;
      out.wrong.push_back("accepted, but illegal: " + fault + "\n" + text);
      break;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("oracle: steps on random nests are accepted when they are legal, and only then", "[oracle]") {
  const std::uint64_t seed = std::stoull(setting("TECC_ORACLE_SEED", "1"));
  const Counts c = check_steps(seed, std::stoll(setting("TECC_ORACLE_STEPS", "1500")));
  std::string table = fmt::format("{} steps checked: {} accepted, {} refused, of those {} judged\n", c.steps, c.accepted, c.refused, c.judged);
  for (const auto& [name, n] : c.by_step) table += fmt::format("  {} {}\n", name, n);
  for (const auto& [rule, n] : c.outside) table += fmt::format("  refused, not judged: {} {}\n", rule, n);
  WARN(table);
  for (const std::string& w : c.wrong) FAIL_CHECK(w);
  CHECK(c.accepted > c.steps / 8);
  CHECK(c.judged > c.steps / 100);
}

TEST_CASE("oracle: sees what is illegal", "[oracle]") {
  const auto fault = [](const std::string& text, const std::string& schedule, auto change) {
    const fuzz::Case c = test::require(fuzz::make_case({text, "M=3,N=5", "", "nest"}, 1));
    const loop::Program& naive = c.workload.naive;
    State s = test::require(replay(naive, test::require(schedule::parse({intern("s"), schedule}, naive))));
    change(s.program);
    return oracle::Oracle(naive).fault(s.program, {});
  };
  const auto parallel = [](const std::string& name) {
    return [name](loop::Program& p) {
      for (loop::BlockId b : loop::all_blocks(p))
        for (loop::LoopId l : loop::loops_around(p, b))
          if (p.vars[p.loop(l).var].name == name) p.stmts.edit(l, [](loop::Stmt& s) { std::get<loop::Loop>(s.node).kind = loop::LoopKind::parallel; });
    };
  };
  const auto nothing = [](loop::Program&) {};
  const std::string scan = "kernel k(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) }";
  const std::string sum = "kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }";
  const std::string chain = "kernel k(X: f32[M, N]) -> (Z) { Y[i: M, j: N] = X[i, j] + 1 Z[i: M, j: N] = Y[i, j] + (Y[i, j - 1] else 0) }";
  CHECK(fault(scan, "reorder(Y.j, Y.i)", nothing) == "");
  CHECK(fault(scan, "", parallel("i")) == "");
  CHECK(fault(scan, "", parallel("j")).rfind("runs before what it needs", 0) == 0);
  CHECK(fault(sum, "", parallel("i")) == "");
  CHECK(fault(sum, "", parallel("j")).rfind("block 'Y' adds at the same time", 0) == 0);
  CHECK(fault(chain, "a, b = split(Z.j, 2)\nreorder(b, Z.i)", nothing) == "");
  // A factor that was forgotten, a loop that is too short, an iteration more that no guard cuts.
  const auto all_loops = [](loop::Program& p, auto change) {
    for (loop::BlockId b : loop::all_blocks(p))
      for (loop::LoopId l : loop::loops_around(p, b)) p.stmts.edit(l, [&](loop::Stmt& s) { change(std::get<loop::Loop>(s.node)); });
  };
  CHECK(fault(sum, "", [&](loop::Program& p) { all_loops(p, [](loop::Loop& l) { l.extent = index_literal(2); }); }).rfind("block 'Y' does not run", 0) == 0);
  CHECK(fault(sum, "f = fuse(Y.i, Y.j)", [&](loop::Program& p) { all_loops(p, [](loop::Loop& l) { l.extent = index_literal(17); }); }) == "");
  CHECK(fault(chain, "", [](loop::Program& p) { std::swap(p.kernels[0], p.kernels[1]); }).rfind("runs before what it needs", 0) == 0);
}

#endif
