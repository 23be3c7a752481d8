#pragma once
#include <memory>

#include "autotune/search/search.h"

namespace tecc::autotune {

/// Boosted trees that learn to rank: pairs of measured candidates of one task say which of the two is faster (XGBoost,
/// rank:pairwise). The label is the throughput relative to the best. Failures have no time and are not taught.
class Ranker final : public Scorer {
 public:
  explicit Ranker(std::uint64_t seed = 0) : seed_(seed) {}
  /// From scratch each time: tens to thousands of rows take milliseconds. E0541.
  Check train(const std::vector<Row>& rows) override;
  std::vector<float> score(const std::vector<const Point*>& points) const override;

 private:
  std::uint64_t seed_;
  std::size_t columns_ = 0;
  std::shared_ptr<void> booster_;
};

}  // namespace tecc::autotune
