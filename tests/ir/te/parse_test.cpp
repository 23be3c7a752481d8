#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "ir/te/kernel.h"
#include "tests/support/catch.h"
#include "tests/support/te.h"

using namespace tecc;

TEST_CASE("parse: every case prints to text that parses back to the same text") {
  for (const auto& [file, text] : test::cases()) {
    INFO(file);
    const auto kernels = test::require(te::parse({intern(file.c_str()), text}));
    REQUIRE(kernels.size() == 1);
    const std::string once = te::print(kernels[0]);
    const auto again = test::require(te::parse({intern("again"), once}));
    CHECK(te::print(again[0]) == once);
  }
}
