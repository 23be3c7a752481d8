#include "codegen/cuda/emit.h"

#include <fmt/format.h>

#include <iostream>
#include <map>
#include <regex>
#include <thread>

#include "autotune/pick.h"
#include "codegen/build.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/support/lowered.h"
#include "tests/support/simulated.h"
#include "tests/support/workload.h"

using namespace tecc;
using test::workload;

namespace {


/// Dims that are small, odd and legal for every case.
std::string small_dims(const te::Kernel& k) {
  std::string out;
  for (VarId v : k.dims) out += (out.empty() ? "" : ",") + k[v].name + "=" + (k[v].name == "K" ? "256" : "24");
  for (VarId v : k.integers) out += "," + k[v].name + "=1";
  return out;
}

/// The CUDA text with the schedule that a build without records would take.
std::string cuda_text(const codegen::Workload& w, const std::string& arch) {
  const codegen::Target target = test::require(codegen::find_target(arch));
  const schedule::Trace trace = test::require(autotune::pick(w, target));
  const loop::Program p = test::require(compiler::lower(test::require(schedule::replay(w.naive, trace)).program, target.limits));
  return test::require(codegen::cuda::emit(p)).source;
}

/// What names must not change: the cubin, byte for byte; without NVRTC the text with every name replaced by the same one.
std::string anonymous(const std::string& text) {
  if (nvrtc_available()) return test::require(compile(text, "f", "sm_90a")).cubin;
  static const std::regex token("//[^\\n]*|[A-Za-z_][A-Za-z_0-9]*");
  return std::regex_replace(text, token, "n");
}

}  // namespace

TEST_CASE("cuda: indices are 64 bits wide where a formula is on the way, not only where it ends") {
  const auto text = [](const char* factor) { return cuda_text(workload(fmt::format("kernel h(X: f32[N]) -> (Y) {{ Y[i: N] = X[i * {} % N] }}", factor), "N=100000"), "sm_90a"); };
  CHECK(text("30000").find(" * 30000ll)") != std::string::npos);  // up to 3e9
  CHECK(text("300").find(" * 300)") != std::string::npos);
}

TEST_CASE("cuda: every case is emitted, the same from two threads") {
  for (const auto& [file, text] : test::cases()) {
    INFO(file);
    const te::Kernel k = test::kernel(text);
    const codegen::Workload w = workload(text, small_dims(k), k.type_parameters.empty() ? "" : k.type_parameters.size() == 1 ? k.type_parameters[0] + "=bf16" : "");
    std::string texts[2];
    std::thread other([&] { texts[1] = cuda_text(w, "sm_90a"); });
    texts[0] = cuda_text(w, "sm_90a");
    other.join();
    CHECK(texts[0] == texts[1]);
    CHECK(texts[0].find("__global__") != std::string::npos);
    CHECK(texts[0].find("/home") == std::string::npos);
  }
}

TEST_CASE("cuda: NVRTC takes a few cases for three generations") {
  if (!nvrtc_available()) {
    std::cout << "skipped: no NVRTC\n";
    return;
  }
  const std::map<std::string, std::string> all = test::cases();
  for (const char* file : {"gemm.te", "softmax.te", "layernorm.te", "conv2d_nchw.te", "cumsum.te", "attention_causal.te"})
    for (const char* arch : {"sm_80", "sm_89", "sm_90a"}) {
      INFO(file << " " << arch);
      const codegen::Workload w = workload(all.at(file), small_dims(test::kernel(all.at(file))), "T=f32");
      const auto compiled = compile(cuda_text(w, arch), file, arch);
      CHECK((compiled ? "" : render(compiled.error())) == "");
    }
}

TEST_CASE("cuda: the naive nest of a product, as it is printed") {
  const codegen::Workload w = workload(test::product.text, test::product.dims);
  const loop::Program p = test::require(compiler::lower(w.naive, compiler::Limits{}));
  const std::string text = test::require(codegen::cuda::emit(p)).source;
  CHECK(text.find("for (") != std::string::npos);
  CHECK(text.find("A") != std::string::npos);
}

