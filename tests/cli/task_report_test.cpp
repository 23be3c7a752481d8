#include <fstream>

#include "tests/support/tool.h"

/// What `tecc explain` makes of records.
using namespace tecc;
using test::check_wrong;
using test::parsed;
using test::Ran;
using test::mm;
using test::tool;

TEST_CASE("explain: what was measured beside the best candidate, of an artifact, a task or the newest task") {
  const TemporaryFolder f;
  const std::string db = "--records " + f.path + "/r.db ", cpu = "--target=llvm ";
  REQUIRE(tool("tune " + mm + cpu + db + "--trials 6").code == 0);
  REQUIRE(tool("build " + mm + cpu + db + "-o " + f.path + "/a").code == 0);
  const Ran newest = tool("explain " + db);
  INFO(newest.out << newest.err);
  CHECK(newest.code == 0);
  CHECK(newest.out.find(": 6 measured, 0 failed, in " + f.path + "/r.db\n  the best candidate ") != std::string::npos);
  CHECK(newest.out.find("  time of the nearest candidate with another option\n") != std::string::npos);
  const auto j = parsed(tool("explain --json " + db));
  CHECK(j["measured"] == 6);
  CHECK(j["winner"]["asked"] == false);
  REQUIRE(!j["decisions"].empty());
  int others = 0;
  for (const auto& d : j["decisions"]) {
    if (!d.contains("other")) continue;
    ++others;
    CHECK(d["other"]["option"] != d["taken"]);
    CHECK(d["other"]["us"].get<double>() >= j["winner"]["us"].get<double>());
    CHECK(d["other"]["ratio"].get<double>() == d["other"]["us"].get<double>() / j["winner"]["us"].get<double>());
  }
  CHECK(others > 0);
  CHECK(tool("explain " + j["workload"].get<std::string>().substr(0, 12) + " " + db).out == newest.out);
  const Ran artifact = tool("explain " + f.path + "/a " + db);
  CHECK(artifact.out.find("\n  this candidate ") != std::string::npos);  // its own schedule was measured
  CHECK(parsed(tool("explain " + f.path + "/a --json " + db))["task"]["winner"]["asked"] == true);
  check_wrong({{"explain 0123456789ab " + db, 1, "error E0536: '0123456789ab' names none of the tasks recorded in '" + f.path + "/r.db'; give the first digits of one, as `tecc records list` shows them"},
               {"explain --records " + f.path + "/none.db", 1, "error E0501: cannot use the records '" + f.path + "/none.db': no such file"},
               {"explain " + f.path + "/a", 1, "it has kernels for a CPU, none for a GPU"},  // and nothing is recorded where nobody looks
               {"explain", 2, "what is to be explained?"}});
}

TEST_CASE("explain: an artifact with less alignment finds its own task") {
  const TemporaryFolder f;
  const std::string db = "--records " + f.path + "/r.db ", cpu = "--target=llvm --align A=4 ";
  REQUIRE(tool("tune " + mm + cpu + db + "--trials 1").code == 0);
  REQUIRE(tool("build " + mm + cpu + db + "-o " + f.path + "/a").code == 0);
  const Ran r = tool("explain " + f.path + "/a " + db);
  INFO(r.out << r.err);
  CHECK(r.out.find("\n  this candidate ") != std::string::npos);
}

TEST_CASE("explain: options that nobody measured say why, failures stand by cause") {
  const TemporaryFolder f;
  const std::string db = "--records " + f.path + "/r.db ";
  // One record, of the candidate that the rules prefer: all that is said of others follows from it.
  REQUIRE(tool("tune " + mm + "--target=llvm " + db + "--trials 1").code == 0);
  const Ran r = tool("explain " + db);
  INFO(r.out << r.err);
  CHECK(r.out.find(" 1 measured, 0 failed") != std::string::npos);
  CHECK(r.out.find(": not measured") != std::string::npos);
  CHECK(r.out.find("  device") == std::string::npos);
  const std::string line = tool("records export " + db).out;
  std::string failed;
  for (const char* kib : {"300", "400"}) {
    auto record = nlohmann::ordered_json::parse(line.substr(0, line.find('\n')));
    record.erase("us");
    record["trace"] = kib;
    record["failed"] = {{"phase", "compile"}, {"code", "E0405"}, {"message", std::string("kernel 'mm' needs ") + kib + " KiB > 227 KiB"}};
    failed += record.dump() + "\n";
  }
  std::ofstream(f.path + "/failed.jsonl") << failed;
  REQUIRE(tool("records import " + db + f.path + "/failed.jsonl").code == 0);
  const std::string cause = "E0405 kernel 'mm' needs 300..400 KiB > 227 KiB\n    for example: kernel 'mm' needs 300 KiB > 227 KiB\n";
  CHECK(tool("explain " + db).out.ends_with("  2 of 3 candidates: " + cause));
  CHECK(tool("records list --why " + db).out.find("     2 x E0405 (compile): kernel 'mm' needs 300..400 KiB > 227 KiB\n") != std::string::npos);
  const auto j = parsed(tool("explain --json " + db));
  CHECK(j["failures"][0]["count"] == 2);
  CHECK(j["failures"][0]["text"] == "kernel 'mm' needs 300..400 KiB > 227 KiB");
  // Two tasks that begin alike.
  std::string tasks;
  for (const char* workload : {"abcdef01", "abcdef02"}) {
    auto record = nlohmann::ordered_json::parse(line.substr(0, line.find('\n')));
    record["workload"] = workload;
    tasks += record.dump() + "\n";
  }
  std::ofstream(f.path + "/tasks.jsonl") << tasks;
  REQUIRE(tool("records import " + db + f.path + "/tasks.jsonl").code == 0);
  CHECK(tool("explain abcdef02 " + db).code == 0);  // an expression that is not this workload's: nothing is asked of a space
  check_wrong({{"explain abcdef " + db, 1, "error E0536: 'abcdef' names 2 of the tasks recorded in '" + f.path + "/r.db'"}});
}

TEST_CASE("explain: records that cannot be read are said, and the rest as well") {
  const TemporaryFolder f;
  REQUIRE(tool("build " + mm + "--arch=sm_90a --emit=json -o " + f.path + "/a").code == 0);
  std::ofstream(f.path + "/r.db") << "this is no database, but long enough to be looked at as one; and then some more text to fill it up";
  const Ran r = test::shell("TECC_RECORDS=" + f.path + "/r.db " TECC_BINARY_DIR "/tecc explain " + f.path + "/a");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.find("(no neighbours: '" + f.path + "/r.db' is not a database of tuning records: ") != std::string::npos);
  check_wrong({{"explain " + f.path + "/a --records " + f.path + "/r.db", 1, "error E0502: '" + f.path + "/r.db' is not a database of tuning records: "}});
  CHECK(test::shell("TECC_RECORDS=" + f.path + "/none.db " TECC_BINARY_DIR "/tecc explain " + f.path + "/a").out.find("(no neighbours: there are no records in " + f.path + "/none.db)\n") != std::string::npos);
}
