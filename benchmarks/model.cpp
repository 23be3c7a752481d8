#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "benchmarks/recorded.h"

// How well the model ranks candidates of operators that it has not seen: for every operator (a kernel by its name) it is trained with the
// tasks of all others and ranks the tasks of that one. The score is TenSet's (Zheng et al., "TenSet: A Large-scale Program
// Performance Dataset for Learned Tensor Compilers", NeurIPS 2021 Datasets and Benchmarks, section 5): top-k = sum over
// tasks of the best time / sum over tasks of the best time among the k candidates ranked first; 1 is perfect. Tasks weigh by
// their time, as there; "mean" is the mean of the tasks' own ratios. Times of the model's choices are means over models of several seeds,
// which draw other rows and features: one wrong first choice among thousands would decide a sum. Beside the model: the prior, and
// random order (expected).
//
//   tecc_bench_model benchmarks/spaces [MORE ...] [--families] [--seeds 5] [--json]
//
// --families is harder than held-out operators: all products of matrices are one (gemm, gemm_tf32, gemm_bias_gelu, ..), and so are
// attention and its causal form.

using namespace tecc;
using namespace tecc::autotune;
using benchmarks::Task;

namespace {

using Order = std::vector<std::size_t>;

/// Indices from the best score to the worst; equal scores stay in the record's order.
Order sorted(std::size_t count, const std::function<double(std::size_t)>& score) {
  Order out(count);
  std::iota(out.begin(), out.end(), 0);
  std::stable_sort(out.begin(), out.end(), [&](std::size_t a, std::size_t b) { return score(a) > score(b); });
  return out;
}

double best_of(const Model::Task& rows, const Order& order, std::size_t k) {
  double best = rows[order[0]].us;
  for (std::size_t n = 1; n < std::min(k, order.size()); ++n) best = std::min(best, rows[order[n]].us);
  return best;
}

/// Expected best of k different rows drawn at random: the row of rank n (by time) is it with C(count - 1 - n, k - 1) / C(count, k).
double random_best(const Model::Task& rows, std::size_t k) {
  std::vector<double> us;
  for (const auto& r : rows) us.push_back(r.us);
  std::sort(us.begin(), us.end());
  const double count = static_cast<double>(us.size());
  k = std::min(k, us.size());
  double expected = 0, none_before = 1;  // probability that none of the faster rows was drawn
  for (std::size_t n = 0; n < us.size(); ++n) {
    const double left = count - static_cast<double>(n), chance = std::min(1.0, static_cast<double>(k) / left);
    expected += none_before * chance * us[n];
    none_before *= 1 - chance;
  }
  return expected;
}

/// Share of the pairs whose times differ by more than 2 % that are in the right order.
double pairs_right(const Model::Task& rows, const Order& order) {
  std::int64_t right = 0, all = 0;
  for (std::size_t a = 0; a < order.size(); ++a)
    for (std::size_t b = a + 1; b < order.size(); ++b) {
      const double x = rows[order[a]].us, y = rows[order[b]].us;
      if (std::max(x, y) < 1.02 * std::min(x, y)) continue;
      ++all, right += x < y;
    }
  return all ? static_cast<double>(right) / static_cast<double>(all) : 1;
}

struct Sum {
  double best = 0, top1 = 0, top5 = 0, ratio1 = 0, ratio5 = 0;
  int tasks = 0;
  void add(double b, double t1, double t5) { best += b, top1 += t1, top5 += t5, ratio1 += b / t1, ratio5 += b / t5, ++tasks; }
  nlohmann::ordered_json json() const {
    return {{"top_1", best / top1}, {"top_5", best / top5}, {"mean_top_1", ratio1 / tasks}, {"mean_top_5", ratio5 / tasks}};
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"the model on operators that it has not seen"};
  std::vector<std::string> paths;
  std::size_t least = 32, seeds = 5;
  bool json = false, families = false;
  app.add_option("records", paths, "files of `tecc survey` or `tecc records export`, or folders of them")->required();
  app.add_option("--least", least, "tasks with fewer measured candidates teach, and are not scored")->capture_default_str();
  app.add_option("--seeds", seeds, "models an operator")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--families", families, "hold out families of kernels: names up to the first '_'");
  app.add_flag("--json", json);
  CLI11_PARSE(app, argc, argv);

  const auto op_of = [&](const Task& t) { return families ? t.family : t.kernel; };
  const std::vector<Task> tasks = benchmarks::load(paths);
  std::vector<Model::Task> rows;
  std::set<std::string> operators;
  for (const Task& t : tasks) rows.push_back(rows_of(t.candidates)), operators.insert(op_of(t));

