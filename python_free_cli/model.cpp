#include "autotune/model/model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "autotune/record/task.h"
#include "ir/base/files.h"
#include "python_free_cli/options.h"

namespace tecc::cli {
namespace {

using namespace autotune;

struct Options : Input {
  std::vector<std::string> from;
  std::string out, only;
  std::uint64_t seed = 0;
};

/// All tasks of the device class in the files; `used` counts them and their candidates.
Result<std::vector<Model::Task>> tasks_for(const Options& o, nlohmann::ordered_json& used) {
  std::vector<Model::Task> out;
  for (const std::string& file : o.from) {
    TECC_TRY(const std::string text, read_file(file));
    TECC_TRY(std::vector<Record> records, parse_records(text, file));
    std::erase_if(records, [&](const Record& r) { return r.target.find("/" + o.only + "/") == std::string::npos; });
    TECC_TRY(const std::vector<RecordedTask> tasks, tasks_of(records));
    for (const RecordedTask& t : tasks) {
      Model::Task rows = autotune::rows_of(t.candidates);
      used.push_back({{"kernel", t.kernel}, {"dims", t.dims}, {"target", t.target}, {"candidates", rows.size()}, {"stale", t.stale}});
      out.push_back(std::move(rows));
    }
  }
  return out;
}

int train(const Options& o) {
  nlohmann::ordered_json used = nlohmann::ordered_json::array();
  const auto tasks = tasks_for(o, used);
  if (!tasks) return fail(tasks.error(), o);
  const auto model = Model::train(*tasks, o.seed);
  if (!model) return fail(model.error(), o);
  if (const Check saved = model->save(o.out); !saved) return fail(saved.error(), o);
  if (o.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"model", o.out}, {"tasks", used}}.dump(2));
    return 0;
  }
  std::size_t rows = 0;
  for (const auto& t : *tasks) rows += t.size();
  fmt::print("{}: {} candidates of {} tasks\n", o.out, rows, tasks->size());
  return 0;
}

}  // namespace

std::function<int()> add_model(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* s = app.add_subcommand("train", "from records to a file that `tecc tune --model` takes");
  s->add_option("--from", o->from, "JSON lines of `tecc records export` or `tecc survey`")->required();
  s->add_option("--out,-o", o->out, "NAME.ubj or NAME.json")->required();
  s->add_option("--class", o->only, "the device class whose records count: an architecture, for example sm_90a")->required();
  s->add_option("--seed", o->seed, "of the training")->capture_default_str();
  s->add_flag("--json", o->json, "one JSON document on stdout");
  return [o] { return train(*o); };
}

}  // namespace tecc::cli
