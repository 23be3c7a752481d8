#pragma once
#include <nlohmann/json.hpp>

#include "autotune/record/record.h"

namespace tecc::autotune {

/// Whether times compare: what the chips did while candidates were timed. Counts only those of which that is known.
class Steadiness {
 public:
  void timed(const Outcome& outcome);

  /// What a reader of the times should know, a line each: "12 of 64 candidates were timed under a power cap". None where all was well.
  std::vector<std::string> warnings() const;
  /// {"timed": 64, "power_cap": 12, "thermal_cap": 0, "hardware_cap": 0}; null where nothing is known.
  nlohmann::ordered_json json() const;

 private:
  std::int64_t timed_ = 0, capped_[3] = {};
};

}  // namespace tecc::autotune
