#include <tecc/dsl.h>

#include <iostream>

int main() {
  using namespace tecc::dsl;
  Kernel g("scale");
  const Value n = g.dim("N");
  const Tensor x = g.input("X", f32, {n});
  const Axis i("i", n);
  std::cout << te::print(std::move(g).outputs({g.stage("Y", {i}, x(i) * 2)}).or_throw());
}
