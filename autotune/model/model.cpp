#include "autotune/model/model.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

// A task teaches with so many candidates at most, drawn at random: those of a thousand would drown those of fifty.
constexpr std::size_t rows_a_task = 400;
// Boosting begins at the analytic estimate, whose logarithm weighs so much: of operators that nobody measured it knows more than trees do.
constexpr float estimate_weight = 2;
constexpr const char* version_key = "tecc_features";
// Small data: shallow trees. One thread and a fixed seed repeat the same model.
constexpr std::pair<const char*, const char*> parameters[] = {
    {"objective", "rank:pairwise"}, {"max_depth", "6"},  {"lambda", "1"}, {"nthread", "1"}, {"tree_method", "hist"}, {"max_bin", "64"}, {"verbosity", "0"},
};
struct Growth {
  int rounds;
  const char *eta, *min_child_weight, *colsample_bytree;
};
/// One task is the one that will be asked about: its rows are all there is, and a row in a leaf is allowed. What several tasks teach shall
/// hold for others: every tree sees a third of the features, so that no few of them stand for an operator, and adds little.
constexpr Growth of_one{60, "0.2", "0", "1"}, of_several{150, "0.07", "1", "0.3"};

std::string last_words() {
  return first_line(XGBGetLastError());
}
Check done(int code, const char* doing) {
  if (code == 0) return Ok{};
  return refuse(Code::model_failed, doing, last_words());
}

struct Matrix {
  DMatrixHandle handle = nullptr;
  Matrix() = default;
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() {
    if (handle) XGDMatrixFree(handle);
  }
  Check fill(const std::vector<float>& values, std::size_t rows) {
    return done(XGDMatrixCreateFromMat(values.data(), rows, values.size() / rows, std::numeric_limits<float>::quiet_NaN(), &handle), "a matrix of features");
  }
  Check set(const char* what, const std::vector<float>& values) { return done(XGDMatrixSetFloatInfo(handle, what, values.data(), values.size()), what); }
};

/// What trees are added to: the scores of `base`, or of the analytic estimate. Rows of other features begin at nothing.
Result<std::vector<float>> margin_of(const std::vector<const std::vector<float>*>& rows, const Model* base) {
  if (base) return base->score(rows);
  static const std::size_t column = column_of("estimate");
  std::vector<float> out;
  for (const std::vector<float>* r : rows) out.push_back(r->size() == feature_count() ? -estimate_weight * std::log(std::max(std::exp2((*r)[column]) - 1, 1e-6f)) : 0);
  return out;
}

/// The rows that a task teaches with, in their order.
std::vector<const Model::Row*> drawn(const Model::Task& task, std::uint64_t seed) {
  std::vector<const Model::Row*> out;
  Rng rng(seed);
  std::size_t wanted = std::min(task.size(), rows_a_task);
  for (std::size_t n = 0; n < task.size(); ++n)
    if (rng() % (task.size() - n) < wanted) out.push_back(&task[n]), --wanted;
  return out;
}

std::shared_ptr<void> owned(BoosterHandle handle) {
  return {handle, [](void* b) { XGBoosterFree(b); }};
}

}  // namespace

