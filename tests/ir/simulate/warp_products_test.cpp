#include "tests/support/asynchronous_schedules.h"
#include "tests/support/simulated.h"

using namespace tecc;

// Matrix products by warps, as lowering makes them for sm_80 and later: cp.async in a ring of slots, ldmatrix, mma.sync.

namespace {

struct Sizes {
  std::int64_t m = 32, n = 32, wm = 16, wn = 32, steps = 2, k = 16, slots = 3;  // of a tile, a warp's part of it, the depth of an iteration
};
/// With further steps after those that make the product.
std::string tiled(const Sizes& s, const std::string& more = "copy_with([am, bm], ldmatrix)") {
  return fmt::format(R"(i0, wi, i1 = split(x.i, [{}, {}]);  j0, wj, j1 = split(x.j, [{}, {}]);  k0, k1, k2 = split(x.k, [{}, {}])
reorder(i0, j0, k0, wi, wj, k1, i1, j1, k2);  bind([wi, wj], warp);  set_scope(x, register);  oi, oj = reverse_compute_at(C, j0)
as, al = cache_read([x], A, shared, at=k0);  bs, bl = cache_read([x], B, shared, at=k0);  copy_with([al, bl], cp_async)
af, am = cache_read([x], as, register, at=k1);  bf, bm = cache_read([x], bs, register, at=k1)
t = blockize(i1);  tensorize(t, mma_sync);  unroll(k1)
vi, o = split(oi, {});  vj, p = split(oj, {});  reorder(vi, vj, o, p);  bind([vi, vj], warp)
pipeline(k0, [as, bs], slots={});  bind([i0, j0], block)
{})",
                     s.m / s.wm, s.wm, s.n / s.wn, s.wn, s.steps, s.k, s.wm, s.wn, s.slots, more);
}
const char* const plain = "";
std::string product(const std::string& type = "f32", const std::string& body = "T(x[i, j])", const std::string& more = "", bool a_rows = true, bool b_rows = true) {
  return fmt::format("kernel gemm<T>(A: T[{}], B: T[{}]{}) -> (C) {{ x[i: M, j: N] = sum[k: K]({}(A[{}]) * {}(B[{}])) C[i: M, j: N] = {} }}", a_rows ? "M, K" : "K, M", b_rows ? "N, K" : "K, N",
                     more, type, a_rows ? "i, k" : "k, i", type, b_rows ? "j, k" : "k, j", body);
}
compiler::Limits on(const std::string& arch) {
  compiler::Limits l;
  l.arch = arch;
  return l;
}
/// In a few orders of threads and copies: the mutants below are run in all of them.
void check(const std::string& text, const std::string& dims, const std::string& types, const std::string& schedule, const char* arch = "sm_80", std::uint32_t seeds = 2) {
  const test::Operator op{text, dims, types, schedule};
  INFO(text << "\ndims " << dims << ", types " << types << "\n" << schedule);
  const test::Prepared p = test::prepare(op);
  const loop::Program lowered = test::reread(test::require(test::try_lower(op, on(arch))));
  std::vector<SimulateOptions> all = test::simulations(seeds);
  all.erase(all.begin(), all.begin() + 10);  // the last two adversarial orders, and random ones
  const std::vector<Array> inputs = test::random_inputs(p), want = test::require(interpret(p.lifted, p.runtime, inputs));
  CHECK(test::simulation_fault(lowered, p.runtime, inputs, want, all) == "");
}

}  // namespace

TEST_CASE("simulator: products by warps, full tiles and tails") {
  check(product(), "M=64,N=64,K=128", "T=bf16", tiled({}));
  check(product(), "M=40,N=24,K=72", "T=f16", tiled({}));
  check(product(), "M=128,N=64,K=64", "T=bf16", tiled({128, 64, 64, 32, 2, 16, 2}));
  check(product(), "M=32,N=32,K=16", "T=bf16", tiled({32, 32, 16, 16, 2, 16, 4}));  // fewer iterations than slots
}

TEST_CASE("simulator: two to six slots") {
  for (const std::int64_t slots : {2, 4, 5, 6}) check(product(), "M=32,N=32,K=192", "T=bf16", tiled({32, 32, 32, 16, 1, 16, slots}), "sm_86", 1);
}

