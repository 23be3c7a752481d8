#pragma once
#include <memory>
#include <string>
#include <vector>

#include "autotune/search/search.h"

namespace tecc::autotune {

/// Boosted trees that learn to rank (XGBoost, rank:pairwise): pairs of measured candidates of one task say which of the two is
/// faster. The label of a row is its throughput relative to the task's best. Trees correct the analytic estimate (a
/// feature), where boosting begins. A larger score is a better candidate; scores of two tasks do not compare.
class Model {
 public:
  using Row = Scorer::Row;
  using Task = std::vector<Row>;  // all measured with one workload on one device

  /// Trained on top of `base`, where given: the trees learn what its scores get wrong. A task of many rows teaches with some
  /// hundred of them, drawn by the seed. The same rows and seed give the same model. E0532 without a task of two rows or more, E0541.
  static Result<Model> train(const std::vector<Task>& tasks, std::uint64_t seed, const Model* base = nullptr);
  /// One score a row of features, all of length columns(); `base` as it was trained. E0541.
  Result<std::vector<float>> score(const std::vector<const std::vector<float>*>& rows, const Model* base = nullptr) const;

  /// As XGBoost's file (.json or .ubj), which names the version of the features. E0602, E0541.
  Check save(const std::string& path) const;
  /// E0531 for a file that is no model, or of other features.
  static Result<Model> load(const std::string& path);

  std::size_t columns() const { return columns_; }

 private:
  std::size_t columns_ = 0;
  std::shared_ptr<void> booster_;
};

/// What was measured, for training.
Model::Task rows_of(const std::vector<TimedPoint>& candidates);

/// The name of a device class, by which shipped models are called: the architecture, "sm_90a"; CPUs have none.
std::string device_class(const codegen::Target& target);
/// The model that is shipped for a target: share/tecc/models/CLASS.ubj beside the program's folder, or in the folder that the
/// environment variable TECC_MODELS names. Nothing where there is no such file; E0531 where it cannot be used.
Result<std::optional<Model>> shipped_model(const codegen::Target& target);

}  // namespace tecc::autotune
