#pragma once
#include <span>
#include <string_view>

#include "autotune/feature/facts.h"

namespace tecc::autotune {

/// Raised whenever a row is added, removed or computed in another way: models and records name it.
constexpr int features_version = 5;

/// How a number of each kernel becomes one of the candidate.
enum class Fold : std::uint8_t { sum, largest };
/// Counts that span many powers of two enter as log2(1 + x).
enum class Scale : std::uint8_t { plain, log };

struct Feature {
  std::string_view name, unit;
  double low, high;  // of the number before scaling; values beyond are clamped
  Fold fold;
  Scale scale;
  double (*of)(const KernelFacts&);
};

// One table a group; all.cpp is the only registration.
std::span<const Feature> arithmetic_features();
std::span<const Feature> traffic_features();
std::span<const Feature> access_features();
std::span<const Feature> shape_features();
std::span<const Feature> occupancy_features();
std::span<const Feature> tensor_features();
std::span<const Feature> estimate_features();
std::span<const std::span<const Feature>> all_features();

/// One number a feature, always the same count and order.
std::vector<float> features_of(const std::vector<KernelFacts>& kernels);
std::size_t feature_count();
/// Where a feature of this name stands in a row.
std::size_t column_of(std::string_view feature);

}  // namespace tecc::autotune
