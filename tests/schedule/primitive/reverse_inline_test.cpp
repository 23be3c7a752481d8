#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::replayed;
using test::Subject;

namespace {

const Subject steps{"kernel steps(X: f32[M, N], b: f32[N]) -> (Y) { a[i: M, j: N] = X[i, j] * 2 Y[j: N, i: M] = max(a[i, j] + b[j], 0) * a[i, j] }", "M=5,N=7"};

}  // namespace

TEST_CASE("reverse_inline: the reader goes into the loops of the maker, with what was done to them") {
  const loop::Program p = replayed(steps.with("reverse_inline(Y)"), false);
  CHECK(p.kernels.size() == 1);
  CHECK(loop::all_blocks(p).size() == 1);
  replayed(chain.with("reverse_inline(Y)"), false);
  const loop::Program tiled = replayed(steps.with("i0, i1 = split(a.i, 2); j0, j1 = split(a.j, 4); reorder(j0, i0, i1, j1); vectorize(j1); reverse_inline(Y)"), false);
  CHECK(tiled.kernels.size() == 1);
  CHECK(loop::loops_around(tiled, loop::all_blocks(tiled)[0]).size() == 4);
  replayed(steps.with("f = fuse(a.i, a.j); reverse_inline(Y); f0, f1 = split(f, 3); parallel(f0)"), false);
  replayed({"kernel k(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 b[i: N] = a[i] + 1 Y[i: N] = b[i] * X[i] }", "N=10", "", "reverse_inline(Y); reverse_inline(b)"}, false);
  // Another tensor that the reader uses was made before, in a kernel of its own.
  replayed({"kernel k(X: f32[M, N]) -> (Y) { s[j: N] = sum[i: M](X[i, j]) a[i: M, j: N] = X[i, j] * 2 Y[i: M, j: N] = s[j] * a[i, j] }", "M=3,N=5", "", "reverse_inline(Y)"}, false);
}

TEST_CASE("reverse_inline: refusals") {
  const std::string said = "s:1:1: error E0398: block 'Y' cannot go into the block that makes what it reads: ";
  CHECK(test::row.refused("reverse_inline(Y)") == said + "it reads inputs alone");
  CHECK(chain.refused("reverse_inline(b)") == "s:1:1: error E0398: block 'b' cannot go into the block that makes what it reads: 'a' has other writers or readers");
  CHECK(test::product.refused("reverse_inline(C)") == "s:1:1: error E0398: block 'C' cannot go into the block that makes what it reads: it is a reduction");
  CHECK(test::epilogue.refused("reverse_inline(C)") == "s:1:1: error E0398: block 'C' cannot go into the block that makes what it reads: 'x', which makes 'x', is a reduction or writes several buffers");
  CHECK(test::halo.refused("reverse_inline(Y)") == said + "it does not read 'a' at its own iteration variables, each once");
  CHECK(test::refused("kernel k(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N / 2] = a[i] }", "N=10", "reverse_inline(Y)") == said + "it does not use all of 'a', or 'a' does not make all of it");
  CHECK(test::refused("kernel k(X: f32[N]) -> (a, Y) { a[i: N] = X[i] * 2 Y[i: N] = a[i] }", "N=10", "reverse_inline(Y)") == said + "'a' is an output");
  CHECK(test::refused("kernel k(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N, j: 3] = a[i] }", "N=10", "compute_at(a, Y.j)\nreverse_inline(Y)") == "s:2:1: error E0398: block 'Y' cannot go into the block that makes what it reads: 'a' may be made several times");
}
