#include "tests/support/asynchronous_schedules.h"

#include <fmt/format.h>

#include <algorithm>

#include "autotune/rule/rules.h"

namespace tecc::test {

std::string schedule_file(const std::string& name, const std::vector<std::pair<std::string, std::string>>& changes) {
  std::string text = read_file(TECC_SOURCE_DIR "/examples/schedules/" + name + ".schedule");
  for (const auto& [from, to] : changes) {
    INFO(name << ": " << from);
    REQUIRE(text.find(from) != std::string::npos);
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  }
  return text;
}

namespace {

using Decisions = std::map<std::string, std::int64_t>;

/// Of a stage: those that all products on this path share, with changes.
Decisions of(const std::string& stage, Decisions common, const Decisions& changes) {
  for (const auto& [name, value] : changes) common[name] = value;
  Decisions out;
  for (const auto& [name, value] : common) out[stage + " " + name] = value;
  return out;
}
/// By wgmma: tiles of 64 x 16, the depth in rounds of 32.
Decisions wgmma(const Decisions& changes, const std::string& stage = "C.sum") {
  return of(stage, {{"warpgroups", 1}, {"rows", 64}, {"residents", 1}, {"columns", 16}, {"depth", 32}, {"parts", 1}, {"slots", 2}, {"cluster", 1}, {"band", 1}, {"persist", 1}}, changes);
}
/// By mma.sync: two warps with tiles of 16 x 16, the depth in rounds of 16.
Decisions mma(const Decisions& changes, const std::string& stage = "C.sum") {
  return of(stage, {{"warp rows", 16}, {"warp columns", 16}, {"warps down", 2}, {"warps across", 1}, {"depth", 16}, {"parts", 1}, {"slots", 3}, {"band", 1}, {"persist", 0}}, changes);
}
/// On plain arithmetic: one warp, a tile of 8 x 8.
Decisions registers(const Decisions& changes) {
  return of("C", {{"lanes", 4}, {"i registers", 2}, {"j registers", 1}, {"i warps", 1}, {"j warps", 2}, {"k", 8}}, changes);
}

/// Two warpgroups fill the slots that two others multiply by wgmma.
std::string filled_by_threads(const std::string& load, int slots) {
  return fmt::format(R"(i0, i1 = split(C.sum.i, 128);  w, i2 = split(i1, 64);  j0, j1 = split(C.sum.j, 16);  k0, k1 = split(C.sum.k, 16)
reorder(i0, j0, k0, w, i2, j1, k1);  bind(w, warpgroup);  set_scope(C.sum, register);  oi, oj = reverse_compute_at(C, j0)
as, al = cache_read([C.sum], A, shared, at=k0);  bs, bl = cache_read([C.sum], B, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma)
copy_with([al, bl], {});  pipeline(k0, [as, bs], slots={});  v, o = split(oi, 64);  reorder(v, o, oj);  bind(v, warpgroup);  e = blockize(o)
g = raster(i0, j0, group=8);  persist(g)
specialize([role([al, bl], warpgroups=2, registers=40), role([t, e], warpgroups=2, registers=208)]))",
                     load, slots);
}

/// Three roles: one brings tiles by bulk copies, one makes weights of them, one multiplies.
const char* const middle_role = R"(i0, i1 = split(C.sum.i, 64);  j0, j1 = split(C.sum.j, 16);  k0, k1 = split(C.sum.k, 32);  wg, i2 = split(i1, 64)
reorder(i0, j0, k0, wg, i2, j1, k1);  bind(wg, warpgroup);  set_scope(C.sum, register);  oi, oj = reverse_compute_at(C, j0)
wj, wk = compute_at(w, k0);  set_scope(w, shared);  f = fuse(wj, wk);  f0, f1 = split(f, 128);  bind(f1, thread)
as, al = cache_read([C.sum], A, shared, at=k0);  ws, wl = cache_read([w], W, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma)
copy_with([al, wl], bulk_tensor);  pipeline(k0, [as], slots=2);  pipeline(k0, [ws], slots=2);  pipeline(k0, [w], slots=2)
v, o = split(oi, 64);  reorder(v, o, oj);  bind(v, warpgroup);  e = blockize(o);  g = raster(i0, j0, group=8);  persist(g)
specialize([role([al, wl], warpgroups=1, registers=40), role([w], warpgroups=1, registers=104), role([t, e], warpgroups=1, registers=208)]))";

}  // namespace

