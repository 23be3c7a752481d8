#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "autotune/record/alternatives.h"

/// What `tecc explain` says of a task's records: what the candidates beside the best one cost, and why candidates failed.
namespace tecc::cli {

struct TaskReport {
  autotune::Database::Task task;
  std::string file;
  std::optional<autotune::Database::Best> winner;  // none: nothing was measured
  bool chosen = false;    // the winner is the candidate that was asked about; else the best one
  std::vector<autotune::Alternative> decisions;
  std::int64_t forced = 0;               // decisions with one option
  std::vector<autotune::Cause> failures;
};

/// The task of these records, about the candidate with this hash of its schedule where that was measured, else about the best one. Options
/// that nobody measured are asked of the space. E05xx.
Result<TaskReport> report_of(const autotune::Database& records, const autotune::Database::Task& task, const std::string& trace_hash = {});
/// With a newline at the end.
std::string text_of(const TaskReport& report);
nlohmann::ordered_json json_of(const TaskReport& report);

}  // namespace tecc::cli
