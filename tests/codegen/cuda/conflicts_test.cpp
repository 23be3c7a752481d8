#include "codegen/cuda/conflicts.h"

#include <fmt/format.h>

#include "tests/support/lowered.h"

using namespace tecc;

namespace {

/// "as -> 4: 32 | Y <- 4: 1", an access each: bytes a thread and ways.
std::string conflicts(const test::Operator& op) {
  std::string out;
  for (const auto& a : codegen::cuda::shared_accesses(test::require(test::try_lower(op))))
    out += fmt::format("{}{} {} {}: {}", out.empty() ? "" : " | ", a.statement, a.is_write ? "->" : "<-", a.width, a.banks ? std::to_string(a.banks->ways) : "?");
  return out;
}

/// A transpose by way of a tile in shared memory, written along its rows and read along its columns.
test::Operator transpose(const std::string& type, const std::string& more) {
  return {"kernel t(X: " + type + "[N, N]) -> (Y) { Y[i: N, j: N] = X[j, i] }", "N=64", "",
          "i0, i1 = split(Y.i, 32); j0, j1 = split(Y.j, 32); reorder(i0, j0, i1, j1); bind([i0, j0], block); bind(j1, thread)\n"
          "xs, xl = cache_read([Y], X, shared, at=j0); bind(xl.1, thread)" + more};
}

}  // namespace

TEST_CASE("conflicts: columns of a tile, as it is and with padded rows") {
  CHECK(conflicts(transpose("f32", "")) == "X.shared -> 4: 1 | Y <- 4: 32");
  CHECK(conflicts(transpose("f32", "; set_layout(xs, order=[0, 1], pad=1)")) == "X.shared -> 4: 1 | Y <- 4: 1");
  CHECK(conflicts(transpose("f32", "; set_layout(xs, order=[0, 1], pad=2)")) == "X.shared -> 4: 1 | Y <- 4: 2");
  CHECK(conflicts(transpose("f32", "; set_layout(xs, order=[1, 0], pad=0)")) == "X.shared -> 4: 32 | Y <- 4: 1");
  CHECK(conflicts(transpose("bf16", "")) == "X.shared -> 2: 1 | Y <- 2: 16");
  CHECK(conflicts(transpose("f64", "")) == "X.shared -> 8: 1 | Y <- 8: 16");
}

TEST_CASE("conflicts: swizzled operands of tensor cores have none") {
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule"), gemm = test::read_file(TECC_SOURCE_DIR "/examples/cases/gemm.te");
  CHECK(conflicts({gemm, "M=512,N=512,K=256", "T=bf16", text}) == "C.sum <- 16: 1 | C.sum <- 16: 1 | C -> 16: 1");
}

TEST_CASE("conflicts: without the swizzle they would have") {
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule"), gemm = test::read_file(TECC_SOURCE_DIR "/examples/cases/gemm.te");
  loop::Program p = test::require(test::try_lower({gemm, "M=512,N=512,K=256", "T=bf16", text}));
  for (std::uint32_t n = 0; n < p.buffers.size(); ++n)
    if (p.buffers.has({n})) p.buffers.edit({n}, [](loop::Buffer& b) { b.swizzle = 0; });
  for (const auto& a : codegen::cuda::shared_accesses(p)) CHECK(a.banks->ways == 8);
  // The same rows, named by the threads of a warp.
  for (loop::BlockId b : loop::all_blocks(p))
    if (const auto& t = p.block(b).tile; t && t->via == loop::Via::wgmma) p.stmts.edit(b, [](loop::Stmt& s) { std::get<loop::Block>(s.node).tile->via = loop::Via::ldmatrix; });
  const auto all = codegen::cuda::shared_accesses(p);
  REQUIRE(all.size() == 3);
  CHECK(all[0].how == "ldmatrix");
  CHECK(all[0].banks->ways == 8);
  CHECK(all[0].banks->cycles == 32);
}
