#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::replayed;

TEST_CASE("set_scope, set_layout: values stay, wherever and however they lie") {
  const std::string together = "_ = compute_at(b, Y.i); _ = compute_at(a, Y.i); ";
  for (const char* s : {"set_scope(a, shared)", "set_scope([a, b], local)", "set_scope(a, register)", "set_scope(a, global)", "set_layout(a, [0], pad=3)"}) replayed(chain.with(together + s));
  const test::Subject wide{"kernel w(X: f32[M, N]) -> (Y) { a[i: M, j: N] = X[i, j] * 2 Y[j: N, i: M] = a[i, j] + 1 }", "M=3,N=5"};
  for (const char* s : {"set_layout(a, [1, 0])", "set_layout(a, [1, 0], pad=1)", "set_layout(a, [0, 1], pad=7)", "_, j = reverse_compute_at(Y, a.i); set_layout(a, pad=2); set_scope(a, shared)"}) replayed(wide.with(s));
}

TEST_CASE("set_scope, cache_write, cache_read: a copy that holds values from outside has no place in global memory") {
  const test::Subject window{"kernel w(X: f32[N]) -> (Y) { Y[i: N] = (X[i - 1] else 3) + (X[i + 1] else 3) }", "N=10"};
  const char* const wanted = "s:2:1: error E0355: 'X.local' is a copy that also holds values from outside of its tensor; legal: to copy the tensor itself";
  CHECK(window.refused("s, l = cache_read(Y, X, local, at=Y.i)\nset_scope(l, global)") == wanted);
  CHECK(window.refused("s, l = cache_read(Y, X, local, at=Y.i)\ncache_write(l, l, global, at=Y.i)") == wanted);
  CHECK(window.refused("s, l = cache_read(Y, X, local, at=Y.i)\ncache_read(Y, s, global, at=Y.i)") == wanted);
}

TEST_CASE("set_scope, set_layout: refusals") {
  CHECK(chain.refused("set_scope(Y, local)") == "s:1:1: error E0327: 'Y' is an output; its scope is global");
  CHECK(chain.refused("set_scope(X, local)") == "s:1:1: error E0304: 'X' is a buffer, but a block is needed here");
  CHECK(chain.refused("set_layout(X, [0])") == "s:1:1: error E0327: 'X' is an input or output; its scope is global");
  CHECK(chain.refused("set_layout(a, [1])") == "s:1:1: error E0328: 'a' has 1 dimensions; the order must name each of 0..0 once");
  CHECK(chain.refused("set_layout(a, [0, 0])") == "s:1:1: error E0328: 'a' has 1 dimensions; the order must name each of 0..0 once");
  CHECK(chain.refused("set_layout(a, [0], pad=-1)") == "s:1:1: error E0344: a pad of -1 elements; legal: 0 to 1048576");
  CHECK(chain.refused("set_layout(a, [0], pad=9223372036854775807)") == "s:1:1: error E0344: a pad of 9223372036854775807 elements; legal: 0 to 1048576");
}
