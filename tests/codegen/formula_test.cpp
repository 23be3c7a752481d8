#include "codegen/formula.h"

#include "ir/base/errors.h"
#include "tests/support/catch.h"

namespace tecc {
namespace {

const Env env = {{"M", 7}, {"N", -7}, {"sm_count", 132}, {"zero", 0}, {"big", INT64_MAX}, {"low", INT64_MIN}};

TEST_CASE("formula: table of values; / and % floor") {
  const std::pair<const char*, std::int64_t> rows[] = {
      {"1", 1},
      {"M", 7},
      {"2 + 3*M", 23},
      {"(2+3)*M", 35},
      {"M - 2 - 1", 4},
      {"-M", -7},
      {"--M", 7},
      {"2*-M", -14},
      {"M/2", 3},
      {"N/2", -4},
      {"M%4", 3},
      {"N%4", 1},
      {"M % -4", -1},
      {"M/-2", -4},
      {"sm_count / 2 * 2", 132},
      {"ceildiv(M,2)", 4},
      {"ceildiv(N, 2)", -3},
      {"ceildiv(M, 7)", 1},
      {"min(M, N)", -7},
      {"max(M,N)", 7},
      {"min(ceildiv(M,128)*ceildiv(300,256),sm_count)", 2},
      {"big", INT64_MAX},
      {"low", INT64_MIN},
      {"low/1", INT64_MIN},
      {"big - 1 + 1", INT64_MAX},
      {"9223372036854775807", INT64_MAX},
  };
  for (const auto& [text, want] : rows) {
    INFO(text);
    CHECK(evaluate(text, env).or_throw() == want);
  }
}

TEST_CASE("formula: what has no value or does not parse, whole texts") {
  const std::pair<const char*, const char*> rows[] = {
      {"M/zero", "error E0614: formula 'M/zero' has no value: it divides by zero"},
      {"M%zero", "error E0614: formula 'M%zero' has no value: it divides by zero"},
      {"ceildiv(M,zero)", "error E0614: formula 'ceildiv(M,zero)' has no value: it divides by zero"},
      {"big+1", "error E0614: formula 'big+1' has no value: it does not fit 64 bits"},
      {"(big+1)-1", "error E0614: formula '(big+1)-1' has no value: it does not fit 64 bits"},
      {"-low", "error E0614: formula '-low' has no value: it does not fit 64 bits"},
      {"low/-1", "error E0614: formula 'low/-1' has no value: it does not fit 64 bits"},
      {"big*big", "error E0614: formula 'big*big' has no value: it does not fit 64 bits"},
      {"K", "error E0614: formula 'K' has no value: 'K' has no value"},
      {"", "error E0613: '' is not a contract formula: it ends too early"},
      {"1+", "error E0613: '1+' is not a contract formula: it ends too early"},
      {"(1", "error E0613: '(1' is not a contract formula: ')' is missing"},
      {"1 2", "error E0613: '1 2' is not a contract formula: a stray '2'"},
      {"*2", "error E0613: '*2' is not a contract formula: a number, name or '(' must stand before '*'"},
      {"abs(M)", "error E0613: 'abs(M)' is not a contract formula: there is no function 'abs'"},
      {"min(M)", "error E0613: 'min(M)' is not a contract formula: ',' is missing"},
      {"9223372036854775808",
       "error E0613: '9223372036854775808' is not a contract formula: a number does not fit 64 bits"},
  };
  for (const auto& [text, want] : rows) {
    const auto r = evaluate(text, env);
    REQUIRE_FALSE(r);
    CHECK(render(r.error()) == want);
  }
}

TEST_CASE("formula: deep nesting is refused, not a crash") {
  CHECK(evaluate(std::string(200, '(') + "1" + std::string(200, ')'), {}).or_throw() == 1);
  CHECK_FALSE(evaluate(std::string(100000, '('), {}));
  CHECK_FALSE(evaluate(std::string(100000, '-') + "1", {}));
}

TEST_CASE("formula: names, each once, in order") {
  CHECK(Formula::parse("N*M + min(N, sm_count)").or_throw().names() == std::vector<std::string>{"N", "M", "sm_count"});
}

}  // namespace
}  // namespace tecc
