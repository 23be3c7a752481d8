#include "tests/support/replayed.h"

using namespace tecc;
using test::replayed;
using test::Subject;

namespace {

const Subject siblings{"kernel siblings(X: f32[M, N]) -> (s, t) { s[i: M] = sum[j: N](X[i, j]) t[k: M, l: N] = X[k, l] * 2 }", "M=5,N=7"};

}  // namespace

TEST_CASE("fuse_kernels: two nests under one loop, then deeper") {
  const loop::Program p = replayed(siblings.with("fuse_kernels(s.i, t.k)"));
  CHECK(p.kernels.size() == 1);
  const loop::Program both = replayed(siblings.with("fuse_kernels(s.i, t.k); fuse_kernels(s.j, t.l)"));
  CHECK(both.kernels.size() == 1);
  CHECK(loop::loops_around(both, loop::all_blocks(both)[0]) == loop::loops_around(both, loop::all_blocks(both)[1]));
  replayed(siblings.with("fuse_kernels(s.i, t.k); i0, i1 = split(s.i, 2); parallel(i0); l0, l1 = split(t.l, 4); vectorize(l1)"));
  replayed(siblings.with("a, b = split(s.i, 2); c, d = split(t.k, 2); fuse_kernels(a, c); fuse_kernels(b, d)"));
  // The kernel between has nothing to do with either.
  replayed({"kernel k(X: f32[N], Z: f32[M]) -> (a, b, c) { a[i: N] = X[i] + 1 b[i: M] = Z[i] * 2 c[i: N] = X[i] * 3 }", "N=10,M=4", "", "fuse_kernels(a.i, c.i)"});
}

TEST_CASE("fuse_kernels: refusals") {
  const std::string said = "s:1:1: error E0399: loops ";
  CHECK(siblings.refused("fuse_kernels(s.i, s.i)") == "s:1:1: error E0316: 's.i' is named twice");
  CHECK(siblings.refused("fuse_kernels(t.k, s.i)") == said + "'t.k' and 's.i' cannot become one: 's.i' comes first");
  CHECK(siblings.refused("fuse_kernels(s.i, t.l)") == said + "'s.i' and 't.l' cannot become one: they are neither the outermost loops of two kernels nor in one sequence");
  CHECK(test::chain.refused("fuse_kernels(a.i, b.i)") == said + "'a.i' and 'b.i' cannot become one: 'a' and 'b' share 'a', which one of them writes; legal: compute_at or reverse_compute_at");
  CHECK(test::chain.refused("fuse_kernels(a.i, Y.i)").substr(0, 26) == said);
  CHECK(siblings.refused("a, b = split(s.i, 2)\nfuse_kernels(a, t.k)").substr(0, 26) == "s:2:1: error E0399: loops ");
  CHECK(test::refused("kernel k(X: f32[N], Z: f32[M]) -> (a, b) { a[i: N] = X[i] + 1 b[i: M] = Z[i] * 2 }", "N=10,M=4", "fuse_kernels(a.i, b.i)") == said + "'a.i' and 'b.i' cannot become one: their extents are 10 and 4");
  CHECK(siblings.refused("parallel(s.i)\nfuse_kernels(s.i, t.k)") == "s:2:1: error E0399: loops 's.i' and 't.k' cannot become one: they are not bound alike, or one of them is skewed");
}
