#include <fmt/format.h>

#include <random>

#include "tests/support/simulated.h"

using namespace tecc;
using namespace tecc::schedule;

// Random schedules of small kernels: what check() accepts keeps the meaning, prints and parses, and lowers without a bug of
// ours. TECC_FUZZ_SEED=n starts at another seed, TECC_FUZZ_COUNT=n tries more.

namespace {

using Random = std::mt19937;
std::int64_t below(Random& r, std::size_t n) { return static_cast<std::int64_t>(r() % std::max<std::size_t>(n, 1)); }
template <class T> const T& one_of(Random& r, const std::vector<T>& v) { return v[static_cast<std::size_t>(below(r, v.size()))]; }

/// Every handle that names something now.
struct Live {
  std::vector<Ref> loops, blocks, buffers;
};
Live live(const State& s, const loop::Program& naive) {
  Live out;
  const auto add = [&](Ref r) {
    if (loop_of(s, r)) out.loops.push_back(r);
    else if (const auto b = block_of(s, r)) {
      out.blocks.push_back(r);
      for (std::uint32_t n = 0; n < s.program.block(*b).axes.size(); ++n) {
        r.axis = n;
        if (loop_of(s, r)) out.loops.push_back(r);
      }
    } else if (buffer_of(s, r)) out.buffers.push_back(r);
  };
  for (std::uint32_t n = 0; n < naive.stages.size(); ++n) add({Ref::Base::stage, n, 0, {}});
  for (std::uint32_t n = 0; n < naive.inputs.size(); ++n) out.buffers.push_back({Ref::Base::input, n, 0, {}});
  for (std::uint32_t n = 0; n < s.results.size(); ++n)
    for (std::uint32_t k = 0; k < s.results[n].size(); ++k) add({Ref::Base::step, n, k, {}});
  for (const Ref& b : out.blocks) out.buffers.push_back(b);
  return out;
}

Step random_step(const Live& l, Random& r) {
  const auto loop = [&] { return l.loops.empty() ? Ref{} : one_of(r, l.loops); };
  const auto block = [&] { return l.blocks.empty() ? Ref{} : one_of(r, l.blocks); };
  const auto loops = [&] {
    std::vector<Ref> out;
    for (std::int64_t n = 1 + below(r, 3); n-- > 0;) out.push_back(loop());
    return out;
  };
  const std::vector<loop::Scope> scopes = {loop::Scope::shared, loop::Scope::local, loop::Scope::global};
  switch (below(r, 18)) {
    case 0: case 1: case 2: {
      std::vector<std::int64_t> factors{1 + below(r, 5)};
      if (below(r, 3) == 0) factors.push_back(1 + below(r, 3));
      return Split{loop(), factors, below(r, 6) == 0 ? Tail::exact : Tail::guard};
    }
    case 3: return Fuse{loop(), loop()};
    case 4: case 5: return Reorder{loops()};
    case 6: return Bind{loops(), below(r, 2) ? loop::Group::thread : loop::Group::block};
    case 7: return below(r, 2) ? Step{Parallel{loops()}} : Step{Vectorize{{loop()}}};
    case 8: return Unroll{loops()};
    case 9: return Inline{{block()}};
    case 10: case 11: return ComputeAt{block(), loop()};
    case 12: return ReverseComputeAt{block(), loop()};
    case 13: return CacheRead{{block()}, one_of(r, l.buffers), one_of(r, scopes), loop()};
    case 14: { const Ref b = block(); return CacheWrite{b, b, one_of(r, scopes), loop()}; }
    case 15: return below(r, 2) ? Step{SetScope{{block()}, one_of(r, scopes)}} : Step{SetLayout{block(), {}, below(r, 3)}};
    case 16: return below(r, 2) ? Step{DecomposeReduction{block(), loop()}} : Step{CrossThreadReduce{{block()}, loop()}};
    default: return Rfactor{block(), loop()};
  }
}

const std::vector<test::Subject> kernels = {
    test::product, test::epilogue, test::chain, test::halo, test::running,
    {"kernel t(X: f32[N]) -> (Y) { Y[i: N] = sum[j: i + 1](X[j] * X[i]) }", "N=6"},
    {"kernel s(X: f32[M, N]) -> (Y) { top[i: M] = max[j: N](X[i, j]) e[i: M, j: N] = exp(X[i, j] - top[i]) l[i: M] = sum[j: N](e[i, j]) Y[i: M, j: N] = e[i, j] / l[i] }", "M=3,N=5"},
    {"kernel c(X: f32[H, W]) -> (Y) { Y[p: H, q: W] = max[r: 3, s: 3]((X[p + r - 1, q + s - 1] else -100)) }", "H=4,W=5"},
    {"kernel v(X: f32[M, N]) -> (Z) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) Z[j: N, i: M] = Y[i, j] * 2 }", "M=3,N=4"},
    {"kernel n(X: f32[M]) -> (Y, Z) { a[i: M] = X[i] + 1 Y[i: M] = a[i] * 2 Z[i: M] = sum[j: M](a[j] * X[i]) }", "M=5"},
};

/// Programs in which lowering leaves races that the simulator finds (B0904), until insert_barriers or check_groups knows them:
///   a block inside some loops of a nest bound to threads, but not all: the threads of the others do the same, at the same time; so do blocks
///   of threads that compute the same reduction in global memory;
///   a reduction into memory whose identity is stored outside of its nest: what it reads of its own buffer is not seen as a read.
bool races(const loop::Program& p) {
  for (loop::BlockId id : loop::all_blocks(p)) {
    const loop::Block& b = p.block(id);
    const loop::Scope scope = p[b.writes[0].buffer].scope;
    if (scope != loop::Scope::global && scope != loop::Scope::shared) continue;
    const auto nest = compiler::thread_nest(p, id);
    if (b.combiner && b.init == loop::Init::apart) {
      for (loop::BlockId other : loop::writers_of(p, b.writes[0].buffer))
        if (loop::root_of(p, other) == loop::root_of(p, id) && compiler::thread_nest(p, other) != nest) return true;
      for (loop::LoopId l : compiler::bound_loops(p, id, loop::Group::block))
        if (scope == loop::Scope::global && !loop::feeds(p, l, b, loop::IterKind::spatial)) return true;
    }
    if (!nest) continue;
    std::vector<loop::StmtId> stack{*nest};
    while (!stack.empty()) {
      const loop::StmtId s = stack.back();
      stack.pop_back();
      if (p[s].as<loop::Loop>() && compiler::is_thread_group(p.loop(s).group) && !loop::feeds(p, s, b, loop::IterKind::spatial)) return true;
      stack.insert(stack.end(), p[s].children.begin(), p[s].children.end());
    }
  }
  return false;
}

/// What is wrong with a schedule that was accepted; "" if nothing is.
std::string wrong(const test::Prepared& p, const Trace& trace, const std::vector<Array>& inputs, const std::vector<Array>& want) {
  try {
    const auto state = replay(p.naive, trace);
    if (!state) return "";
    if (const Check good = loop::verify(state->program, loop::Level::scheduled); !good) return "verify: " + render(good.error());
    const auto compare = [&](const loop::Program& each) -> std::string {
      if (const std::string fault = test::text_fault(each); !fault.empty()) return fault;
      const loop::Program read_back = *loop::parse({intern("p.ir"), print(each)});
      for (const AtOnce order : {AtOnce::forwards, AtOnce::backwards}) {
        const std::string how = order == AtOnce::forwards ? "" : "backwards, ";
        const auto run = interpret(read_back, {}, inputs, order);
        if (!run) return how + render(run.error());
        for (std::size_t n = 0; n < want.size(); ++n)
          for (std::int64_t e = 0; e < want[n].size(); ++e)
            if (!(std::abs(run->outputs[n].get(e) - want[n].get(e)) <= 1e-4 * (1 + std::abs(want[n].get(e))))) return fmt::format("{}output {} differs at {}", how, n, e);
      }
      return "";
    };
    if (const std::string bad = compare(state->program); !bad.empty()) return "scheduled: " + bad;
    const std::string text = print(trace, p.naive);
    const auto again = parse({intern("s"), text}, p.naive);
    if (!again) return "its text is refused: " + render(again.error());
    if (print(*again, p.naive) != text || hash(*again) != hash(trace)) return "its text reads back differently";
    const auto lowered = compiler::lower(state->program, compiler::Limits{.gpu = false});
    if (!lowered && number(lowered.error().code)[0] == 'B') return "CPU: " + render(lowered.error());
    if (lowered)
      if (const std::string bad = compare(*lowered); !bad.empty()) return "lowered: " + bad;
    const auto gpu = compiler::lower(state->program, compiler::Limits{});
    if (!gpu && number(gpu.error().code)[0] == 'B') return "GPU: " + render(gpu.error());
    if (gpu) {
      if (const std::string fault = test::text_fault(*gpu); !fault.empty()) return fault;
      std::vector<SimulateOptions> all(3);
      all[1].order = SimulateOptions::Order::first;
      all[2].order = SimulateOptions::Order::last;
      if (races(*gpu)) return "";
      if (const std::string fault = test::simulation_fault(*loop::parse({intern("p.ir"), print(*gpu)}), {}, inputs, want, all); !fault.empty()) return "simulated: " + fault;
    }
  } catch (const std::exception& e) {
    return std::string("exception: ") + e.what();
  }
  return "";
}

std::uint32_t setting(const char* name, std::uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : otherwise;
}

}  // namespace

