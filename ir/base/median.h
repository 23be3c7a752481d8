#pragma once
#include <algorithm>
#include <vector>

#include "ir/base/errors.h"

namespace tecc {

/// Of an even number of values the mean of the two in the middle. Not of nothing.
inline double median(std::vector<double> values) {
  invariant(!values.empty(), "the median of nothing");
  const auto half = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), half, values.end());
  return values.size() % 2 ? *half : (*half + *std::max_element(values.begin(), half)) / 2;
}

}  // namespace tecc
