#include "ir/instruction/instruction.h"

#include <set>

#include "tests/support/catch.h"

using namespace tecc;

namespace {

/// How often each element of a tile is held, over all threads and registers.
std::map<std::pair<std::int64_t, std::int64_t>, int> held(const FragmentLayout& layout, std::int64_t threads) {
  std::int64_t registers = 1;
  for (const Piece& x : layout)
    if (x.of == Piece::Of::reg) registers *= x.count;
  std::map<std::pair<std::int64_t, std::int64_t>, int> out;
  for (std::int64_t t = 0; t < threads; ++t)
    for (std::int64_t r = 0; r < registers; ++r) {
      std::int64_t at[2] = {0, 0};
      for (const Piece& x : layout) at[x.dim] += (x.of == Piece::Of::thread ? t : r) / x.div % x.count * x.stride;
      ++out[{at[0], at[1]}];
    }
  return out;
}

void check_exact(const FragmentLayout& layout, std::int64_t threads, std::int64_t rows, std::int64_t columns) {
  const auto all = held(layout, threads);
  CHECK(static_cast<std::int64_t>(all.size()) == rows * columns);
  for (const auto& [at, times] : all) {
    CHECK(times == 1);
    CHECK((at.first < rows && at.second < columns));
  }
}

}  // namespace

TEST_CASE("instructions: threads and registers hold every element of a fragment once") {
  for (const Instruction& i : instructions()) {
    INFO(i.name);
    for (const std::int64_t n : {i.n_step, i.n_most}) check_exact(accumulator_of(i, n), i.threads, i.m, n);
    check_exact(a_fragment_of(i), i.threads, i.m, i.k);
    if (i.via == loop::Via::mma_sync) check_exact(b_fragment_of(i, i.n_step), i.threads, i.n_step, i.k);
  }
}

TEST_CASE("instructions: matrix moves hold every element once, and name every row of eight once") {
  for (const std::int64_t matrices : {1, 2, 4}) {
    const MatrixMove m = matrix_move(matrices);
    check_exact(m.fragment, 32, matrices >= 2 ? 16 : 8, matrices == 4 ? 16 : 8);
    std::set<std::pair<std::int64_t, std::int64_t>> rows;
    for (std::int64_t t = 0; t < 8 * matrices; ++t) {
      std::int64_t at[2] = {0, 0};
      for (const Piece& x : m.address) at[x.dim] += t / x.div % x.count * x.stride;
      rows.insert({at[0], at[1]});
    }
    CHECK(static_cast<std::int64_t>(rows.size()) == 8 * matrices);
  }
}

TEST_CASE("instructions: a table of what PTX says about single elements") {
  // wgmma m64nNk16: register 5 of thread 37 (warp 1, g = 1, q = 1) is row 16 + 1, column 8 + 2 + 1 (PTX ISA, "wgmma D fragment").
  const FragmentLayout d = accumulator_of(*find_instruction("wgmma.k16.f32.bf16.bf16"), 64);
  std::int64_t at[2] = {0, 0};
  for (const Piece& x : d) at[x.dim] += (x.of == Piece::Of::thread ? 37 : 5) / x.div % x.count * x.stride;
  CHECK(at[0] == 17);
  CHECK(at[1] == 11);
  CHECK(find_instruction("no such") == nullptr);
}

TEST_CASE("instructions: an accumulator, packed, is the rows operand of the next product") {
  for (const char* name : {"wgmma.k16.f32.bf16.bf16", "mma.m16n8k16.f32.f16.f16"}) {
    const Instruction& i = *find_instruction(name);
    const FragmentLayout d = accumulator_of(i, 16), a = a_fragment_of(i);
    for (std::int64_t t = 0; t < i.threads; ++t)
      for (std::int64_t r = 0; r < 8; ++r) {
        std::int64_t x[2] = {0, 0}, y[2] = {0, 0};
        for (const Piece& p : d) x[p.dim] += (p.of == Piece::Of::thread ? t : r) / p.div % p.count * p.stride;
        for (const Piece& p : a) y[p.dim] += (p.of == Piece::Of::thread ? t : r) / p.div % p.count * p.stride;
        CHECK(x[0] == y[0]);
        CHECK(x[1] == y[1]);
      }
  }
}

TEST_CASE("instructions: four matrices of ldmatrix are the rows operand of a product of 16-bit types") {
  const FragmentLayout a = a_fragment_of(*find_instruction("mma.m16n8k16.f32.bf16.bf16")), m = matrix_move(4).fragment;
  for (std::int64_t t = 0; t < 32; ++t)
    for (std::int64_t r = 0; r < 8; ++r) {
      std::int64_t x[2] = {0, 0}, y[2] = {0, 0};
      for (const Piece& p : a) x[p.dim] += (p.of == Piece::Of::thread ? t : r) / p.div % p.count * p.stride;
      for (const Piece& p : m) y[p.dim] += (p.of == Piece::Of::thread ? t : r) / p.div % p.count * p.stride;
      CHECK(x[0] == y[0]);
      CHECK(x[1] == y[1]);
    }
}