  Sum model_sum, prior_sum, random_sum;
  nlohmann::ordered_json table = nlohmann::ordered_json::array();
  if (!json) fmt::print("{:<58} {:>5}  {:>15}  {:>15}  {:>15}  pairs model, prior\n", "task", "rows", "model top-1, 5", "prior top-1, 5", "random top-1, 5");
  for (const std::string& op : operators) {
    std::vector<Model::Task> others;
    for (std::size_t n = 0; n < tasks.size(); ++n)
      if (op_of(tasks[n]) != op) others.push_back(rows[n]);
    std::vector<Model> models;
    for (std::size_t seed = 0; seed < seeds; ++seed) {
      auto model = Model::train(others, seed);
      if (!model) {
        std::cerr << render(model.error()) << "\n";
        return 1;
      }
      models.push_back(*std::move(model));
    }
    for (std::size_t n = 0; n < tasks.size(); ++n) {
      if (op_of(tasks[n]) != op || rows[n].size() < least) continue;
      std::vector<const std::vector<float>*> asked;
      for (const auto& r : rows[n]) asked.push_back(&r.features);
      std::vector<double> prior;
      for (const auto& e : tasks[n].candidates)
        if (e.us) prior.push_back(e.point.prior_us);
      const Order by_prior = sorted(rows[n].size(), [&](std::size_t i) { return -prior[i]; });
      double best = rows[n][0].us;
      for (const auto& r : rows[n]) best = std::min(best, r.us);
      double m1 = 0, m5 = 0, pm = 0;
      for (const Model& model : models) {
        const std::vector<float> scores = model.score(asked).or_throw();
        const Order by_model = sorted(rows[n].size(), [&](std::size_t i) { return scores[i]; });
        const double share = 1 / static_cast<double>(seeds);
        m1 += share * best_of(rows[n], by_model, 1), m5 += share * best_of(rows[n], by_model, 5), pm += share * pairs_right(rows[n], by_model);
      }
      const double p1 = best_of(rows[n], by_prior, 1), p5 = best_of(rows[n], by_prior, 5);
      const double r1 = random_best(rows[n], 1), r5 = random_best(rows[n], 5);
      model_sum.add(best, m1, m5), prior_sum.add(best, p1, p5), random_sum.add(best, r1, r5);
      const double pp = pairs_right(rows[n], by_prior);
      table.push_back({{"task", tasks[n].name}, {"operator", op}, {"dims", tasks[n].dims}, {"rows", rows[n].size()}, {"best_us", best},
                       {"model", {best / m1, best / m5}}, {"prior", {best / p1, best / p5}}, {"random", {best / r1, best / r5}}, {"pairs_model", pm}, {"pairs_prior", pp}});
      if (!json)
        fmt::print("{:<58} {:>5}  {:>7.3f} {:>7.3f}  {:>7.3f} {:>7.3f}  {:>7.3f} {:>7.3f}  {:.3f} {:.3f}\n", tasks[n].name.substr(0, 58), rows[n].size(), best / m1, best / m5,
                   best / p1, best / p5, best / r1, best / r5, pm, pp);
    }
  }
  // What one training costs: 5,000 rows of all tasks together, repeated where there are fewer.
  constexpr std::size_t many = 5000;
  std::vector<Model::Task> timed;
  std::size_t count = 0;
  while (count < many)
    for (std::size_t n = 0; n < rows.size() && count < many; ++n) {
      timed.push_back(rows[n]);
      if (timed.back().size() > many - count) timed.back().resize(many - count);
      count += timed.back().size();
    }
  const auto begin = std::chrono::steady_clock::now();
  (void)Model::train(timed, 0).or_throw();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::size_t all = 0;
  for (const auto& r : rows) all += r.size();
  if (json) {
    nlohmann::ordered_json out{{"tasks", table}, {"rows", all}, {"features", rows.empty() || rows[0].empty() ? 0 : rows[0][0].features.size()}, {"model", model_sum.json()},
                               {"prior", prior_sum.json()}, {"random", random_sum.json()}, {"train_seconds_5000_rows", seconds}};
    fmt::print("{}\n", out.dump(2));
    return 0;
  }
  const auto print = [](const char* name, const Sum& s) {
    fmt::print("{:<8} top-1 {:.4f}  top-5 {:.4f}   mean of the tasks {:.4f} {:.4f}\n", name, s.best / s.top1, s.best / s.top5, s.ratio1 / s.tasks, s.ratio5 / s.tasks);
  };
  fmt::print("\n{} operators, {} tasks scored, {} rows\n", operators.size(), model_sum.tasks, all);
  if (model_sum.tasks) print("model", model_sum), print("prior", prior_sum), print("random", random_sum);
  fmt::print("training with 5,000 rows: {:.3f} s\n", seconds);
  return 0;
}
