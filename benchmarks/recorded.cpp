#include "benchmarks/recorded.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "autotune/pick.h"
#include "autotune/record/workload.h"
#include "runtime/cpu/pool.h"

namespace tecc::benchmarks {
namespace {

using namespace autotune;

[[noreturn]] void end(const std::string& why) {
  std::cerr << "error: " << why << "\n";
  std::exit(1);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  if (!in) end("cannot read " + path.string());
  if (path.extension() != ".zst") return all.str();
  const std::string packed = all.str();
  const auto size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) end(path.string() + " is not what `zstd FILE` writes");
  std::string out(size, '\0');
  const std::size_t got = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) || got != size) end(path.string() + " is damaged");
  return out;
}

struct Candidate {
  Record record;
  std::vector<double> search, finals;
};

Task make(const std::string& name, const std::vector<Candidate>& candidates) {
  const Record& r = candidates.front().record;
  Task task{name, r.kernel, r.dims, r.device, {}, {}, 0};
  const codegen::Workload w = workload_of(r).or_throw();
  const codegen::Target t = target_of(r.target).or_throw();
  if (const auto first = ScheduleSpace(w, t).preferred()) task.first = first->program_hash;
  std::vector<std::optional<RecordedSpace::Entry>> made(candidates.size());
  run_tasks(static_cast<std::int64_t>(candidates.size()), [&](std::int64_t n) {
    const Candidate& c = candidates[static_cast<std::size_t>(n)];
    auto point = point_of(c.record, w, t);
    if (!point) return;
    point->trace.clear();  // nobody asks for it, and copies of it are most of the time
    const auto& samples = c.finals.empty() ? c.search : c.finals;
    made[static_cast<std::size_t>(n)] = {*std::move(point), samples.empty() ? std::nullopt : std::optional(median(samples))};
  });
  for (auto& e : made) {
    if (e) task.entries.push_back(*std::move(e));
    else ++task.stale;
  }
  return task;
}

void load_file(const std::filesystem::path& path, std::vector<Task>& to) {
  std::istringstream in(text_of(path));
  std::vector<std::string> order;                                   // tasks by first line
  std::map<std::string, std::vector<Candidate>> tasks;              // by workload and target
  std::map<std::pair<std::string, std::string>, std::size_t> known;  // task and program: its candidate
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    auto r = parse_record(line, path.string(), ++number);
    if (!r) end(render(r.error()));
    const std::string key = r->workload + " " + r->target;
    if (!tasks.count(key)) order.push_back(key);
    auto& list = tasks[key];
    const auto [place, fresh] = known.emplace(std::pair(key, r->program_hash), list.size());
    if (fresh) list.push_back({*r, {}, {}});
    Candidate& c = list[place->second];
    if (const auto* m = std::get_if<Measured>(&r->outcome)) {
      auto& samples = r->round ? c.finals : c.search;
      samples.insert(samples.end(), m->us.begin(), m->us.end());
    }
  }
  std::string stem = path.filename().string();
  stem = stem.substr(0, stem.find(".jsonl"));
  for (const std::string& key : order) {
    const Record& r = tasks[key].front().record;
    to.push_back(make(order.size() == 1 ? stem : r.kernel + " " + r.dims, tasks[key]));
  }
}

}  // namespace

Model::Task Task::rows() const {
  Model::Task out;
  for (const auto& e : entries)
    if (e.us) out.push_back({e.point.features, *e.us});
  return out;
}

std::vector<Task> load(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& p : paths) {
    if (!std::filesystem::is_directory(p)) {
      files.emplace_back(p);
      continue;
    }
    std::vector<std::filesystem::path> found;
    for (const auto& each : std::filesystem::directory_iterator(p))
      if (const std::string n = each.path().filename().string(); n.ends_with(".jsonl") || n.ends_with(".jsonl.zst")) found.push_back(each.path());
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  if (files.empty()) end("no *.jsonl or *.jsonl.zst there");
  std::vector<Task> out;
  for (const auto& f : files) load_file(f, out);
  return out;
}

}  // namespace tecc::benchmarks
