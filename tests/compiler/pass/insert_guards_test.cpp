#include "tests/support/simulated.h"

using namespace tecc;

// Guards of the innermost loops cost more than the work they spare: where nobody sees what they leave out there are none.

namespace {

struct Lowered {
  loop::Program program;
  test::Prepared prepared;
};

Lowered lower(const std::string& text, const std::string& dims, const std::string& schedule) {
  const test::Operator op{text, dims, "", schedule};
  return {test::require(test::try_lower(op, test::require(codegen::find_target("sm_90a")).limits)), test::prepare(op)};
}

/// The guards of every block, by name, as the program prints them ("if x0 < 50, x1 < 30"); blocks without are left out.
std::map<std::string, std::size_t> guarded(const loop::Program& p) {
  std::map<std::string, std::size_t> out;
  for (loop::BlockId id : loop::all_blocks(p))
    if (!p.block(id).guards.empty()) out[p.block(id).name] = std::max(out[p.block(id).name], p.block(id).guards.size());
  return out;
}

void check_right(const Lowered& l) {
  const std::vector<Array> inputs = test::random_inputs(l.prepared);
  CHECK(test::simulation_fault(l.program, {}, inputs, test::require(interpret(l.prepared.lifted, {}, inputs)), {SimulateOptions{}}, 4) == "");
}

const std::string product = "kernel product(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[j, k]) }";
/// Tiles of 16 x 16, 8 deep; 16 x 4 threads; `copies` says how the tiles come into shared memory.
std::string tiles(const std::string& copies) {
  return "i0, i1 = split(C.i, 16); j0, j1, j2 = split(C.j, [4, 4]); k0, k1 = split(C.k, 8); reorder([i0, j0, k0, i1, j1, k1, j2]); bind([i0, j0], block); bind([i1, j1], thread)\n"
         "s, st = cache_write(C, C, local, j0); y0, y1 = split(st.1, 4); bind([st.0, y0], thread)\n"
         "as, al = cache_read(C, A, shared, k0); bs, bl = cache_read(C, B, shared, k0)\n" + copies +
         "ar, ac = cache_read(C, as, local, k1); br, bc = cache_read(C, bs, local, k1)\n";
}
const std::string by_registers =
    "ag, ah = cache_read(al, A, local, k0); bg, bh = cache_read(bl, B, local, k0)\n"
    "a0 = fuse(al.0, al.1); a1, a2 = split(a0, 64); b0 = fuse(bl.0, bl.1); b1, b2 = split(b0, 64); c0 = fuse(ah.0, ah.1); c1, c2 = split(c0, 64); d0 = fuse(bh.0, bh.1); d1, d2 = split(d0, 64)\n"
    "bind([a2, b2, c2, d2], thread); p = pipeline(k0, [as, bs])\n";
const std::string asynchronous =
    "a0 = fuse(al.0, al.1); a1, a2 = split(a0, 64); b0 = fuse(bl.0, bl.1); b1, b2 = split(b0, 64); bind([a2, b2], thread); copy_with([al, bl], cp_async); p = pipeline(k0, [as, bs], slots=3)\n";

}  // namespace

TEST_CASE("guards: with zeros in its tiles a sum needs none, and its thread sums what it likes beyond the edges") {
  for (const std::string& copies : {by_registers, asynchronous}) {
    const Lowered l = lower(product, "M=21,N=37,K=13", tiles(copies));
    INFO(print(l.program));
    const auto left = guarded(l.program);
    CHECK(left.count("C") == 0);
    CHECK(left.count("C.init") == 0);
    CHECK(left.count("A.shared.local") == 0);
    CHECK(left.count("B.shared.local") == 0);
    CHECK(left.count("C.store") == 1);                       // what memory sees
    CHECK(left.count(copies == asynchronous ? "A.shared" : "A.local") == 1);  // and what reads it
    check_right(l);
  }
  check_right(lower(product, "M=16,N=16,K=3", tiles(by_registers)));
  check_right(lower(product, "M=1,N=50,K=64", tiles(asynchronous)));
}

TEST_CASE("guards: a term that is not zero where its operands are keeps the one along the sum") {
  const std::string shifted = "kernel shifted(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = sum[k: K]((A[i, k] + 1) * B[j, k] + 1) }";
  const Lowered l = lower(shifted, "M=21,N=37,K=13", tiles(asynchronous));
  INFO(print(l.program));
  CHECK(guarded(l.program).at("C") == 1);
  check_right(l);
  const std::string largest = "kernel largest(A: f32[M, K], B: f32[N, K]) -> (C) { C[i: M, j: N] = max[k: K](A[i, k] * B[j, k]) }";
  const Lowered m = lower(largest, "M=21,N=37,K=13", tiles(by_registers));
  CHECK(guarded(m.program).at("C") == 1);
  check_right(m);
}

TEST_CASE("guards: what nobody filled with zeros is not read beyond its edges") {
  const std::string direct = "a0 = fuse(al.0, al.1); a1, a2 = split(a0, 64); b0 = fuse(bl.0, bl.1); b1, b2 = split(b0, 64); bind([a2, b2], thread)\n";
  const Lowered l = lower(product, "M=21,N=37,K=13", tiles(direct));
  INFO(print(l.program));
  CHECK(guarded(l.program).at("A.shared") == 2);
  CHECK(guarded(l.program).at("A.shared.local") >= 1);
  CHECK(guarded(l.program).at("C") >= 1);
  check_right(l);
}
