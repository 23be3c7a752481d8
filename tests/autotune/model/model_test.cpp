#include "autotune/model/model.h"

#include "autotune/feature/feature.h"
#include "tests/support/te.h"
#include "tests/support/temporary_folder.h"

using namespace tecc;
using namespace tecc::autotune;
using test::require;

namespace {

/// Tasks of other scales that share one law: the second feature is the time.
Model::Task task(double scale, std::uint64_t seed, std::size_t columns = feature_count(), std::size_t count = 80) {
  Rng rng(seed);
  Model::Task out;
  for (std::size_t n = 0; n < count; ++n) {
    Model::Row r{std::vector<float>(columns), 0};
    for (float& f : r.features) f = static_cast<float>(rng() % 100);
    if (columns == feature_count()) r.features[column_of("estimate")] = 1;  // an estimate that knows nothing
    r.us = scale * (10 + r.features[1]);
    out.push_back(std::move(r));
  }
  return out;
}
double right_pairs(const Model& model, const Model::Task& rows, const Model* base = nullptr) {
  std::vector<const std::vector<float>*> asked;
  for (const auto& r : rows) asked.push_back(&r.features);
  const std::vector<float> scores = require(model.score(asked, base));
  int right = 0, all = 0;
  for (std::size_t a = 0; a < rows.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) ++all, right += (rows[a].us < rows[b].us) == (scores[a] > scores[b]);
  return static_cast<double>(right) / all;
}

}  // namespace

TEST_CASE("model: what it learns from tasks of other scales holds for another one") {
  const Model model = require(Model::train({task(1, 1), task(1000, 2), task(0.1, 3)}, 0));
  CHECK(model.columns() == feature_count());
  CHECK(right_pairs(model, task(7, 4)) > 0.8);  // one feature of many, of which a tree sees a third
}

TEST_CASE("model: a few rows on top of another model change what they contradict and keep the rest") {
  const Model base = require(Model::train({task(1, 1), task(1, 2)}, 0));
  const Model::Task few = task(1, 3, feature_count(), 16), fresh = task(1, 4);
  const Model alone = require(Model::train({few}, 0)), on_top = require(Model::train({few}, 0, &base));
  CHECK(right_pairs(on_top, fresh, &base) > right_pairs(alone, fresh));
}

TEST_CASE("model: a file gives the same scores, in both formats") {
  const TemporaryFolder folder;
  const Model model = require(Model::train({task(1, 1)}, 0));
  const Model::Task rows = task(1, 2);
  for (const char* name : {"/m.ubj", "/m.json"}) {
    REQUIRE(model.save(folder.path + name));
    const Model loaded = require(Model::load(folder.path + name));
    for (const auto& r : rows) CHECK(require(loaded.score({&r.features})) == require(model.score({&r.features})));
  }
}

TEST_CASE("model: E0531 for what is no model of these features, E0532 without two candidates of a task, E0602") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/m.json";
  const auto load_error = [&] {
    const auto m = Model::load(path);
    return m ? std::string() : render(m.error());
  };
  const std::string begin = "error E0531: the model '" + path + "' cannot be used: ", end = "; train it again with `tecc model train`, or tune with --no-model";
  std::ofstream(path) << "no model";
  CHECK(load_error().starts_with(begin));
  REQUIRE(require(Model::train({task(1, 1, 3)}, 0)).save(path));
  CHECK(load_error() == begin + "it has another number of features" + end);
  std::string text = test::read_file(path);
  const std::string key = "\"tecc_features\":\"" + std::to_string(features_version) + "\"";
  const std::size_t at = text.find(key);
  REQUIRE(at != std::string::npos);
  std::ofstream(path) << std::string(text).replace(at, key.size(), "\"tecc_features\":\"1\"");
  CHECK(load_error() == begin + "it knows features of version 1, this tecc has version " + std::to_string(features_version) + end);
  std::ofstream(path) << std::string(text).replace(at, key.size(), "\"other\":\"1\"");
  CHECK(load_error() == begin + "it does not name the version of its features" + end);
  const auto nothing = Model::train({task(1, 1, 3, 1)}, 0);
  REQUIRE_FALSE(nothing);
  CHECK(render(nothing.error()) == "error E0532: there is nothing to learn from in these records: no task has two candidates that were measured");
  const Check unwritable = require(Model::train({task(1, 1)}, 0)).save(folder.path + "/nowhere/m.ubj");
  REQUIRE_FALSE(unwritable);
  CHECK(number(unwritable.error().code) == "E0602");
}

TEST_CASE("model: those that are shipped know the features of this version; benchmarks/spaces/train.sh makes them anew") {
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(TECC_SOURCE_DIR "/targets/models")) {
    INFO(file.path());
    CHECK(file.path().extension() == ".ubj");
    CHECK(require(Model::load(file.path().string())).columns() == feature_count());
    ++count;
  }
  CHECK(count > 0);
}

TEST_CASE("model: the shipped one is found by its device class") {
  const TemporaryFolder folder;
  const codegen::Target h100 = require(codegen::find_target("sm_90a"));
  ::setenv("TECC_MODELS", folder.path.c_str(), 1);
  CHECK_FALSE(require(shipped_model(h100)));
  REQUIRE(require(Model::train({task(1, 1)}, 0)).save(folder.path + "/sm_90a.ubj"));
  CHECK(require(shipped_model(h100)));
  CHECK_FALSE(require(shipped_model(require(codegen::find_target("sm_80")))));
  CHECK_FALSE(require(shipped_model(require(codegen::find_target("cpu")))));
  ::unsetenv("TECC_MODELS");
}
