#include "benchmarks/recorded.h"

#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "ir/base/files.h"

namespace tecc::benchmarks {
namespace {

using namespace autotune;

template <class T>
T or_end(Result<T> r) {
  if (r) return *std::move(r);
  std::cerr << render(r.error()) << "\n";
  std::exit(1);
}

std::string text_of(const std::filesystem::path& path) {
  std::string bytes = or_end(read_file(path.string()));
  if (path.extension() != ".zst") return bytes;
  const auto size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  std::string out(size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ? 0 : size, '\0');
  const std::size_t got = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  if (!out.empty() && got == out.size()) return out;
  std::cerr << "error: " << path.string() << " is not what `zstd FILE` writes\n";
  std::exit(1);
}

void load_file(const std::filesystem::path& path, std::vector<Task>& to) {
  const std::vector<Record> records = or_end(parse_records(text_of(path), path.string()));
  std::vector<RecordedTask> tasks = or_end(tasks_of(records));
  for (RecordedTask& t : tasks) {
    std::string stem = path.filename().string();
    stem.resize(stem.find(".jsonl"));
    const auto record = std::find_if(records.begin(), records.end(), [&](const Record& r) { return r.kernel == t.kernel && r.dims == t.dims; });
    const codegen::Workload w = or_end(workload_of(*record));
    const auto first = ScheduleSpace(w, or_end(target_of(t.target))).preferred();
    Task task{std::move(t), tasks.size() == 1 ? stem : record->kernel + " " + record->dims, record->kernel.substr(0, record->kernel.find('_')), first ? first->program_hash : ""};
    to.push_back(std::move(task));
  }
}

}  // namespace

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
  std::vector<Task> out;
  for (const auto& f : files) load_file(f, out);
  if (!out.empty()) return out;
  std::cerr << "error: no records there\n";
  std::exit(1);
}

}  // namespace tecc::benchmarks
