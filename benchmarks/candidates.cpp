#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "autotune/feature/feature.h"
#include "autotune/search/space.h"

// How fast the searcher's loop is: a random trace of a fused product + bias + activation, step by step through its legality tests, every
// lowering pass, and its features. One thread. The last line begins with the rate, in candidates a second of this thread's time.
//
//   tecc_bench_candidates --seconds 10 [--seed 1] [--count N] [--json]
//
// A candidate is counted when it has features; draws that are refused are part of the time and shown apart. Ten candidates are drawn
// again from their index alone and go through the verifier after every step of lowering; their features must be the same.

using namespace tecc;
using namespace tecc::autotune;

namespace {

struct Operator {
  const char *name, *text, *dims, *types;
};
constexpr Operator operators[] = {
    {"bf16", "kernel fused<T>(A: T[M, K], B: T[N, K], b: T[N]) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = T(max(x[i, j] + f32(b[j]), 0)) }",
     "M=4096,N=4096,K=4096", "T=bf16"},
    {"f32", "kernel fused(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C) { x[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) C[i: M, j: N] = max(x[i, j] + b[j], 0) }",
     "M=2048,N=2048,K=1024", ""},
};

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
std::int64_t resident_kb() {
  std::ifstream in("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE) / 1024;
}

/// Random bits that belong to one draw alone, so that any one can be drawn again.
Rng rng_of(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u + index * 0xbf58476d1ce4e5b9u;  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return Rng(x ^ (x >> 31));
}

/// FNV-1a over the bytes.
void mix(std::uint64_t& sum, const void* data, std::size_t size) {
  for (std::size_t n = 0; n < size; ++n) sum = (sum ^ static_cast<const unsigned char*>(data)[n]) * 0x100000001b3u;
}

/// The rules' choices at random, and two to four loops more that are unrolled: the rules alone have some hundred thousand traces, too few
/// for a million draws.
Result<Candidate> draw(const codegen::Workload& workload, const codegen::Target& target, Rng& rng) {
  TECC_TRY(Candidate c, propose(workload.naive, target, Chooser({}, &rng)));
  std::vector<schedule::Ref> loops;
  for (std::uint32_t n = 0; n < c.state.results.size(); ++n)
    for (std::uint32_t k = 0; k < c.state.results[n].size(); ++k)
      if (const schedule::Ref r{schedule::Ref::Base::step, n, k, {}}; schedule::present_loop(c.state, r)) loops.push_back(r);
  std::shuffle(loops.begin(), loops.end(), rng);
  loops.resize(std::min<std::size_t>(loops.size(), 2 + rng() % 3));
  for (const schedule::Ref& l : loops) {
    const schedule::Step step = schedule::Unroll{{l}};
    TECC_CHECK(schedule::run(c.state, step));
    c.trace.push_back({step, {}, {}});
  }
  return c;
}

codegen::Workload workload_of(const Operator& op) {
  const Source source{intern(op.name), op.text};
  const te::Kernel kernel = te::parse(source).or_throw().at(0);
  te::Bindings b;
  b.dims = te::parse_dims(op.dims).or_throw();
  b.types = te::parse_type_bindings(op.types).or_throw();
  return codegen::make_workload(kernel, b).or_throw();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"candidates a second of the searcher's loop, on one core"};
  double seconds = 10;
  std::uint64_t seed = 1, most = 0;
  std::string which = "bf16", arch = "sm_90a";
  bool json = false;
  app.add_option("--seconds", seconds, "how long, of this thread's time")->check(CLI::PositiveNumber);
  app.add_option("--seed", seed);
  app.add_option("--count", most, "stop after so many candidates (0: by time alone)");
  app.add_option("--operator", which, "bf16: on matrix instructions; f32: on threads")->check(CLI::IsMember({"bf16", "f32"}));
  app.add_option("--arch", arch, "a target of tecc, or cpu");
  app.add_flag("--json", json);
  CLI11_PARSE(app, argc, argv);

  const Operator& op = *std::find_if(std::begin(operators), std::end(operators), [&](const Operator& o) { return o.name == which; });
  const codegen::Workload workload = workload_of(op);
  const codegen::Target target = codegen::find_target(arch).or_throw();
  const ScheduleSpace space(workload, target);

  constexpr std::size_t remembered = 1 << 20;  // traces kept for the share of distinct ones: that table is made before memory is watched
  std::vector<std::uint64_t> seen(remembered);
  std::vector<std::pair<std::uint64_t, std::vector<float>>> again;  // index and features, for the replay
  std::uint64_t checksum = 0xcbf29ce484222325u, compared = 0, candidates = 0, draws = 0, steps = 0;
  std::map<std::string, std::uint64_t> refused;
  std::int64_t early_kb = 0;
  const double begin = thread_seconds();
  const auto wall_begin = std::chrono::steady_clock::now();
  double now = begin, next_sample = 0;
  for (; (now = thread_seconds()) - begin < seconds && (!most || candidates < most); ++draws) {
    const double done = most ? static_cast<double>(candidates) / static_cast<double>(most) : (now - begin) / seconds;
    if (!early_kb && std::max(done, (now - begin) / seconds) >= 0.1) early_kb = resident_kb();
    Rng rng = rng_of(seed, draws);
    auto candidate = draw(workload, target, rng);
    const auto point = candidate ? space.point(*std::move(candidate)) : Result<Point>(candidate.error());
    if (!point) {
      ++refused[number(point.error().code)];
      continue;
    }
    ++candidates;
    steps += point->trace.size();
    const std::uint64_t h = schedule::hash(point->trace);
    if (compared < remembered) seen[compared++] = h;
    mix(checksum, &h, sizeof h);
    mix(checksum, point->features.data(), point->features.size() * sizeof(float));
    if (std::max(done, (now - begin) / seconds) >= next_sample && again.size() < 10) {
      again.emplace_back(draws, point->features);
      next_sample += 0.1;
    }
  }
  const double spent = now - begin;
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_begin).count();
  const std::int64_t late_kb = resident_kb();
  seen.resize(compared);
  std::sort(seen.begin(), seen.end());
  const auto distinct = std::unique(seen.begin(), seen.end()) - seen.begin();
  if (candidates == 0) {
    std::cerr << "error: no candidate in " << draws << " draws\n";
    return 1;
  }

