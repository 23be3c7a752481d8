#include "ir/interpret/loop.h"

#include "ir/loop/program.h"
#include "tests/support/te.h"

using namespace tecc;
using namespace tecc::loop;

namespace {
Program program(const std::string& text, const std::string& dims) { return naive(te::lift(test::bind(text, dims))); }
Array counting(std::vector<std::int64_t> shape) {
  Array a(DType::f32, std::move(shape));
  for (std::int64_t n = 0; n < a.size(); ++n) a.set(n, static_cast<double>(n));
  return a;
}
std::string failure(const Program& p, const std::vector<Array>& inputs) {
  const auto r = interpret(p, {}, inputs);
  return r ? "" : std::get<std::string>(r.error().args[2]);
}
}  // namespace

TEST_CASE("loop interpreter: counts and values") {
  const Program p = program("kernel k(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j] * 2) }", "M=2,N=3");
  const LoopRun r = test::require(interpret(p, {}, std::vector<Array>{counting({2, 3})}));
  CHECK(r.outputs[0].get(0) == 6);
  CHECK(r.outputs[0].get(1) == 24);
  CHECK(r.instances == 6);
  CHECK(r.operations == 12);  // a product and a sum each
}

TEST_CASE("loop interpreter: ragged and runtime extents") {
  const Program p = program("kernel k(X: f32[N]) -> (Y) { Y[i: N] = sum[j: i + 1](X[j] * X[i]) }", "N=1..9");
  const LoopRun r = test::require(interpret(p, {{"N", 4}}, std::vector<Array>{counting({4})}));
  CHECK(r.instances == 10);
  CHECK(r.outputs[0].get(3) == 18);
}

TEST_CASE("loop interpreter: what a broken program does wrong") {
  const std::string two = "kernel k(X: f32[N]) -> (Y) { e[i: N] = exp(X[i]) Y[i: N] = e[i] + 1 }";
  const Program good = program(two, "N=4");
  CHECK(failure(good, {counting({4})}) == "");
  const BlockId first = good.stages[0].block, second = good.stages[1].block;
  REQUIRE(good.block(first).name == "e");

  Program p = good;  // half of e is missing
  p.stmts.edit(good.block(first).axes[0], [](Stmt& s) { std::get<Loop>(s.node).extent = index_literal(2); });
  CHECK(failure(p, {counting({4})}) == "reads 'e[2]', which nobody wrote");
  p = good;
  p.stmts.edit(good.block(second).axes[0], [](Stmt& s) { std::get<Loop>(s.node).extent = index_literal(3); });
  CHECK(failure(p, {counting({4})}) == "is not run for every element of the output 'Y'");
  p = good;
  p.stmts.edit(first, [](Stmt& s) {
    Block& b = std::get<Block>(s.node);
    b.writes[0].value = make(Read{{0}, {var(b.iters[0].var) + 1}, {}}, DType::f32);
  });
  CHECK(failure(p, {counting({4})}) == "uses 'X[4]' outside of the buffer");
  p = good;
  p.stmts.edit(first, [](Stmt& s) { std::get<Block>(s.node).guards = {make(Binary{BinOp::less, var(std::get<Block>(s.node).iters[0].var), index_literal(3)}, DType::boolean)}; });
  CHECK(failure(p, {counting({4})}) == "is guarded by other conditions than its domain");
}
