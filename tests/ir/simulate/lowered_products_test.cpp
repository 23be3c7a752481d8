#include <chrono>

#include "tests/support/asynchronous_schedules.h"
#include "tests/support/simulated.h"

using namespace tecc;

// Matrix products as lowering makes them for sm_90a: bulk copies, rings of barriers, wgmma, stmatrix, bulk stores, roles, persistent grids.

namespace {

struct Sizes {
  std::int64_t m = 128, n = 32, k = 16, panel = 16, in = 3, out = 2;  // of a tile; slots
};
std::string tiled(const Sizes& s) {
  return fmt::format(R"(i0, i1 = split(x.i, {});  w, i2 = split(i1, 64);  j0, j1 = split(x.j, {});  k0, k1 = split(x.k, {})
reorder(i0, j0, k0, w, i2, j1, k1);  bind(w, warpgroup);  set_scope(x, register);  oi, oj = reverse_compute_at(C, j0)
as, al = cache_read([x], A, shared, at=k0);  bs, bl = cache_read([x], B, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma)
v, o = split(oi, 64);  p0, p1 = split(oj, {});  reorder(v, p0, o, p1);  bind(v, warpgroup)
cs, cl = cache_write(C, C, shared, at=p0);  e = blockize(o);  copy_with(e, stmatrix);  copy_with([al, bl, cl], bulk_tensor)
in = pipeline(k0, [as, bs], slots={});  st = pipeline(p0, [cs], slots={})
g = raster(i0, j0, group=8);  persist(g)
specialize([role([al, bl], warpgroups=1, registers=40), role([t, e, cl], warpgroups={}, registers=232)]))",
                     s.m, s.n, s.k, s.panel, s.in, s.out, s.m / 64);
}
/// Two blocks share the columns' tiles, each brings half of them to both.
std::string clustered(const Sizes& s) {
  std::string text = tiled(s);
  const std::string from = "g = raster(i0, j0, group=8)";
  return text.replace(text.find(from), from.size(), "ic, c = cluster(i0, 2); g = raster(ic, j0, group=4)");
}
/// Each warpgroup has tiles of its own.
std::string alternating(const Sizes& s, int warpgroups = 2) {
  return fmt::format(R"(i0, i1 = split(x.i, {});  w, i2 = split(i1, {});  j0, j1 = split(x.j, {});  k0, k1 = split(x.k, {})
reorder(i0, j0, w, k0, i2, j1, k1);  bind(w, warpgroup);  set_scope(x, register);  oi, oj = reverse_compute_at(C, w)
as, al = cache_read([x], A, shared, at=k0);  bs, bl = cache_read([x], B, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma)
p0, p1 = split(oj, {});  reorder(p0, oi, p1)
cs, cl = cache_write(C, C, shared, at=p0);  e = blockize(oi);  copy_with(e, stmatrix);  copy_with([al, bl, cl], bulk_tensor)
in = pipeline(k0, [as, bs], slots={});  st = pipeline(p0, [cs], slots={})
g = raster(i0, j0, group=8);  persist(g)
specialize([role([al, bl], warpgroups=1, registers=40), role([t, e, cl], warpgroups={}, registers=152)]))",
                     s.m * warpgroups, s.m, s.n, s.k, s.panel, s.in, s.out, warpgroups);
}
std::string product(const std::string& body = "T(x[i, j])", const std::string& more = "") {
  return "kernel gemm<T>(A: T[M, K], B: T[N, K]" + more + ") -> (C) { x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) C[i: M, j: N] = " + body + " }";
}

}  // namespace

TEST_CASE("simulator: products for Hopper") {
  test::check_simulated({product(), "M=256,N=64,K=64", "T=bf16", tiled({})}, 8);
  test::check_simulated({product(), "M=256,N=64,K=64", "T=f16", tiled({128, 64, 32, 32, 2, 2})});
  test::check_simulated({product("T(max(x[i, j] + f32(b[j]), 0))", ", b: T[N]"), "M=128,N=64,K=64", "T=bf16", tiled({64, 32, 16, 32, 4, 1})});
  test::check_simulated({product(), "M=200,N=40,K=56", "T=bf16", tiled({})});  // tiles reach over all ends
}

TEST_CASE("simulator: warpgroups that alternate on one ring") {
  test::check_simulated({product(), "M=256,N=64,K=64", "T=bf16", alternating({64, 32, 16, 16, 3, 2})}, 8);
  test::check_simulated({product(), "M=256,N=64,K=80", "T=bf16", alternating({64, 32, 16, 16, 3, 2})}, 8);   // five rounds on three slots
  test::check_simulated({product("T(max(x[i, j] + f32(b[j]), 0))", ", b: T[N]"), "M=200,N=40,K=56", "T=f16", alternating({128, 32, 16, 32, 2, 1})}, 8);
  test::check_simulated({product(), "M=384,N=64,K=64", "T=bf16", alternating({64, 32, 16, 16, 4, 1}, 3)}, 8);
  std::string clusters = alternating({64, 32, 16, 16, 3, 2});
  const std::string from = "g = raster(i0, j0, group=8)";
  test::check_simulated({product(), "M=512,N=64,K=64", "T=bf16", clusters.replace(clusters.find(from), from.size(), "ic, c = cluster(i0, 2); g = raster(ic, j0, group=4)")}, 8);
}

/// With tiles of 32 keys, so that the loop over keys has a beginning, a middle and an end.
test::Operator attention(const std::string& dims, const std::string& name = "attention") {
  return {test::read_file(TECC_SOURCE_DIR "/examples/cases/" + name + ".te"), dims, "T=bf16", test::schedule_file(name + "_sm90a", {{"split(O.sum.j, 128)", "split(O.sum.j, 32)"}})};
}