std::vector<AsynchronousSchedule> asynchronous_schedules() {
  const auto all = cases();
  const std::string gemm = all.at("gemm.te"), attention = all.at("attention.te"), causal = all.at("attention_causal.te");
  const std::string f32_out = "kernel gemm(A: bf16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) }";
  const std::vector<std::pair<std::string, std::string>> small = {{"256", "32"}, {"split(C.sum.k, 64)", "split(C.sum.k, 16)"}, {"split(oj, 64)", "split(oj, 16)"}, {"slots=4", "slots=3"}};
  const std::vector<std::pair<std::string, std::string>> small_tiles = {
      {"[2, 64]);  j0", "[2, 16]);  j0"}, {"split(C.sum.j, [2, 64])", "split(C.sum.j, [1, 16])"}, {"split(oi, 64)", "split(oi, 16)"}, {"split(oj, 64)", "split(oj, 16)"}, {"slots=4", "slots=3"}};
  const std::vector<std::pair<std::string, std::string>> small_softmax = {{"512", "64"}};
  using Proof = std::pair<const std::string, std::string>;  // a mutant that changes nothing; the paragraph
  const Proof first{"await_mma in the first iteration, too", "The first iteration"}, end{"await_bulk until it was read", "The end of a kernel"};
  const Proof small_block{"barrier of the warpgroup only", "Blocks of one warpgroup"};
  const auto shorter = [](const std::string& channel) { return Proof{channel + " slots one less", "A shorter ring"}; };
  const auto spare = [](const std::string& buffer) { return Proof{"'" + buffer + "' slots one more", "A spare slot"}; };
  const auto with = [](std::map<std::string, std::string> all, const std::string& proof, std::initializer_list<const char*> mutants) {
    for (const char* m : mutants) all.emplace(m, proof);
    return all;
  };
  const auto queries = with({end, shorter("c1"), shorter("c2")}, "What the keys say of the queries", {"wait_empty c0 behind the next statement", "expect c0 before the statement before"});
  const auto turns = with(queries, "Turns", {"await_turn behind the next statement", "pass_turn before the statement before"});
  return {
      // Roles of their own copy by bulk copies and multiply by wgmma.
      {"gemm", gemm, "M=256,N=64,K=64", "T=bf16", "sm_90a", schedule_file("gemm_sm90a", small), {}, {first, end, shorter("c0")}},
      {"gemm alternating", gemm, "M=256,N=64,K=64", "T=bf16", "sm_90a",
       schedule_file("gemm_alternating_sm90a", {{"split(C.sum.i, 256)", "split(C.sum.i, 128)"}, {"split(i1, 128)", "split(i1, 64)"}, {"split(C.sum.j, 128)", "split(C.sum.j, 32)"}, {"split(C.sum.k, 64)", "split(C.sum.k, 16)"}, {"split(oj, 64)", "split(oj, 16)"}, {"slots=6", "slots=3"}}), {}, {first, end, shorter("c0")}},
      {"gemm, multicast along rows", gemm, "M=256,N=32,K=128", "T=bf16", "sm_90a", "", wgmma({{"cluster", 2}, {"panel", 16}, {"panel slots", 2}}), {first, end}},
      {"gemm, multicast along columns", gemm, "M=128,N=64,K=128", "T=bf16", "sm_90a", "", wgmma({{"cluster", -2}, {"panel", 16}, {"panel slots", 2}}), {first, end}},
      {"gemm, multicast both ways", gemm, "M=256,N=64,K=128", "T=bf16", "sm_90a", "", wgmma({{"cluster", 2}, {"cluster both ways", 1}, {"panel", 16}, {"panel slots", 2}}), {first, end}},
      {"gemm, operands swapped", gemm, "M=16,N=256,K=128", "T=bf16", "sm_90a", "", wgmma({{"swap", 1}, {"panel", 16}, {"panel slots", 1}}), {first, end}},
      {"gemm, reduction split", gemm, "M=64,N=32,K=256", "T=bf16", "sm_90a", "", wgmma({{"parts", 2}}), {first}},
      {"gemm, operands padded", gemm, "M=128,N=32,K=100", "T=bf16", "sm_90a", "", wgmma({{"pad A", 1}, {"pad B", 1}, {"panel", 16}, {"panel slots", 1}}), {first, end}},
      {"gemm, rows copied by threads", gemm, "M=128,N=32,K=100", "T=bf16", "sm_90a", "", wgmma({{"pad A", 1}, {"pad B", 0}, {"panel", 16}, {"panel slots", 1}, {"slots", 4}}), with({first, end}, "Rings in step", {"wait_empty c1 behind the next statement", "await_mma behind the next statement", "arrive_empty c1 before the statement before", "await_mma behind the next statement (2)", "arrive_empty c1 before the statement before (2)"})},
      {"gemm, results stored by threads", gemm, "M=128,N=33,K=128", "T=bf16", "sm_90a", "", wgmma({{"panel", 16}}), with({first}, "A barrier between tiles", {"barrier warpgroup behind the next statement"})},
      {"gemm, results out of registers", gemm, "M=64,N=16,K=128", "T=bf16", "sm_90a", "", wgmma({{"panel", 0}, {"persist", 0}}), {first}},
      {"gemm, panels where tiles were", gemm, "M=128,N=32,K=96", "T=bf16", "sm_90a", "", wgmma({{"warpgroups", 2}, {"columns", 32}, {"persist", 0}, {"panel", 16}, {"panel slots", 1}}), {first, end, spare("C.shared")}, 22000},
      {"gemm into f32", f32_out, "M=128,N=64,K=128", "", "sm_90a", "", wgmma({{"panel", 16}, {"panel slots", 2}}, "C"), {first, end}},
      {"gemm, sums promoted", all.at("gemm_e4m3.te"), "M=128,N=32,K=512", "", "sm_90a", "", wgmma({{"depth", 128}, {"panel", 16}, {"panel slots", 2}}), {end, shorter("c0")}},
      {"gemm, weights made in registers", all.at("gemm_dequant.te"), "M=16,N=128,K=256", "T=bf16", "sm_90a", "", wgmma({{"on the way", 1}, {"depth", 64}, {"panel", 16}, {"panel slots", 1}}), with({end, shorter("c0")}, "A barrier and a wait", {"await_mma behind the next statement", "barrier warpgroup before the statement before"})},
      {"gemm, weights made by a role", all.at("gemm_dequant.te"), "M=64,N=32,K=256", "T=bf16", "sm_90a", middle_role, {}, {first, shorter("c1")}},
      {"gemm, slots filled by cp.async", gemm, "M=256,N=16,K=112", "T=bf16", "sm_90a", filled_by_threads("cp_async", 3), {}, {first}},
      {"gemm, slots filled by plain copies", gemm, "M=256,N=16,K=64", "T=bf16", "sm_90a", filled_by_threads("vector", 2), {}, {first}},
      {"batched gemm", all.at("bmm.te"), "B=2,M=64,N=32,K=64", "T=bf16", "sm_90a", "", wgmma({{"panel", 16}, {"panel slots", 1}}), {first, end}},
      {"convolution", all.at("conv2d_nhwc.te"), "N=1,H=8,W=8,C=32,R=2,S=2,stride=1,pad=1,O=16", "T=f16", "sm_90a", "", wgmma({}, "Y.sum"), {first}},
      // Cascades.
      {"attention", attention, "B=1,H=3,S=128,L=96,D=32", "T=bf16", "sm_90a", schedule_file("attention_sm90a", {{"split(O.sum.j, 128)", "split(O.sum.j, 32)"}}), {}, turns},
      {"attention, causal", causal, "B=1,H=3,S=128,D=32", "T=bf16", "sm_90a", schedule_file("attention_causal_sm90a", {{"split(O.sum.j, 128)", "split(O.sum.j, 32)"}}), {}, turns},
      {"attention, not skewed", attention, "B=1,H=3,S=64,L=192,D=16", "T=bf16", "sm_90a", "",
       of("O.sum", {{"warpgroups", 1}, {"part", 64}, {"slots", 2}, {"band", 1}, {"skew", 0}, {"persist", 1}}, {}), queries},
      // Warps multiply by mma.sync what they copied by cp.async.
      {"gemm by warps", gemm, "M=64,N=16,K=192", "T=bf16", "sm_80", schedule_file("gemm_mma", small_tiles), {}, {small_block, spare("B.shared")}},
      {"gemm by warps, persistent, through panels", gemm, "M=128,N=32,K=96", "T=bf16", "sm_90", "", mma({{"warp rows", 32}, {"persist", 1}, {"panel", 1}}), {small_block}},
      {"gemm by warps, panels where tiles were", gemm, "M=64,N=32,K=112", "T=bf16", "sm_90", "", mma({{"warp rows", 32}, {"panel", 1}}), {small_block, {"barrier of the warpgroup only (2)", small_block.second}, spare("B.shared")}, 8000},
      {"gemm by warps, reduction split", gemm, "M=64,N=16,K=192", "T=bf16", "sm_80", "", mma({{"parts", 2}}), {small_block}},
      {"gemm by warps, sums promoted", all.at("gemm_e4m3.te"), "M=64,N=16,K=512", "", "sm_89", "", mma({{"depth", 128}, {"panel", 0}, {"slots", 2}}), {small_block, spare("B.shared")}},
      {"gemm by warps, weights made in registers", all.at("gemm_dequant.te"), "M=64,N=16,K=128", "T=bf16", "sm_80", "", mma({{"on the way", 1}, {"panel", 0}}), {small_block, spare("W.shared")}},
      {"convolution by warps", all.at("conv2d_nhwc.te"), "N=1,H=8,W=8,C=16,R=2,S=3,stride=1,pad=1,O=16", "T=f16", "sm_80", "", mma({}, "Y.sum"), {small_block, spare("F.shared")}},
      {"attention by warps", attention, "B=1,H=1,S=32,L=64,D=16", "T=bf16", "sm_80", schedule_file("attention_mma", {{"[4, 16]", "[2, 16]"}, {"split(O.sum.j, 64)", "split(O.sum.j, 16)"}}), {}, {small_block, spare("V.shared")}},
      // Threads on plain arithmetic.
      {"gemm in registers, cp.async", gemm, "M=16,N=16,K=48", "T=f32", "sm_80", "", registers({{"way", 2}, {"slots", 3}}), {small_block, spare("B.shared")}},
      {"gemm in registers, copies one iteration ahead", gemm, "M=16,N=16,K=32", "T=f32", "sm_80", "", registers({{"way", 1}}), {small_block, spare("B.shared")}},
      // Rows.
      {"softmax, rows ahead", all.at("softmax.te"), "M=12,N=512", "T=bf16", "sm_90a", schedule_file("softmax_rows_sm90a", small_softmax), {}, {small_block, end}},
  };
}

