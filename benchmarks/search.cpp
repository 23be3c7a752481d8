#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "autotune/model/ranker.h"
#include "autotune/search/recorded_space.h"
#include "benchmarks/curves.h"
#include "benchmarks/recorded.h"
#include "ir/base/files.h"
#include "runtime/cpu/pool.h"

// How far from a recorded space's best a search is after so many trials, without a device: the real search draws from the record
// (autotune/search/recorded_space.h says what that leaves out), a trial is a look-up. Ways to search, from the same seeds:
//
//   search     as `tecc tune` does: first the candidate that the rules prefer, then evolution with the model, which is trained on line
//              on top of one that was trained with the other files' operators
//   on line    the same without a model of other operators: the prior orders the first batch
//   cold       "search" without the rules' candidate: what model and evolution find by themselves
//   shuffled   "cold" with the model's scores dealt out at random: what is left when the model says nothing
//   prior      the prior's order, nothing learned, without the rules' candidate
//   random     uniform answers to the rules' questions
//
//   tecc_bench_search benchmarks/spaces [--seeds 20] [--trials 128] [--batch 16] [--model-from FILE ...] [--svg FILE] [--ordered] [--json]

using namespace tecc;
using namespace tecc::autotune;
using benchmarks::Task;

namespace {

/// Scores of the model, each given to another point.
class Shuffled final : public Scorer {
 public:
  Shuffled(std::uint64_t seed, std::shared_ptr<const Model> base) : model_(seed, std::move(base)), rng_(seed) {}
  Check train(const std::vector<Row>& rows) override { return model_.train(rows); }
  bool ready() const override { return true; }
  std::vector<float> score(const std::vector<const Point*>& points) const override {
    std::vector<float> out = model_.score(points);
    if (out.empty())
      for (std::size_t n = 0; n < points.size(); ++n) out.push_back(static_cast<float>(n));
    for (std::size_t n = out.size(); n > 1; --n) std::swap(out[n - 1], out[rng_() % n]);
    return out;
  }

 private:
  Ranker model_;
  mutable Rng rng_;
};

struct Way {
  const char* name;
  Mode mode;
  bool first, base, shuffled;  // begins with the rules' candidate; with a model of other operators; scores at random
};
constexpr Way ways[] = {
    {"search", Mode::evolutionary, true, true, false}, {"on line", Mode::evolutionary, true, false, false}, {"cold", Mode::evolutionary, false, true, false},
    {"shuffled", Mode::evolutionary, false, true, true}, {"prior", Mode::prior, false, false, false}, {"random", Mode::random, false, false, false},
};

/// Best time after each trial; failures count as trials. A space that is exhausted keeps its last value.
std::vector<double> run(const RecordedSpace& space, const Way& way, std::uint64_t seed, std::size_t trials, std::size_t batch, const std::shared_ptr<const Model>& base) {
  std::unique_ptr<Scorer> scorer;
  if (way.shuffled) scorer = std::make_unique<Shuffled>(seed, base);
  else scorer = std::make_unique<Ranker>(seed, way.base ? base : nullptr);
  Search search(space, way.mode, seed, std::move(scorer));
  std::vector<double> curve;
  double best = std::numeric_limits<double>::infinity();
  while (curve.size() < trials) {
    const auto points = search.next(std::min(batch, trials - curve.size()));
    if (points.empty()) break;
    for (const Point& p : points) {
      const std::optional<double> us = space.entry(p).us;
      search.learn(p, us);
      best = std::min(best, us.value_or(best));
      curve.push_back(best);
    }
  }
  curve.resize(trials, best);
  return curve;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"searches on recorded spaces: how far from the best after so many trials"};
  std::vector<std::string> paths, model_from;
  std::size_t seeds = 20, trials = 128, batch = 16;
  std::string svg;
  std::optional<double> within;
  bool ordered = false, json = false;
  app.add_option("spaces", paths, "files of `tecc survey`, or folders of them")->required();
  app.add_option("--seeds", seeds)->check(CLI::PositiveNumber);
  app.add_option("--trials", trials)->check(CLI::PositiveNumber);
  app.add_option("--batch", batch)->check(CLI::PositiveNumber);
  app.add_option("--model-from", model_from, "records of further operators for the model that a search begins with");
  app.add_option("--svg", svg, "draw the curves into this file");
  app.add_option("--within", within, "fail where the median of \"search\" is more than so many % above the best in the end");
  app.add_flag("--ordered", ordered, "fail where, in the end, the medians of \"search\" or \"cold\" are not below those of \"shuffled\" and \"random\"");
  app.add_flag("--json", json);
  CLI11_PARSE(app, argc, argv);

