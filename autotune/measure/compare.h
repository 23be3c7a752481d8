#pragma once
#include <optional>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace tecc::autotune {

/// What an output should be: one of the two has the elements.
struct Expected {
  std::vector<double> real;
  std::vector<std::int64_t> integer;
};

/// How far an output is from what it should be; of integers only `wrong` counts.
struct Difference {
  double squares = 0, norm = 0;  // sums over the finite elements: of their differences, of what they should be, squared
  double finite = 0, wrong = 0;  // elements; wrong: not finite in one of the two alone, or another integer
  double largest = 0;            // |difference| / (|what it should be| + root mean square of all) of the finite element that is furthest off
};
/// What `compare` allows.
bool agrees(const Difference& d, DType type, std::int64_t count, double rtol, bool exact);

/// E0524 where `got` is not `expected`. Floats: NaN and infinities in the same places; ||got - expected|| <= rtol * ||expected||;
/// and no element off by more than rtol * (|its value| + root mean square of all). Integers: equal; where floats decided about them
/// (`exact` false: an argmax of sums) one in a thousand may differ, since nearly equal values may swap.
Check compare(const std::string& name, const HostTensor& got, const Expected& expected, double rtol, bool exact);

}  // namespace tecc::autotune
