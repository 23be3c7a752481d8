#include "autotune/record/task.h"

#include <algorithm>
#include <map>

#include "runtime/cpu/pool.h"

namespace tecc::autotune {
namespace {

struct Recorded {
  const Record* record;
  std::vector<double> search, finals;
};

Result<RecordedTask> make(const std::vector<Recorded>& candidates) {
  const Record& r = *candidates.front().record;
  RecordedTask task{r.kernel, r.dims, r.target, r.device, {}, 0};
  TECC_TRY(const codegen::Workload w, workload_of(r));
  TECC_TRY(const codegen::Target t, target_of(r.target));
  std::vector<std::optional<TimedPoint>> made(candidates.size());
  run_tasks(static_cast<std::int64_t>(candidates.size()), [&](std::int64_t n) {
    const Recorded& c = candidates[static_cast<std::size_t>(n)];
    auto point = point_of(*c.record, w, t);
    if (!point) return;
    const auto& samples = c.finals.empty() ? c.search : c.finals;
    made[static_cast<std::size_t>(n)] = {*std::move(point), samples.empty() ? std::nullopt : std::optional(median(samples))};
  });
  for (auto& p : made) {
    if (p) task.candidates.push_back(*std::move(p));
    else ++task.stale;
  }
  return task;
}

}  // namespace

Result<std::vector<RecordedTask>> tasks_of(const std::vector<Record>& records) {
  std::vector<std::vector<Recorded>> tasks;
  std::map<std::pair<std::string, std::string>, std::size_t> number;         // of a task, by workload and target
  std::map<std::pair<std::size_t, std::string>, std::size_t> by_program;  // place in its task
  for (const Record& r : records) {
    const auto [task, fresh] = number.emplace(std::pair(r.workload, r.target), tasks.size());
    if (fresh) tasks.emplace_back();
    auto& list = tasks[task->second];
    const auto [place, first] = by_program.emplace(std::pair(task->second, r.program_hash), list.size());
    if (first) list.push_back({&r, {}, {}});
    if (const auto* m = std::get_if<Measured>(&r.outcome)) {
      auto& samples = r.round ? list[place->second].finals : list[place->second].search;
      samples.insert(samples.end(), m->us.begin(), m->us.end());
    }
  }
  std::vector<RecordedTask> out;
  for (const auto& candidates : tasks) {
    TECC_TRY(RecordedTask t, make(candidates));
    out.push_back(std::move(t));
  }
  return out;
}

}  // namespace tecc::autotune
