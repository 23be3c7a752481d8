#include "autotune/record/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ir/base/files.h"

namespace tecc::autotune {
namespace {

constexpr int application_id = 0x74656363;  // "tecc", in the header of the file
constexpr int layout = 1;                   // user_version
constexpr int patience_s = 20;              // another process's write is over in milliseconds

constexpr const char* create = R"sql(
CREATE TABLE records(
  id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,
  workload TEXT NOT NULL, target TEXT NOT NULL, trace TEXT NOT NULL, round INTEGER NOT NULL,
  code TEXT,                -- NULL: measured
  line TEXT NOT NULL);      -- the whole record as JSON
CREATE INDEX by_task ON records(workload, target);
PRAGMA application_id = 1952801635;
PRAGMA user_version = 1;
)sql";

}  // namespace

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

/// A prepared statement with its values bound.
class Database::Statement {
 public:
  static Result<Statement> make(const Database& db, const char* sql, const std::vector<std::string>& values = {}) {
    Statement s(db);
    if (const int code = sqlite3_prepare_v2(db.db_.get(), sql, -1, &s.handle_, nullptr)) return db.why(code);
    for (std::size_t n = 0; n < values.size(); ++n)
      sqlite3_bind_text(s.handle_, static_cast<int>(n + 1), values[n].data(), static_cast<int>(values[n].size()), SQLITE_TRANSIENT);
    return s;
  }
  Statement(Statement&& other) noexcept : db_(other.db_), handle_(std::exchange(other.handle_, nullptr)) {}
  ~Statement() { sqlite3_finalize(handle_); }

  /// True while there is a row.
  Result<bool> step() {
    const int code = sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return db_->why(code);
  }
  std::string text(int column) const {
    const auto* t = sqlite3_column_text(handle_, column);
    return t ? std::string(reinterpret_cast<const char*>(t), static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))) : std::string();
  }
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  void bind_null(int n) { sqlite3_bind_null(handle_, n); }
  void bind(int n, std::int64_t value) { sqlite3_bind_int64(handle_, n, value); }

 private:
  explicit Statement(const Database& db) : db_(&db) {}
  const Database* db_;
  sqlite3_stmt* handle_ = nullptr;
};

Refusal Database::why(int code) const {
  const std::string words = sqlite3_errmsg(db_.get());
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return refuse(Code::records_busy, path_, patience_s);
    case SQLITE_NOTADB:
      return refuse(Code::records_foreign, path_, words);
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
      return refuse(Code::records_damaged, path_, words);
    default:
      return refuse(Code::records_unusable, path_, words);
  }
}

Check Database::run(const char* sql) const {
  if (const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr)) return why(code);
  return Ok{};
}

std::string Database::default_path() {
  const auto variable = [](const char* name) -> std::string {
    const char* v = std::getenv(name);
    return v ? v : "";
  };
  if (std::string own = variable("TECC_RECORDS"); !own.empty()) return own;
  std::string data = variable("XDG_DATA_HOME");
  if (data.empty()) data = variable("HOME").empty() ? "." : variable("HOME") + "/.local/share";
  return data + "/tecc/records.db";
}

Result<Database> Database::open(const std::string& path) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return refuse(Code::records_unusable, path, error.message());
  Database out;
  out.path_ = path;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  out.db_.reset(handle);
  if (code) return out.why(code);
  sqlite3_busy_timeout(handle, patience_s * 1000);

  const auto pragma = [&](const char* sql) -> Result<std::int64_t> {
    TECC_TRY(Statement s, Statement::make(out, sql));
    TECC_TRY(const bool row, s.step());
    return row ? s.integer(0) : 0;
  };
  TECC_TRY(const std::int64_t tables, pragma("SELECT count(*) FROM sqlite_master"));  // E0502 where it is no database
  TECC_TRY(const std::int64_t owner, pragma("PRAGMA application_id"));
  TECC_TRY(const std::int64_t version, pragma("PRAGMA user_version"));
  if (tables && owner != application_id) return refuse(Code::records_foreign, path, "it is a database of another program");
  if (version > layout) return refuse(Code::records_newer, path, version, layout);
  TECC_CHECK(out.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));  // a crash of the machine may lose the last row, never the file
  if (!tables) {
    TECC_CHECK(out.run("BEGIN IMMEDIATE"));
    const auto again = pragma("SELECT count(*) FROM sqlite_master");  // another process may have been first
    if (again && *again == 0)
      if (const Check made = out.run(create); !made) {
        (void)out.run("ROLLBACK");
        return made.error();
      }
    TECC_CHECK(out.run("COMMIT"));
  }
  return out;
}