TEST_CASE("simulator: rows of 16, 8, 4 and 2 bytes") {
  for (const char* dims : {"M=33,N=35,K=40", "M=33,N=35,K=44", "M=33,N=35,K=46", "M=33,N=35,K=37"}) check(product(), dims, "T=bf16", tiled({}), "sm_80", 1);
}

TEST_CASE("simulator: operands whose rows run across the depth are transposed on the way, or loaded one by one") {
  check(product("f32", "T(x[i, j])", "", true, false), "M=48,N=40,K=56", "T=bf16", tiled({}));
  check(product("f32", "T(x[i, j])", "", false, false), "M=48,N=40,K=56", "T=f16", tiled({}));
  check(product("f32", "T(x[i, j])", "", false, false), "M=48,N=40,K=56", "T=f16", tiled({}, plain));
  check(product("i32", "x[i, j] + 1", "", false, false), "M=48,N=40,K=72", "T=i8", tiled({32, 32, 16, 32, 1, 32, 3}, plain));
}

TEST_CASE("simulator: every type that mma.sync multiplies, with ldmatrix and without") {
  for (const char* loads : {"copy_with([am, bm], ldmatrix)", plain}) {
    check(product(), "M=40,N=40,K=40", "T=f16", tiled({}, loads), "sm_80", 1);
    check(product("i32", "x[i, j] + 1"), "M=40,N=40,K=80", "T=i8", tiled({32, 32, 16, 32, 2, 32, 3}, loads), "sm_80", 1);
    check(product("i32", "x[i, j] + 1"), "M=40,N=40,K=80", "T=u8", tiled({32, 32, 16, 32, 1, 32, 3}, loads), "sm_80", 1);
    check(product("f32", "bf16(x[i, j])"), "M=40,N=40,K=80", "T=e4m3", tiled({32, 32, 16, 32, 2, 32, 3}, loads), "sm_89", 1);
    check(product("f32", "bf16(x[i, j])"), "M=40,N=40,K=80", "T=e5m2", tiled({32, 32, 16, 32, 1, 32, 3}, loads), "sm_90", 1);
    check("kernel gemm(A: f32[M, K], B: f32[N, K]) -> (C) { x[i: M, j: N] = sum[k: K](f32(tf32(A[i, k])) * f32(tf32(B[j, k]))) C[i: M, j: N] = x[i, j] + 1 }", "M=40,N=40,K=36", "",
          tiled({32, 32, 16, 32, 2, 8, 3}, loads), "sm_80", 1);
  }
}

TEST_CASE("simulator: fused epilogues, and blocks that take tiles in turn") {
  check(product("f32", "T(max(x[i, j] * u[i] + f32(b[j]), 0))", ", b: T[N], u: f32[M]"), "M=64,N=40,K=64", "T=bf16", tiled({}));
  check(product(), "M=128,N=96,K=80", "T=bf16", tiled({}, "copy_with([am, bm], ldmatrix); g = raster(i0, j0, group=2); persist(g)"), "sm_80", 6);
  check(product(), "M=64,N=96,K=80", "T=bf16", tiled({}, "copy_with([am, bm], ldmatrix); cs, cl = cache_write(C, C, shared, at=j0); copy_with(cl, vector)"), "sm_80");
  check(product(), "M=64,N=96,K=80", "T=bf16", tiled({}, "copy_with([am, bm], ldmatrix); cs, cl = cache_write(C, C, shared, at=j0); e = blockize(o); copy_with(e, stmatrix); copy_with(cl, vector)"), "sm_90");
}

TEST_CASE("simulator: each warp hands a panel of its results over among its own threads") {
  std::string text = tiled({64, 64, 32, 32, 2, 16, 3});
  const std::string rows = "vi, o = split(oi, 32);  vj, p = split(oj, 32);  reorder(vi, vj, o, p)";
  REQUIRE(text.find(rows) != std::string::npos);
  text.replace(text.find(rows), rows.size(), "vi, o, o1 = split(oi, [2, 16]);  vj, p = split(oj, 32);  reorder(vi, vj, o, o1, p)");
  text += "; cs, cl = cache_write(C, C, shared, at=o); copy_with(cl, vector)";
  check(product(), "M=100,N=61,K=64", "T=bf16", text);
  check(product(), "M=128,N=64,K=64", "T=bf16", text + "; e = blockize(o1); copy_with(e, stmatrix)", "sm_90");
}

