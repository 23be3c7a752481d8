#include <nlohmann/json.hpp>

#include "tests/support/te.h"

using namespace tecc;

TEST_CASE("bind: every case of the example tables at its dims") {
  for (const char* table : {"cases.json", "generality.json"}) {
    const auto json = nlohmann::json::parse(test::read_file(std::string(TECC_SOURCE_DIR "/examples/cases/") + table));
    for (const auto& c : json["cases"]) {
      INFO(c["name"].get<std::string>());
      te::Bindings b;
      for (const auto& [name, value] : c["dims"].items())
        b.dims[name] = {value.get<std::int64_t>(), value.get<std::int64_t>(), 1};
      if (c.contains("types"))
        for (const auto& [name, value] : c["types"].items()) b.types[name] = *parse_type(value.get<std::string>());
      const auto bound = test::require(te::bind(
          test::kernel(test::read_file(std::string(TECC_SOURCE_DIR "/examples/cases/") + c["te"].get<std::string>())),
          b));
      CHECK(bound.warnings.empty());
      CHECK(bound.runtime.empty());
      const std::string text = te::print(bound.kernel);
      INFO(text);
      const auto again = test::require(te::bind(test::kernel(text), {}));
      CHECK(te::print(again.kernel) == text);
    }
  }
}

TEST_CASE("bind: runtime dims are proved for every allowed value") {
  const auto cases = test::cases();
  test::bind(cases.at("gemm.te"), "M=1..65536,N=4096,K=8..4096:8", "T=bf16");
  test::bind(cases.at("attention_causal.te"), "B=1..8,H=32,S=1..4096,D=128", "T=bf16");
  test::bind(cases.at("gemm_dequant.te"), "M=1..64,N=4096,K=128..65536:128", "T=f16");
  test::bind(cases.at("cumsum.te"), "M=1..64,N=1..65536", "T=f16");
  test::bind(cases.at("conv2d_nhwc.te"), "N=1..64,H=3..512,W=14,C=64,O=64,R=3,S=3,stride=2,pad=1", "T=f16");
  test::bind("kernel flat(X: f32[M * N], Z: f32[M], Q: f32[N]) -> (Y) { Y[i: M, j: N] = X[i * N + j] }",
             "M=1..100,N=1..100");
  test::bind("kernel unflat(X: f32[M, N], Q: f32[M * N]) -> (Y) { Y[p: M * N] = X[p / N, p % N] }", "M=1..100,N=7");
}

TEST_CASE("bind: the deepest expression goes all the way") {
  std::string body = "X[i]";
  for (int n = 0; n < 990; ++n) body += " + X[i]";
  const auto bound = test::bind("kernel k(X: f32[N]) -> (Y) { Y[i: N] = " + body + " }", "N=4");
  CHECK(te::hash(te::lift(bound)).size() == 64);
  CHECK(te::print(bound.kernel).size() > 990);
}
