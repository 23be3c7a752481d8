#include "tests/support/replayed.h"

using namespace tecc;
using test::chain;
using test::product;
using test::row;

namespace {
schedule::Trace parsed(const test::Subject& s, const std::string& text) {
  return test::require(schedule::parse({intern("s"), text}, loop::naive(te::lift(test::bind(s.text, s.dims)))));
}
std::string printed(const test::Subject& s, const std::string& text) {
  return schedule::print(parsed(s, text), loop::naive(te::lift(test::bind(s.text, s.dims))));
}
}  // namespace

TEST_CASE("schedule text: every step prints as it is written") {
  const std::string text =
      "i0, i1 = split(C.i, [4])\n";
  CHECK(printed(product, text) == "i0, i1 = split(C.i, 4)\n");
  const char* const rows[] = {
      "a, b, c = split(C.i, [2, 3])\n",
      "a, b = split(C.k, 2, tail=exact)\n",
      "f = fuse(C.i, C.j)\n",
      "reorder([C.k, C.i])\n",
      "bind([C.i, C.j], block)\n",
      "bind(C.i, thread)\n",
      "parallel(C.i)\n",
      "unroll([C.j, C.k])\n",
      "as, al = cache_read(C, A, shared, C.i)\nset_layout(as, order=[1, 0], pad=8)\nset_scope(al, local)\n",
      "cs, cl = cache_write(C, C, local, C.i)\n",
      "z = decompose_reduction(C, C.k)\n",
      "r = rfactor(C, C.k)\n",
      "a, b = split(C.k, 2)\nreorder([a, C.i, C.j, b])\nas, al = cache_read(C, A, shared, a)\np = pipeline(a, as, slots=3)\n",
  };
  for (const char* r : rows) CHECK(printed(product, r) == r);
}

TEST_CASE("schedule text: layout, comments, names that were not given") {
  CHECK(printed(product, "# tiles\n\n  i0 , i1 = split ( C.i ,\n [ 4 ] ) ; ; unroll( C.k )# last") == "i0, i1 = split(C.i, 4)\nunroll(C.k)\n");
  CHECK(printed(product, "split(C.i, 4)\n") == "r0_0, r0_1 = split(C.i, 4)\n");
  CHECK(printed(product, "_, b = split(C.i, factors=4)\nunroll(b)\n") == "_, b = split(C.i, 4)\nunroll(b)\n");
  CHECK(printed(product, "split(tail=guard, factors=[4], loop=C.i)\n") == "r0_0, r0_1 = split(C.i, 4)\n");
  CHECK(printed(product, "reorder(C.k, C.i, C.j)\n") == "reorder([C.k, C.i, C.j])\n");
  CHECK(printed(product, "as, al = cache_read(C, A, shared, at=C.i)\nvectorize(al.1)\n") == "as, al = cache_read(C, A, shared, C.i)\nvectorize(al.1)\n");
  CHECK(printed(product, "") == "");
}

TEST_CASE("schedule text: hashes see the steps, not the names") {
  CHECK(schedule::hash(parsed(product, "a, b = split(C.i, 4)\nunroll(b)")) == schedule::hash(parsed(product, "x, y = split(C.i, [4])\nunroll(y)")));
  CHECK(schedule::hash(parsed(product, "a, b = split(C.i, 4)")) != schedule::hash(parsed(product, "a, b = split(C.i, 2)")));
  CHECK(schedule::hash(parsed(product, "a, b = split(C.i, 4)")) != schedule::hash(parsed(product, "a, b = split(C.j, 4)")));
}

TEST_CASE("schedule text: a trace replays on another shape or refuses") {
  const schedule::Trace t = parsed(product, "i0, i1 = split(C.i, 2)\nk0, k1 = split(C.k, 3, tail=exact)\nreorder(i0, k0, C.j, i1, k1)");
  const auto on = [&](const char* dims) { return schedule::replay(loop::naive(te::lift(test::bind(product.text, dims))), t); };
  CHECK(on("M=64,N=3,K=12"));
  CHECK(render(on("M=5,N=7,K=7").error()) == "s:2:10: error E0306: factor 3 does not divide extent 7 of loop 'C.k'; legal: 1, 7, or tail=guard");
}