TEST_CASE("simulator: the pixels of a box as the rows of a product by warps") {
  // A warp multiplies 2 x 8 pixels: the lanes tell apart those of a row, registers the rows.
  const std::string conv = "kernel conv(X: f16[N, H, W, C], F: f16[O, R, S, C]) -> (Y) { Y[n: N, p: H, q: W, o: O] = sum[r: R, s: S, c: C](f32(X[n, p + r - 1, q + s - 1, c] else 0) * f32(F[o, r, s, c])) }";
  const std::string steps = R"(p0, p1 = split(Y.p, 4);  q0, q1 = split(Y.q, 8);  o0, o1 = split(Y.o, 16);  k0, k1 = split(Y.c, 16)
reorder(Y.n, p0, q0, o0, Y.r, Y.s, k0, p1, q1, o1, k1);  window = fuse(Y.r, Y.s);  rounds = fuse(window, k0);  i1 = fuse(p1, q1)
w, i2 = split(i1, 16);  bind(w, warp);  cs, cl = cache_write(Y, Y, register, at=o0);  v, o = split(cl.1, 2);  bind(v, warp)
as, al = cache_read(Y, X, shared, rounds);  bs, bl = cache_read(Y, F, shared, rounds);  copy_with([al, bl], cp_async)
af, am = cache_read(Y, as, register, w);  bf, bm = cache_read(Y, bs, register, w);  t = blockize(i2);  tensorize(t, mma_sync)
pipeline(rounds, [as, bs], slots=3);  bind([Y.n, p0, q0, o0], block))";
  for (const char* loads : {"\ncopy_with([am, bm], ldmatrix)", ""}) check(conv, "N=2,H=5,W=9,C=32,O=24,R=3,S=3", "", steps + loads, "sm_80", 1);
}

TEST_CASE("simulator: attention by warps, whose weights are the rows of the second product as they are") {
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/attention_mma.schedule");
  check(test::read_file(TECC_SOURCE_DIR "/examples/cases/attention.te"), "B=1,H=2,S=100,L=150,D=32", "T=bf16", text, "sm_80", 1);
  check(test::read_file(TECC_SOURCE_DIR "/examples/cases/attention_causal.te"), "B=1,H=1,S=128,D=32", "T=f16", text, "sm_80", 1);
}

TEST_CASE("simulator: the schedule file of a product by warps on other operators, by other handles alone") {
  using Changes = std::vector<std::pair<std::string, std::string>>;
  const auto run = [&](const std::string& name, const std::string& dims, const std::string& types, const Changes& changes, const char* arch = "sm_80") {
    const test::Operator op{test::read_file(TECC_SOURCE_DIR "/examples/cases/" + name + ".te"), dims, types, test::schedule_file("gemm_mma", changes)};
    INFO(name);
    const test::Prepared p = test::prepare(op);
    const std::vector<Array> inputs = test::random_inputs(p);
    CHECK(test::simulation_fault(test::require(test::try_lower(op, on(arch))), p.runtime, inputs, test::require(interpret(p.lifted, p.runtime, inputs)), {SimulateOptions{}}) == "");
  };
  run("gemm_nn", "M=130,N=136,K=72", "T=bf16", {});
  run("gemm_tt", "M=136,N=136,K=72", "T=f16", {});
  run("gemm_scales", "M=130,N=136,K=72", "T=bf16", {});
  run("gemm_e4m3", "M=130,N=131,K=77", "", {{"[2, 16]", "[2, 32]"}}, "sm_89");
  run("gemm_residual_sqrelu_t", "M=130,N=136,K=72", "T=bf16", {{"C.sum", "z"}, {"oi, oj = rev", "oj, oi = rev"}});
  run("gemm_bias_gelu", "M=130,N=136,K=72", "T=bf16", {{"i0, wi, i1", "inline(x); i0, wi, i1"}, {"C.sum", "x.sum"}});
  run("bmm", "B=2,M=130,N=136,K=72", "T=bf16",
      {{"reorder(i0", "reorder(C.sum.b, i0"}, {"oi, oj = rev", "_, oi, oj = rev"}, {"bind([i0, j0], block)", "bind([C.sum.b, i0, j0], block)"}, {"C.sum], B,", "C.sum], W,"}});
  run("gemm_tf32", "M=130,N=136,K=68", "",
      {{"set_scope(C.sum, register);  oi, oj = reverse_compute_at(C, j0)", "acc, c = cache_write(C, C, register, at=j0)"}, {"C.sum", "C"}, {"[2, 16]", "[4, 8]"}, {"split(oi", "split(c.0"}, {"split(oj", "split(c.1"}});
}