TEST_CASE("cuda: rows at odd places are copied in words, and stored in vectors where these line up") {
  const test::Operator op{"kernel p(A: f16[M, K], B: f16[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) }", "M=20,N=24,K=30", "",
                          "a, al = pad(C, A, 8)\nf = fuse(al.0, al.1)\nx, y, z = split(f, [16, 8])\nbind(x, block)\nbind(y, thread)\nvectorize(z)\n"};
  const std::string all = test::require(codegen::cuda::emit(test::require(test::try_lower(op)))).source, text = all.substr(all.find("extern \"C\""), all.find("p_1(") - all.find("extern \"C\""));
  CHECK(text.find("tecc_store(&A_padded[") != std::string::npos);                                                                 // 32 elements a row: 16 bytes
  CHECK(text.find("if ((v_x1 < 30)) tecc_put(tecc_r0, tecc_lane, tecc_load<tecc_f16, 2>(&A[") != std::string::npos);  // 30: 4 bytes
  test::check_simulated(op, 2);
}

TEST_CASE("cuda: vectors are not loaded where a condition leaves their elements out") {
  const auto text = [](const std::string& value) {
    const test::Operator op{"kernel k(X: f32[N]) -> (Y) { Y[i: N] = " + value + " }", "N=64", "", "a, b, c = split(Y.i, [8, 4])\nbind(a, block)\nbind(b, thread)\nvectorize(c)\n"};
    test::check_simulated(op, 1);
    return test::require(codegen::cuda::emit(test::require(test::try_lower(op)))).source;
  };
  CHECK(text("select(i >= 4, X[i - 4], 0)").find("if ((0 <= (v_i - 4))) tecc_put(tecc_r0, tecc_lane, tecc_load<float, 4>(&X[") != std::string::npos);
  CHECK(text("select(i >= 2, X[i - 2], 0)").find("if ((0 <= (v_i - 2))) tecc_put(tecc_r0, tecc_lane, tecc_load<float, 2>(&X[") != std::string::npos);
  CHECK(text("select(i >= 1, X[i - 1], 0)").find("tecc_r0") == std::string::npos);          // element by element
  CHECK(text("select(i >= 4, X[i], 0)").find("= tecc_load<float, 4>(&X[") != std::string::npos);  // they are there all the same
}

TEST_CASE("cuda: products of two fragments in registers run to and fro") {
  const auto text = [](std::int64_t rows, std::int64_t columns) {
    const test::Operator op{"kernel p(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) }", "M=48,N=48,K=8", "",
                            fmt::format("i0, i1 = split(C.i, {})\nj0, j1 = split(C.j, {})\nreorder(i0, j0, C.k, i1, j1)\nbind([i0, j0], block)\nc, cl = cache_write(C, C, local, j0)\n"
                                        "a, al = cache_read(C, A, local, C.k)\nb, bl = cache_read(C, B, local, C.k)\n",
                                        rows, columns)};
    test::check_simulated(op, 1);
    return test::require(codegen::cuda::emit(test::require(test::try_lower(op)))).source;
  };
  CHECK(text(4, 8).find("const int j1 = j1_n ^ (i1 % 2 * 7);") != std::string::npos);
  CHECK(text(4, 6).find("const int j1 = i1 % 2 ? 5 - j1_n : j1_n;") != std::string::npos);
}

TEST_CASE("cuda: what lags in a skewed loop names the iteration before") {
  const std::string text = test::require(codegen::cuda::emit(test::require(test::try_lower(test::Operator{
      test::read_file(TECC_SOURCE_DIR "/examples/cases/attention_causal.te"), "B=1,H=1,S=256,D=64", "T=bf16", test::read_file(TECC_SOURCE_DIR "/examples/schedules/attention_causal_sm90a.schedule")})))).source;
  CHECK(text.find("const int tecc_before = j0_n - 1;") != std::string::npos);
  CHECK(text.find("const int j0_n = tecc_before;") != std::string::npos);
}

