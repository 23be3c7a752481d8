#include "autotune/record/conditions.h"

#include <fmt/format.h>

namespace tecc::autotune {
namespace {

using Json = nlohmann::ordered_json;
using cuda::ChipState;

constexpr struct {
  cuda::Cap cap;
  const char* name;
} caps[] = {{cuda::power_cap, "power"}, {cuda::thermal_cap, "thermal"}, {cuda::hardware_cap, "hardware"}};

constexpr struct {
  const char* name;
  std::optional<double> ChipState::* field;
} numbers[] = {{"sm_mhz", &ChipState::sm_mhz}, {"memory_mhz", &ChipState::memory_mhz}, {"power_w", &ChipState::power_w}, {"celsius", &ChipState::celsius}};

}  // namespace

Json to_json(const ChipState& chip) {
  Json j = Json::object();
  for (const auto& n : numbers)
    if (chip.*n.field) j[n.name] = *(chip.*n.field);
  for (const auto& c : caps)
    if (chip.caps & c.cap) j["caps"].push_back(c.name);
  return j;
}

ChipState chip_from(const Json& j) {
  ChipState out;
  (void)j.get_ref<const Json::object_t&>();
  for (const auto& n : numbers)
    if (const auto found = j.find(n.name); found != j.end()) out.*n.field = found->get<double>();
  if (const auto held = j.find("caps"); held != j.end())
    for (const Json& word : held->get_ref<const Json::array_t&>())
      for (const auto& c : caps)  // a word that a later version has is none of ours
        if (word.get_ref<const std::string&>() == c.name) out.caps |= c.cap;
  return out;
}

std::string text(const ChipState& chip) {
  std::string out;
  const auto add = [&](const std::string& part) { out += (out.empty() ? "" : ", ") + part; };
  if (chip.sm_mhz) add(fmt::format("{:.0f} MHz", *chip.sm_mhz));
  if (chip.power_w) add(fmt::format("{:.0f} W", *chip.power_w));
  if (chip.celsius) add(fmt::format("{:.0f} °C", *chip.celsius));
  for (const auto& c : caps)
    if (chip.caps & c.cap) add(fmt::format("{} cap", c.name));
  return out;
}

}  // namespace tecc::autotune
