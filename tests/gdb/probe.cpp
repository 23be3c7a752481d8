// What tests/gdb/gdb_test.cpp looks at through scripts/gdb/tecc.py.
#include "ir/loop/program.h"
#include "ir/te/kernel.h"

[[gnu::noinline]] void looked_at(const tecc::loop::Program& p, const tecc::Expr& e, const tecc::TensorId& t) {
  asm volatile("" ::"r"(&p), "r"(&e), "r"(&t) : "memory");
}

int main() {
  using namespace tecc;
  const Source source{"probe", "kernel probe(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: i + 1](X[i, j]) }"};
  te::Bindings b;
  b.dims = te::parse_dims("M=3,N=5").or_throw();
  const loop::Program p = loop::naive(te::lift(te::bind(te::parse(source).or_throw().at(0), b).or_throw()));
  const Expr e = make(Select{make(Binary{BinOp::less, var({3}), index_literal(7)}, DType::boolean), floor_mod(var({3}) + 2, index_literal(4)), make(Read{{1}, {var({2})}, index_literal(0)}, DType::i64)}, DType::i64);
  looked_at(p, e, p.inputs.at(0));
}
