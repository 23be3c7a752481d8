#include "tests/oracle/nests.h"

#include <fmt/format.h>

namespace tecc::oracle {

using fuzz::below;
using fuzz::one_in;
using fuzz::one_of;

fuzz::Expression random_nest(fuzz::Random& r) {
  std::string dims;
  for (const char* d : {"M", "N", "K"}) dims += fmt::format("{}{}={}", dims.empty() ? "" : ",", d, 2 + below(r, 5));
  struct Tensor {
    std::string name, rows, columns;
  };
  std::vector<Tensor> tensors = {{"A", "M", "K"}, {"B", "N", "K"}, {"X", "M", "N"}};
  std::string body, last;
  for (std::int64_t n = 0, stages = 1 + below(r, 3); n < stages; ++n) {
    const Tensor t = one_in(r, 4) ? one_of(r, tensors) : tensors.back();
    const std::string name = fmt::format("s{}", n);
    const auto made = [&](const std::string& rows, const std::string& columns, const std::string& value, const std::string& axes = "") {
      body += fmt::format("  {}[{}] = {}\n", name, axes.empty() ? fmt::format("i: {}, j: {}", rows, columns) : axes, value);
      tensors.push_back({name, rows, columns});
    };
    switch (below(r, 6)) {
      case 0: made(t.rows, t.columns, fmt::format("{}[i, j] * 2", t.name)); break;
      case 1: made(t.columns, t.rows, fmt::format("{}[j, i] + 1", t.name)); break;
      case 2: made(t.rows, t.columns, fmt::format("({0}[i - 1, j] else 0) + ({0}[i, j + 1] else 0)", t.name)); break;
      case 3: made(t.rows, t.columns, fmt::format("sum[k: {}]({}[i, k]) + {}[i, j]", t.columns, t.name, t.name)); break;
      case 4: made(t.rows, t.columns, fmt::format("sum[k: j + 1]({}[i, k])", t.name)); break;
      default: made(t.rows, t.rows, fmt::format("sum[k: {}]({}[i, k] * {}[j, k])", t.columns, t.name, t.name)); break;
    }
    last = name;
  }
  return {fmt::format("kernel nest(A: f32[M, K], B: f32[N, K], X: f32[M, N]) -> ({}) {{\n{}}}\n", last, body), dims, "", "nest"};
}

}  // namespace tecc::oracle
