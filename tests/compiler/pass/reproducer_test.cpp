#include "tests/support/lowered.h"

using namespace tecc;
using compiler::Limits;
using loop::Level;
using loop::Program;

// A bug of a pass leaves the program in front of it, and that text brings the bug about again.

namespace {

Result<Program> forgets_a_loop(Program p, const Limits&) {
  p.stmts.edit(p.kernels[0], [](loop::Stmt& s) { s.children.clear(); });
  return p;
}
Result<Program> throws(Program, const Limits&) {
  invariant(false, "a pass that throws");
  std::abort();
}
Result<Program> refuses(Program, const Limits&) { return refuse(Code::shared_exceeded, 1, 0, ""); }

const compiler::Pass first = compiler::gpu_pipeline()[0], second = compiler::gpu_pipeline()[1];

std::optional<compiler::Stage> before_bug(std::vector<compiler::Pass> passes, const std::string& after = "scheduled") {
  const test::Prepared p = test::prepare({test::product.text, test::product.dims, "", "bind(C.i, block); bind(C.j, thread)"});
  return compiler::before_bug({after, p.scheduled}, {}, passes);
}

}  // namespace

TEST_CASE("reproducer: the stage in front of the pass that breaks the program or throws") {
  for (const auto function : {forgets_a_loop, throws}) {
    const auto found = before_bug({first, second, {"breaks", function, Level::scheduled}, first});
    REQUIRE(found);
    CHECK(found->after == second.name);
    const auto read = test::require(compiler::parse_stage({intern("k.ir"), print(*found)}, {}));
    CHECK(print(read) == print(*found));
    const auto again = compiler::before_bug(read, {}, std::vector<compiler::Pass>{first, second, {"breaks", function, Level::scheduled}});
    REQUIRE(again);
    CHECK(print(*again) == print(*found));
  }
  CHECK(before_bug({{"breaks", throws, Level::scheduled}, first})->after == "scheduled");
}

TEST_CASE("reproducer: none where no pass breaks, or one refuses first") {
  CHECK_FALSE(before_bug({first, second}));
  CHECK_FALSE(before_bug({first, {"refuses", refuses, Level::scheduled}, {"breaks", throws, Level::scheduled}}));
  CHECK_FALSE(before_bug({{"breaks", throws, Level::scheduled}, first, second}, std::string(first.name)));  // behind it
}

TEST_CASE("reproducer: what the verifier and the interpreter say of a program that a bug made") {
  const test::Prepared p = test::prepare({test::product.text, test::product.dims, "", ""});
  Program broken = *forgets_a_loop(p.scheduled, {});
  const Check verified = verify(broken, Level::scheduled);
  REQUIRE_FALSE(verified);
  CHECK(render(verified.error()).find("error B0902: pass '") != std::string::npos);
  CHECK(render(verified.error()).find("' left a program that breaks its own rules: ") != std::string::npos);
  Program unwritten = p.scheduled;
  unwritten.stmts.edit(loop::loops_around(unwritten, loop::all_blocks(unwritten)[0])[0], [](loop::Stmt& s) { std::get<loop::Loop>(s.node).extent = index_literal(1); });
  const auto run = interpret(unwritten, {}, test::random_inputs(p));
  REQUIRE_FALSE(run);
  CHECK(render(run.error()).find("error B0903: program 'product' does what it must not: block 'C' ") != std::string::npos);
}
