#include "tests/support/replayed.h"

#include <fmt/format.h>

using namespace tecc;
using test::replayed;
using test::row;

TEST_CASE("split: keeps every instance once, at every size and factor") {
  for (int n = 1; n < 14; ++n)
    for (int f = 1; f < n + 2; ++f)
      replayed({row.text, fmt::format("N={}", n), "", fmt::format("i0, i1 = split(Y.i, {})", f)});
}

TEST_CASE("split: several factors, parts of parts, exact tails, runtime dims") {
  for (int n : {5, 7, 12, 24})
    for (const char* s : {"a, b, c = split(Y.i, [3, 2])", "a, b = split(Y.i, 4); c, d = split(a, 2); e, f = split(b, 2)",
                          "a, b = split(Y.i, 6); c, d = split(b, 2); reorder(d, c, a)"})
      replayed({row.text, fmt::format("N={}", n), "", s});
  replayed({row.text, "N=24", "", "a, b, c = split(Y.i, [3, 2], tail=exact)"});
  replayed({row.text, "N=1..100", "", "a, b = split(Y.i, 8)", {{"N", 19}}});
}

TEST_CASE("split: what stands inside goes along") {
  const loop::Program p = replayed(test::product.with("k0, k1 = split(C.k, 4); i0, i1 = split(C.i, 2)"));
  CHECK(loop::print(p).find("for i0: 3") != std::string::npos);
  CHECK(loop::print(p).find("for k1: 4") != std::string::npos);
}

TEST_CASE("split: refusals") {
  CHECK(row.refused("a, b = split(Y.i, 0)") == "s:1:8: error E0305: factor 0 of loop 'Y.i' is below 1; legal: 1 or more");
  CHECK(row.refused("a, b = split(Y.i, -3)") == "s:1:8: error E0305: factor -3 of loop 'Y.i' is below 1; legal: 1 or more");
  CHECK(row.refused("a, b = split(Y.i, 3, tail=exact)") ==
        "s:1:8: error E0306: factor 3 does not divide extent 10 of loop 'Y.i'; legal: 1, 2, 5, 10, or tail=guard");
  CHECK(test::refused(row.text, "N=1..64", "a, b = split(Y.i, 3, tail=exact)") ==
        "s:1:8: error E0307: factor 3 may not divide the symbolic extent N of loop 'Y.i'; legal: tail=guard");
  CHECK(row.refused("a, b, c = split(Y.i, [4611686018427387904, 4])") ==
        "s:1:11: error E0342: the factors of loop 'Y.i' multiply to more than 9223372036854775807; legal: smaller factors");
  CHECK(row.refused("split(Y.i, [])") == "s:1:1: error E0334: split needs the argument 'factors'");
}

TEST_CASE("split: the rest of an inner loop would run into the next part") {
  const char* const wanted =
      "s:2:1: error E0352: factor 3 does not divide extent 4 of loop 'i1', and what is left over would run iterations of block 'Y' again; legal: a divisor of 4, or "
      "all factors in one split of the outer loop";
  CHECK(test::refused("kernel r(X: f32[N]) -> (Y) { Y[] = sum[i: N](X[i]) }", "N=10", "i0, i1 = split(Y.i, 4)\nsplit(i1, 3)") == wanted);
  CHECK(row.refused("i0, i1 = split(Y.i, 4)\nsplit(i0, 2)") == "");  // the slowest digit: the domain cuts the rest off
  replayed(row.with("i0, i1 = split(Y.i, 4); split(i0, 2)"));
  // A copy of a complete tensor may run over: it copies a little more.
  replayed(test::product.with("as, al = cache_read(C, A, shared, at=C.i); a, b = split(al.1, 4)"), false);
}

TEST_CASE("split: a loop that is gone says what it became") {
  CHECK(row.refused("a, b = split(Y.i, 4)\nsplit(Y.i, 2)") == "s:2:1: error E0301: loop 'Y.i' no longer exists; it became 'i0' or 'i1'");
  CHECK(row.refused("a, b = split(Y.i, 4)\nc, d = split(b, 2)\nsplit(b, 2)") == "s:3:1: error E0301: loop 'i1' no longer exists; it became 'i10' or 'i11'");
}
