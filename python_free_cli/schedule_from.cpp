#include <filesystem>
#include <iostream>

#include "autotune/pick.h"
#include "autotune/tune.h"
#include "ir/base/files.h"
#include "python_free_cli/options.h"

namespace tecc::cli {
namespace {

/// The best recorded schedule; without one, the prior's first candidate, unless --locked forbids it.
Result<schedule::Trace> choose(const ScheduleFrom& o, const codegen::Workload& w, const codegen::Target& t) {
  const std::string path = o.records.empty() ? autotune::Database::default_path() : o.records;
  if (!o.records.empty() || o.locked || std::filesystem::exists(path)) {
    auto records = autotune::Database::open(path);
    if (!records) {
      // Records that nobody asked for must not stand in the way of a build.
      if (o.records.empty() && !o.locked) std::cerr << "warning: " << message(records.error()) << "\n";
      else return records.error();
    } else {
      auto trace = autotune::recorded(w, t, *records);
      if (trace && *trace) return **std::move(trace);
      if (o.locked && !trace) return trace.error();
      if (o.locked) return refuse(Code::no_record, w.kernel.name, autotune::fingerprint(t), path);
      if (!trace) std::cerr << "warning: " << message(trace.error()) << "\n";
    }
  }
  return autotune::pick(w, t);
}

std::optional<schedule::Trace> schedule_for(const ScheduleFrom& from, const Input& in, const Loaded& loaded, const codegen::Target& target) {
  if (from.schedule == "naive") return schedule::Trace();
  if (from.schedule.empty()) {
    auto trace = choose(from, loaded.workload, target);
    if (!trace) return fail(trace.error(), in, &loaded.source), std::nullopt;
    return *std::move(trace);
  }
  auto text = read_file(from.schedule);
  if (!text) return fail(text.error(), in), std::nullopt;
  const Source source{intern(from.schedule.c_str()), *std::move(text)};
  auto trace = schedule::parse(source, loaded.workload.naive);
  if (!trace) return fail(trace.error(), in, &source), std::nullopt;
  return *std::move(trace);
}

}  // namespace

void add_schedule(CLI::App& app, ScheduleFrom& from) {
  auto* schedule = app.add_option("--schedule", from.schedule, "a schedule file, or naive");
  auto* records = app.add_option("--records", from.records, "tuning records to take the schedule from");
  auto* locked = app.add_flag("--locked", from.locked, "records only, never anything else");
  app.add_option("--compile-from", from.compile_from, "go on from a file that --dump-ir wrote, as it was or edited")->excludes(schedule)->excludes(records)->excludes(locked);
}

std::optional<codegen::Plan> plan_for(const ScheduleFrom& from, const Input& in, const Loaded& loaded, const codegen::Target& target) {
  codegen::Plan plan{target, {}};
  if (!from.compile_from.empty()) {
    auto text = read_file(from.compile_from);
    if (!text) return fail(text.error(), in), std::nullopt;
    plan.from = Source{intern(from.compile_from.c_str()), *std::move(text)};
    return plan;
  }
  auto trace = schedule_for(from, in, loaded, target);
  if (!trace) return std::nullopt;
  plan.schedule = *std::move(trace);
  return plan;
}

}  // namespace tecc::cli