TEST_CASE("random schedules keep the meaning", "[fuzz]") {
  const std::uint32_t first = setting("TECC_FUZZ_SEED", 1), count = setting("TECC_FUZZ_COUNT", 400);
  std::vector<test::Prepared> prepared;
  std::vector<std::vector<Array>> inputs, want;
  for (const test::Subject& k : kernels) {
    prepared.push_back(test::prepare(k.with("")));
    inputs.push_back(test::random_inputs(prepared.back()));
    want.push_back(test::require(interpret(prepared.back().lifted, {}, inputs.back())));
  }
  int accepted = 0;
  for (std::uint32_t seed = first; seed < first + count; ++seed) {
    Random r(seed);
    const std::size_t k = seed % kernels.size();
    const loop::Program& naive = prepared[k].naive;
    State state{naive, {}};
    Trace trace;
    std::string bad;
    for (int tries = 0; tries < 40 && trace.size() < 8; ++tries) {
      const Step step = random_step(live(state, naive), r);
      try {
        if (run(state, step)) trace.push_back({step, {}, {}});
      } catch (const std::exception& e) {
        trace.push_back({step, {}, {}});
        bad = std::string("exception: ") + e.what();
        break;
      }
    }
    accepted += static_cast<int>(trace.size());
    if (bad.empty()) bad = wrong(prepared[k], trace, inputs[k], want[k]);
    if (bad.empty()) continue;
    // The shortest beginning that goes wrong says most.
    for (std::size_t n = 1; n < trace.size(); ++n) {
      const Trace part(trace.begin(), trace.begin() + static_cast<std::ptrdiff_t>(n));
      if (const std::string early = wrong(prepared[k], part, inputs[k], want[k]); !early.empty()) {
        trace = part;
        bad = early;
        break;
      }
    }
    FAIL_CHECK("seed " << seed << ": " << bad << "\n" << kernels[k].text << " " << kernels[k].dims << "\n" << print(trace, naive));
  }
  CHECK(accepted > static_cast<int>(count));  // the generator still finds legal steps
}