Result<bool> Database::add(const Record& r) {
  const auto* f = std::get_if<Failed>(&r.outcome);
  TECC_TRY(Statement s, Statement::make(*this, "INSERT OR IGNORE INTO records(identity, workload, target, trace, code, line, round) VALUES (?,?,?,?,?,?,?)",
                                        {identity(r), r.workload, r.target, r.trace_hash, f ? f->code : "", json_line(r)}));
  if (!f) s.bind_null(5);
  s.bind(7, r.round);
  TECC_TRY(const bool row, s.step());
  (void)row;
  return sqlite3_changes(db_.get()) > 0;
}

Result<std::vector<Record>> Database::select(const std::string& where, const std::vector<std::string>& values) const {
  const std::string sql = "SELECT id, line FROM records " + where + " ORDER BY id";
  TECC_TRY(Statement s, Statement::make(*this, sql.c_str(), values));
  std::vector<Record> out;
  for (;;) {
    TECC_TRY(const bool row, s.step());
    if (!row) return out;
    auto record = parse_record(s.text(1), path_, s.integer(0));
    if (!record) return refuse(Code::records_damaged, path_, message(record.error()));
    out.push_back(*std::move(record));
  }
}

Result<std::vector<Record>> Database::all(const std::string& workload, const std::string& target) const {
  return select("WHERE (?1 = '' OR workload = ?1) AND (?2 = '' OR target = ?2)", {workload, target});
}

