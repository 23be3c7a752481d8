#pragma once
#include <optional>

#include "autotune/model/model.h"

namespace tecc::autotune {

/// The model of one search: trained anew from what the search has measured, on top of a model that was there before it (the
/// shipped one), which alone ranks as long as nothing was measured. Failures have no time and are not taught.
class Ranker final : public Scorer {
 public:
  explicit Ranker(std::uint64_t seed = 0, std::shared_ptr<const Model> base = nullptr) : seed_(seed), base_(std::move(base)) {}
  /// From scratch each time: tens to thousands of rows take milliseconds. E0541.
  Check train(const std::vector<Row>& rows) override;
  std::vector<float> score(const std::vector<const Point*>& points) const override;
  bool ready() const override { return own_ || base_; }

 private:
  std::uint64_t seed_;
  std::shared_ptr<const Model> base_;
  std::optional<Model> own_;
};

}  // namespace tecc::autotune