  const std::vector<Task> tasks = benchmarks::load(paths);
  std::vector<Task> teachers = tasks;
  if (!model_from.empty())
    for (Task& t : benchmarks::load(model_from)) teachers.push_back(std::move(t));
  std::vector<std::size_t> shown;
  for (std::size_t n = 16; n <= trials; n *= 2) shown.push_back(n);

  nlohmann::ordered_json out{{"seeds", seeds}, {"batch", batch}, {"tasks", nlohmann::ordered_json::array()}};
  if (!json) {
    fmt::print("{} seeds, batches of {}; % above the record's best, median of the seeds (worst seed) after", seeds, batch);
    for (std::size_t n : shown) fmt::print(" {}", n);
    fmt::print(" trials\n");
  }
  std::vector<benchmarks::Panel> panels;
  bool far = false;
  for (const Task& task : tasks) {
    std::vector<Model::Task> others;
    for (const Task& t : teachers)
      if (t.family != task.family) others.push_back(rows_of(t.candidates));
    auto model = Model::train(others, 0);
    const auto base = model ? std::make_shared<const Model>(*std::move(model)) : nullptr;
    const RecordedSpace space(task.candidates, task.first), without_first(task.candidates, "");
    const double best = space.best_us();
    benchmarks::Panel panel{fmt::format("{}: {} points, best {:.2f} us", task.name, space.entries().size(), best), {}};
    const auto first = space.preferred();
    const std::optional<double> first_us = first ? space.entry(*first).us : std::nullopt;
    nlohmann::ordered_json row{{"task", task.name}, {"points", space.entries().size()}, {"best_us", best}, {"stale", task.stale}};
    if (first_us) row["first_us"] = *first_us;
    if (!json)
      fmt::print("\n{} ({} points, {} stale, best {:.2f} us, the rules' candidate {})\n", task.name, space.entries().size(), task.stale, best,
                 first_us ? fmt::format("{:.2f} us", *first_us) : "not recorded");
    for (const Way& way : ways) {
      std::vector<std::vector<double>> curves(seeds);
      run_tasks(static_cast<std::int64_t>(seeds), [&](std::int64_t s) {
        curves[static_cast<std::size_t>(s)] = run(way.first ? space : without_first, way, static_cast<std::uint64_t>(s), trials, batch, base);
      });
      std::vector<double> middle;
      for (std::size_t n = 0; n < trials; ++n) {
        std::vector<double> at;
        for (const auto& c : curves) at.push_back(100 * (c[n] / best - 1));
        middle.push_back(median(at));
      }
      std::string line = fmt::format("  {:<9}", way.name);
      for (std::size_t n : shown) {
        double worst = 0;
        for (const auto& c : curves) worst = std::max(worst, 100 * (c[n - 1] / best - 1));
        line += fmt::format(" {:7.2f} ({:7.2f})", middle[n - 1], worst);
        row[way.name][std::to_string(n)] = middle[n - 1];
      }
      if (!json) fmt::print("{}\n", line);
      far = far || (&way == &ways[0] && within && middle.back() > *within);
      panel.curves.push_back({way.name, std::move(middle)});
    }
    const auto end_of = [&](std::string_view name) {
      return std::find_if(panel.curves.begin(), panel.curves.end(), [&](const benchmarks::Curve& c) { return c.name == name; })->percent.back();
    };
    far = far || (ordered && std::max(end_of("search"), end_of("cold")) >= std::min(end_of("shuffled"), end_of("random")));
    out["tasks"].push_back(row);
    panels.push_back(std::move(panel));
  }
  if (json) fmt::print("{}\n", out.dump(2));
  if (!svg.empty())
    if (const Check written = write_file(svg, benchmarks::draw(panels)); !written) {
      std::cerr << render(written.error()) << "\n";
      return 1;
    }
  return far ? 1 : 0;
}
