#include <algorithm>
#include <cmath>

#include "autotune/feature/feature.h"

namespace tecc::autotune {

std::span<const std::span<const Feature>> all_features() {
  static const std::span<const Feature> groups[] = {arithmetic_features(), traffic_features(), access_features(), shape_features(), occupancy_features(), tensor_features(), estimate_features()};
  return groups;
}

std::size_t feature_count() {
  std::size_t n = 1;  // the number of kernels
  for (const auto& group : all_features()) n += group.size();
  return n;
}

std::size_t column_of(std::string_view feature) {
  std::size_t n = 1;
  for (const auto& group : all_features())
    for (const Feature& f : group) {
      if (f.name == feature) return n;
      ++n;
    }
  invariant(false, "a feature of this name");
  return 0;
}

std::vector<float> features_of(const std::vector<KernelFacts>& kernels) {
  std::vector<float> out{static_cast<float>(kernels.size())};
  for (const auto& group : all_features())
    for (const Feature& f : group) {
      double value = 0;
      for (const KernelFacts& k : kernels) value = f.fold == Fold::sum ? value + f.of(k) : std::max(value, f.of(k));
      value = std::clamp(value, f.low, f.high);
      out.push_back(static_cast<float>(f.scale == Scale::log ? std::log2(1 + value) : value));
    }
  return out;
}

}  // namespace tecc::autotune
