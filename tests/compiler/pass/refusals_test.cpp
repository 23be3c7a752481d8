#include "tests/support/lowered.h"

using namespace tecc;
using compiler::Limits;
using test::chain;
using test::epilogue;
using test::lowering_refused;
using test::product;

// Every refusal of lowering by its full text; what the passes do is tested beside them.

TEST_CASE("place_buffers: E0401 a private buffer that other threads use") {
  CHECK(lowering_refused(test::Operator{"kernel turn(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N] = a[N - 1 - i] }", "N=64", "",
                                        "i0, i1 = split(Y.i, 16); p = compute_at(a, i0); set_scope(a, local); bind(i0, block); bind([p, i1], thread)"}) ==
        "error E0401: 'a' lives in registers, but block 'Y' uses elements of other threads than block 'a' does; legal: shared memory, or the same loops bound to threads");
}

TEST_CASE("combine_threads: E0402 the threads of a reduction are apart") {
  CHECK(lowering_refused(epilogue.with("k0, k1 = split(x.k, 3); reorder(x.i, k1, x.j, k0); bind(k1, thread); bind(x.j, thread); bind(k0, thread)\n"
                                       "_, j = reverse_compute_at(C, x.i); bind(x.i, block); bind(j, thread); cross_thread_reduce(x, at=x.i)")) ==
        "error E0402: the threads that reduce 'x' are not one run of thread numbers");
}

TEST_CASE("pipeline_copies: E0403, E0404") {
  const std::string copies = "k0, k1 = split(C.k, 2); reorder(k0, C.i, C.j, k1); as, al = cache_read(C, A, shared, at=k0)\n";
  CHECK(lowering_refused(product.with("f = fuse(C.j, C.k); as, al = cache_read(C, A, shared, at=f); pipeline(f, as, slots=2)")) ==
        "error E0403: loop 'j_k' of the pipeline is cut by other radices than block 'A.shared' uses");
  CHECK(lowering_refused(product.with(copies + "pipeline(k0, as, slots=3)")) == "error E0404: a pipeline of plain copies has 2 slots, not 3");
}

TEST_CASE("place_buffers: E0405 shared memory, E0406 registers") {
  const test::Subject large{product.text, "M=64,N=64,K=64"};
  CHECK(lowering_refused(large.with("bind(C.i, thread); as, al = cache_read(C, A, shared, at=C.i)"), Limits{true, 1024, 4096, 255}).starts_with("error E0407: threads hand 'A.shared' to each other inside loop 'C.i'"));
  CHECK(lowering_refused(large.with("bs, bl = cache_read(C, B, shared, at=C.i)"), Limits{true, 1024, 4096, 255}) ==
        "error E0405: kernel 'product' needs 16384 bytes of shared memory > 4096 bytes a block; largest: 'B.shared'");
  CHECK(lowering_refused(large.with("bs, bl = cache_read(C, B, local, at=C.i)")) ==
        "error E0406: kernel 'product' keeps 4096 values a thread in registers > 255; largest: 'B.local'");
}

TEST_CASE("insert_barriers: E0407 threads would not all arrive") {
  CHECK(lowering_refused(chain.with("i0, i1 = split(Y.i, 5); p = compute_at(b, i0); set_scope(b, shared); bind(i0, thread)")) ==
        "error E0407: threads hand 'b' to each other inside loop 'i0', which is bound to threads");
}

