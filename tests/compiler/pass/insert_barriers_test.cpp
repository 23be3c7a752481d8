#include "tests/support/lowered.h"

using namespace tecc;
using test::outline;
using test::try_lower;

namespace {
std::string barriers(const test::Subject& s, const std::string& schedule) { return outline(test::require(try_lower(s.with(schedule)))); }

const std::string tiles =
    "i0, i1 = split(C.i, 2); j0, j1 = split(C.j, 4); k0, k1 = split(C.k, 2); reorder(i0, j0, k0, k1, i1, j1); bind([i0, j0], block); bind([i1, j1], thread)\n"
    "as, al = cache_read(C, A, shared, at=k0); bs, bl = cache_read(C, B, shared, at=k0); bind([al.0, al.1, bl.0, bl.1], thread)\n";
const test::Subject square{test::product.text, "M=4,N=8,K=8"};
}  // namespace

TEST_CASE("insert_barriers: none where every thread uses what it made itself") {
  CHECK(barriers(test::chain, "b1 = compute_at(b, Y.i); a1 = compute_at(a, Y.i); bind(Y.i, thread); set_scope([a, b], local)").find('|') == std::string::npos);
  CHECK(barriers(square, "bind([C.i], block); bind(C.j, thread)").find('|') == std::string::npos);
}

TEST_CASE("insert_barriers: between writers and readers of shared memory, and before it is written again") {
  CHECK(barriers(square, tiles) == "C.init k0{| A.shared B.shared | k1{C}}");
}

TEST_CASE("insert_barriers: one before a single hand-over, none around loops") {
  const std::string s = "i0, i1 = split(Y.i, 16); p = compute_at(a, i0); set_scope(a, shared); bind(i0, block); bind([p, i1], thread)";
  CHECK(barriers(test::Subject{"kernel turn(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 Y[i: N] = (a[i - 1] else 0) + (a[i + 1] else 0) }", "N=64"}, s) == "a | Y");
}

TEST_CASE("insert_barriers: two slots need one barrier a round") {
  const std::string out = barriers(square, tiles + "pipeline(k0, [as, bs])");
  CHECK(out == "C.init A.shared B.shared k0{| k1{C} A.shared_2 B.shared_2}");
}
