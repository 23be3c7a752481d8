#include "autotune/measure/steadiness.h"

#include <fmt/format.h>

#include <algorithm>

namespace tecc::autotune {
namespace {

constexpr struct {
  cuda::Cap cap;
  const char *key, *words;
} rows[] = {{cuda::power_cap, "power_cap", "a power cap"}, {cuda::thermal_cap, "thermal_cap", "a thermal cap"}, {cuda::hardware_cap, "hardware_cap", "a hardware slowdown"}};

}  // namespace

void Steadiness::timed(const Outcome& outcome) {
  const auto& chip = conditions(outcome).chip;
  if (!chip) return;
  ++timed_;
  for (std::size_t n = 0; n < std::size(rows); ++n) capped_[n] += (chip->caps & rows[n].cap) != 0;
}

std::vector<std::string> Steadiness::warnings() const {
  std::vector<std::string> out;
  for (std::size_t n = 0; n < std::size(rows); ++n)
    if (capped_[n]) out.push_back(fmt::format("{} of {} candidates were timed under {}", capped_[n], timed_, rows[n].words));
  return out;
}

nlohmann::ordered_json Steadiness::json() const {
  if (!timed_) return nullptr;
  nlohmann::ordered_json j{{"timed", timed_}};
  for (std::size_t n = 0; n < std::size(rows); ++n) j[rows[n].key] = capped_[n];
  return j;
}

}  // namespace tecc::autotune
