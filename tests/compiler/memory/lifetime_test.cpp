#include "compiler/memory/lifetime.h"

#include "ir/base/errors.h"
#include "tests/support/catch.h"

using namespace tecc;

namespace {

std::string refusal_of(std::string_view text) {
  const auto r = parse_lifetimes(text, "t.csv");
  return r ? "no refusal" : render(r.error());
}

}  // namespace

TEST_CASE("lifetimes: columns, extra columns, line ends, times of any sign") {
  const auto l = parse_lifetimes("id,lower,upper,size,offset\r\nb 1,-3,4,10,7\r\n\n2,4,5,0,\n", "t.csv").or_throw();
  CHECK(l == std::vector<Lifetime>{{"b 1", -3, 4, 10}, {"2", 4, 5, 0}});
  const auto aligned = parse_lifetimes("id,lower,upper,size,note,alignment\na,0,1,3,x,64", "t.csv").or_throw();
  CHECK(aligned == std::vector<Lifetime>{{"a", 0, 1, 3, 64}});
  CHECK(parse_lifetimes("id,lower,upper,size", "t.csv").or_throw().empty());
}

TEST_CASE("lifetimes: printed with offsets in file order and read back") {
  const std::vector<Lifetime> plain = {{"z", 5, 9, 4}, {"a", 0, 6, 8}};
  CHECK(print_placed(plain, std::vector<std::int64_t>{8, 0}) == "id,lower,upper,size,offset\nz,5,9,4,8\na,0,6,8,0\n");
  const std::vector<Lifetime> aligned = {{"z", 5, 9, 4, 16}, {"a", 0, 6, 8}};
  const std::string text = print_placed(aligned, std::vector<std::int64_t>{16, 0});
  CHECK(text == "id,lower,upper,size,alignment,offset\nz,5,9,4,16,16\na,0,6,8,1,0\n");
  CHECK(parse_lifetimes(text, "t.csv").or_throw() == aligned);
}

TEST_CASE("lifetimes: every refusal by its text") {
  const std::pair<std::string, std::string> rows[] = {
      {"", "t.csv:1: error E0250: the header is ''; a table of lifetimes starts with 'id,lower,upper,size'"},
      {"id,begin,end,size\n",
       "t.csv:1: error E0250: the header is 'id,begin,end,size'; a table of lifetimes starts with "
       "'id,lower,upper,size'"},
      {"id,lower,upper,size\na,0,1\n", "t.csv:2: error E0251: the row has 3 columns, the header has 4"},
      {"id,lower,upper,size\na,0,1,2\nb,0,1.5,2\n",
       "t.csv:3:5: error E0252: column 'upper' holds '1.5', which is not an integer"},
      {"id,lower,upper,size\na,,1,2\n", "t.csv:2:3: error E0252: column 'lower' holds '', which is not an integer"},
      {"id,lower,upper,size\na,0,1,9223372036854775808\n",
       "t.csv:2:7: error E0253: column 'size' holds 9223372036854775808, which does not fit 64 bits; legal are "
       "-9223372036854775808 to 9223372036854775807"},
      {"id,lower,upper,size\na,7,7,2\n",
       "t.csv:2:5: error E0254: column 'upper' holds 7, which is not above lower 7; a buffer is live for "
       "lower <= t < upper"},
      {"id,lower,upper,size\na,0,1,-2\n", "t.csv:2:7: error E0255: column 'size' holds -2 bytes; legal are 0 or more"},
      {"id,lower,upper,size,alignment\na,0,1,2,0\n",
       "t.csv:2:9: error E0256: column 'alignment' holds 0 bytes; legal are 1 or more"},
      {"id,lower,upper,size\na,0,1,2305843009213693952\nb,0,1,1\n",
       "t.csv:3:7: error E0257: the sizes up to this row add up to more than 2305843009213693952 bytes with their "
       "alignments"},
  };
  for (const auto& [text, want] : rows) CHECK(refusal_of(text) == want);
  const auto missing = read_lifetimes("no/such.csv");
  REQUIRE_FALSE(missing);
  CHECK(render(missing.error()) == "error E0601: cannot read 'no/such.csv': No such file or directory");
}

TEST_CASE("lower_bound: peak of live sizes, half-open") {
  CHECK(lower_bound({}) == 0);
  CHECK(lower_bound(std::vector<Lifetime>{{"a", 0, 3, 4}, {"b", 3, 9, 4}}) == 4);
  CHECK(lower_bound(std::vector<Lifetime>{{"a", 0, 4, 4}, {"b", 3, 9, 5}}) == 9);
}
