#pragma once
#include <vector>

#include "ir/loop/affine.h"

/// What the values of several digits say together. Conservative as all index analysis is: false where it is not known.
namespace tecc::loop {

/// True if the sums that the digits make take every value from the smallest to the largest.
bool contiguous(const Program& p, std::vector<Digit> digits);
/// True if different values of the digits' loops never give the same sum.
bool distinct(const Program& p, std::vector<Digit> digits);
/// True if the values of these digits tell which iteration of `l` is running.
bool tell(const Program& p, const std::vector<Digit>& digits, LoopId l);

}  // namespace tecc::loop
