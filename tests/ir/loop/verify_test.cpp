#include "ir/loop/verify.h"

#include "ir/te/kernel.h"
#include "tests/support/te.h"

using namespace tecc;
using namespace tecc::loop;

namespace {
Program product() {
  return naive(te::lift(test::bind("kernel p(A: f32[M, K], B: f32[K, N]) -> (C) { x[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) C[i: M, j: N] = x[i, j] + 1 }", "M=4,N=1..8,K=3")));
}
std::string what(const Program& p, Level level = Level::scheduled) {
  const Check done = verify(p, level);
  return done ? "" : std::get<std::string>(done.error().args[1]);
}
template <class F>
std::string broken(BlockId b, F change) {
  Program p = product();
  p.stmts.edit(b, [&](Stmt& s) { change(std::get<Block>(s.node)); });
  return what(p);
}
}  // namespace

TEST_CASE("verify: every case's naive program holds") {
  for (const auto& [file, text] : test::cases()) {
    std::string dims;
    const te::Kernel k = test::kernel(text);
    for (VarId v : k.dims) dims += (dims.empty() ? "" : ",") + k[v].name + "=" + (k[v].name == "K" ? "256" : "3");
    for (VarId v : k.integers) dims += "," + k[v].name + "=1";
    INFO(file << " " << dims);
    CHECK(what(naive(te::lift(test::bind(text, dims, k.type_parameters.empty() ? "" : "T=bf16")))) == "");
  }
}

TEST_CASE("verify: a program that breaks each rule") {
  const Program good = product();
  CHECK(what(good) == "");
  const BlockId x = good.stages[0].block, c = good.stages[1].block;
  REQUIRE(good.block(x).name == "x");
  const LoopId i = good.block(x).axes[0], k = good.block(x).axes[2];

  CHECK(what(good, Level::decomposed) == "block 'x' still initialises itself");
  CHECK(broken(x, [&](Block& b) { b.iters[0].binding.digits[0].loop = good.block(c).axes[0]; }) == "block 'x' binds 'i' to a loop that is not around it");
  CHECK(broken(x, [&](Block& b) { b.iters[0].binding.digits[0].div = 0; }) == "block 'x' has a digit with a division by nothing");
  CHECK(broken(x, [&](Block& b) { b.iters[0].upper = var(b.iters[1].var); }) == "block 'x' names 'j', which is neither its iteration nor a dim");
  CHECK(broken(x, [&](Block& b) { b.writes[0].index.pop_back(); }) == "block 'x' writes 'x' with another rank");
  CHECK(broken(x, [&](Block& b) { b.writes[0].index[0] = var(b.iters[2].var); }) == "block 'x' writes 'x' where its reduction runs");
  CHECK(broken(x, [&](Block& b) { b.writes[0].value = index_literal(1); }) == "block 'x' writes i64 to 'x', which holds f32");
  CHECK(broken(x, [&](Block& b) { b.writes[0].buffer = good.inputs[0]; }) == "block 'x' writes the input 'A'");
  CHECK(broken(x, [&](Block& b) { b.init = Init::apart; }) == "block 'x' finds nothing in 'x' to start from");
  CHECK(broken(x, [&](Block& b) { b.writes.push_back(b.writes[0]); }) == "block 'x' combines into the wrong number of buffers");
  CHECK(broken(x, [&](Block& b) { b.writes[0].value = make(Read{good.outputs[0], b.writes[0].index, {}}, DType::f32); }) == "block 'x' reads 'C' before any block writes it");
  CHECK(broken(c, [&](Block& b) { b.predicate.push_back(index_literal(1)); }) == "block 'C' has a condition that is no truth value");

  const auto beside = [&](const Program& from, std::initializer_list<std::size_t> kernels) {
    Program q = from;
    for (std::size_t n : kernels) q.stmts.edit(q.kernels[n], [](Stmt& s) { std::get<Root>(s.node).start = Root::Start::concurrent; });
    return what(q);
  };
  CHECK(beside(good, {0}) == "the first kernel runs beside those before it, and there are none");
  CHECK(beside(good, {1}) == "kernel 1 runs beside kernel 0, with which it shares what one of them writes");
  const Program three = naive(te::lift(test::bind("kernel p(A: f32[N]) -> (a, b, c) { a[i: N] = A[i] + 1 b[i: N] = A[i] + 2 c[i: N] = A[i] + 3 }", "N=4")));
  CHECK(beside(three, {1, 2}) == "");
  CHECK(beside(three, {2}) == "kernel 2 runs beside kernel 1, which awaits others");

  Program p = good;
  p.stmts.edit(k, [](Stmt& s) { std::get<Loop>(s.node).kind = LoopKind::vectorized; });
  CHECK(what(p) == "block 'x' has its reduction run in parallel by 'x.k'");
  p = good;
  p.stmts.edit(i, [&](Stmt& s) { std::get<Loop>(s.node).retired = Binding{}; });
  CHECK(what(p) == "the retired loop 'x.i' is live");
  p = good;
  p.stmts.edit(i, [&](Stmt& s) { std::get<Loop>(s.node).extent = var(p.loop(k).var); });
  CHECK(what(p) == "the extent of loop 'x.i' names something that is not around it");
  p = good;
  p.stmts.edit(k, [&](Stmt& s) { s.parent = i; });
  CHECK(what(p) == "parent and child disagree about 'x.k'");
  p = good;
  std::swap(p.kernels[0], p.kernels[1]);
  CHECK(what(p) == "block 'C' reads 'x' before any block writes it");
  p = good;
  p.kernels.pop_back();
  CHECK(what(p) == "no block writes the output 'C'");
  p = good;
  p.buffers.edit(p.block(x).writes[0].buffer, [](Buffer& b) { b.scope = Scope::local; });
  p.stmts.edit(x, [](Stmt& s) { std::get<Block>(s.node).combiner.reset(); });
  CHECK(what(p, Level::placed) == "block 'x' uses 'x', which has no storage");
}