TEST_CASE("simulator: ldmatrix whose loops give a lane other elements than the instruction does") {
  const test::Operator op{product(), "M=32,N=32,K=32", "T=bf16", tiled({})};
  std::string text = loop::print(test::require(test::try_lower(op, on("sm_80"))));
  const std::size_t block = text.find("block A.shared.register("), rows = text.find(" / 4", block);
  REQUIRE(rows != std::string::npos);
  text.replace(rows, 4, " % 8");
  const loop::Program wrong = test::require(loop::parse({intern("p.ir"), text}));
  const test::Prepared p = test::prepare(op);
  const auto run = simulate(wrong, p.runtime, test::random_inputs(p));
  REQUIRE(!run);
  INFO(render(run.error()));
  CHECK(render(run.error()).find("eight lanes share no row of 16 bytes there") != std::string::npos);
}

TEST_CASE("products by warps: refusals") {
  const auto why = [](const std::string& schedule, const char* arch, const char* types = "T=bf16", const std::string& text = product()) {
    return test::lowering_refused({text, "M=64,N=64,K=64", types, schedule}, on(arch));
  };
  const std::string stores = "copy_with([am, bm], ldmatrix); cs, cl = cache_write(C, C, shared, at=j0); e = blockize(o); copy_with(e, stmatrix)";
  CHECK(why(tiled({}, stores), "sm_89") == "test.te:1:104: error E0430: 'C' needs the instruction stmatrix, which this sm_89 does not have; legal: no copy_with: threads store");
  CHECK(why(tiled({}), "sm_75") == "test.te:1:69: error E0430: 'A.shared' needs the instruction cp_async, which this sm_75 does not have; legal: no copy_with: threads copy through registers");
  CHECK(why("k0, k1 = split(x.k, 16); reorder(k0, x.i, x.j, k1); as, al = cache_read(x, A, shared, at=k0); copy_with(al, cp_async); pipeline(k0, as, slots=3)", "sm_75") ==
        "test.te:1:69: error E0430: 'A.shared' needs the instruction cp_async, which this sm_75 does not have; legal: no copy_with: threads copy through registers");
  const std::string eight = tiled({32, 32, 16, 32, 1, 32, 3});
  CHECK(why(eight, "sm_86", "T=e4m3", product("f32", "bf16(x[i, j])")) == "test.te:1:65: error E0430: 'x' needs the instruction mma.m16n8k32.f32.e4m3.e4m3, which this sm_86 does not have; legal: other types, or no tensorize: plain loops");
  CHECK(why(eight, "sm_89", "T=e4m3", product("f32", "bf16(x[i, j])")).empty());
  CHECK(why(tiled({32, 32, 16, 32, 1, 32, 3}), "sm_80", "T=i8", product("i32", "x[i, j] + 1", "", false, true)) ==
        "error E0420: 'A.shared.register' cannot be copied by ldmatrix: the depth is not contiguous in 'A.shared', and elements of 8 bits are not transposed on the way; legal: plain");
  CHECK(why(tiled({32, 32, 16, 32, 2, 16, 1}), "sm_80") == "error E0421: the pipeline of 'A.shared' cannot be carried out: cp.async runs ahead of its users; legal: 2 slots or more");
  CHECK(why(tiled({32, 32, 16, 32, 2, 8, 3}), "sm_80") == "error E0417: the tile of 'x' has 8 terms of depth; mma.sync needs a multiple of 16");
  CHECK(why(tiled({32, 32, 16, 4, 2, 16, 3}), "sm_80") == "error E0417: the tile of 'x' has 4 columns; mma.sync needs a multiple of 8");
  std::string text = tiled({});
  const std::string ring = "pipeline(k0, [as, bs], slots=3);";
  CHECK(why(std::string(text).replace(text.find(ring), ring.size(), ""), "sm_80") == "error E0420: 'A.shared' cannot be copied by cp_async: nothing waits for it; legal: a pipeline that names it");
  const std::string both = "pipeline(k0, as, slots=3); pipeline(k0, bs, slots=3);";
  CHECK(why(std::string(text).replace(text.find(ring), ring.size(), both), "sm_80") ==
        "error E0421: the pipeline of 'B.shared' cannot be carried out: copies of one loop go ahead together; legal: all its buffers in one pipeline");
  const std::string part = "kernel part<T>(A: T[M, L], B: T[N, L]; K) -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = T(x[i, j]) }";
  CHECK(test::lowering_refused({part, "M=64,N=64,L=96,K=72", "T=bf16", tiled({})}, on("sm_80")) ==
        "error E0419: the tile of 'x' cannot be cut into threads: its depth ends where 'A.shared.register' does not, and leaves a rest; legal: split by what divides the depth");
  CHECK(test::lowering_refused({part, "M=64,N=64,L=96,K=64", "T=bf16", tiled({})}, on("sm_80")).empty());
  CHECK(why(tiled({}, "copy_with([al, am, bm], ldmatrix)"), "sm_80") == "error E0420: 'A.shared' cannot be copied by ldmatrix: no product multiplies it out of registers");
}

