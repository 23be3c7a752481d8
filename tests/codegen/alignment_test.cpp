#include <iostream>

#include "codegen/artifact.h"
#include "codegen/build.h"
#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/support/lowered.h"
#include "tests/support/workload.h"

using namespace tecc;
using test::workload;

namespace {


const char* const doubled = "kernel f(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2 }";
const char* const by_vectors = "i0, i1, i2 = split(Y.i, [128, 4]); bind(i0, block); bind(i1, thread); vectorize(i2)";

Result<loop::Program> lowered(const codegen::Workload& w, const std::string& schedule, const compiler::Limits& limits = {}) {
  const schedule::Trace trace = test::require(schedule::parse({intern("s"), schedule}, w.naive));
  return compiler::lower(test::require(schedule::replay(w.naive, trace)).program, limits);
}
/// The kernel alone, without the functions before it; NVRTC takes it all.
std::string kernel_text(const codegen::Workload& w, const std::string& schedule) {
  const std::string text = test::require(codegen::cuda::emit(test::require(lowered(w, schedule)))).source;
  if (nvrtc_available()) {
    const auto compiled = compile(text, "f", "sm_90a");
    CHECK((compiled ? "" : render(compiled.error())) == "");
  } else {
    std::cout << "skipped: no NVRTC\n";
  }
  return text.substr(text.find("__global__"));
}
bool has(const std::string& text, const std::string& piece) { return text.find(piece) != std::string::npos; }

}  // namespace

TEST_CASE("alignment: accesses are no wider than the pointers allow") {
  const auto text = [&](const std::string& align) { return kernel_text(workload(doubled, "N=4096", "", align), by_vectors); };
  CHECK(has(text(""), "tecc_load<float, 4>("));
  CHECK(has(text(""), "tecc_store(&"));
  CHECK(text("X=16,Y=64") == text(""));
  // Half the width for X, single elements for Y.
  const std::string narrow = text("X=8,Y=4");
  CHECK(has(narrow, "tecc_load_words<float, 4, 8>("));
  CHECK_FALSE(has(narrow, "tecc_store"));
  const std::string other = text("X=4,Y=8");
  CHECK(has(other, "tecc_store_words<8>("));
  CHECK_FALSE(has(other, "tecc_load"));
}

TEST_CASE("alignment: two-byte elements go by pairs where the pointer allows four bytes") {
  const std::string text = kernel_text(workload("kernel f(X: bf16[N]) -> (Y) { Y[i: N] = X[i] }", "N=4096", "", "X=4,Y=2"), "i0, i1, i2 = split(Y.i, [128, 8]); bind(i0, block); bind(i1, thread); vectorize(i2)");
  CHECK(has(text, "tecc_load_words<tecc_bf16, 8, 4>("));
  CHECK_FALSE(has(text, "tecc_store"));
}

TEST_CASE("alignment: bulk copies need 16 bytes") {
  const std::string gemm = test::cases().at("gemm.te"), schedule = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule");
  const auto why = [&](const std::string& align) {
    const auto p = lowered(workload(gemm, "M=512,N=512,K=256", "T=bf16", align), schedule);
    return p ? "" : render(p.error());
  };
  CHECK(why("A=16,B=256,C=32") == "");
  CHECK(why("B=8") == "error E0420: 'B' cannot be copied by bulk_tensor: its pointer is 8-byte aligned; legal: 16");
  CHECK(why("C=2") == "error E0420: 'C' cannot be copied by bulk_tensor: its pointer is 2-byte aligned; legal: 16");
}

TEST_CASE("alignment: stated by the program, the contract and the C header") {
  const codegen::Workload w = workload(doubled, "N=64", "", "X=4,Y=128");
  CHECK(has(loop::print(w.naive), "X: f32[64] align 4"));
  CHECK(has(loop::print(w.naive), "Y: f32[64] align 128"));
  const codegen::Target cpu = test::require(codegen::find_target("cpu"));
  const codegen::Built built = test::require(codegen::build(w, {{cpu, {}}}, {}));
  CHECK(built.contract.find_buffer("X")->align == 4);
  CHECK(built.contract.find_buffer("Y")->align == 128);
  CHECK(has(built.files.at("f.json"), "\"align\": 4"));
  CHECK(has(built.files.at("f.h"), "X must be 4-byte aligned"));
  CHECK(has(built.files.at("f.h"), "Y must be 128-byte aligned"));
  const codegen::Built usual = test::require(codegen::build(workload(doubled, "N=64"), {{cpu, {}}}, {}));
  CHECK(usual.contract.find_buffer("X")->align == 16);
}

TEST_CASE("alignment: another workload, unless it is the usual one") {
  const std::string usual = workload(doubled, "N=64").hash;
  CHECK(workload(doubled, "N=64", "", "X=16").hash == usual);
  CHECK(workload(doubled, "N=64", "", "X=4").hash != usual);
  CHECK(workload(doubled, "N=64", "", "Y=4").hash != usual);
  CHECK(workload(doubled, "N=64", "", "Y=4").hash != workload(doubled, "N=64", "", "X=4").hash);
}

TEST_CASE("alignment: wrong ones") {
  const auto why = [](const std::string& align) -> std::string {
    const auto parsed = te::parse_alignments(align);
    if (!parsed) return render(parsed.error());
    const auto bound = te::bind(test::kernel("kernel f(X: f32[N], s: f32) -> (Y) { z[i: N] = X[i] * s Y[i: N] = exp(z[i]) }"), {{{"N", {8, 8, 1}}}, {}, *parsed});
    return bound ? "" : render(bound.error()).substr(render(bound.error()).find("error"));
  };
  CHECK(why("") == "");
  CHECK(why("X=4,Y=256") == "");
  CHECK(why("X") == "error E0209: 'X' is not a list of alignments; write for example X=4,Y=16");
  CHECK(why("X=4,X=8") == "error E0209: 'X=8' is not a list of alignments; write for example X=4,Y=16");
  CHECK(why("X=four") == "error E0209: 'X=four' is not a list of alignments; write for example X=4,Y=16");
  CHECK(why("x=4") == "error E0216: kernel 'f' has no tensor named 'x' that the caller hands over");
  CHECK(why("s=4") == "error E0216: kernel 'f' has no tensor named 's' that the caller hands over");
  CHECK(why("z=4") == "error E0216: kernel 'f' has no tensor named 'z' that the caller hands over");
  CHECK(why("X=2") == "error E0217: 'X' cannot be aligned to 2 bytes; legal: powers of two from 4 (one element) to 256");
  CHECK(why("X=12") == "error E0217: 'X' cannot be aligned to 12 bytes; legal: powers of two from 4 (one element) to 256");
  CHECK(why("Y=512") == "error E0217: 'Y' cannot be aligned to 512 bytes; legal: powers of two from 4 (one element) to 256");
  CHECK(why("X=-4") == "error E0217: 'X' cannot be aligned to -4 bytes; legal: powers of two from 4 (one element) to 256");
}