Result<std::vector<Database::Best>> Database::ranking(const std::string& workload, const std::string& target) const {
  TECC_TRY(std::vector<Record> rows, select("WHERE workload = ?1 AND target = ?2 AND code IS NULL", {workload, target}));
  struct Samples {
    std::vector<double> search, finals;
    const Record* last = nullptr;
  };
  std::map<std::string, Samples> by_trace;
  for (const Record& r : rows) {
    Samples& s = by_trace[r.trace_hash];
    auto& list = r.round ? s.finals : s.search;
    const auto& us = std::get<Measured>(r.outcome).us;
    list.insert(list.end(), us.begin(), us.end());
    s.last = &r;
  }
  // Those of the finals come first: they were timed in turns, on a chip that the others had made as warm as they did.
  std::vector<Best> out, rest;
  for (const auto& [trace, s] : by_trace) (s.finals.empty() ? rest : out).push_back({*s.last, median(s.finals.empty() ? s.search : s.finals)});
  for (auto* list : {&out, &rest}) std::stable_sort(list->begin(), list->end(), [](const Best& a, const Best& b) { return a.us < b.us; });
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

Result<std::optional<Database::Best>> Database::best_of(const std::string& workload, const codegen::Target& target) const {
  std::vector<std::string> targets{fingerprint(target)};
  const std::string family = fingerprint_family(target);
  {
    TECC_TRY(Statement s, Statement::make(*this, "SELECT DISTINCT target FROM records WHERE workload = ?1 ORDER BY target", {workload}));
    for (;;) {
      TECC_TRY(const bool row, s.step());
      if (!row) break;
      if (const std::string t = s.text(0); t.starts_with(family) && t != targets[0]) targets.push_back(t);
    }
  }
  for (const std::string& t : targets) {
    TECC_TRY(std::vector<Best> ranked, ranking(workload, t));
    if (!ranked.empty()) return std::optional<Best>(std::move(ranked[0]));
  }
  return std::optional<Best>();
}

Result<std::vector<Database::Task>> Database::tasks() const {
  TECC_TRY(Statement s, Statement::make(*this, "SELECT workload, target, sum(code IS NULL AND round = 0), sum(code IS NOT NULL), max(id) FROM records "
                                               "GROUP BY workload, target ORDER BY max(id)"));
  std::vector<Task> out;
  std::vector<std::int64_t> last;
  for (;;) {
    TECC_TRY(const bool row, s.step());
    if (!row) break;
    out.push_back({s.text(0), "", "", s.text(1), "", s.integer(2), s.integer(3), {}, {}});
    last.push_back(s.integer(4));
  }
  for (std::size_t n = 0; n < out.size(); ++n) {
    TECC_TRY(const std::vector<Record> newest, select("WHERE id = CAST(?1 AS INTEGER)", {std::to_string(last[n])}));
    if (!newest.empty()) out[n].kernel = newest[0].kernel, out[n].dims = newest[0].dims, out[n].device = newest[0].device;
    TECC_TRY(const std::vector<Best> ranked, ranking(out[n].workload, out[n].target));
    if (!ranked.empty()) out[n].best_us = ranked[0].us, out[n].best_chip = conditions(ranked[0].record.outcome).chip;
  }
  return out;
}

Result<std::vector<Cause>> Database::failures(const std::string& workload, const std::string& target) const {
  TECC_TRY(const std::vector<Record> rows, select("WHERE (?1 = '' OR workload = ?1) AND (?2 = '' OR target = ?2) AND code IS NOT NULL", {workload, target}));
  Causes out;
  for (const Record& r : rows)
    if (const auto* f = std::get_if<Failed>(&r.outcome)) out.add(f->code, name(f->phase), f->message);
  return out.by_count();
}

Result<std::int64_t> Database::prune(int keep) {
  TECC_TRY(const std::vector<Task> list, tasks());
  std::int64_t gone = 0;
  for (const Task& t : list) {
    TECC_TRY(const std::vector<Best> ranked, ranking(t.workload, t.target));
    nlohmann::json kept = nlohmann::json::array();
    for (std::size_t n = 0; n < ranked.size() && n < static_cast<std::size_t>(keep); ++n) kept.push_back(ranked[n].record.trace_hash);
    TECC_TRY(Statement s, Statement::make(*this, "DELETE FROM records WHERE workload = ?1 AND target = ?2 AND "
                                                 "(code IS NOT NULL OR trace NOT IN (SELECT value FROM json_each(?3)))",
                                          {t.workload, t.target, kept.dump()}));
    TECC_TRY(const bool row, s.step());
    (void)row;
    gone += sqlite3_changes(db_.get());
  }
  if (gone) TECC_CHECK(run("VACUUM"));
  return gone;
}

Result<std::int64_t> import_lines(Database& to, const std::string& file) {
  std::ifstream in(file);
  if (!in) return refuse(Code::file_unreadable, file, "no such file");
  std::int64_t added = 0, line = 0;
  for (std::string text; std::getline(in, text);) {
    ++line;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    TECC_TRY(const Record r, parse_record(text, file, line));
    TECC_TRY(const bool fresh, to.add(r));
    added += fresh;
  }
  return added;
}

Result<std::string> export_lines(const Database& from) {
  TECC_TRY(const std::vector<Record> rows, from.all());
  std::string out;
  for (const Record& r : rows) out += json_line(r) + "\n";
  return out;
}

Result<std::int64_t> merge(Database& to, const Database& from) {
  TECC_TRY(const std::vector<Record> rows, from.all());
  std::int64_t added = 0;
  for (const Record& r : rows) {
    TECC_TRY(const bool fresh, to.add(r));
    added += fresh;
  }
  return added;
}

}  // namespace tecc::autotune