TEST_CASE("cuda: values that are rounded to 16 bits take few instructions for exp, sigmoid and 1 + tanh") {
  const auto text = [](const std::string& value) {
    const std::string source = cuda_text(workload("kernel e(X: f32[N], B: f32[N]) -> (Y) { Y[i: N] = bf16(" + value + ") }", "N=64", ""), "sm_90a");
    const std::size_t at = source.find("tecc_to_bf16(", source.find("extern \"C\""));
    return std::regex_replace(source.substr(at, source.find(';', at) - at), std::regex("tecc_r([0-9])\\.lane\\[tecc_lane\\]"), "x$1");  // what was loaded first, second, ..
  };
  CHECK(text("exp(X[i] * 2 - B[i])") == "tecc_to_bf16(tecc_ex2(((x0 * 2.88539f) - (x1 * 1.442695f))))");
  CHECK(text("sigmoid(X[i])") == "tecc_to_bf16(tecc_rcp((1.0f + (1.0f * tecc_ex2((x0 * -1.442695f))))))");
  CHECK(text("X[i] * (1 + tanh(0.5 * (X[i] + B[i] * 3)))") == "tecc_to_bf16((x0 * tecc_rcp((0.5f + (0.5f * tecc_ex2(((x1 * -1.442695f) + (x2 * -4.328085f))))))))");
  CHECK(text("1 - tanh(X[i] + B[i])") == "tecc_to_bf16(tecc_rcp((0.5f + (0.5f * tecc_ex2(((x0 * 2.88539f) + (x1 * 2.88539f)))))))");
  CHECK(text("1 + tanh(3 * X[i] * X[i] * X[i] + X[i])") == "tecc_to_bf16(tecc_rcp((0.5f + (0.5f * tecc_ex2(((((x0 * -8.65617f) * x1) * x2) + (x3 * -2.88539f)))))))");
  CHECK(cuda_text(workload("kernel e(X: f32[N]) -> (Y) { Y[i: N] = 1 + tanh(X[i]) }", "N=64", ""), "sm_90a").find("tanhf(tecc_r0") != std::string::npos);
}

TEST_CASE("cuda: blocks that share an SM start with what their roles will take") {
  const auto emitted = [](std::int64_t loader, std::int64_t consumer) {
    const std::string steps = fmt::format(R"(i0, i1 = split(C.i, 128);  w, i2 = split(i1, 128);  j0, j1 = split(C.j, 128);  k0, k1 = split(C.k, 64)
reorder(i0, j0, k0, w, i2, j1, k1);  bind(w, warpgroup);  cs, cl = cache_write(C, C, register, at=j0);  v, o = split(cl.0, 128);  bind(v, warpgroup)
as, al = cache_read(C, A, shared, at=k0);  bs, bl = cache_read(C, B, shared, at=k0);  t = blockize(i2);  tensorize(t, wgmma);  copy_with([al, bl], bulk_tensor)
in = pipeline(k0, [as, bs], slots=3);  g = raster(i0, j0, group=8);  persist(g);  cache_hint([al], evict_first);  cache_hint(cl, evict_first)
specialize([role([al, bl], warpgroups=1, registers={}), role([t, cl], warpgroups=1, registers={})]))",
                                          loader, consumer);
    const test::Operator op{"kernel g(A: bf16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) }", "M=512,N=512,K=256", "", steps};
    return test::require(codegen::cuda::emit(test::require(test::try_lower(op))));
  };
  const codegen::cuda::Module two = emitted(24, 232), one = emitted(56, 248);
  CHECK(two.kernels[0].residents == 2);
  CHECK(two.source.find("__launch_bounds__(256, 2)") != std::string::npos);
  CHECK(two.source.find("tecc_fewer_registers<24>();") != std::string::npos);
  CHECK(two.source.find("tecc_more_registers<232>();") != std::string::npos);
  CHECK(one.kernels[0].residents == 1);
  CHECK(one.source.find("__launch_bounds__(256, 1)") != std::string::npos);
  // Hints: a policy for what tensor maps copy, streaming accesses for threads.
  CHECK(two.source.find("bytes.L2::cache_hint [%0]") != std::string::npos);
  CHECK(two.source.find("tecc_store_once(&C[") != std::string::npos);
  if (nvrtc_available()) CHECK((compile(two.source, "g", "sm_90a") ? "" : "refused") == std::string());
}

