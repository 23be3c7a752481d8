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

void Steadiness::finalist(const Outcome& outcome) {
  const auto& chip = conditions(outcome).chip;
  if (!chip || !chip->sm_mhz) return;
  const auto [low, high] = finalists_mhz_.value_or(std::pair(*chip->sm_mhz, *chip->sm_mhz));
  finalists_mhz_ = std::pair(std::min(low, *chip->sm_mhz), std::max(high, *chip->sm_mhz));
}

std::vector<std::string> Steadiness::warnings() const {
  std::vector<std::string> out;
  for (std::size_t n = 0; n < std::size(rows); ++n)
    if (capped_[n]) out.push_back(fmt::format("{} of {} candidates were timed under {}", capped_[n], timed_, rows[n].words));
  if (finalists_mhz_ && finalists_mhz_->second > finalists_mhz_->first * (1 + most_apart))
    out.push_back(fmt::format("the finalists ran at {:.0f} to {:.0f} MHz, {:.1f} % apart: the clock may have decided between them", finalists_mhz_->first,
                              finalists_mhz_->second, 100 * (finalists_mhz_->second / finalists_mhz_->first - 1)));
  return out;
}

nlohmann::ordered_json Steadiness::json() const {
  if (!timed_ && !finalists_mhz_) return nullptr;
  nlohmann::ordered_json j{{"timed", timed_}};
  for (std::size_t n = 0; n < std::size(rows); ++n) j[rows[n].key] = capped_[n];
  if (finalists_mhz_) j["finalists_mhz"] = {finalists_mhz_->first, finalists_mhz_->second};
  return j;
}

}  // namespace tecc::autotune