namespace {

/// A warpgroup of its own fills the slots that warpgroups multiply by wgmma.
std::string filled_by_threads(const std::string& load, std::int64_t slots = 3) {
  return fmt::format(R"(i0, i1 = split(x.i, 128);  w, i2 = split(i1, 64);  j0, j1 = split(x.j, 32);  k0, k1 = split(x.k, 16)
reorder(i0, j0, k0, w, i2, j1, k1);  bind(w, warpgroup);  set_scope(x, register);  oi, oj = reverse_compute_at(C, j0)
as, al = cache_read([x], A, shared, at=k0);  bs, bl = cache_read([x], B, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma)
copy_with([al, bl], {});  pipeline(k0, [as, bs], slots={});  v, o = split(oi, 64);  reorder(v, o, oj);  bind(v, warpgroup);  e = blockize(o)
g = raster(i0, j0, group=8);  persist(g)
specialize([role([al, bl], warpgroups=2, registers=40), role([t, e], warpgroups=2, registers=208)]))",
                     load, slots);
}

}  // namespace

TEST_CASE("simulator: threads of one role fill the slots of another, rows at odd places, too") {
  check(product(), "M=256,N=64,K=64", "T=bf16", filled_by_threads("cp_async"), "sm_90a");
  check(product(), "M=131,N=37,K=45", "T=bf16", filled_by_threads("cp_async"), "sm_90a");
  check(product(), "M=256,N=64,K=64", "T=bf16", filled_by_threads("vector"), "sm_90a");
  check(product(), "M=131,N=37,K=56", "T=bf16", filled_by_threads("vector", 2), "sm_90a");
  check(product(), "M=131,N=37,K=45", "T=bf16", filled_by_threads("vector", 2), "sm_90a");
  std::string panels = filled_by_threads("cp_async");  // which a warpgroup hands over among its own threads
  const std::string rows = "v, o = split(oi, 64);  reorder(v, o, oj);  bind(v, warpgroup);  e = blockize(o)";
  REQUIRE(panels.find(rows) != std::string::npos);
  panels.replace(panels.find(rows), rows.size(),
                 "v, o = split(oi, 64); p0, p1 = split(oj, 16); reorder(v, p0, o, p1); bind(v, warpgroup); cs, cl = cache_write(C, C, shared, at=p0); e = blockize(o); copy_with(e, stmatrix); copy_with(cl, vector)");
  panels.replace(panels.find("role([t, e]"), 11, "role([t, e, cl]");
  check(product(), "M=131,N=37,K=45", "T=bf16", panels, "sm_90a");
}

TEST_CASE("slots filled by threads of another role: what is handed on late takes slots") {
  CHECK(test::lowering_refused({product(), "M=256,N=64,K=64", "T=bf16", filled_by_threads("cp_async", 2)}) ==
        "error E0421: the pipeline of 'A.shared' cannot be carried out: 2 slots, and 2 of them at a time are handed on an iteration later; legal: 3 slots or more");
}
