#include "autotune/budget.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autotune/model/roofline.h"
#include "autotune/record/workload.h"
#include "python_free_cli/measuring.h"
#include "python_free_cli/options.h"

namespace tecc::cli {
namespace {

using autotune::Progress;
using autotune::Tuned;

constexpr char between = '\n';  // values of an option that was given several times

struct Options : Input {
  int trials = 128;
  std::string time, devices, records, model, search = "evolutionary";
  bool no_model = false;
  std::uint64_t seed = 0;
  int plateau = 0;
  double enough = 0;
  std::int64_t candidate_limit_ms = 10'000;
  std::optional<std::int64_t> compile_limit_ms;
};

/// A bar that is drawn over on a terminal; elsewhere a plain line every few seconds.
class Display {
 public:
  explicit Display(std::optional<double> limit) : limit_(limit), terminal_(::isatty(STDERR_FILENO)) {
    const char* no = std::getenv("NO_COLOR");
    colour_ = terminal_ && !(no && *no);
  }
  /// `task` names the one of several that is measured; empty: there is one.
  void show(const Progress& p, const std::string& task) {
    const bool last = p.trials >= p.of || p.finals;
    constexpr double pause = 5;  // seconds between plain lines
    if (!terminal_ && !last && p.trials && p.seconds - shown_ < pause) return;
    shown_ = p.seconds;
    const std::string best = p.best_us ? time_text(*p.best_us) : "-";
    const int fresh = p.trials - p.resumed;
    double left = fresh > 0 ? p.seconds / fresh * (p.of - p.trials) : 0;
    if (limit_) left = fresh > 0 ? std::min(left, *limit_ - p.seconds) : *limit_ - p.seconds;
    std::string eta = left > 0 && (fresh > 0 || limit_) ? fmt::format("{}:{:02}", static_cast<int>(left) / 60, static_cast<int>(left) % 60) : "-:--";
    if (p.finals) eta = "finals";
    if (!terminal_) {
      fmt::print(stderr, "{} of {} trials, {} failed, {}best {}, left {}\n", p.trials, p.of, p.failed, task.empty() ? "" : task + ": ", best, eta);
      return;
    }
    constexpr int width = 30;
    const int full = p.of ? std::min(width, width * p.trials / p.of) : width;
    std::string bar;
    for (int n = 0; n < width; ++n) bar += n < full ? "█" : "░";
    fmt::print(stderr, "\r\033[K{}{}{} {}/{}  {} failed  {}best {}{}{}  left {}", colour_ ? "\033[36m" : "", bar, colour_ ? "\033[0m" : "", p.trials, p.of,
               p.failed, task.empty() ? "" : task + "  ", colour_ ? "\033[1m" : "", best, colour_ ? "\033[0m" : "", eta);
    std::fflush(stderr);
    drawn_ = true;
  }
  void end() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

 private:
  std::optional<double> limit_;
  bool terminal_, colour_ = false, drawn_ = false;
  double shown_ = -1e9;
};

/// The file of --model, the shipped one, or none.
Result<std::shared_ptr<const autotune::Model>> model_for(const Options& o, const codegen::Target& target) {
  std::optional<autotune::Model> model;
  if (o.no_model) return std::shared_ptr<const autotune::Model>();
  if (!o.model.empty()) {
    TECC_TRY(model, autotune::Model::load(o.model));
  } else {
    TECC_TRY(model, autotune::shipped_model(target));
  }
  return model ? std::make_shared<const autotune::Model>(*std::move(model)) : nullptr;
}

/// What was given several times; an option given once, or not at all, is one.
std::vector<std::string> each_of(const std::string& joined) {
  std::vector<std::string> out;
  std::stringstream lines(joined);
  for (std::string line; std::getline(lines, line, between);) out.push_back(line);
  if (out.empty()) out.emplace_back();
  return out;
}

/// One kernel with one set of dims.
struct Task {
  Loaded loaded;
  std::unique_ptr<autotune::Measurer> measurer;

