#include "autotune/model/ranker.h"

namespace tecc::autotune {

Check Ranker::train(const std::vector<Row>& rows) {
  own_.reset();
  if (rows.size() < 2) return Ok{};
  TECC_TRY(own_, Model::train({rows}, seed_, base_.get()));
  return Ok{};
}

std::vector<float> Ranker::score(const std::vector<const Point*>& points) const {
  if (!ready()) return {};
  const Model& model = own_ ? *own_ : *base_;
  std::vector<const std::vector<float>*> rows;
  for (const Point* p : points) {
    if (p->features.size() != model.columns()) return {};
    rows.push_back(&p->features);
  }
  auto scores = model.score(rows, own_ ? base_.get() : nullptr);
  return scores ? *std::move(scores) : std::vector<float>();
}

}  // namespace tecc::autotune
