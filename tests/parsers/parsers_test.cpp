#include "tests/parsers/parsers.h"

#include <fmt/format.h>

#include <cstdlib>

#include "codegen/build.h"
#include "ir/base/json.h"
#include "ir/loop/parse.h"
#include "tests/parsers/mutate.h"
#include "tests/support/te.h"

using namespace tecc;
using parsers::Parser;

namespace {

const Parser& parser(std::string_view name) {
  for (const Parser& p : parsers::parsers())
    if (p.name == name) return p;
  FAIL("no parser is called " << name);
  std::abort();
}
std::string many(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t n = 0; n < times; ++n) out += text;
  return out;
}

}  // namespace

// TECC_PARSERS=n tries n mutations of every parser. What kills a parser kills the test: its input is then the last file written to
// TECC_PARSERS_LAST, if that is set.
TEST_CASE("parsers: mutated input is read or refused") {
  const char *count = std::getenv("TECC_PARSERS"), *last = std::getenv("TECC_PARSERS_LAST");
  const std::size_t tries = count ? std::stoull(count) : 150;
  for (const Parser& p : parsers::parsers()) {
    INFO(p.name);
    const std::vector<std::string> seeds = p.seeds();
    REQUIRE(!seeds.empty());
    parsers::Rng rng(1);
    const auto read = [&](const std::string& input) {
      if (last) std::ofstream(last, std::ios::binary) << input;
      CHECK_NOTHROW(p.read(input));
    };
    for (const std::string& s : seeds) read(s);
    for (std::size_t n = 0; n < tries; ++n) read(parsers::mutated(seeds[rng() % seeds.size()], seeds, rng));
    for (std::size_t n = 0; n < tries / 10; ++n) read(parsers::stretched(seeds[rng() % seeds.size()], 20'000, rng));
  }
}

TEST_CASE("parsers: JSON that is nested too deep, and numbers that do not fit") {
  const auto words = [](const std::string& text) {
    const auto j = parse_json(text);
    return j ? "" : message(j.error());
  };
  CHECK(words(many("[", 64) + many("]", 64)) == "");
  CHECK(words("[\"" + many("[", 1000) + "\\\"" + many("{", 1000) + "\"]") == "");
  CHECK(words(many("[", 65) + many("]", 65)) == "the text is not JSON that can be read: brackets nested more than 64 deep");
  CHECK(words("[1,") == "the text is not JSON that can be read: parse error at line 1, column 4: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal");
  const auto j = parse_json("[9223372036854775807, 9223372036854775808, 2.5, 1e300, 300, true]");
  REQUIRE(j);
  CHECK(exactly<std::int64_t>((*j)[0]) == INT64_MAX);
  CHECK(exactly<std::uint64_t>((*j)[1]) == std::uint64_t{1} << 63);
  for (const int n : {1, 2, 3, 5}) CHECK_THROWS_AS(exactly<std::int64_t>((*j)[n]), nlohmann::json::type_error);
  CHECK_THROWS_AS(exactly<std::int8_t>((*j)[4]), nlohmann::json::type_error);
}

TEST_CASE("parsers: programs that nest too deep, and chains that are too long") {
  const auto refused = [](const std::string& text) {
    const auto p = loop::parse({intern("p.ir"), text});
    return p ? "" : render(p.error());
  };
  const std::string head = "program p(X: f32[1]) -> (Y: f32[1]) {\n", body = "block b() { Y[0] = X[0] }";
  const auto loops = [&](int n) {
    std::string text = head + "kernel k {";
    for (int l = 0; l < n; ++l) text += fmt::format(" for l{}: 1 {{", l);
    return text + body + many("}", static_cast<std::size_t>(n) + 2);
  };
  CHECK(refused(loops(200)) == "");
  CHECK(refused(loops(100'000)).ends_with("error E0140: nested more than 256 levels deep; make the inner part a stage or a let"));
  const auto value = [&](const std::string& text) { return head + "kernel k { block b() { Y[0] = " + text + " } } }"; };
  CHECK(refused(value("X[0]" + many(" + 1", 3000))) == "");
  CHECK(refused(value("X[0]" + many(" + 1", 100'000))).ends_with("error E0142: a chain of over 4000 operators; make part of it a stage"));
  for (const std::string open : {"(", "-", "X[0] + (", "min(1, ", "X["}) {
    INFO(open);
    CHECK(refused(value(many(open, 100'000) + "1")).find("error E0140: nested more than 512 levels deep") != std::string::npos);
  }
  // Every loop follows twice from the one before: 2 to the 60th paths.
  std::string lets;
  for (int l = 1; l <= 60; ++l) lets += fmt::format("let l{}: 2 = l{} + l{}\n", l, l - 1, l - 1);
  CHECK(refused(head + lets + "kernel k { for l0: 1 { " + body + " } } }") == "");
  CHECK(refused(head + "let a: 2 = b\nlet b: 2 = a\nkernel k { " + body + " } }").find("the value of loop 'a' follows from itself") != std::string::npos);
  CHECK(refused(head + "buffer t: f32[1] order [4294967296]\nkernel k { " + body + " } }").find("E0152: '4294967296' is not a dimension; legal: 0 to 2147483647") != std::string::npos);
}

TEST_CASE("parsers: schedules of many points and lines take no time") {
  const loop::Program naive = loop::naive(te::lift(test::bind("kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] }", "N=8")));
  const auto refused = [&](const std::string& text) {
    const auto t = schedule::parse({intern("s"), text}, naive);
    return t ? "" : render(t.error()).substr(0, 60);
  };
  CHECK(refused("unroll(Y" + many(".i", 100'000) + ")").starts_with("s:1:8: error E0332: no stage, input or result is called 'Y.i"));
  CHECK(refused(many("unroll([Y.i])\n", 20'000) + "nothing(Y.i)").starts_with("s:20001:1: error E0331: no step is called 'nothing'"));
}

TEST_CASE("parsers: a minus before a literal is printed as what it was read as") {
  for (const std::string body : {"--0", "-(0)", "---2 - -3", "-(2)", "--2.5 * -(0.5)", "-(-(1))"}) {
    INFO(body);
    const te::Kernel k = test::kernel("kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] * " + body + " }");
    const std::string once = te::print(k);
    INFO(once);
    const te::Kernel again = test::kernel(once);
    CHECK(te::print(again) == once);
    CHECK(same_value(again.stages[0].body, k.stages[0].body));
  }
}

TEST_CASE("parsers: assembly of pieces, numbers of devices that do not fit") {
  for (const char* text : {"Function : k\n/*/ ;\n/*0000*/ @P0;", ".entry k(\n{\n@%p1;\n}", "Compiling entry function 'k'\nUsed 99999999999 registers"}) parser("assembly").read(text);
  const std::string file = "{\"arch\": \"sm_90a\", \"sm_count\": ";
  const auto huge = codegen::parse_device_file(file + "18446744073709551615}", "d.json");
  REQUIRE_FALSE(huge);
  CHECK(message(huge.error()).ends_with("gives 18446744073709551615 for 'sm_count', which is a whole number above 0"));
  CHECK(test::require(codegen::parse_device_file(file + "7}", "d.json")).sm_count == 7);
}
