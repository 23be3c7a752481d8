#include "autotune/measure/compare.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

HostTensor floats(const std::vector<double>& values) {
  HostTensor t = *make_tensor(DType::f32, {static_cast<std::int64_t>(values.size())}, "Y");
  for (std::size_t n = 0; n < values.size(); ++n) t.set(static_cast<std::int64_t>(n), values[n]);
  return t;
}
std::string text(const Check& c) { return c ? "" : render(c.error()); }

}  // namespace

TEST_CASE("compare: within the tolerance, and what is said beyond it") {
  const Expected e{{1, 2, 3, 4}, {}};
  CHECK(text(compare("Y", floats({1, 2, 3, 4}), e, 1e-3, true)).empty());
  CHECK(text(compare("Y", floats({1.001, 2, 3, 4}), e, 1e-3, true)).empty());
  CHECK(text(compare("Y", floats({1, 2, 3.5, 4}), e, 1e-3, true)) == "error E0524: output 'Y' differs from the reference by 0.0913 > 0.001; [2] is 3.5, not 3");
}

TEST_CASE("compare: NaN, infinities and poison") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  CHECK(text(compare("Y", floats({inf, -inf, nan, 1}), {{inf, -inf, nan, 1}, {}}, 1e-3, true)).empty());
  CHECK(text(compare("Y", floats({1, nan}), {{1, 2}, {}}, 1e-3, true)) == "error E0524: output 'Y' differs from the reference by a number that is not finite > 0; [1] is nan, not 2");
  CHECK_FALSE(text(compare("Y", floats({inf}), {{-inf}, {}}, 1e-3, true)).empty());
  CHECK(text(compare("Y", floats({}), {{}, {}}, 1e-3, true)).empty());
}

TEST_CASE("compare: integers are equal, or nearly all of them where floats decide") {
  HostTensor t = *make_tensor(DType::i32, {40, 50}, "I");
  Expected e{{}, std::vector<std::int64_t>(2000, 0)};
  CHECK(text(compare("I", t, e, 0, true)).empty());
  t.set_integer(51, 7);
  CHECK(text(compare("I", t, e, 0, false)).empty());
  CHECK(text(compare("I", t, e, 0, true)) == "error E0524: output 'I' differs from the reference by 1 of 2000 elements > 0; [1, 1] is 7, not 0");
}
