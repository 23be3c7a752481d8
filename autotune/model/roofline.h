#pragma once
#include <algorithm>

#include "codegen/build.h"

namespace tecc::autotune {

/// What a workload costs at least on a target: every input read once, every output written once, every operation at the peak.
struct Roofline {
  double bytes = 0;       // inputs and outputs
  double operations = 0;  // additions, multiplications and functions; integer index arithmetic does not count
  bool tensor = false;    // tensor cores may carry the largest part
  double memory_us = 0, compute_us = 0;
  double us() const { return std::max(memory_us, compute_us); }
  bool memory_bound() const { return memory_us >= compute_us; }
};
/// `dims` gives the runtime dims.
Roofline roofline(const codegen::Workload& workload, const codegen::Target& target, const std::map<std::string, std::int64_t>& dims);

}  // namespace tecc::autotune
