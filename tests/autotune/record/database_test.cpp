#include "autotune/record/database.h"

#include <sqlite3.h>

#include <regex>

#include "ir/base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace tecc;
using namespace tecc::autotune;

namespace {

template <class T>
T require(Result<T> r) {
  if (!r) FAIL(render(r.error()));
  return *std::move(r);
}

Record record(const std::string& trace, Outcome outcome, int round = 0) {
  Record r;
  r.workload = std::string(64, 'a');
  r.kernel = "gemm";
  r.dims = "M=64 T=bf16";
  r.target = "cuda/sm_90a/132";
  r.device = "a device";
  r.schedule = "i0, i1 = split(C.i, 8)\n";
  r.trace_hash = trace;
  r.program_hash = "p" + trace;
  r.genome = {{"C i threads", {1, 2, 4}, 2}, {"C \"quoted\"", {-1, 1}, -1}};
  r.outcome = std::move(outcome);
  r.round = round;
  r.seed = 18446744073709551615ull;
  r.tool = "0.1.0";
  r.features = 1;
  r.made = 1700000000;
  return r;
}
Failed no() { return {Phase::lower, "E0405", "kernel 'x' needs 300000 bytes"}; }

codegen::Target target(std::int64_t sms = 132) {
  codegen::Target t = require(codegen::find_target("sm_90a"));
  t.sm_count = sms;
  return t;
}

}  // namespace

TEST_CASE("records: a record goes into the database and comes back, failures too") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/deep/er/records.db";
  const std::vector<Record> rows{record("1", Measured{{1.5, 0.1, 3}}), record("2", no()), record("1", Measured{{1.25}}, 1)};
  {
    Database db = require(Database::open(path));
    for (const Record& r : rows) CHECK(require(db.add(r)));
    CHECK(require(db.all()) == rows);
  }
  Database again = require(Database::open(path));
  CHECK(require(again.all()) == rows);
  CHECK_FALSE(require(again.add(rows[1])));  // says nothing new
  Record later = rows[1];
  later.made += 5;
  CHECK_FALSE(require(again.add(later)));
  CHECK(require(again.all("nobody's", "")).empty());
}

TEST_CASE("records: where and how a candidate was timed is kept, and is no part of what the record says") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  const Record plain = record("1", Measured{{1.5}});
  Record timed = plain, lost = record("2", no());
  conditions(timed.outcome) = {"28282828", cuda::ChipState{1755, 2619, 612.4, 61, cuda::power_cap | cuda::hardware_cap}};
  conditions(lost.outcome).uuid = "29292929";
  CHECK(identity(timed) == identity(plain));
  CHECK(json_line(timed).find(R"("uuid":"28282828","chip":{"sm_mhz":1755.0,"memory_mhz":2619.0,"power_w":612.4,"celsius":61.0,"caps":["power","hardware"]})") != std::string::npos);
  CHECK(json_line(plain).find("chip") == std::string::npos);
  for (const Record& r : {timed, lost}) CHECK(require(db.add(r)));
  CHECK_FALSE(require(db.add(plain)));
  CHECK(require(db.all()) == std::vector<Record>{timed, lost});
  CHECK(require(db.tasks())[0].best_chip->sm_mhz == 1755);
  for (const char* wrong : {"\"chip\":5", "\"chip\":{\"sm_mhz\":\"fast\"}", "\"chip\":{\"caps\":\"power\"}", "\"chip\":{\"caps\":[1]}"}) {
    const auto bad = parse_record(std::regex_replace(json_line(timed), std::regex("\"chip\":.*?\\}"), wrong), "f", 7);
    INFO(wrong);
    REQUIRE_FALSE(bad);
    CHECK(render(bad.error()).starts_with("error E0506: line 7 of 'f' is not a record: "));
  }
}

TEST_CASE("records: the best is decided by the finals where there were any, ties by the trace") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  CHECK_FALSE(require(db.best_of(std::string(64, 'a'), target())));
  for (const Record& r : {record("lucky", Measured{{1, 1, 1}}), record("good", Measured{{2, 2, 2}}), record("lucky", Measured{{5, 5}}, 1),
                          record("good", Measured{{3, 3}}, 1), record("also", Measured{{2}}), record("also", Measured{{3}}, 1), record("cool", Measured{{1.5}}), record("never", no())})
    require(db.add(r));
  const auto best = require(db.best_of(std::string(64, 'a'), target()));
  REQUIRE(best);
  CHECK(best->record.trace_hash == "also");  // 3 us as "good", and before it in order
  CHECK(best->us == 3);                        // "cool" was no finalist: its time was taken while the chip was not warm yet
  CHECK(require(db.best_of(std::string(64, 'a'), target(114)))->record.trace_hash == "also");  // another size of the chip
  CHECK_FALSE(require(db.best_of(std::string(64, 'b'), target())));
  const auto tasks = require(db.tasks());
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].measured == 4);
  CHECK(tasks[0].failed == 1);
  CHECK(require(db.failures())[0].code == "E0405");
}