TEST_CASE("schedule text: refusals") {
  CHECK(row.refused("a, b = split(Y.i 4)") == "s:1:18: error E0330: expected ',' or ')', found '4'");
  CHECK(row.refused("a, b split(Y.i, 4)") == "s:1:6: error E0330: expected '=', found 's'");
  CHECK(row.refused("a, 3 = split(Y.i, 4)") == "s:1:4: error E0330: expected a name, found '3'");
  CHECK(row.refused("= split(Y.i, 4)") == "s:1:1: error E0330: expected a step, found '='");
  CHECK(row.refused("split Y.i") == "s:1:7: error E0330: expected '(', found 'Y'");
  CHECK(row.refused("split(Y.i, 4") == "s:1:13: error E0330: expected ',' or ')', found 'the end'");
  CHECK(row.refused("split(Y.i, [4)") == "s:1:14: error E0330: expected ',' or ']', found ')'");
  CHECK(row.refused("split(Y.i, 4,)") == "s:1:14: error E0330: expected an argument, found ')'");
  CHECK(row.refused("split(Y.i, 99999999999999999999)") == "s:1:12: error E0330: expected a number that fits 64 bits, found '9'");
  CHECK(row.refused("unroll(Y.i) unroll(Y.i)") == "s:1:13: error E0330: expected the end of the step, found 'u'");
  CHECK(row.refused("unroll(" + std::string(100, '[') + "Y.i" + std::string(100, ']') + ")") == "s:1:72: error E0330: expected fewer brackets, found '['");
  CHECK(row.refused("peel(Y.i, 4)") ==
        "s:1:1: error E0331: no step is called 'peel'; steps are split, fuse, reorder, bind, parallel, vectorize, unroll, inline, compute_at, reverse_compute_at, "
        "cache_read, cache_write, set_scope, set_layout, decompose_reduction, rfactor, cross_thread_reduce, pipeline, blockize, "
        "tensorize, copy_with, raster, persist, specialize, online, skew, take_turns, reuse, reverse, partition, cluster, split_reduction, pad, scan, cache_hint, reverse_inline, tile, fuse_kernels");
  CHECK(row.refused("unroll(Y.j)") == "s:1:8: error E0332: no stage, input or result is called 'Y.j'; there are Y, X");
  CHECK(row.refused("a, b = split(Y.i, 4)\nunroll(c)") == "s:2:8: error E0332: no stage, input or result is called 'c'; there are Y, X, a, b");
  CHECK(row.refused("unroll(Y.i.0)") == "s:1:8: error E0332: no stage, input or result is called 'Y.i.0'; there are Y, X");
  CHECK(row.refused("unroll(Y.7)") == "s:1:1: error E0332: no stage, input or result is called 'Y.7'; there are fewer loops");
  CHECK(row.refused("unroll(X)") == "s:1:1: error E0304: 'X' is a buffer, but a loop is needed here");
  CHECK(row.refused("split(4, 4)") == "s:1:7: error E0333: argument 'loop' of split must be a handle");
  CHECK(row.refused("split(Y.i, four)") == "s:1:12: error E0333: argument 'factors' of split must be a number");
  CHECK(row.refused("split([Y.i], 4)") == "s:1:7: error E0333: argument 'loop' of split must be a handle");
  CHECK(row.refused("split(Y.i, 4, tail=maybe)") == "s:1:20: error E0333: argument 'tail' of split must be one of guard, exact");
  CHECK(row.refused("bind(Y.i, gpu)") == "s:1:11: error E0333: argument 'group' of bind must be one of block, cluster, warpgroup, warp, thread, none");
  CHECK(row.refused("split(Y.i)") == "s:1:1: error E0334: split needs the argument 'factors'");
  CHECK(row.refused("unroll()") == "s:1:1: error E0334: unroll needs the argument 'loops'");
  CHECK(row.refused("split(Y.i, 4, exact, 7)") == "s:1:22: error E0335: split has no argument 'number 4'; it takes loop, factors, tail");
  CHECK(row.refused("split(Y.i, 4, guard=1)") == "s:1:21: error E0335: split has no argument 'guard'; it takes loop, factors, tail");
  CHECK(row.refused("split(Y.i, 4, factors=2)") == "s:1:12: error E0333: argument 'tail' of split must be one of guard, exact");
  CHECK(row.refused("split(Y.i, factors=4, factors=2)") == "s:1:31: error E0350: argument 'factors' of split is given twice");
  CHECK(row.refused("a = split(Y.i, 4)") == "s:1:5: error E0336: split has 2 results here, 1 names were given");
  CHECK(row.refused("a, b, c = split(Y.i, 4)") == "s:1:11: error E0336: split has 2 results here, 3 names were given");
  CHECK(row.refused("a, a = split(Y.i, 4)") == "s:1:8: error E0337: the name 'a' is already bound");
  CHECK(row.refused("Y, b = split(Y.i, 4)") == "s:1:8: error E0337: the name 'Y' is already bound");
  CHECK(row.refused("_, _ = split(Y.i, 4)") == "");
}

TEST_CASE("schedule text: every error number of schedules has a test") {
  // E0301 .. E0350, as tests/schedule shows them; the numbers that no step can bring about from text are named here.
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(TECC_SOURCE_DIR "/tests/schedule"))
    if (entry.path().extension() == ".cpp") all += test::read_file(entry.path());
  for (int n = 301; n <= 350; ++n) {
    const std::string code = "E0" + std::to_string(n);
    if (!explanation(code)) continue;
    INFO(code);
    CHECK(all.find("error " + code) != std::string::npos);
  }
}
