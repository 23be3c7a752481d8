#include "autotune/search/enumerate.h"

#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

/// `second` is asked only where the first answer is above 1; the pair (3, 20) is refused.
class Tree final : public Space {
 public:
  Result<Point> make(Chooser c) const override {
    Point p;
    const std::int64_t first = c.choose("first", {1, 2, 3}, 2);
    const std::int64_t second = first > 1 ? c.choose("second", {10, 20}, 20) : 0;
    if (first == 3 && second == 20) return refuse(Code::too_many_threads, "tree", second, 10);
    p.genome = c.made();
    p.program_hash = std::to_string(first) + "/" + std::to_string(second);
    return p;
  }
};

}  // namespace

TEST_CASE("enumerate: every combination once, questions that depend on answers, refusals among them") {
  std::vector<std::string> seen;
  const auto count = enumerate(Tree(), [&](const Result<Point>& p) {
    seen.push_back(p ? p->program_hash : "refused");
    return true;
  });
  CHECK(count == 5);
  CHECK(seen == std::vector<std::string>{"2/20", "2/10", "refused", "3/10", "1/0"});
  int visits = 0;
  CHECK_FALSE(enumerate(Tree(), [&](const Result<Point>&) { return ++visits < 3; }));
  CHECK(visits == 3);
}
