// A schedule written by hand: steps in text, the loops they make, and what a refusal says.
#include <iostream>

#include "codegen/build.h"
#include "ir/base/errors.h"

using namespace tecc;

int main() {
  const Source expression{"rowsum.te", "kernel rowsum(X: f32[M, N]) -> (Y) { Y[i: M] = sum[j: N](X[i, j]) }"};
  te::Bindings sizes;
  sizes.dims = te::parse_dims("M=6,N=10").or_throw();
  const codegen::Workload w = codegen::make_workload(te::parse(expression).or_throw().at(0), sizes).or_throw();

  const Source good{"rowsum.schedule",
                    "j0, j1 = split(Y.j, 4)\n"
                    "r = rfactor(Y, j1)\n"
                    "parallel(Y.i)\n"};
  const schedule::Trace trace = schedule::parse(good, w.naive).or_throw();
  std::cout << loop::print(schedule::replay(w.naive, trace).or_throw().program) << "\n";

  const Source bad{"rowsum.schedule", "j0, j1 = split(Y.j, 4)\nparallel(j0)\n"};
  std::cout << render(schedule::parse(bad, w.naive).error(), bad) << "\n";
}
