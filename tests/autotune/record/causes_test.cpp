#include "autotune/record/causes.h"

#include "tests/support/catch.h"

using tecc::autotune::Cause;
using tecc::autotune::Causes;

TEST_CASE("causes: messages that differ in numbers and names are one, with the range of the numbers") {
  Causes all;
  all.add("E0405", "lower", "kernel 'a' needs 262144 bytes > 232448 bytes a block\nand so on");
  all.add("E0524", "wrong", "output 'C' differs from the reference by 0.25 > 0.01 at [1, 2]");
  all.add("E0405", "lower", "kernel 'a' needs 98304 bytes > 232448 bytes a block");
  all.add("E0405", "lower", "kernel 'b' needs 300000 bytes > 232448 bytes a block");
  all.add("E0524", "wrong", "output 'C' differs from the reference by 1.5e+03 > 0.01 at [0, 2]");
  const auto causes = all.by_count();
  REQUIRE(causes.size() == 2);
  CHECK(causes[0].count == 3);
  CHECK(causes[0].code == "E0405");
  CHECK(causes[0].text == "kernel '…' needs 98304..300000 bytes > 232448 bytes a block");
  CHECK(causes[0].example == "kernel 'a' needs 262144 bytes > 232448 bytes a block\nand so on");
  CHECK(causes[1].text == "output 'C' differs from the reference by 0.25..1.5e+03 > 0.01 at [0..1, 2]");
}

TEST_CASE("causes: other words, another phase or another number are another cause; ties in the order they came") {
  Causes all;
  all.add("E0605", "run", "the driver refused: an illegal address on sm_90a");
  all.add("E0605", "run", "the driver refused: too many resources");
  all.add("E0605", "load", "the driver refused: too many resources");
  all.add("E0606", "run", "the driver refused: too many resources");
  all.add("E0605", "run", "the driver refused: an illegal address on sm_80");  // digits of a word are no number
  all.add("E0521", "died", "it isn't there: signal 9");                         // a lone quote
  all.add("E0521", "died", "it isn't there: signal 11");
  std::string said;
  for (const Cause& c : all.by_count()) said += std::to_string(c.count) + " " + c.code + " " + c.phase + " " + c.text + "\n";
  CHECK(said ==
        "2 E0521 died it isn't there: signal 9..11\n"
        "1 E0605 run the driver refused: an illegal address on sm_90a\n"
        "1 E0605 run the driver refused: too many resources\n"
        "1 E0605 load the driver refused: too many resources\n"
        "1 E0606 run the driver refused: too many resources\n"
        "1 E0605 run the driver refused: an illegal address on sm_80\n");
}
