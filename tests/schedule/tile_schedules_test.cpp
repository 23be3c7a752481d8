/// The schedule files of examples/schedules: what they make of an expression means the same, and lowers for sm_90a.
#include <fstream>
#include <iostream>
#include <regex>

#include "codegen/build.h"
#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/support/lowered.h"

using namespace tecc;

namespace {

std::string read(const std::string& path) {
  std::ifstream in(std::string(TECC_SOURCE_DIR) + "/" + path);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The same schedule with small tiles, for the interpreters.
std::string small(std::string text) {
  if (text.find("mma_sync") != std::string::npos) return text;  // its tiles are
  for (const auto& [from, to] : {std::pair{"256", "8"}, {"128", "4"}, {"64", "2"}, {"512", "2"}, {", 8]", ", 2]"}}) text = std::regex_replace(text, std::regex(from), to);
  return text;
}

struct File {
  const char *te, *schedule, *small_dims, *dims;
};
constexpr File files[] = {
    {"gemm.te", "gemm_sm90a", "M=9,N=11,K=5", "M=520,N=512,K=264"},
    {"gemm.te", "gemm_alternating_sm90a", "M=9,N=11,K=5", "M=520,N=512,K=264"},
    {"gemm.te", "gemm_mma", "M=9,N=11,K=5", "M=520,N=512,K=264"},
    {"attention.te", "attention_sm90a", "B=1,H=2,S=5,L=7,D=4", "B=1,H=2,S=200,L=300,D=128"},
    {"attention_causal.te", "attention_causal_sm90a", "B=1,H=2,S=9,D=4", "B=1,H=2,S=300,D=64"},
    {"attention.te", "attention_mma", "B=1,H=2,S=5,L=7,D=32", "B=1,H=2,S=200,L=300,D=128"},
    {"softmax.te", "softmax_registers_sm90a", "M=3,N=17", "M=64,N=4096"},
    {"softmax.te", "softmax_rows_sm90a", "M=3,N=17", "M=64,N=32768"},
};

}  // namespace

TEST_CASE("schedule files: the scheduled program means what the expression says") {
  for (const File& f : files) {
    INFO(f.schedule);
    test::replayed({read(std::string("examples/cases/") + f.te), f.small_dims, "T=bf16", small(read(std::string("examples/schedules/") + f.schedule + ".schedule"))}, false);
  }
}

TEST_CASE("schedule files: lowered and compiled for sm_90a, without spills or serialized products") {
  for (const File& f : files) {
    INFO(f.schedule);
    const auto p = test::try_lower({read(std::string("examples/cases/") + f.te), f.dims, "T=bf16", read(std::string("examples/schedules/") + f.schedule + ".schedule")});
    REQUIRE((p ? "" : render(p.error())) == "");
    const std::string text = test::require(codegen::cuda::emit(*p)).source;
    if (!nvrtc_version()) {
      std::cout << "skipped: no NVRTC\n";
      continue;
    }
    const auto compiled = compile(text, f.schedule, "sm_90a");
    CHECK((compiled ? "" : render(compiled.error())) == "");
  }
}

TEST_CASE("schedule files: a product by warps for every architecture that has them, a barrier an iteration") {
  for (const char* arch : {"sm_80", "sm_86", "sm_89", "sm_90"}) {
    INFO(arch);
    compiler::Limits limits;
    limits.arch = arch;
    limits.shared_bytes = 99 * 1024;
    for (const char* dims : {"M=512,N=512,K=256", "M=500,N=501,K=255"}) {
      const auto p = test::require(test::try_lower({read("examples/cases/gemm.te"), dims, "T=bf16", read("examples/schedules/gemm_mma.schedule")}, limits));
      CHECK(test::outline(p) == "ir_3{jr_4{r_5{r_2_2{C.sum.init}}}} k0{await_copies | A.shared B.shared commit_copies k1{A.shared.register B.shared.register C.sum}} C");
      const std::string text = test::require(codegen::cuda::emit(p)).source;
      if (!nvrtc_version()) continue;
      const auto compiled = test::require(compile(text, "gemm", arch));
      REQUIRE(compiled.kernels.size() == 1);
      CHECK(compiled.kernels[0].spill_store_bytes == 0);
      CHECK(compiled.kernels[0].stack_bytes == 0);
    }
  }
}

TEST_CASE("schedule files: copies by cp.async are as wide as rows are aligned, and runs of words where they are not") {
  const auto emitted = [](const char* dims, const char* type) {
    return test::require(codegen::cuda::emit(test::require(test::try_lower({read("examples/cases/gemm.te"), dims, type, read("examples/schedules/gemm_mma.schedule")})))).source;
  };
  for (const auto& [dims, copy] : {std::pair{"M=256,N=256,K=64", "tecc_copy_async<16>("}, {"M=256,N=256,K=68", "tecc_copy_async<8>("}, {"M=256,N=256,K=66", "tecc_copy_async<4>("}, {"M=256,N=256,K=65", "tecc_copy_run(&"}}) {
    const std::string text = emitted(dims, "T=bf16");
    INFO(dims);
    for (const char* other : {"tecc_copy_async<16>(", "tecc_copy_async<8>(", "tecc_copy_async<4>(", "tecc_copy_run(&"}) CHECK((text.find(other) != std::string::npos) == (std::string(other) == copy));
    if (nvrtc_version()) CHECK(test::require(compile(text, "gemm", "sm_80")).kernels[0].spill_store_bytes == 0);
  }
}

TEST_CASE("schedule files: the order of what the roles of a product run") {
  const auto p = test::require(test::try_lower({read("examples/cases/gemm.te"), "M=512,N=512,K=256", "T=bf16", read("examples/schedules/gemm_sm90a.schedule")}));
  CHECK(test::outline(p) ==
        "k0{0:wait_empty 0:expect 0:A.shared 0:B.shared 1:wait_full 1:C.sum 1:await_mma 1:arrive_empty} 1:await_mma 1:arrive_empty "
        "j0_2{1:await_bulk_read 1:| jr{1:C} 1:fence_async 1:| 1:C.store 1:commit_bulk} 1:await_bulk");
}

TEST_CASE("schedule files: an epilogue with a further input, stored transposed, and a batch, by other handles alone") {
  std::string text = read("examples/schedules/gemm_sm90a.schedule");
  const std::string transposed = std::regex_replace(std::regex_replace(text, std::regex("C\\.sum"), "z"), std::regex("oi, oj = rev"), "oj, oi = rev");
  const auto t = test::require(test::try_lower({read("examples/cases/gemm_residual_sqrelu_t.te"), "M=256,N=256,K=128", "T=bf16", transposed}));
  CHECK(test::require(codegen::cuda::emit(t)).source.find("tecc_stmatrix_transposed(&C_shared") != std::string::npos);
  for (const auto& [from, to] : {std::pair{"reorder\\(i0", "reorder(C.sum.b, i0"}, {"oi, oj = rev", "_, oi, oj = rev"}, {"g = raster", "bind(C.sum.b, block);  g = raster"}, {"C.sum\\], B,", "C.sum], W,"}})
    text = std::regex_replace(text, std::regex(from), to);
  const auto b = test::require(test::try_lower({read("examples/cases/bmm.te"), "B=3,M=256,N=256,K=128", "T=bf16", text}));
  CHECK(test::require(codegen::cuda::emit(b)).source.find("tecc_bulk_load_3d(") != std::string::npos);
}

TEST_CASE("roles are those of their kernel: another kernel of the program has all of its threads") {
  const auto p = test::require(test::try_lower({"kernel two(A: bf16[M, K], B: bf16[N, K]) -> (C, s) { C[i: M, j: N] = bf16(sum[k: K](f32(A[i, k]) * f32(B[j, k]))) s[i: M] = sum[j: N](f32(C[i, j])) }",
                                                "M=256,N=256,K=128", "", read("examples/schedules/gemm_sm90a.schedule")}));
  const codegen::cuda::Module m = test::require(codegen::cuda::emit(p));
  REQUIRE(m.kernels.size() == 2);
  CHECK(m.kernels[0].threads == 384);
  CHECK(m.kernels[1].threads == 1);
  const std::string second = m.source.substr(m.source.rfind("__global__"));
  CHECK(second.find("role") == std::string::npos);
}

TEST_CASE("tile steps: refusals say what would be legal") {
  const test::Subject gemm{"kernel gemm(A: bf16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = bf16(sum[k: K](f32(A[i, k]) * f32(B[j, k]))) }", "M=256,N=256,K=128"};
  CHECK(test::product.refused("tensorize(C, wgmma)") ==
        "s:1:1: error E0357: block 'C' is no sum of products of two reads; legal for tensorize: sum[k](f32(A[i, k]) * f32(B[j, k]))");
  CHECK(gemm.refused("tensorize(C.sum, stmatrix)") == "s:1:1: error E0358: block 'C.sum' cannot be done with stmatrix; legal: mma_sync or wgmma");
  CHECK(gemm.refused("copy_with(C.sum, bulk)") == "s:1:1: error E0358: block 'C.sum' cannot be done with bulk; legal: a block that is no reduction and writes one buffer");
  CHECK(gemm.refused("raster(C.i, C.j, group=0)") == "s:1:1: error E0364: a raster in groups of 0; legal: 1 to 65536");
  CHECK(gemm.refused("raster(C.i, C.j); split(C.i, 2)") == "s:1:19: error E0359: loop 'C.i' belongs to a raster with 'C.j'; legal: the step before raster");
  CHECK(gemm.refused("specialize(role([C], warpgroups=9))") ==
        "s:1:1: error E0362: a role of 9 warpgroups with 0 registers a thread; legal: 1 to 8 warpgroups, 24 to 256 registers in steps of 8");
  CHECK(gemm.refused("specialize([role([C], warpgroups=1), role([C], warpgroups=1)])") == "s:1:1: error E0361: block 'C' stands in two roles");
  CHECK(gemm.refused("specialize([role([C], warpgroups=8, registers=128)])") == "s:1:1: error E0363: the roles take 131072 registers, a block has 65536; legal: fewer registers or warpgroups");
  CHECK(gemm.refused("online([C.sum, C.sum], loop=C.sum.k, at=C.sum.k)") == "s:1:1: error E0316: 'C.sum' is named twice");
  CHECK(gemm.refused("take_turns(C.sum.i, critical=[C.sum])") ==
        "s:1:1: error E0367: loop 'C.sum.i' is not bound to warpgroups; legal for take_turns: a loop bound to warpgroups around the critical statements");
  CHECK(gemm.refused("cache_read([C], 0, register, at=C.i)") == "s:1:1: error E0368: block 'C' is no product with a factor 0");
  CHECK(gemm.refused("_, _ = reverse_compute_at(C, C.sum.i); blockize(C.sum.i)") == "s:1:40: error E0356: loop 'C.sum.i' holds 'C.sum' or 'C'; legal for blockize: a loop around one block and nothing else");
}

TEST_CASE("tile lowering: refusals name the tile and what the instruction needs") {
  const std::string gemm = read("examples/cases/gemm.te"), text = read("examples/schedules/gemm_sm90a.schedule");
  const auto why = [&](const char* from, const char* to, const char* dims, const char* types = "T=bf16") { return test::lowering_refused({gemm, dims, types, std::regex_replace(text, std::regex(from), to)}); };
  CHECK(why("split\\(C.sum.k, 64\\)", "split(C.sum.k, 40)", "M=512,N=512,K=280").find("E0417: the tile of 'C.sum' has 40 terms of depth; wgmma needs a multiple of 16") != std::string::npos);
  CHECK(why("x", "x", "M=512,N=509,K=256").find("E0420: 'C' cannot be copied by bulk_tensor: its rows are 1018 bytes apart; legal: a multiple of 16") != std::string::npos);
  CHECK(why("slots=4", "slots=6", "M=512,N=512,K=256").find("E0405: kernel 'gemm' needs 327776 bytes of shared memory > 232448 bytes a block") != std::string::npos);
  CHECK(why("warpgroups=2", "warpgroups=1", "M=512,N=512,K=256").find("E0423: role 2 has 1 warpgroups, but loop 'i10' is bound to 2 warpgroups") != std::string::npos);
  CHECK(why("set_scope\\(C.sum, register\\);", "", "M=512,N=512,K=256").find("E0418: 'C.sum' is not in registers; wgmma keeps its sums in registers") != std::string::npos);
  const std::string alternating = read("examples/schedules/gemm_alternating_sm90a.schedule");
  const auto why_alternating = [&](const std::vector<std::pair<const char*, const char*>>& changes) {
    std::string changed = alternating;
    for (const auto& [from, to] : changes) changed = std::regex_replace(changed, std::regex(from), to);
    return test::lowering_refused({gemm, "M=512,N=512,K=256", "T=bf16", changed});
  };
  CHECK(why_alternating({{"A, shared, at=k0", "A, shared, at=w"}, {"in = pipeline\\(k0, \\[as, bs\\], slots=6\\)", "in = pipeline(k0, [bs], slots=2);  ia = pipeline(j0, [as], slots=1)"}})
            .find("E0421: the pipeline of 'A.shared' cannot be carried out: a role takes the iterations of 'i10' in turn, inside of the loop of the pipeline; legal: a pipeline at a loop inside of it") != std::string::npos);
  CHECK(why_alternating({{"i2 = split\\(i1, 128\\)", "i3 = split(i1, 128);  u, i2 = split(i3, 64)"}, {"reorder\\(i0, j0, w, k0", "bind(u, warpgroup);  reorder(i0, j0, w, u, k0"}})
            .find("E0423: role 2 has 2 warpgroups, but loop 'i10' is bound to 4 warpgroups") != std::string::npos);
  const std::string triangular = "kernel gemm(A: bf16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = bf16(sum[k: i + 1](f32(A[i, k]) * f32(B[j, k]))) }";
  CHECK(test::lowering_refused({triangular, "M=512,N=512,K=512", "", alternating})
            .find("E0421: the pipeline of 'A.shared' cannot be carried out: warpgroups alternate over 'i10', whose iterations differ in how often 'k0' runs") != std::string::npos);
  const std::string mixed = "kernel gemm(A: f16[M, K], B: bf16[N, K]) -> (C) { C[i: M, j: N] = bf16(sum[k: K](f32(A[i, k]) * f32(B[j, k]))) }";
  CHECK(test::lowering_refused({mixed, "M=512,N=512,K=256", "", text}).find("E0416: no wgmma instruction multiplies f16 by bf16 into f32 here") != std::string::npos);
  compiler::Limits older;
  older.arch = "sm_80";
  CHECK(test::lowering_refused({gemm, "M=512,N=512,K=256", "T=bf16", text}, older).find("E0430: 'A.shared' needs the instruction bulk_tensor, which this sm_80 does not have; legal: no copy_with: threads copy") != std::string::npos);
}