loop::Program scheduled(const AsynchronousSchedule& s, const codegen::Workload& w) {
  if (!s.schedule.empty()) {
    const schedule::Trace trace = require(schedule::parse({intern(s.name.c_str()), s.schedule}, w.naive));
    return require(schedule::replay(w.naive, trace)).program;
  }
  autotune::Genome wanted;
  for (const auto& [name, value] : s.decisions) wanted.push_back({name, {}, value});
  const autotune::Candidate c = require(autotune::propose(w.naive, require(codegen::find_target(s.arch)), autotune::Chooser(wanted)));
  for (const autotune::Choice& want : wanted) {
    INFO(want.name << "=" << want.value);
    CHECK(std::any_of(c.genome.begin(), c.genome.end(), [&](const autotune::Choice& made) { return made.name == want.name && made.value == want.value; }));
  }
  return c.state.program;
}

compiler::Limits limits_of(const AsynchronousSchedule& s) {
  compiler::Limits limits = require(codegen::find_target(s.arch)).limits;
  if (s.shared_bytes) limits.shared_bytes = s.shared_bytes;
  return limits;
}

loop::Program lowered(const AsynchronousSchedule& s, const codegen::Workload& w) { return require(compiler::lower(scheduled(s, w), limits_of(s))); }

}  // namespace tecc::test