TEST_CASE("cuda: a window's box is placed by a loop that a cluster cut where its radices do not line up") {
  // 7 boxes along q, pairs of blocks: the fused loop over the boxes is gone, and q, p and n are digits of it.
  const test::Operator op{R"(kernel conv(X: f16[N, H, W, C], F: f16[O, R, S, C]) -> (Y) {
  Y[n: N, p: H, q: W, o: O] = sum[r: R, s: S, c: C](f32(X[n, p + r - 1, q + s - 1, c] else 0) * f32(F[o, r, s, c])) })",
                          "N=32,H=14,W=14,C=64,O=64,R=3,S=3", "", R"(k0, k1 = split(Y.c, 32);  j0, j1 = split(Y.o, 16);  c_0, c_1 = split(Y.n, 16);  d_0, d_1 = split(Y.p, 8);  e_0, e_1 = split(Y.q, 2)
reorder([c_0, d_0, e_0, j0, Y.r, Y.s, k0, c_1, d_1, e_1, j1, k1]);  i0 = fuse(c_0, d_0);  i0_ = fuse(i0, e_0);  k0_ = fuse(Y.r, Y.s);  k0__ = fuse(k0_, k0)
i1 = fuse(c_1, d_1);  i1_ = fuse(i1, e_1);  w, i2 = split(i1_, 128);  bind(w, warpgroup);  cs, cl = cache_write(Y, Y, register, at=j0);  v, o = split(cl.0, 8);  bind(v, warpgroup)
as, al = cache_read(Y, X, shared, k0__);  bs, bl = cache_read(Y, F, shared, k0__);  t = blockize(i2);  tensorize(t, wgmma);  copy_with([al, bl], bulk_tensor)
x_0 = pipeline(k0__, [as, bs]);  ranks, rank = cluster(i0_, 2);  bind([ranks, j0], block);  specialize([role([al, bl], registers=32), role([t, cl], warpgroups=2, registers=104)]))"};
  const std::string text = test::require(codegen::cuda::emit(test::require(test::try_lower(op)))).source;
  const std::size_t declared = text.find("const int n0_p0_q0 = "), used = text.find("(n0_p0_q0 % 7) * 2");
  CHECK(declared != std::string::npos);
  CHECK(used != std::string::npos);
  CHECK(declared < used);
  if (nvrtc_available()) CHECK((compile(text, "conv", "sm_90a") ? "" : "refused") == std::string());
}

TEST_CASE("cuda: names, the order of independent stages and hidden reductions do not change the code") {
  const std::string plain =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { x[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) C[i: M, j: N] = max(x[i, j] + b[j], 0) "
      "S[i: M] = max[k: K](A[i, k]) }";
  const std::string renamed =
      "kernel f(left: f32[rows, deep], right: f32[cols, deep], shift: f32[cols]) -> (result, top) { t[p: rows, q: cols] = sum[r: deep](left[p, r] * right[q, r]) "
      "result[p: rows, q: cols] = max(t[p, q] + shift[q], 0) top[p: rows] = max[r: deep](left[p, r]) }";
  const std::string moved =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { S[i: M] = max[k: K](A[i, k]) x[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) "
      "C[i: M, j: N] = max(x[i, j] + b[j], 0) }";
  const std::string hidden =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { C[i: M, j: N] = max(sum[k: K](A[i, k] * B[j, k]) + b[j], 0) S[i: M] = max[k: K](A[i, k]) }";
  const codegen::Workload first = workload(plain, "M=24,N=40,K=32");
  const std::string wanted = anonymous(cuda_text(first, "sm_90a"));
  CHECK((anonymous(cuda_text(workload(renamed, "rows=24,cols=40,deep=32"), "sm_90a")) == wanted));
  CHECK(workload(renamed, "rows=24,cols=40,deep=32").hash == first.hash);
  for (const std::string& same : {moved, hidden}) {
    const codegen::Workload w = workload(same, "M=24,N=40,K=32");
    CHECK(w.hash == first.hash);
    CHECK((anonymous(cuda_text(w, "sm_90a")) == wanted));
  }
}
