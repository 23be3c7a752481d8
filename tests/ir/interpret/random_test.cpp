// Random expressions: what lift() makes of them computes what was written, and what the prover lets pass stays inside
// (under the address sanitizer, the interpreter's unchecked reads tell).
#include <cmath>
#include <random>

#include "ir/interpret/te.h"
#include "tests/support/te.h"

using namespace tecc;

namespace {

class Writer {
 public:
  explicit Writer(unsigned seed) : rng_(seed) {}

  std::string kernel() {
    std::string out = "kernel k<T>(X: T[M, N], Z: T[N]; c) -> (Y) {\n";
    axes_ = {"i"};
    out += "  t[i: M] = " + value(2) + "\n";
    axes_ = {"i", "j"};
    const char* second[] = {"N", "i + 1", "i + c", "M - i"};
    out += std::string("  u[i: M, j: ") + second[below(4)] + "] = " + value(3) + "\n";
    stages_ = true;
    axes_ = {"i", "j"};
    return out + "  Y[i: M, j: N] = " + value(4) + "\n}\n";
  }

 private:
  std::size_t below(std::size_t n) { return rng_() % n; }
  std::string axis() { return axes_[below(axes_.size())]; }

  std::string index() {
    const std::string a = axis();
    switch (below(9)) {
      case 0:
        return a + " + " + std::to_string(below(3));
      case 1:
        return a + " - " + std::to_string(below(3));
      case 2:
        return a + " / 2";
      case 3:
        return "(" + a + " * 2 + 1) % " + (below(2) ? "M" : "N");
      case 4:
        return "min(" + a + ", M - 1)";
      case 5:
        return std::to_string(below(3));
      case 6:
        return "max(" + a + " - c, 0)";
      case 7:
        return a + " + " + axis();
      default:
        return a;
    }
  }
  std::string condition() {
    const char* compare[] = {" < ", " <= ", " == ", " != ", " > "};
    const std::string one = index() + compare[below(5)] + index();
    if (below(3)) return one;
    return below(2) ? one + " && " + condition() : "!(" + one + ") || " + value(0) + " > 0";
  }
  std::string read() {
    std::string out = below(2) ? "X[" + index() + ", " + index() + "]" : "Z[" + index() + "]";
    if (stages_ && below(2)) out = below(2) ? "t[" + index() + "]" : "u[" + index() + ", " + index() + "]";
    return below(2) ? "(" + out + " else 3)" : out;
  }
  std::string reduction(int depth) {
    const char* reducers[] = {"sum", "max", "min", "sum", "mean", "prod"};
    const std::string name = "k" + std::to_string(++names_), outer = axis();
    const std::string extents[] = {
        "N", outer + " + 1", outer + " + c", outer, outer + " - 1", outer + " + 3", "M - " + outer, "3"};
    std::string out = std::string(reducers[below(6)]) + "[" + name + ": " + extents[below(8)] + "](";
    const bool mentions = below(2);  // only the reduction's own axis: a chance for scans
    const std::vector<std::string> saved = axes_;
    if (mentions) axes_.push_back(name);
    else axes_ = {axes_[0] == outer ? name : axes_[0], name};
    out += value(depth - 1) + ")";
    axes_ = saved;
    return out;
  }
  std::string value(int depth) {
    if (depth <= 0) return below(4) ? read() : "T(" + axis() + ")";
    switch (below(7)) {
      case 0:
        return "(" + value(depth - 1) + " + " + value(depth - 1) + ")";
      case 1:
        return "(" + value(depth - 1) + " - 0.25 * " + value(depth - 1) + ")";
      case 2:
        return "max(" + value(depth - 1) + ", " + value(depth - 1) + ")";
      case 3:
        return "select(" + condition() + ", " + value(depth - 1) + ", " + value(depth - 1) + ")";
      case 4:
        return read();
      default:
        return reduction(depth);
    }
  }

  std::mt19937 rng_;
  std::vector<std::string> axes_;
  bool stages_ = false;
  int names_ = 0;
};

}  // namespace

TEST_CASE("random expressions: lifted and as written give the same bits", "[fuzz]") {
  int ran = 0, scans = 0, refused = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    const std::string text = Writer(seed).kernel();
    INFO("seed " << seed << "\n" << text);
    const std::string types[] = {"T=f32", "T=bf16", "T=f64", "T=e4m3"};
    const bool runtime = seed % 3 == 0;
    const std::string c = std::to_string(static_cast<int>(seed % 4) - 1);
    const auto bound = test::try_bind(text, (runtime ? "M=4,N=2..12:2,c=" : "M=4,N=6,c=") + c, types[seed / 7 % 4]);
    if (!bound) {
      ++refused;
      if (bound.error().code != Code::read_out_of_bounds) FAIL(render(bound.error()));
      continue;
    }
    const auto lifted = te::lift(*bound);
    for (const te::LiftedStage& s : lifted.stages) scans += s.scan;
    for (const std::int64_t n : {6, 2}) {
      if (!runtime && n != 6) continue;
      std::vector<Array> inputs = {
          Array(types[seed / 7 % 4] == "T=f32" ? DType::f32 : *parse_type(types[seed / 7 % 4].substr(2)), {4, n}),
          Array(*parse_type(types[seed / 7 % 4].substr(2)), {n})};
      std::mt19937 rng(seed);
      for (Array& a : inputs)
        for (std::int64_t e = 0; e < a.size(); ++e) a.set(e, static_cast<double>(rng() % 64) / 16 - 2);
      const std::map<std::string, std::int64_t> dims = {{"N", n}};
      const auto one = test::require(interpret(*bound, dims, inputs)),
                 two = test::require(interpret(lifted, dims, inputs));
      bool same = true;
      for (std::int64_t e = 0; e < one[0].size(); ++e) {
        const double a = one[0].get(e), b = two[0].get(e);
        same = same && (a == b || (std::isnan(a) && std::isnan(b)));
      }
      INFO(te::print(lifted));
      CHECK(same);
    }
    ++ran;
  }
  INFO(ran << " ran, " << refused << " refused, " << scans << " scans");
  CHECK(ran > 400);
  CHECK(scans > 50);
}