Result<Model> Model::train(const std::vector<Task>& tasks, std::uint64_t seed, const Model* base) {
  Model out;
  std::vector<float> values, labels;
  std::vector<unsigned> groups;
  std::vector<const std::vector<float>*> features;
  for (const Task& task : tasks) {
    if (task.size() < 2) continue;  // nothing to compare with
    double best = std::numeric_limits<double>::infinity();
    for (const Row& r : task) best = std::min(best, r.us);
    const std::vector<const Row*> rows = drawn(task, seed);
    for (const Row* r : rows) {
      if (features.empty()) out.columns_ = r->features.size();
      invariant(r->features.size() == out.columns_, "rows of features of one length");
      values.insert(values.end(), r->features.begin(), r->features.end());
      labels.push_back(static_cast<float>(best / r->us));
      features.push_back(&r->features);
    }
    groups.push_back(static_cast<unsigned>(rows.size()));
  }
  if (groups.empty()) return refuse(Code::nothing_to_learn, "these records", "no task has two candidates that were measured");
  Matrix m;
  TECC_CHECK(m.fill(values, labels.size()));
  TECC_CHECK(m.set("label", labels));
  TECC_CHECK(done(XGDMatrixSetUIntInfo(m.handle, "group", groups.data(), groups.size()), "the groups"));
  TECC_TRY(const std::vector<float> margin, margin_of(features, base));
  TECC_CHECK(m.set("base_margin", margin));
  BoosterHandle handle = nullptr;
  TECC_CHECK(done(XGBoosterCreate(&m.handle, 1, &handle), "a booster"));
  out.booster_ = owned(handle);
  const Growth& growth = groups.size() == 1 ? of_one : of_several;
  for (const auto& [name, value] : {std::pair{"eta", growth.eta}, std::pair{"min_child_weight", growth.min_child_weight}, std::pair{"colsample_bytree", growth.colsample_bytree}})
    TECC_CHECK(done(XGBoosterSetParam(handle, name, value), name));
  for (const auto& [name, value] : parameters) TECC_CHECK(done(XGBoosterSetParam(handle, name, value), name));
  TECC_CHECK(done(XGBoosterSetParam(handle, "seed", std::to_string(seed % 2147483647).c_str()), "seed"));
  for (int n = 0; n < growth.rounds; ++n) TECC_CHECK(done(XGBoosterUpdateOneIter(handle, n, m.handle), "a round"));
  return out;
}

Result<std::vector<float>> Model::score(const std::vector<const std::vector<float>*>& rows, const Model* base) const {
  if (rows.empty()) return std::vector<float>();
  std::vector<float> values;
  for (const std::vector<float>* r : rows) {
    invariant(r->size() == columns_, "rows of features of the trained length");
    values.insert(values.end(), r->begin(), r->end());
  }
  Matrix m;
  TECC_CHECK(m.fill(values, rows.size()));
  TECC_TRY(const std::vector<float> margin, margin_of(rows, base));
  TECC_CHECK(m.set("base_margin", margin));
  bst_ulong count = 0;
  const float* scores = nullptr;
  TECC_CHECK(done(XGBoosterPredict(booster_.get(), m.handle, 0, 0, 0, &count, &scores), "a question"));
  invariant(count == rows.size(), "one score a row");
  return std::vector<float>(scores, scores + count);
}

Model::Task rows_of(const std::vector<TimedPoint>& candidates) {
  Model::Task out;
  for (const TimedPoint& c : candidates)
    if (c.us) out.push_back({c.point.features, *c.us});
  return out;
}

Check Model::save(const std::string& path) const {
  TECC_CHECK(done(XGBoosterSetAttr(booster_.get(), version_key, std::to_string(features_version).c_str()), "an attribute"));
  if (XGBoosterSaveModel(booster_.get(), path.c_str())) return refuse(Code::file_unwritable, path, last_words());
  return Ok{};
}

Result<Model> Model::load(const std::string& path) {
  const auto no = [&](const std::string& why) { return refuse(Code::model_unusable, path, why); };
  BoosterHandle handle = nullptr;
  TECC_CHECK(done(XGBoosterCreate(nullptr, 0, &handle), "a booster"));
  Model out;
  out.booster_ = owned(handle);
  if (XGBoosterLoadModel(handle, path.c_str())) return no(last_words());
  const char* version = nullptr;
  int there = 0;
  TECC_CHECK(done(XGBoosterGetAttr(handle, version_key, &version, &there), "an attribute"));
  if (!there) return no("it does not name the version of its features");
  if (version != std::to_string(features_version)) return no(std::string("it knows features of version ") + version + ", this tecc has version " + std::to_string(features_version));
  bst_ulong columns = 0;
  TECC_CHECK(done(XGBoosterGetNumFeature(handle, &columns), "the number of features"));
  if (columns != feature_count()) return no("it has another number of features");
  out.columns_ = columns;
  TECC_CHECK(done(XGBoosterSetParam(handle, "nthread", "1"), "nthread"));
  return out;
}

}  // namespace tecc::autotune
