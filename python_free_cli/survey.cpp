#include "autotune/survey.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "autotune/record/workload.h"
#include "ir/base/files.h"
#include "python_free_cli/measuring.h"
#include "python_free_cli/options.h"
#include "runtime/cpu/pool.h"

namespace tecc::cli {
namespace {

using autotune::Record;
using autotune::Surveyed;

struct Options : Input {
  std::string out, time, devices;
  autotune::SurveyOptions survey;
  autotune::MeasureOptions measure;
};

/// The records of a file of an earlier survey; none where there is no file. A last line without its end was cut off: it leaves the file.
Result<std::vector<Record>> earlier(const std::string& path) {
  if (!std::filesystem::exists(path)) return std::vector<Record>();
  TECC_TRY(std::string text, read_file(path));
  text.resize(text.rfind('\n') + 1);
  TECC_TRY(std::vector<Record> records, autotune::parse_records(text, path));
  std::error_code error;
  std::filesystem::resize_file(path, text.size(), error);
  if (error) return refuse(Code::file_unwritable, path, error.message());
  return records;
}

int run(Options o) {
  if (!read_time(o.time, o.survey.seconds)) return 2;
  auto devices = devices_of(o.devices, o);
  if (!devices) return fail(devices.error(), o);
  o.measure.devices = *std::move(devices);
  o.device = o.measure.devices[0];  // what -arch=native asks
  const auto loaded = load(o);
  if (!loaded) return 1;
  const auto targets = targets_of(o);
  if (!targets) return 1;
  if (const Check fit = devices_fit(o.devices, targets->front()); !fit) return fail(fit.error(), o);
  const auto known = earlier(o.out);
  if (!known) return fail(known.error(), o);
  std::ofstream file(o.out, std::ios::app);
  if (!file) return fail(refuse(Code::file_unwritable, o.out, "it cannot be written"), o);
  o.measure.seed = o.survey.seed;
  const int others = 1 + static_cast<int>(o.measure.devices.size());  // cores for the search and for the runners, whose times must not suffer
  o.measure.compile_threads = std::max(1, thread_count() - others);
  auto measurer = autotune::make_measurer(loaded->workload, targets->front(), o.measure);
  if (!measurer) return fail(measurer.error(), o, &loaded->source);

  watch_interrupts();
  const auto keep = [&](const Record& r) -> Check {
    file << autotune::json_line(r) << "\n";
    if (!file.flush()) return refuse(Code::file_unwritable, o.out, "a write failed");
    return Ok{};
  };
  double shown = 0;
  const auto show = [&](const Surveyed& s) {
    constexpr double pause = 5;  // seconds between lines
    if (s.seconds - shown < pause) return;
    shown = s.seconds;
    fmt::print(stderr, "{} measured, {} failed of {}, best {:.2f} us, {:.0f} s\n", s.measured, s.failed, o.survey.points, s.best_us.value_or(0), s.seconds);
  };
  const auto done = autotune::survey(loaded->workload, targets->front(), **measurer, *known, o.survey, keep, show, interrupted);
  if (!done) return fail(done.error(), o, &loaded->source);
  if (o.json) {
    nlohmann::ordered_json j{{"file", o.out}, {"measured", done->measured}, {"failed", done->failed}, {"complete", done->complete}, {"seconds", done->seconds}};
    if (done->best_us) j["best_us"] = *done->best_us;
    j["devices"] = to_json((*measurer)->units());
    j["steadiness"] = done->steadiness.json();
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("{} {}: {} measured, {} failed, best {:.2f} us, {:.0f} s{}\n", loaded->workload.kernel.name, autotune::dims_text(loaded->workload), done->measured,
             done->failed, done->best_us.value_or(0), done->seconds, done->complete ? "; the space has no other points" : "");
  fmt::print("{}{}", warnings_text(done->steadiness), devices_text((*measurer)->units()));
  return 0;
}

}  // namespace

std::function<int()> add_survey(CLI::App& app) {
  auto o = std::make_shared<Options>();
  o->measure.sampling_ms = 20;
  add_input(app, *o);
  app.add_option("--out,-o", o->out, "JSON lines, one record a point; what is there is kept and counts")->required();
  add_devices(app, o->devices);
  app.add_option("--points", o->survey.points, "candidates to measure")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--time", o->time, "stop after 60s, 5m, 1h");
  app.add_option("--seed", o->survey.seed, "of the searches and of the inputs")->capture_default_str();
  app.add_option("--random", o->survey.random_share, "share of random points; the others come of an evolutionary search")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  app.add_option("--retimed", o->survey.retimed, "the fastest so many are timed again side by side")->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--verify-every", o->measure.verify_every, "compare every so manyth candidate with the reference")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--compile-limit", o->measure.compile_limit_ms, "milliseconds for compiling one candidate")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--candidate-limit", o->measure.candidate_limit_ms, "milliseconds for running one candidate")->capture_default_str()->check(CLI::PositiveNumber);
  return [o] { return run(*o); };
}

}  // namespace tecc::cli
