#include "autotune/measure/steadiness.h"

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

Outcome at(std::optional<double> mhz, unsigned caps = 0) {
  return Measured{{1}, {"GPU", cuda::ChipState{mhz, {}, {}, {}, caps}}};
}

}  // namespace

TEST_CASE("steadiness: caps are said, a line each") {
  Steadiness s;
  s.timed(Measured{{1}});  // nobody knows
  CHECK(s.json().is_null());
  s.timed(at(1755));
  CHECK(s.warnings().empty());
  s.timed(at(1755, cuda::power_cap));
  s.timed(at(1700, cuda::power_cap | cuda::thermal_cap));
  s.timed(at({}, cuda::hardware_cap));
  const std::vector<std::string> caps{"2 of 4 candidates were timed under a power cap", "1 of 4 candidates were timed under a thermal cap",
                                      "1 of 4 candidates were timed under a hardware slowdown"};
  CHECK(s.warnings() == caps);
  CHECK(s.json().dump() == R"({"timed":4,"power_cap":2,"thermal_cap":1,"hardware_cap":1})");
}
