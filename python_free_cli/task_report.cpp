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

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// Why nobody measured the winner with another option: the rules or a limit of the device refuse it, or it makes no difference.
std::string why_untried(const autotune::Space& space, const Record& winner, const std::string& decision, std::int64_t option) {
  autotune::Genome wanted = winner.genome;
  for (autotune::Choice& c : wanted)
    if (c.name == decision) c.value = option;
  const auto point = space.make(autotune::Chooser(wanted));
  if (!point) return fmt::format("refused: {} {}", number(point.error().code), first_line(message(point.error())));
  return point->program_hash == winner.program_hash ? "the same program" : "";
}

std::vector<TaskReport::Row> rows_of(const Record& winner, std::vector<autotune::Alternative> decisions) {
  const auto workload = autotune::workload_of(winner);
  const auto target = autotune::target_of(winner.target);
  std::optional<autotune::ScheduleSpace> space;
  if (workload && target) space.emplace(*workload, *target);
  std::vector<TaskReport::Row> out;
  for (autotune::Alternative& a : decisions) {
    TaskReport::Row row{std::move(a), {}};
    if (!row.decision.other)
      for (const std::int64_t option : row.decision.untried)
        row.untried.push_back({option, space ? why_untried(*space, winner, row.decision.decision, option) : ""});
    out.push_back(std::move(row));
  }
  return out;
}

/// "2, 4 were not measured; 8 is refused: E0405 ...", options with one reason together.
std::string text_of(const std::vector<TaskReport::Row::Untried>& untried) {
  std::vector<std::pair<std::string, std::string>> by_reason;  // options, reason
  for (const auto& u : untried) {
    const auto found = std::find_if(by_reason.begin(), by_reason.end(), [&](const auto& r) { return r.second == u.why; });
    if (found == by_reason.end()) by_reason.emplace_back(std::to_string(u.option), u.why);
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
  out.rows = rows_of(out.winner->record, autotune::alternatives(genome, ranked, failed));
  return out;
}

std::string text_of(const TaskReport& r) {
  std::string out = fmt::format("{} {} on {}: {} measured, {} failed, in {}\n", r.task.kernel, r.task.dims, r.task.target, r.task.measured, r.task.failed, r.file);
  if (r.winner) {
    const auto& chip = autotune::conditions(r.winner->record.outcome).chip;
    const std::string ran = chip ? autotune::text(*chip) : "";
    out += fmt::format("  {} {}{}\n", r.chosen ? "this candidate" : "the best candidate", time_text(r.winner->us), ran.empty() ? "" : " at " + ran);
    std::size_t width = 8;
    for (const auto& row : r.rows) width = std::max(width, row.decision.decision.size());
    if (!r.rows.empty()) out += fmt::format("  {:<{}}  {:>6}  {:>6}  {}\n", "decision", width, "taken", "other", "time of the nearest candidate with another option");
    for (const auto& row : r.rows) {
      const autotune::Alternative& a = row.decision;
      const auto line = [&](const std::string& option, const std::string& rest) {
        out += fmt::format("  {:<{}}  {:>6}  {:>6}  {}\n", a.decision, width, a.taken, option, rest);
      };
      if (a.other) {
        const std::string further = a.other->further ? fmt::format(", with {} other decision{}", a.other->further, a.other->further == 1 ? "" : "s") : "";
        line(std::to_string(a.other->option), fmt::format("{:.3f} x{}{}", a.other->us / r.winner->us, further, a.other->finalist ? "" : ", not as a finalist"));
        continue;
      }
      std::string rest = a.failed ? fmt::format("failed: {} {}", a.failed->code, first_line(a.failed->message)) : "";
      if (!row.untried.empty()) rest += (rest.empty() ? "" : "; ") + text_of(row.untried);
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
    for (const auto& row : r.rows) {
      const autotune::Alternative& a = row.decision;
      Json one{{"decision", a.decision}, {"taken", a.taken}};
      if (a.other)
        one["other"] = {{"option", a.other->option}, {"us", a.other->us}, {"ratio", a.other->us / r.winner->us}, {"further_differences", a.other->further}, {"finalist", a.other->finalist}};
      if (a.failed) one["failed"] = {{"code", a.failed->code}, {"message", a.failed->message}};
      one["not_measured"] = a.untried;
      for (const auto& u : row.untried)
        if (!u.why.empty()) one["why"][std::to_string(u.option)] = u.why;
      j["decisions"].push_back(one);
    }
  }
  j["failures"] = to_json(r.failures);
  return j;
}

}  // namespace tecc::cli
