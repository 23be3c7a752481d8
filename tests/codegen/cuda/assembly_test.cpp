#include "codegen/cuda/assembly.h"

#include "tests/support/catch.h"

using namespace tecc;

namespace {

/// cuobjdump -sass of a product's main loop, shortened; the wait for a barrier goes on far below, and comes back into the loop.
const char* const sass = R"sass(
	code for sm_90a
		Function : gemm
	.headerflags	@"EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                                    /* 0x00000a00ff017b82 */
                                                                                             /* 0x000fe20000000800 */
        /*0010*/                   S2R R0, SR_TID.X ;                                        /* 0x0000000000007919 */
        /*0020*/                   MEMBAR.ALL.CTA ;                                          /* 0x0000000000007992 */
        /*0030*/                   MOV R2, R0 ;                                              /* 0x0000000000007992 */
        /*0040*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR13+0x38000], R15 ;  /* 0x0380000fff0075a7 */
        /*0050*/              @!P0 BRA 0xe0 ;                                                /* 0x0000001800308947 */
        /*0060*/                   WARPGROUP.ARRIVE ;                                        /* 0x00000000000079c5 */
        /*0070*/                   UIADD3 UR4, UR4, 0x1, URZ ;                               /* 0x0000000104047890 */
        /*0080*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR16], R24, gsb0 ;    /* 0x03e00000101879f0 */
        /*0090*/                   WARPGROUP.DEPBAR.LE gsb0, 0x1 ;                           /* 0x00008000000079c5 */
        /*00a0*/               @P0 BRA 0x40 ;                                                /* 0xfffffff800b00947 */
        /*00b0*/                   STG.E desc[UR4][R2.64], R3 ;                              /* 0xfffffff800b00947 */
        /*00c0*/              @!P0 BRA 0x30 ;                                                /* 0xffffffe800c08947 */
        /*00c8*/               @P1 BRA.U.ANY 0xb0 ;                                          /* 0xfffffffd00e01947 */
        /*00d0*/                   EXIT ;                                                    /* 0x000000000000794d */
        /*00e0*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR13+0x38000], R15 ;  /* 0x0380000fff0075a7 */
        /*00f0*/              @!P0 BRA 0xe0 ;                                                /* 0xfffffffc00f88947 */
        /*0100*/                   BRA 0x60 ;                                                /* 0xffffffe400c47947 */
        /*0110*/                   BRA 0x110;                                                /* 0xfffffffc00fc7947 */
		..........

		Function : rows
        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;                          /* 0x00000a00ff017b82 */
        /*0010*/                   LDS.128 R8, [R1] ;                                        /* 0x00000a00ff017b82 */
        /*0020*/                   FFMA R8, R8, R4, R8 ;                                     /* 0x00000a00ff017b82 */
        /*0030*/                   MUFU.EX2 R8, R8 ;                                         /* 0x00000a00ff017b82 */
        /*0040*/                   STL [R1], R8 ;                                            /* 0x00000a00ff017b82 */
        /*0050*/               @P0 BRA 0x10 ;                                                /* 0xfffffff800b00947 */
        /*0060*/                   EXIT ;                                                    /* 0x000000000000794d */
)sass";

/// The same loop as nvdisasm -c writes it.
const char* const labels = R"sass(
.text.gemm:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR16], R24, gsb0 ;
        /*0020*/               @P0 BRA `(.L_x_1) ;
        /*0030*/                   BRA.U !UP0, `(.L_x_1) ;
        /*0040*/                   EXIT ;