TEST_CASE("simulator: attention for Hopper") {
  test::check_simulated(attention("B=1,H=3,S=128,L=96,D=32"), 3);
  test::check_simulated(attention("B=2,H=1,S=128,L=32,D=16"), 3);  // one tile of keys
  test::check_simulated(attention("B=1,H=2,S=256,D=32", "attention_causal"), 3);
}

TEST_CASE("simulator: rows in registers, and in a ring of bulk copies that take them out again") {
  const std::string softmax = test::read_file(TECC_SOURCE_DIR "/examples/cases/softmax.te");
  test::check_simulated({softmax, "M=9,N=1024", "T=bf16", test::schedule_file("softmax_rows_sm90a", {{"512", "64"}})});
  test::check_simulated({softmax, "M=3,N=1000", "T=bf16", test::schedule_file("softmax_registers_sm90a", {{"256", "64"}})});
}

TEST_CASE("simulator: clusters") {
  test::check_simulated({product(), "M=512,N=64,K=64", "T=bf16", clustered({128, 32, 16, 16, 3, 2})}, 8);
  test::check_simulated({product(), "M=400,N=40,K=56", "T=bf16", clustered({128, 32, 16, 16, 2, 2})}, 4);
  // Four blocks in a square: a tile of rows is shared by the two of a row, one of columns by the two of a column.
  std::string square = tiled({128, 32, 16, 16, 3, 2});
  const std::string from = "g = raster(i0, j0, group=8)";
  square.replace(square.find(from), from.size(), "ic, ci = cluster(i0, 2); jc, cj = cluster(j0, 2); g = raster(ic, jc, group=4)");
  test::check_simulated({product(), "M=512,N=128,K=64", "T=bf16", square}, 8);
  test::check_simulated({product(), "M=400,N=72,K=56", "T=bf16", square}, 4);
}

TEST_CASE("simulator: tiles of products and element by element") {
  const auto both = [](const test::Operator& op) {
    const test::Prepared p = test::prepare(op);
    const loop::Program lowered = test::require(test::try_lower(op));
    const std::vector<Array> inputs = test::random_inputs(p);
    SimulateOptions o;
    const auto fast = test::require(simulate(lowered, p.runtime, inputs, o)).outputs;
    o.fast_products = false;
    const auto slow = test::require(simulate(lowered, p.runtime, inputs, o)).outputs;
    for (std::size_t n = 0; n < fast.size(); ++n) CHECK(fast[n].data == slow[n].data);
  };
  both({product(), "M=128,N=32,K=32", "T=bf16", tiled({})});
  both({product(), "M=100,N=24,K=24", "T=f16", tiled({128, 32, 16, 16, 2, 2})});
}

TEST_CASE("simulator: a tile of 128 x 256 with four slots takes well under 5 s") {
  const test::Operator op{product(), "M=128,N=256,K=256", "T=bf16", tiled({128, 256, 64, 64, 4, 2})};
  const test::Prepared p = test::prepare(op);
  const loop::Program lowered = test::require(test::try_lower(op));
  const std::vector<Array> inputs = test::random_inputs(p);
  const auto start = std::chrono::steady_clock::now();
  const SimulateRun run = test::require(simulate(lowered, p.runtime, inputs, {}));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(seconds < 5);
  if (std::getenv("TECC_SHOW")) WARN(seconds << " s");
  const std::vector<Array> want = test::require(interpret(p.lifted, p.runtime, inputs));
  test::check_close(run.outputs[0], want[0], test::tolerance(DType::bf16));
}

/// 8-bit weights are made wide by the warpgroups that multiply, while the product of the iteration before runs.
test::Operator dequantised(const std::string& pipelines) {
  return {test::read_file(TECC_SOURCE_DIR "/examples/cases/gemm_dequant.te"), "M=64,N=128,K=512", "T=bf16", R"(k0, k1 = split(C.sum.k, 64);  i0, i1 = split(C.sum.j, 128);  wg, i2 = split(i1, 64);  j0, j1 = split(C.sum.i, 32)
reorder([i0, j0, k0, wg, i2, j1, k1]);  bind(wg, warpgroup);  set_scope(C.sum, register);  oi, oj = reverse_compute_at(C, j0)
as, al = cache_read(C.sum, A, shared, k0);  compute_at(w, wg);  set_scope(w, register);  ws, wl = cache_read(w, W, shared, k0)
ss, sl = cache_read(w, S, register, wg);  wr, wm = cache_read(C.sum, w, register, wg);  t = blockize(i2);  tensorize(t, wgmma, swap=true)
v, o = split(oj, 64);  reorder([v, oi, o]);  bind(v, warpgroup);  copy_with([al, wl], bulk_tensor)
)" + pipelines + R"(
bind([i0, j0], block);  g = raster(i0, j0);  persist(g)
specialize([role([al, wl], registers=40), role([sl, w, wm, t, C], warpgroups=2, registers=232)])
skew(k0, stage={t: 1}, order=[t, sl, w, wm]))"};
}

TEST_CASE("simulator: an operand is made in registers while the product before it runs") {
  test::check_simulated(dequantised("pipeline(k0, as, slots=3);  pipeline(k0, ws, slots=3)"), 8);
  const test::Operator one = dequantised("pipeline(k0, [as, ws], slots=3)");
  CHECK(test::lowering_refused(one) ==
        "error E0421: the pipeline of 'A.shared' cannot be carried out: 'w' uses it an iteration before 'C.sum' does, which lags in a skewed loop; legal: a pipeline for each of its buffers");
}