  std::uint64_t replayed = 0;
  for (const auto& [index, features] : again) {
    Rng rng = rng_of(seed, index);
    const Candidate candidate = draw(workload, target, rng).or_throw();
    const auto state = schedule::replay(workload.naive, schedule::parse({intern("bench"), schedule::print(candidate.trace, workload.naive)}, workload.naive).or_throw());
    if (!state) std::cerr << "draw " << index << " does not replay: " << render(state.error()) << "\n";
    const auto lowered = state ? compiler::lower(state->program, target.limits) : Result<loop::Program>(state.error());
    if (state && !lowered) std::cerr << "draw " << index << " does not lower: " << render(lowered.error()) << "\n";
    if (lowered) replayed += features_of(facts_of(*lowered, target)) == features;
  }

  const double rate = static_cast<double>(candidates) / spent, share = static_cast<double>(distinct) / static_cast<double>(compared);
  const double average = static_cast<double>(steps) / static_cast<double>(candidates);
  if (json) {
    nlohmann::json out = {{"candidates_per_second", rate}, {"candidates", candidates}, {"draws", draws}, {"seconds", spent}, {"wall_seconds", wall},
                          {"steps_per_candidate", average}, {"distinct_share", share}, {"checksum", fmt::format("{:016x}", checksum)}, {"replayed", replayed},
                          {"replays", again.size()}, {"resident_kb_at_10_percent", early_kb}, {"resident_kb", late_kb}, {"refused", refused}, {"seed", seed}, {"operator", which}, {"arch", arch}};
    std::cout << out.dump() << "\n";
  } else {
    fmt::print("{} candidates of {} draws in {:.2f} s of one thread ({:.2f} s passed), {:.1f} steps each, seed {}\n", candidates, draws, spent, wall, average, seed);
    for (const auto& [code, n] : refused) fmt::print("refused  {} {}\n", code, n);
    fmt::print("distinct traces  {:.2f} % of {}\n", 100 * share, compared);
    fmt::print("memory  {} KB after a tenth, {} KB at the end\n", early_kb, late_kb);
    fmt::print("replayed through the verifier  {} of {}\n", replayed, again.size());
    fmt::print("checksum  {:016x}\n", checksum);
    fmt::print("{:.0f} candidates a second\n", rate);
  }
  return replayed == again.size() ? 0 : 1;
}