  std::string name() const { return loaded.workload.kernel.name + " " + autotune::dims_text(loaded.workload); }
};

struct Rate {
  double value, share;  // `share` of the roofline
  const char* unit;
  autotune::Roofline roof;
};
Rate rate_of(const codegen::Workload& w, const codegen::Target& target, double us) {
  const autotune::Roofline roof = autotune::roofline(w, target, autotune::measuring_dims(w));
  return {(roof.memory_bound() ? roof.bytes : roof.operations) / us / 1e3, roof.us() / us, roof.memory_bound() ? "GB/s" : "GFLOP/s", roof};
}

nlohmann::ordered_json to_json(const Task& task, const codegen::Target& target, const autotune::Database& records, const Tuned& tuned) {
  const codegen::Workload& w = task.loaded.workload;
  const Rate rate = rate_of(w, target, tuned.tuned_us);
  nlohmann::ordered_json j;
  j["kernel"] = w.kernel.name;
  j["workload"] = w.hash;
  j["dims"] = autotune::dims_text(w);
  j["target"] = autotune::fingerprint(target);
  j["device"] = task.measurer->device();
  if (!tuned.best_on.uuid.empty()) j["uuid"] = tuned.best_on.uuid;
  if (tuned.best_on.chip) j["chip"] = autotune::to_json(*tuned.best_on.chip);
  j["records"] = records.path();
  if (tuned.untuned_us) j["untuned_us"] = *tuned.untuned_us;
  j["tuned_us"] = tuned.tuned_us;
  j["rate"] = rate.value;
  j["unit"] = rate.unit;
  j["roofline_us"] = rate.roof.us();
  j["roofline_share"] = rate.share;
  j["trials"] = tuned.trials;
  j["resumed"] = tuned.resumed;
  j["failed"] = tuned.failed;
  j["seconds"] = tuned.seconds;
  j["interrupted"] = tuned.stopped;
  j["devices"] = cli::to_json(task.measurer->units());
  j["steadiness"] = tuned.steadiness.json();
  j["failures"] = cli::to_json(tuned.failures);
  j["refused"] = cli::to_json(tuned.refused);
  j["schedule"] = schedule::print(tuned.best, w.naive);
  return j;
}

void print(const Task& task, const codegen::Target& target, const Tuned& tuned) {
  const Rate rate = rate_of(task.loaded.workload, target, tuned.tuned_us);
  fmt::print(stderr, "{}{}", causes_text("candidates", tuned.failures, tuned.trials), causes_text("points refused", tuned.refused, tuned.refused_of));
  fmt::print("{}: untuned {}, tuned {}, {:.1f} {}, {:.1f} % of the roofline ({} trials, {} failed, {:.0f} s{})\n", task.name(), tuned.untuned_us ? time_text(*tuned.untuned_us) : "-",
             time_text(tuned.tuned_us), rate.value, rate.unit, 100 * rate.share, tuned.trials, tuned.failed, tuned.seconds, tuned.stopped ? ", interrupted" : "");
  if (tuned.best_on.chip)
    if (const std::string chip = autotune::text(*tuned.best_on.chip); !chip.empty()) fmt::print("  the best one ran at {}\n", chip);
  fmt::print("{}{}", warnings_text(tuned.steadiness), devices_text(task.measurer->units()));
}

/// A batch waits for its slowest candidate, and there should be several batches.
std::int64_t compile_limit_ms(std::optional<double> seconds) {
  const std::int64_t most = autotune::MeasureOptions().compile_limit_ms, least = 2'000;
  return seconds ? std::clamp(static_cast<std::int64_t>(*seconds * 1000 / 8), least, most) : most;
}

int run(Options o) {
  std::optional<double> limit;
  if (!read_time(o.time, limit)) return 2;
  autotune::MeasureOptions measure;
  auto devices = devices_of(o.devices, o);
  if (!devices) return fail(devices.error(), o);
  measure.devices = *std::move(devices);
  o.device = measure.devices[0];  // what -arch=native asks
  const auto targets = targets_of(o);
  if (!targets) return 1;
  const codegen::Target& target = targets->front();
  if (const Check fit = devices_fit(o.devices, target); !fit) return fail(fit.error(), o);
  std::vector<Task> tasks;
  for (const std::string& kernel : each_of(o.kernel))
    for (const std::string& dims : each_of(o.dims)) {
      Input one = o;
      one.kernel = kernel, one.dims = dims;
      auto loaded = load(one);
      if (!loaded) return 1;
      tasks.push_back({*std::move(loaded), nullptr});
    }
  const auto model = model_for(o, target);
  if (!model) return fail(model.error(), o);
  auto records = autotune::Database::open(o.records.empty() ? autotune::Database::default_path() : o.records);
  if (!records) return fail(records.error(), o);
  measure.seed = o.seed;
  measure.candidate_limit_ms = o.candidate_limit_ms;
  measure.compile_limit_ms = o.compile_limit_ms.value_or(compile_limit_ms(limit));
  std::vector<autotune::BudgetTask> searches;
  for (Task& t : tasks) {
    auto measurer = autotune::make_measurer(t.loaded.workload, target, measure);
    if (!measurer) return fail(measurer.error(), o, &t.loaded.source);
    t.measurer = *std::move(measurer);
  }
  for (Task& t : tasks) searches.push_back({t.loaded.workload, *t.measurer});

  watch_interrupts();
  Display display(limit);
  autotune::TuneOptions options;
  options.trials = o.trials;
  options.seconds = limit;
  options.seed = o.seed;
  options.mode = *autotune::parse_mode(o.search);
  options.plateau = o.plateau;
  options.enough = o.enough;
  options.model = *model;
  std::vector<Progress> each(tasks.size());
  const auto progress = [&](std::size_t n, const Progress& p) {
    each[n] = p;
    Progress all = p;
    all.trials = all.resumed = all.failed = 0;
    for (const Progress& x : each) all.trials += x.trials, all.resumed += x.resumed, all.failed += x.failed;
    display.show(all, tasks.size() > 1 ? tasks[n].name() : "");
  };
  const auto tuned = autotune::tune_all(searches, target, *records, options, progress, interrupted);
  display.end();
  if (!tuned) return fail(tuned.error(), o, &tasks[0].loaded.source);

  if (o.json) {
    auto all = nlohmann::ordered_json::array();
    for (std::size_t n = 0; n < tasks.size(); ++n) all.push_back(to_json(tasks[n], target, *records, (*tuned)[n]));
    fmt::print("{}\n", (tasks.size() == 1 ? all[0] : nlohmann::ordered_json{{"tasks", all}}).dump(2));
    return 0;
  }
  for (std::size_t n = 0; n < tasks.size(); ++n) print(tasks[n], target, (*tuned)[n]);
  return 0;
}

}  // namespace

std::function<int()> add_tune(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_input(app, *o);
  app.get_option("--kernel")->join(between)->description("which kernel of a file with several; given several times: all of these");
  app.get_option("--dims")->join(between)->description("M=4096,N=1..65536:8 (a range is a runtime dim); given several times: a search each, under one budget");
  app.add_option("--trials", o->trials, "candidates to try, recorded ones of the same seed included; of several searches on average")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--time", o->time, "stop after 60s, 5m, 1h");
  add_devices(app, o->devices);
  app.add_option("--records", o->records, "the database; default: $XDG_DATA_HOME/tecc/records.db");
  app.add_option("--seed", o->seed, "of the search and of the inputs")->capture_default_str();
  app.add_option("--search", o->search, "how candidates are chosen")->capture_default_str()->check(CLI::IsMember({"evolutionary", "random", "prior"}));
  app.add_option("--model", o->model, "a file of `tecc model train`; default: the one that is shipped for the device class, where there is one");
  app.add_flag("--no-model", o->no_model, "begin without a model of other operators")->excludes("--model");
  app.add_option("--plateau", o->plateau, "stop after so many trials without a better one; 0: never")->capture_default_str();
  app.add_option("--enough", o->enough, "stop at this share of the roofline, for example 0.9; 0: never")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  app.add_option("--candidate-limit", o->candidate_limit_ms, "milliseconds for one candidate")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--compile-limit", o->compile_limit_ms, "milliseconds for compiling one candidate; default: an eighth of --time, 2000 to 20000")->check(CLI::PositiveNumber);
  return [o] { return run(*o); };
}

}  // namespace tecc::cli