TEST_CASE("check_groups: E0408, E0409, E0410, E0411") {
  CHECK(lowering_refused(product.with("bind(C.j, block)")) == "error E0408: kernel 'product' has statements outside of its loops bound to blocks");
  CHECK(lowering_refused(test::Operator{test::row.text, "N=2048", "", "bind(Y.i, thread)"}) == "error E0409: kernel 'row' has 2048 threads a block > 1024");
  CHECK(lowering_refused(product.with("bind(C.k, thread)")) == "error E0410: loop 'C.k' of the reduction 'C' is bound to threads without cross_thread_reduce");
  const std::string scan = "kernel s(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sum[k: j + 1](X[i, k]) }";
  CHECK(lowering_refused(test::Operator{scan, "M=3,N=64", "", "bind(Y.j, thread)"}) == "error E0447: loop 'Y.j' of the scan 'Y' is bound to threads without scan");
  CHECK(lowering_refused(test::Operator{scan, "M=3,N=64", "", "j0, j1, j2 = split(Y.j, [4, 8]); bind([j0, j2], thread); scan(Y, at=Y.i)"}) ==
        "error E0446: threads cannot share the scan 'Y': loop 'j2' stands between; legal: inside of 'Y.i' loops bound to threads, then loops of one thread's elements");
  CHECK(lowering_refused(test::Operator{scan, "M=3,N=64", "", "bind([Y.i, Y.j], thread); scan(Y, at=Y.i)"}) ==
        "error E0446: threads cannot share the scan 'Y': loop 'Y.i' runs inside of other threads; legal: rows bound to blocks");
  CHECK(lowering_refused(test::Operator{test::row.text, "N=1..64", "", "bind(Y.i, thread)"}) == "error E0411: loop 'Y.i' is bound to threads but its extent N is no constant");
}

TEST_CASE("check_groups: E0460 blocks of a grid hand to each other what they add up") {
  CHECK(lowering_refused(test::Operator{"kernel s(X: f32[M, K]) -> (Y) { a[i: M] = sum[k: K](X[i, k]) Y[i: M - 2] = a[i] + a[i + 2] }", "M=9,K=5", "", "compute_at(a, Y.i)\nbind(Y.i, block)"}) ==
        "error E0460: blocks of a grid hand 'a' to each other: 'Y' uses what 'a' makes in other iterations of the loops bound to blocks; legal: a kernel of its own for 'a'");
}

TEST_CASE("choose_instructions: E0462 loops bound to threads hold more threads than an iteration around them has") {
  const test::Operator row{test::row.text, "N=256", ""};
  CHECK(lowering_refused({row.text, row.dims, "", "i0, i1 = split(Y.i, 64); bind(i0, warp); bind(i1, thread)"}) ==
        "error E0462: loop 'i1' runs through 64 threads, and an iteration of loop 'i0' around it has 32; legal: warpgroups outside of warps outside of threads, no more of them than fit");
  CHECK(lowering_refused({row.text, row.dims, "", "i0, i1 = split(Y.i, 4); bind(i0, thread); bind(i1, warp)"}) ==
        "error E0462: loop 'i1' runs through 128 threads, and an iteration of loop 'i0' around it has 1; legal: warpgroups outside of warps outside of threads, no more of them than fit");
  test::require(test::try_lower({row.text, row.dims, "", "i0, i1, i2, i3 = split(Y.i, [2, 2, 32]); bind(i0, warpgroup); bind([i1, i2], warp); bind(i3, thread)"}));
  test::require(test::try_lower({row.text, row.dims, "", "i0, i1 = split(Y.i, 20); bind(i0, warp); bind(i1, thread)"}));
}

TEST_CASE("choose_instructions: E0422 one register buffer cannot be both operands, whose registers lie in other orders") {
  CHECK(lowering_refused(test::Operator{"kernel g(A: f16[M, K]) -> (C) { x[i: M, j: M] = sum[k: K](f32(A[i, k]) * f32(A[j, k])) C[i: M, j: M] = f16(x[i, j]) }", "M=32,K=16", "",
                                        "i0, i1 = split(x.i, 32)\nk0, k1 = split(x.k, 16)\nreorder(i0, k0, i1, x.j, k1)\nset_scope(x, register)\noi, oj = reverse_compute_at(C, i0)\n"
                                        "as, al = cache_read(x, A, shared, k0)\naf, am = cache_read(x, as, register, k0)\nt = blockize(i1)\ntensorize(t, mma_sync)"}) ==
        "error E0422: 'A.shared.register' is used in two layouts: by 'x' and by 'x'");
}

TEST_CASE("place_buffers: E0415 what two kernels use lives in global memory") {
  const char* const wanted =
      "error E0415: 'a' lives in shared memory but is used by 'a' and 'b', which are kernels of their own; legal: set_scope(…, global), or compute_at and "
      "reverse_compute_at to bring its users into one kernel";
  CHECK(lowering_refused(chain.with("set_scope(a, shared)")) == wanted);
  CHECK(lowering_refused(chain.with("set_scope(a, shared)"), Limits{.gpu = false}) == wanted);
}
