#include "autotune/model/ranker.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tecc::autotune {
namespace {

constexpr int rounds = 60;
// Small data: shallow trees, a row in a leaf is allowed; `exact` and a fixed seed repeat the same model.
constexpr std::pair<const char*, const char*> parameters[] = {
    {"objective", "rank:pairwise"}, {"max_depth", "6"},     {"eta", "0.2"},           {"min_child_weight", "0"}, {"lambda", "1"},
    {"subsample", "1"},             {"nthread", "4"},       {"tree_method", "exact"}, {"verbosity", "0"},
};

Check done(int code, const char* doing) {
  if (code == 0) return Ok{};
  const std::string words = XGBGetLastError();
  return refuse(Code::model_failed, doing, words.substr(0, words.find('\n')));
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
};

}  // namespace

Check Ranker::train(const std::vector<Row>& rows) {
  booster_.reset();
  if (rows.empty()) return Ok{};
  columns_ = rows[0].features.size();
  double best = rows[0].us;
  for (const Row& r : rows) best = std::min(best, r.us);
  std::vector<float> values, labels;
  for (const Row& r : rows) {
    invariant(r.features.size() == columns_, "rows of features of one length");
    values.insert(values.end(), r.features.begin(), r.features.end());
    labels.push_back(static_cast<float>(best / r.us));
  }
  Matrix m;
  TECC_CHECK(m.fill(values, rows.size()));
  TECC_CHECK(done(XGDMatrixSetFloatInfo(m.handle, "label", labels.data(), labels.size()), "labels"));
  const unsigned group = static_cast<unsigned>(rows.size());  // one task
  TECC_CHECK(done(XGDMatrixSetUIntInfo(m.handle, "group", &group, 1), "the group"));
  BoosterHandle handle = nullptr;
  TECC_CHECK(done(XGBoosterCreate(&m.handle, 1, &handle), "a booster"));
  const std::shared_ptr<void> booster(handle, [](void* b) { XGBoosterFree(b); });
  for (const auto& [name, value] : parameters) TECC_CHECK(done(XGBoosterSetParam(handle, name, value), name));
  TECC_CHECK(done(XGBoosterSetParam(handle, "seed", std::to_string(seed_ % 2147483647).c_str()), "seed"));
  for (int n = 0; n < rounds; ++n) TECC_CHECK(done(XGBoosterUpdateOneIter(handle, n, m.handle), "a round"));
  booster_ = booster;
  return Ok{};
}

std::vector<float> Ranker::score(const std::vector<const Point*>& points) const {
  std::vector<float> values;
  for (const Point* p : points) {
    if (p->features.size() != columns_) return {};
    values.insert(values.end(), p->features.begin(), p->features.end());
  }
  if (!booster_ || points.empty()) return {};
  Matrix m;
  bst_ulong count = 0;
  const float* scores = nullptr;
  if (!m.fill(values, points.size()) || XGBoosterPredict(booster_.get(), m.handle, 0, 0, 0, &count, &scores) || count != points.size()) return {};
  return {scores, scores + count};
}

}  // namespace tecc::autotune
