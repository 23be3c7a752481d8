#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "autotune/record/causes.h"
#include "autotune/record/record.h"

struct sqlite3;

namespace tecc::autotune {

/// The records in an SQLite file (WAL). Rows are only added, each committed on its own, so that a process may be killed at any
/// time; several processes may use one file. Refusals leave the file as it is.
class Database {
 public:
  /// Makes the file and its folder where they are missing. E0501 E0502 E0503 E0504 E0505.
  static Result<Database> open(const std::string& path);
  /// $TECC_RECORDS, else records.db in $XDG_DATA_HOME/tecc, else in ~/.local/share/tecc.
  static std::string default_path();

  /// False if a record that says the same is there.
  Result<bool> add(const Record& record);
  /// In the order they were added; empty strings match everything.
  Result<std::vector<Record>> all(const std::string& workload = {}, const std::string& target = {}) const;

  struct Best {
    Record record;  // the row to replay
    double us;      // of its candidate, see best_of()
  };
  /// The fastest candidate. Its time is the median of all samples it got as a finalist, since those were taken side by side
  /// with its rivals; of a candidate that never was one, the median of its first samples. Finalists come before all others. Ties go to the smaller
  /// trace hash.
  /// Looks for the exact target first, then for other sizes of the same chip. Nothing when no candidate was measured.
  Result<std::optional<Best>> best_of(const std::string& workload, const codegen::Target& target) const;
  Result<std::vector<Best>> ranking(const std::string& workload, const std::string& target) const;

  struct Task {
    std::string workload, kernel, dims, target, device;
    std::int64_t measured = 0, failed = 0;
    std::optional<double> best_us;
    std::optional<cuda::ChipState> best_chip;  // while the best one was timed
  };
  Result<std::vector<Task>> tasks() const;
  /// Candidates that failed, by cause; most frequent first.
  Result<std::vector<Cause>> failures(const std::string& workload = {}, const std::string& target = {}) const;

  /// Keeps the `keep` best candidates of every task and drops the rest; returns how many rows went. The one thing that removes
  /// rows, on request only.
  Result<std::int64_t> prune(int keep);

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  class Statement;
  Refusal why(int code) const;
  Check run(const char* sql) const;
  Result<std::vector<Record>> select(const std::string& where, const std::vector<std::string>& values) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

/// Reads JSON lines, adds what is new; returns how many records were added. E0601, E0506.
Result<std::int64_t> import_lines(Database& to, const std::string& file);
/// JSON lines in the order the records were added.
Result<std::string> export_lines(const Database& from);
/// Adds the records of another database; returns how many were new.
Result<std::int64_t> merge(Database& to, const Database& from);

}  // namespace tecc::autotune