.L_x_2:
        /*0050*/                   BRA `(.L_x_2);
)sass";

const char* const ptx = R"sass(
.visible .entry gemm(
	.param .u64 gemm_param_0
)
.maxntid 384
{
	.reg .b32 	%r<10>;
	ld.param.b64 	%rd1, [gemm_param_0];
$L__BB0_1:
	// begin inline asm
	{
.reg .pred done;
AGAIN:
mbarrier.try_wait.parity.shared::cta.b64 done, [%r340], %r341;
@done bra READY;
bra AGAIN;
READY:
}
	// end inline asm
	{.reg .pred p; setp.ne.b32 p, %r1, 0; wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%r1, %r2}, %rd1, %rd2, p, 1, 1, 0, 0;}
	add.s32 	%r1, %r1, 1;
	fma.rn.f32 	%r1, %r1, %r2, %r3;
	@%p1 bra 	$L__BB0_1;
	// begin inline asm
	{
AGAIN:
mbarrier.try_wait.parity.shared::cta.b64 done, [%r340], %r341;
bra AGAIN;
}
	// end inline asm
	ret;
}
)sass";

std::size_t of(const std::vector<std::size_t>& mix, Work w) { return mix[static_cast<std::size_t>(w)]; }

}  // namespace

TEST_CASE("assembly: SASS of cuobjdump, its loops and the mix of the hot one") {
  const auto all = parse_sass(sass);
  REQUIRE(all.size() == 2);
  const Assembly& a = all[0];
  CHECK(a.kernel == "gemm");
  CHECK(a.instructions.size() == 19);
  CHECK(a.instructions[5].predicated);
  CHECK(a.instructions[5].target == 15u);
  // The tiles, the terms of depth, and the wait. The way back from the wait is none: it does not begin at 0x60; nor are the turns of a warp.
  const auto loops = loops_of(a);
  std::vector<std::size_t> heads;
  for (const AssemblyLoop& l : loops) heads.push_back(l.first);
  CHECK(heads == std::vector<std::size_t>{3, 4, 15});
  const auto hot = hot_loop(a);
  REQUIRE(hot);
  CHECK(hot->first == 4);
  CHECK(hot->members == std::vector<std::size_t>{4, 5, 6, 7, 8, 9, 10, 15, 16, 17});
  const auto mix = mix_of(a, &hot->members);
  CHECK(of(mix, Work::matrix) == 1);
  CHECK(of(mix, Work::barrier) == 4);
  CHECK(of(mix, Work::integer) == 1);
  CHECK(of(mix, Work::control) == 4);
  CHECK(of(mix_of(a), Work::global) == 1);
}

TEST_CASE("assembly: without matrix instructions the loop with the most accesses") {
  const Assembly a = parse_sass(sass)[1];
  const auto hot = hot_loop(a);
  REQUIRE(hot);
  CHECK(hot->first == 1);
  const auto mix = mix_of(a, &hot->members);
  CHECK(of(mix, Work::shared) == 1);
  CHECK(of(mix, Work::local) == 1);
  CHECK(of(mix, Work::arithmetic) == 1);
  CHECK(of(mix, Work::special) == 1);
  CHECK(of(mix, Work::global) == 0);
}

TEST_CASE("assembly: labels of nvdisasm") {
  const auto all = parse_sass(labels);
  REQUIRE(all.size() == 1);
  CHECK(all[0].kernel == "gemm");
  CHECK(all[0].instructions[2].target == 1u);
  CHECK(all[0].instructions[3].target == 1u);
  CHECK(hot_loop(all[0])->members == std::vector<std::size_t>{1, 2, 3});
}

TEST_CASE("assembly: PTX, whose inline assembly has labels and lines of its own") {
  const auto all = parse_ptx(ptx);
  REQUIRE(all.size() == 1);
  CHECK(all[0].kernel == "gemm");
  const auto hot = hot_loop(all[0]);
  REQUIRE(hot);
  CHECK(hot->first == 1);
  const auto mix = mix_of(all[0], &hot->members);
  CHECK(of(mix, Work::matrix) == 1);
  CHECK(of(mix, Work::barrier) == 1);
  CHECK(of(mix, Work::integer) == 2);  // setp, add.s32
  CHECK(of(mix, Work::arithmetic) == 1);
  CHECK(of(mix, Work::control) == 3);
}

TEST_CASE("assembly: what instructions are for") {
  const std::pair<const char*, Work> rows[] = {{"HMMA.16816.F32.BF16", Work::matrix}, {"UTMALDG.2D", Work::bulk}, {"LDGSTS.E.BYPASS.128", Work::bulk}, {"LDG.E.128", Work::global}, {"REDUX.SUM", Work::barrier},
                                               {"RED.E.ADD.F32", Work::global}, {"LDSM.16.M88.4", Work::shared}, {"STS.128", Work::shared}, {"LDC.64", Work::integer}, {"LDL", Work::local}, {"ULDC.64", Work::integer},
                                               {"F2FP.BF16.F32.PACK_AB", Work::conversion}, {"HADD2.F32", Work::conversion}, {"HADD2", Work::arithmetic}, {"MUFU.EX2", Work::special}, {"BAR.SYNC.DEFER_BLOCKING", Work::barrier},
                                               {"SHFL.BFLY", Work::barrier}, {"USETMAXREG.DEALLOC.CTAPOOL", Work::control}, {"ISETP.GE.AND", Work::integer}, {"FOO", Work::other}};
  for (const auto& [opcode, work] : rows) {
    INFO(opcode);
    CHECK(work_of(AssemblyKind::sass, opcode) == work);
  }
  const std::pair<const char*, Work> ptx_rows[] = {{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", Work::matrix}, {"cp.async.bulk.tensor.2d.shared::cluster.global", Work::bulk}, {"cp.async.wait_group", Work::barrier},
                                                   {"ld.global.v4.f32", Work::global}, {"ld.shared.f32", Work::shared}, {"ld.param.u64", Work::integer}, {"cvt.rn.bf16.f32", Work::conversion}, {"fma.rn.f32", Work::arithmetic},
                                                   {"mad.lo.s32", Work::integer}, {"ex2.approx.f32", Work::special}, {"bar.sync", Work::barrier}, {"mov.f32", Work::integer}, {"ret", Work::control}};
  for (const auto& [opcode, work] : ptx_rows) {
    INFO(opcode);
    CHECK(work_of(AssemblyKind::ptx, opcode) == work);
  }
}