TEST_CASE("records: export, import and merge lose nothing and add nothing twice") {
  const TemporaryFolder folder;
  Database a = require(Database::open(folder.path + "/a.db")), b = require(Database::open(folder.path + "/b.db"));
  for (int n = 0; n < 5; ++n) require(a.add(record(std::to_string(n), Measured{{1.0 / 3 + n}})));
  require(b.add(record("4", Measured{{1.0 / 3 + 4}})));
  require(write_file(folder.path + "/a.jsonl", require(export_lines(a))));
  CHECK(require(import_lines(b, folder.path + "/a.jsonl")) == 4);
  CHECK(require(import_lines(b, folder.path + "/a.jsonl")) == 0);
  CHECK(require(merge(a, b)) == 0);
  CHECK(require(a.all()).size() == 5);
  CHECK(require(b.all()).size() == 5);
}

TEST_CASE("records: prune keeps the best of each task") {
  const TemporaryFolder folder;
  Database db = require(Database::open(folder.path + "/r.db"));
  for (int n = 0; n < 6; ++n) require(db.add(record(std::to_string(n), Measured{{1.0 + n}})));
  require(db.add(record("x", no())));
  CHECK(require(db.prune(2)) == 5);
  const auto left = require(db.all());
  REQUIRE(left.size() == 2);
  CHECK(left[1].trace_hash == "1");
}

TEST_CASE("records: what is no database of ours is refused by number and stays as it is") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& path) {
    const auto db = Database::open(path);
    REQUIRE_FALSE(db);
    return render(db.error());
  };
  const std::string text = folder.path + "/text.db";
  require(write_file(text, std::string(4096, 'x')));
  CHECK(refused(text) == "error E0502: '" + text + "' is not a database of tuning records: file is not a database; name another file with --records");
  CHECK(require(read_file(text)) == std::string(4096, 'x'));

  const std::string foreign = folder.path + "/foreign.db";
  {
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open(foreign.c_str(), &other) == SQLITE_OK);
    REQUIRE(sqlite3_exec(other, "CREATE TABLE t(x)", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(other);
  }
  CHECK(refused(foreign) == "error E0502: '" + foreign + "' is not a database of tuning records: it is a database of another program; name another file with --records");

  const std::string newer = folder.path + "/newer.db";
  {
    Database db = require(Database::open(newer));
    require(db.add(record("1", no())));
  }
  std::string bytes = require(read_file(newer));
  std::string changed = bytes;
  changed[63] = 9;  // user_version is the big endian word at byte 60
  require(write_file(newer, changed));
  CHECK(refused(newer) == "error E0504: the records '" + newer + "' have layout 9, this tecc knows 1; use the newer tecc, or its `tecc records export`");

  CHECK(refused("/proc/nowhere/records.db").starts_with("error E0501: cannot use the records '/proc/nowhere/records.db': "));
}

TEST_CASE("records: a damaged file is refused by number and stays as it is") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/r.db";
  {
    Database db = require(Database::open(path));
    for (int n = 0; n < 200; ++n) require(db.add(record(std::to_string(n), Measured{{1.0 + n}})));
  }
  std::string bytes = require(read_file(path));
  REQUIRE(bytes.size() > 5 * 4096);
  for (std::size_t n = 4096; n < bytes.size(); ++n) bytes[n] = static_cast<char>(n * 7);
  require(write_file(path, bytes));
  const auto db = Database::open(path);
  const auto rows = db ? db->all() : Result<std::vector<Record>>(db.error());
  REQUIRE_FALSE(rows);
  CHECK(render(rows.error()).starts_with("error E0503: the records '" + path + "' are damaged: "));
  CHECK(require(read_file(path)) == bytes);
}

TEST_CASE("records: a line that is no record says which and why") {
  const auto text = [](const std::string& line) {
    const auto r = parse_record(line, "f.jsonl", 7);
    return r ? std::string() : render(r.error());
  };
  const std::string good = json_line(record("1", Measured{{1}}));
  CHECK(text(good).empty());
  CHECK(text("{").starts_with("error E0506: line 7 of 'f.jsonl' is not a record: "));
  CHECK(text("{}").starts_with("error E0506: line 7 of 'f.jsonl' is not a record: "));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string line = good;
    line.replace(line.find(from), from.size(), to);
    return text(line);
  };
  CHECK(with("\"us\":[1.0]", "\"us\":[]") == "error E0506: line 7 of 'f.jsonl' is not a record: 'us' has no samples");
  CHECK(with("\"us\":[1.0]", "\"us\":[-1.0]") == "error E0506: line 7 of 'f.jsonl' is not a record: a sample is not a positive number of microseconds");
  CHECK(with("\"us\":[1.0]", "\"was\":1") == "error E0506: line 7 of 'f.jsonl' is not a record: it needs either 'us' or 'failed'");
}

TEST_CASE("records: two connections write into one file") {
  const TemporaryFolder folder;
  Database a = require(Database::open(folder.path + "/r.db")), b = require(Database::open(folder.path + "/r.db"));
  for (int n = 0; n < 50; ++n) {
    require(a.add(record("a" + std::to_string(n), no())));
    require(b.add(record("b" + std::to_string(n), no())));
  }
  CHECK(require(a.all()).size() == 100);
}

TEST_CASE("median") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({1}) == 1);
}
