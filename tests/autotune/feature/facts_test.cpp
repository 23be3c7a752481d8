#include "autotune/feature/feature.h"

#include <chrono>
#include <set>

#include "autotune/model/prior.h"
#include "autotune/pick.h"
#include "tests/support/workload.h"

using namespace tecc;
using namespace tecc::autotune;
using test::require;
using test::workload;

namespace {

codegen::Target h100() { return require(codegen::find_target("sm_90a")); }

std::vector<KernelFacts> facts(const codegen::Workload& w, const std::string& schedule) {
  const auto trace = require(schedule::parse({intern("test.schedule"), schedule}, w.naive));
  const auto state = require(schedule::replay(w.naive, trace));
  return facts_of(require(compiler::lower(state.program, h100().limits)), h100());
}

}  // namespace

TEST_CASE("facts: an elementwise kernel, worked by hand") {
  const auto w = workload("kernel scale(X: f32[M]) -> (Y) { Y[i: M] = X[i] * 2.0 }", "M=1024");
  const auto k = facts(w, "i0, i1 = split(Y.i, 256)\nbind(i0, block)\nbind(i1, thread)\n");
  REQUIRE(k.size() == 1);
  CHECK(k[0].blocks == 4);
  CHECK(k[0].threads == 256);
  CHECK(k[0].float_operations == 1024);
  CHECK(k[0].products == 1024);
  REQUIRE(k[0].accesses.size() == 2);
  for (const AccessFacts& a : k[0].accesses) {
    CHECK(a.lane_stride == 1);
    CHECK(a.sectors == 4);  // 32 threads x 4 bytes = 128 bytes
    CHECK(a.block_footprint == 1024);
    CHECK(a.footprint == 4096);
  }
  CHECK(k[0].global_read_bytes == 4096);
  CHECK(k[0].global_write_bytes == 4096);
  CHECK(k[0].blocks_per_sm == 8);  // 2048 threads an SM
  CHECK(k[0].waves == 1);
}

TEST_CASE("facts: a function of constants costs nothing, a division by one is a product") {
  const auto k = facts(workload("kernel scale(X: f32[M]) -> (Y) { Y[i: M] = exp(X[i] / sqrt(f32(M))) / X[i] }", "M=1024"), "bind(Y.i, block)\n");
  CHECK(k[0].functions == 2 * 1024);  // exp and the second division
  CHECK(k[0].float_operations == 1024);
  CHECK(k[0].products == 1024);
  CHECK(k[0].casts == 0);
}

