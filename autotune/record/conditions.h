#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/cuda/nvml.h"

namespace tecc::autotune {

/// Where a candidate was measured and what the chip did meanwhile, as far as that is known. Says something about a time; no part
/// of what a record is.
struct Conditions {
  std::string uuid;                    // of the GPU, as `tecc devices --json` has it: which of several that are alike
  std::optional<cuda::ChipState> chip; // while the samples were taken
  bool operator==(const Conditions&) const = default;
};

/// {"sm_mhz": 1755, "memory_mhz": 2619, "power_w": 612.4, "celsius": 61, "caps": ["power"]}, what is not known left out.
nlohmann::ordered_json to_json(const cuda::ChipState& chip);
/// Throws nlohmann's exceptions, as its own readers do.
cuda::ChipState chip_from(const nlohmann::ordered_json& j);

/// "1755 MHz, 612 W, 61 °C, power cap", for people; empty where nothing is known.
std::string text(const cuda::ChipState& chip);

}  // namespace tecc::autotune
