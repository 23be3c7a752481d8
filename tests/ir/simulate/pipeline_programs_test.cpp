#include "tests/support/simulated.h"

using namespace tecc;

// What lowering makes today of schedules without asynchronous work, against the interpreter of expressions.

namespace {
const test::Subject square{test::product.text, "M=4,N=8,K=8"};
const std::string tiles =
    "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); k0, k1 = split(C.k, 2); reorder(i0, j0, k0, k1, i1, j1); bind([i0, j0], block); bind([i1, j1], thread)\n"
    "as, al = cache_read(C, A, shared, at=k0); bs, bl = cache_read(C, B, shared, at=k0); bind([al.0, al.1, bl.0, bl.1], thread)\n";
}  // namespace

TEST_CASE("simulator: programs of plain threads") {
  test::check_simulated(test::row.with(""));
  test::check_simulated(test::row.with("i0, i1 = split(Y.i, 4); bind(i0, block); bind(i1, thread)"));
  test::check_simulated(test::chain.with("b1 = compute_at(b, Y.i); a1 = compute_at(a, Y.i); bind(Y.i, thread); set_scope([a, b], local)"));
  test::check_simulated(test::running.with("bind(Y.i, thread)"));
  test::check_simulated(square.with("bind([C.i], block); bind(C.j, thread)"));
  test::check_simulated(test::product.with("i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); reorder(i0, j0, i1, j1, C.k); bind([i0, j0], block); bind([i1, j1], thread)"));
}

TEST_CASE("simulator: shared tiles, copies ahead, padding") {
  test::check_simulated(square.with(tiles));
  test::check_simulated(square.with(tiles + "pipeline(k0, [as, bs])"));
  test::check_simulated(square.with(tiles + "pipeline(k0, as)"));
  test::check_simulated(square.with(tiles + "set_layout(as, pad=1)"));
  test::check_simulated({"kernel turn(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N] = (a[i - 1] else 0) + (a[i + 1] else 0) }", "N=64", "",
                         "i0, i1 = split(Y.i, 16); p = compute_at(a, i0); set_scope(a, shared); bind(i0, block); bind([p, i1], thread)"});
}

TEST_CASE("simulator: reductions across threads") {
  const std::string rows = "kernel s(X: f32[M, N]) -> (Y) { top[i: M] = max[j: N](X[i, j]) e[i: M, j: N] = exp(X[i, j] - top[i]) l[i: M] = sum[j: N](e[i, j]) Y[i: M, j: N] = e[i, j] / l[i] }";
  test::check_simulated({rows, "M=3,N=70", "",
                         "inline(e); _, lj = compute_at(l, Y.i); _, tj = compute_at(top, Y.i); bind(Y.i, block)\n"
                         "t0, t1 = split(tj, 32); l0, l1 = split(lj, 32); y0, y1 = split(Y.j, 32); bind([t1, l1, y1], thread); set_scope([top, l], local)\n"
                         "cross_thread_reduce(top, at=Y.i); cross_thread_reduce(l, at=Y.i)"});
  test::check_simulated({rows, "M=3,N=100", "",
                         "inline(e); _, lj = compute_at(l, Y.i); _, tj = compute_at(top, Y.i); bind(Y.i, block)\n"
                         "t0, t1 = split(tj, 64); l0, l1 = split(lj, 64); y0, y1 = split(Y.j, 64); bind([t1, l1, y1], thread); set_scope([top, l], local)\n"
                         "cross_thread_reduce(top, at=Y.i); cross_thread_reduce(l, at=Y.i)"});
  test::check_simulated({"kernel a(X: f32[M, N]) -> (Y) { t[i: M] = argmax[j: N](X[i, j]) Y[i: M] = t[i] + 1 }", "M=3,N=50", "",
                         "_, tj = compute_at(t, Y.i); bind(Y.i, block); j0, j1 = split(tj, 32); bind(j1, thread); set_scope(t, local); cross_thread_reduce(t, at=Y.i)"});
}

TEST_CASE("simulator: scans across threads") {
  const auto scan = [](const std::string& reducer, const std::string& schedule, const char* dims) {
    test::check_simulated({"kernel s(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = " + reducer + "[k: j + 1](X[i, k]) }", dims, "", schedule});
  };
  for (const char* reducer : {"sum", "max"}) {
    scan(reducer, "bind(Y.i, block); bind(Y.j, thread); scan(Y, at=Y.i)", "M=3,N=32");
    scan(reducer, "bind(Y.i, block); j0, j1 = split(Y.j, 4); bind(j0, thread); scan(Y, at=Y.i)", "M=3,N=70");                           // runs of elements, a tail
    scan(reducer, "bind(Y.i, block); j0, j1, j2 = split(Y.j, [8, 2]); bind(j1, thread); scan(Y, at=j0)", "M=3,N=70");                   // round by round
    scan(reducer, "bind(Y.i, block); j0, j1, j2 = split(Y.j, [64, 2]); bind(j1, thread); scan(Y, at=j0)", "M=2,N=300");                 // more than a warp
    scan(reducer, "bind(Y.i, block); j0, j1, j2 = split(Y.j, [24, 2]); bind(j1, thread); scan(Y, at=j0)", "M=2,N=100");                 // no power of two
    scan(reducer, "bind(Y.i, block); j0, j1, j2, j3 = split(Y.j, [2, 16, 2]); bind([j1, j2], thread); scan(Y, at=j0)", "M=2,N=100");   // a nest of threads
    scan(reducer,
         "ys, yl = cache_write(Y, Y, local, at=Y.i); xs, xl = cache_read(Y, X, local, at=Y.i); bind(Y.i, block)\n"
         "j0, j1, j2 = split(Y.j, [32, 4]); x0, x1, x2 = split(xl.1, [32, 4]); y0, y1, y2 = split(yl.1, [32, 4]); bind([j1, x1, y1], thread); vectorize([x2, y2]); scan(Y, at=j0)",
         "M=2,N=300");
  }
}
