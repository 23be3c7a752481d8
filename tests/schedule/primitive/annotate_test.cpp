#include "tests/support/replayed.h"

using namespace tecc;
using test::product;
using test::replayed;
using test::running;

TEST_CASE("bind, parallel, vectorize, unroll: the program keeps its meaning and says how loops run") {
  for (const char* s : {"bind([C.i, C.j], block)", "bind(C.i, block); bind(C.j, thread)", "parallel(C.i)", "parallel([C.i, C.j])", "unroll(C.k)",
                        "a, b = split(C.j, 4); reorder(C.i, a, C.k, b); vectorize(b)", "bind(C.i, none)",
                        "bind(C.k, thread)"})
    replayed(product.with(s));
  const std::string text = loop::print(replayed(product.with("bind(C.i, block); bind(C.j, thread); unroll(C.k)")));
  CHECK(text.find("block") != std::string::npos);
  CHECK(text.find("thread") != std::string::npos);
  CHECK(text.find("unroll") != std::string::npos);
  replayed(running.with("parallel(Y.i)"));
}

TEST_CASE("bind: the extent of a bound loop follows no other loop") {
  const test::Subject triangle{"kernel t(X: f32[N]) -> (Y) { e[i: N, j: i + 1] = X[i] * X[j] Y[i: N] = sum[j: i + 1](e[i, j]) }", "N=6"};
  const loop::Program p = replayed(triangle.with("bind(e.i, block); bind(e.j, thread)"));
  CHECK(loop::print(p).find(": 6") != std::string::npos);
}

TEST_CASE("bind, parallel, vectorize: refusals") {
  CHECK(product.refused("parallel(C.k)") ==
        "s:1:1: error E0315: loop 'C.k' carries the reduction of block 'C' and cannot be parallel; rfactor first");
  CHECK(product.refused("bind(C.k, block)") ==
        "s:1:1: error E0315: loop 'C.k' carries the reduction of block 'C' and cannot be bound; rfactor first");
  CHECK(running.refused("parallel(Y.j)") == "s:1:1: error E0315: loop 'Y.j' carries a scan of block 'Y' and cannot be parallel");
  CHECK(running.refused("bind(Y.j, block)") == "s:1:1: error E0315: loop 'Y.j' carries a scan of block 'Y' and cannot be bound");
  CHECK(product.refused("parallel([C.i, C.i])") == "s:1:1: error E0316: 'C.i' is named twice");
  CHECK(test::refused(test::row.text, "N=65", "vectorize(Y.i)") ==
        "s:1:1: error E0329: loop 'Y.i' has extent 65; legal for vectorize: a constant extent of at most 64, innermost");
  CHECK(test::refused(test::row.text, "N=1..64", "vectorize(Y.i)") ==
        "s:1:1: error E0329: loop 'Y.i' has extent N; legal for vectorize: a constant extent of at most 64, innermost");
  CHECK(product.refused("vectorize(C.k)") ==
        "s:1:1: error E0315: loop 'C.k' carries the reduction of block 'C' and cannot be vectorized; rfactor first");
  CHECK(test::refused(running.text, "M=4,N=8", "vectorize(Y.j)") ==
        "s:1:1: error E0315: loop 'Y.j' carries a scan of block 'Y' and cannot be vectorized");
  CHECK(product.refused("bind(C, block)") == "s:1:1: error E0304: 'C' is a block, but a loop is needed here");
}
