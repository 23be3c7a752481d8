#include "python_free_cli/task_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "autotune/record/workload.h"
#include "python_free_cli/measuring.h"

namespace tecc::cli {
namespace {

using autotune::Database;
using autotune::Record;
using Json = nlohmann::ordered_json;

/// "2, 4: not measured; 8: refused: E0405 ...", options with one reason together.
std::string text_of(const std::vector<autotune::Alternative::Untried>& untried) {
  std::vector<std::pair<std::string, std::string>> by_reason;  // options, reason
  for (const auto& u : untried) {
    const std::string why = first_line(u.why);
    const auto found = std::find_if(by_reason.begin(), by_reason.end(), [&](const auto& r) { return r.second == why; });
    if (found == by_reason.end()) by_reason.emplace_back(std::to_string(u.option), why);
    else found->first += fmt::format(", {}", u.option);
  }
  std::string out;
  for (const auto& [options, why] : by_reason) out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", options, why.empty() ? "not measured" : why);
  return out;
}

}  // namespace

Result<TaskReport> report_of(const Database& records, const Database::Task& task, const std::string& trace_hash) {
  TaskReport out;
  out.task = task;
  out.file = records.path();
  TECC_TRY(out.failures, records.failures(task.workload, task.target));
  TECC_TRY(const auto ranked, records.ranking(task.workload, task.target));
  if (ranked.empty()) return out;
  const auto asked = std::find_if(ranked.begin(), ranked.end(), [&](const Database::Best& b) { return b.record.trace_hash == trace_hash; });
  out.chosen = asked != ranked.end();
  out.winner = out.chosen ? *asked : ranked[0];
  TECC_TRY(std::vector<Record> failed, records.all(task.workload, task.target));
  std::erase_if(failed, [](const Record& r) { return std::holds_alternative<autotune::Measured>(r.outcome); });
  const autotune::Genome& genome = out.winner->record.genome;
  out.forced = std::count_if(genome.begin(), genome.end(), [](const autotune::Choice& c) { return c.options.size() < 2; });
  const auto workload = autotune::workload_of(out.winner->record);
  const auto target = autotune::target_of(task.target);
  std::optional<autotune::ScheduleSpace> space;  // none where this version does not know the workload or the device any more
  if (workload && target) space.emplace(*workload, *target);
  out.decisions = autotune::alternatives(out.winner->record, ranked, failed, space ? &*space : nullptr);
  return out;
}

std::string text_of(const TaskReport& r) {
  std::string out = fmt::format("{} {} on {}: {} measured, {} failed, in {}\n", r.task.kernel, r.task.dims, r.task.target, r.task.measured, r.task.failed, r.file);
  if (r.winner) {
    const auto& chip = autotune::conditions(r.winner->record.outcome).chip;
    const std::string ran = chip ? autotune::text(*chip) : "";
    out += fmt::format("  {} {}{}\n", r.chosen ? "this candidate" : "the best candidate", time_text(r.winner->us), ran.empty() ? "" : " at " + ran);
    std::size_t width = 8;
    for (const autotune::Alternative& a : r.decisions) width = std::max(width, a.decision.size());
    if (!r.decisions.empty()) out += fmt::format("  {:<{}}  {:>6}  {:>6}  {}\n", "decision", width, "taken", "other", "time of the nearest candidate with another option");
    for (const autotune::Alternative& a : r.decisions) {
      const auto line = [&](const std::string& option, const std::string& rest) {
        out += fmt::format("  {:<{}}  {:>6}  {:>6}  {}\n", a.decision, width, a.taken, option, rest);
      };
      if (a.other) {
        const std::string further = a.other->further ? fmt::format(", with {} other decision{}", a.other->further, a.other->further == 1 ? "" : "s") : "";
        line(std::to_string(a.other->option), fmt::format("{:.3f} x{}{}", a.other->us / r.winner->us, further, a.other->finalist ? "" : ", not as a finalist"));
        continue;
      }
      std::string rest = a.failed ? fmt::format("failed: {} {}", a.failed->code, first_line(a.failed->message)) : "";
      if (!a.untried.empty()) rest += (rest.empty() ? "" : "; ") + text_of(a.untried);
      line("-", rest);
    }
    if (r.forced) out += fmt::format("  {} more decision{} had one option\n", r.forced, r.forced == 1 ? "" : "s");
  }
  return out + causes_text("candidates", r.failures, r.task.measured + r.task.failed);
}

Json json_of(const TaskReport& r) {
  Json j{{"records", r.file},     {"workload", r.task.workload}, {"kernel", r.task.kernel},     {"dims", r.task.dims},
         {"target", r.task.target}, {"device", r.task.device},     {"measured", r.task.measured}, {"failed", r.task.failed}};
  if (r.winner) {
    const auto& on = autotune::conditions(r.winner->record.outcome);
    Json winner{{"trace", r.winner->record.trace_hash}, {"asked", r.chosen}, {"us", r.winner->us}, {"finalist", r.winner->record.round > 0}};
    if (!on.uuid.empty()) winner["uuid"] = on.uuid;
    if (on.chip) winner["chip"] = autotune::to_json(*on.chip);
    j["winner"] = winner;
    j["decisions"] = Json::array();
    for (const autotune::Alternative& a : r.decisions) {
      Json one{{"decision", a.decision}, {"taken", a.taken}};
      if (a.other)
        one["other"] = {{"option", a.other->option}, {"us", a.other->us}, {"ratio", a.other->us / r.winner->us}, {"further_differences", a.other->further}, {"finalist", a.other->finalist}};
      if (a.failed) one["failed"] = {{"code", a.failed->code}, {"message", a.failed->message}};
      one["not_measured"] = Json::array();
      for (const auto& u : a.untried) {
        one["not_measured"].push_back({{"option", u.option}});
        if (!u.why.empty()) one["not_measured"].back()["why"] = u.why;
      }
      j["decisions"].push_back(one);
    }
  }
  j["failures"] = to_json(r.failures);
  return j;
}

}  // namespace tecc::cli
