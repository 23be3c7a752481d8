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

using namespace tecc;

namespace {

codegen::Workload workload(const std::string& text, const std::string& dims, const std::string& types = "") {
  te::Bindings b;
  b.dims = test::require(te::parse_dims(dims));
  b.types = test::require(te::parse_type_bindings(types));
  return test::require(codegen::make_workload(test::kernel(text), b));
}

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

/// The kernels' text with every name replaced by the number of its first use and comments left out: what remains is the structure.
std::string anonymous(const std::string& source) {
  // The prelude has names of its own, and "C" may be a tensor, too.
  const std::string text = std::regex_replace(source.substr(source.find("extern \"C\"")), std::regex("extern \"C\""), "extern");
  static const std::regex token("//[^\\n]*|[A-Za-z_][A-Za-z_0-9]*");
  std::map<std::string, std::size_t> numbers;
  std::string out;
  std::size_t from = 0;
  for (std::sregex_iterator i(text.begin(), text.end(), token), end; i != end; ++i) {
    out += text.substr(from, static_cast<std::size_t>(i->position()) - from);
    from = static_cast<std::size_t>(i->position() + i->length());
    const std::string word = i->str();
    if (word[0] != '/') out += fmt::format("n{}", numbers.emplace(word, numbers.size()).first->second);
  }
  return out + text.substr(from);
}

}  // namespace

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

TEST_CASE("cuda: names, the order of independent stages and hidden reductions do not change the code") {
  const std::string plain =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { acc[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) C[i: M, j: N] = max(acc[i, j] + b[j], 0) "
      "S[i: M] = max[k: K](A[i, k]) }";
  const std::string renamed =
      "kernel f(left: f32[rows, deep], right: f32[cols, deep], shift: f32[cols]) -> (result, top) { t[p: rows, q: cols] = sum[r: deep](left[p, r] * right[q, r]) "
      "result[p: rows, q: cols] = max(t[p, q] + shift[q], 0) top[p: rows] = max[r: deep](left[p, r]) }";
  const std::string moved =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { S[i: M] = max[k: K](A[i, k]) acc[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) "
      "C[i: M, j: N] = max(acc[i, j] + b[j], 0) }";
  const std::string hidden =
      "kernel f(A: f32[M, K], B: f32[N, K], b: f32[N]) -> (C, S) { C[i: M, j: N] = max(sum[k: K](A[i, k] * B[j, k]) + b[j], 0) S[i: M] = max[k: K](A[i, k]) }";
  const codegen::Workload first = workload(plain, "M=24,N=40,K=32");
  const std::string wanted = anonymous(cuda_text(first, "sm_90a"));
  CHECK(anonymous(cuda_text(workload(renamed, "rows=24,cols=40,deep=32"), "sm_90a")) == wanted);
  CHECK(workload(renamed, "rows=24,cols=40,deep=32").hash == first.hash);
  for (const std::string& same : {moved, hidden}) {
    const codegen::Workload w = workload(same, "M=24,N=40,K=32");
    CHECK(w.hash == first.hash);
    CHECK(anonymous(cuda_text(w, "sm_90a")) == wanted);
  }
}