TEST_CASE("facts: the warpgroups that multiply, beside one that copies") {
  const auto w = workload(test::cases().at("gemm.te"), "M=512,N=512,K=256", "T=bf16");
  const auto k = facts(w, test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule"));
  CHECK(k[0].roles == 2);
  CHECK(k[0].consumers == 2);
}

TEST_CASE("facts: half a warp, reads in a row and one after the other, hints") {
  const auto w = workload("kernel sums(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }", "M=64,N=1024");
  const std::string threads = "i0, i1 = split(Y.i, 16)\nbind(i0, block)\nbind(i1, thread)\nj0, j1 = split(Y.j, 8)\n";
  const auto k = facts(w, threads + "unroll(j1)\n");
  CHECK(k[0].lanes == 0.5);
  CHECK(k[0].rounds == 128);       // of eight reads each
  CHECK(k[0].flight_bytes == 32);
  CHECK(k[0].spilled == 0);
  CHECK(k[0].read_once_bytes == 0);
  const auto hinted = facts(w, threads + "unroll(j1)\ncache_hint(Y, evict_first)\n");
  CHECK(hinted[0].read_once_bytes == hinted[0].global_read_bytes);
  // 32 threads have all lanes: the same work in half of the warps.
  const auto full = facts(w, "i0, i1 = split(Y.i, 32)\nbind(i0, block)\nbind(i1, thread)\nj0, j1 = split(Y.j, 8)\nunroll(j1)\n");
  CHECK(full[0].lanes == 1);
  CHECK(full[0].estimate.issue_us < k[0].estimate.issue_us);
}

TEST_CASE("facts: a read behind a condition waits for itself") {
  const auto inside = workload("kernel c(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }", "M=64,N=1024");
  const auto maybe = workload("kernel c(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j - 1] else 0) }", "M=64,N=1024");
  const std::string schedule = "i0, i1 = split(Y.i, 32)\nbind(i0, block)\nbind(i1, thread)\nj0, j1 = split(Y.j, 8)\nunroll(j1)\n";
  CHECK(facts(inside, schedule)[0].rounds == 128);
  CHECK(facts(maybe, schedule)[0].rounds == 1024);
  CHECK(facts(maybe, schedule)[0].integer_operations > facts(inside, schedule)[0].integer_operations);
}

TEST_CASE("facts: sums that find no register are spilled") {
  const auto w = workload("kernel mm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }", "M=512,N=512,K=64");
  const auto tile = [&](int rows) {
    const std::string r = std::to_string(rows);
    return facts(w, "i0, i1 = split(C.i, " + r + ")\nj0, j1 = split(C.j, 16)\nreorder(i0, j0, C.k, i1, j1)\ncs, cl = cache_write(C, C, local, at=j0)\nbind(i0, block)\nbind(j0, thread)\n");
  };
  CHECK(tile(4)[0].spilled == 0);
  CHECK(tile(32)[0].spilled == 512 + 24 - 255);
}

TEST_CASE("facts: a transposed read touches a sector a thread") {
  const auto w = workload("kernel t(X: f32[N, M]) -> (Y) { Y[i: M, j: N] = X[j, i] }", "M=64,N=64");
  const auto k = facts(w, "bind(Y.i, block)\nbind(Y.j, thread)\n");
  REQUIRE(k[0].accesses.size() == 2);
  const AccessFacts& write = k[0].accesses[0].is_write ? k[0].accesses[0] : k[0].accesses[1];
  const AccessFacts& read = k[0].accesses[0].is_write ? k[0].accesses[1] : k[0].accesses[0];
  CHECK(read.lane_stride == 64);
  CHECK(read.sectors == 32);
  CHECK(write.lane_stride == 1);
  CHECK(write.sectors == 4);
  CHECK(k[0].global_read_bytes == 8 * k[0].global_write_bytes);
}

TEST_CASE("facts: a tiled product keeps sums in registers and operands in shared memory") {
  const auto w = workload("kernel mm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }", "M=512,N=512,K=512");
  const auto picked = require(pick_candidate(w, h100()));
  const auto k = facts_of(require(compiler::lower(picked.state.program, h100().limits)), h100());
  REQUIRE(k.size() == 1);
  CHECK(k[0].float_operations >= 2.0 * 512 * 512 * 512);
  CHECK(k[0].float_operations < 2.2 * 512 * 512 * 512);
  CHECK(k[0].blocks * k[0].threads <= 512 * 512);
  CHECK(k[0].footprint_bytes == 3 * 512 * 512 * 4);
  CHECK(k[0].block_bytes > k[0].footprint_bytes);
}

TEST_CASE("facts: copies by cp.async and loads by ldmatrix, each an instruction for many elements") {
  const auto w = workload("kernel mm(A: bf16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) }", "M=64,N=64,K=64");
  const auto k = facts(w, R"(i0, wi, i1 = split(C.i, [2, 32]);  j0, wj, j1 = split(C.j, [2, 32]);  k0, k1, k2 = split(C.k, [2, 16])
reorder(i0, j0, k0, wi, wj, k1, i1, j1, k2);  bind([wi, wj], warp);  cs, cl = cache_write(C, C, register, at=j0)
as, al = cache_read(C, A, shared, at=k0);  bs, bl = cache_read(C, B, shared, at=k0);  copy_with([al, bl], cp_async)
af, am = cache_read(C, as, register, at=k1);  bf, bm = cache_read(C, bs, register, at=k1);  copy_with([am, bm], ldmatrix)
t = blockize(i1);  tensorize(t, mma_sync);  vi, o = split(cl.0, 32);  vj, p = split(cl.1, 32);  reorder(vi, vj, o, p);  bind([vi, vj], warp)
pipeline(k0, [as, bs], slots=3);  bind([i0, j0], block))");
  REQUIRE(k.size() == 1);
  CHECK(k[0].tensor_operations == 2 * 64 * 64 * 64);
  CHECK(k[0].global_read_bytes == 2 * 64 * 64 * 2);  // each operand once, whole sectors
  // They are written to shared memory once, and read by two warps each.
  CHECK(k[0].shared_bytes_moved == 3 * 2 * 64 * 64 * 2);
  CHECK(k[0].flight_bytes == 2 * 64 * 32 * 2 / 128);  // two of three slots of 64 x 32, by 128 threads
}

TEST_CASE("features: one length for everything, finite, names differ") {
  const auto a = workload("kernel scale(X: f32[M]) -> (Y) { Y[i: M] = X[i] * 2.0 }", "M=1024");
  const auto b = workload("kernel sm(X: f32[M, N]) -> (Y) { m[i: M] = max[j: N](X[i, j]) s[i: M] = sum[j: N](exp(X[i, j] - m[i])) Y[i: M, j: N] = exp(X[i, j] - m[i]) / s[i] }", "M=64,N=100");
  for (const auto* w : {&a, &b}) {
    const auto c = require(pick_candidate(*w, h100()));
    const auto lowered = require(compiler::lower(c.state.program, h100().limits));
    const auto begin = std::chrono::steady_clock::now();
    std::vector<float> f;
    for (int n = 0; n < 20; ++n) f = features_of(facts_of(lowered, h100()));
    const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / 20;
    CHECK(us < 5000);  // a slow machine under a sanitizer; usually two hundred
    CHECK(f.size() == feature_count());
    for (float x : f) CHECK(std::isfinite(x));
    CHECK(prior_us(facts_of(lowered, h100())) > 0);
  }
  std::set<std::string_view> names;
  for (const auto& group : all_features())
    for (const Feature& f : group) {
      CHECK(names.insert(f.name).second);
      CHECK(f.low < f.high);
    }
}

TEST_CASE("prior: prefers neighbouring threads on neighbouring elements") {
  const auto w = workload("kernel t(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = X[i, j] * 2.0 }", "M=4096,N=4096");
  const double good = prior_us(facts(w, "j0, j1 = split(Y.j, 256)\nbind([Y.i, j0], block)\nbind(j1, thread)\n"));
  const double bad = prior_us(facts(w, "i0, i1 = split(Y.i, 256)\nreorder(Y.j, i0, i1)\nbind([Y.j, i0], block)\nbind(i1, thread)\n"));
  CHECK(good < bad / 2);
}
