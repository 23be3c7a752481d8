#include <tecc/dsl.h>

#include <iostream>

using namespace tecc::dsl;

// A kernel of this project (CMakeLists.txt), and a program that prints it.
te::Kernel scale() {
  Kernel g("scale");
  const Value n = g.dim("N");
  const Tensor x = g.input("X", f32, {n});
  const Axis i("i", n);
  return std::move(g).outputs({g.stage("Y", {i}, x(i) * 2)}).or_throw();
}
TECC_EXPORT(scale)

int main() { std::cout << te::print(scale()); }
