#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "autotune/record/database.h"
#include "ir/base/files.h"
#include "python_free_cli/measuring.h"

namespace tecc::cli {
namespace {

using autotune::Database;

struct Options : Input {
  std::string records, file, out;
  int keep = 16;
  bool why = false;
};

Result<Database> open(const Options& o, bool must_exist) {
  const std::string path = o.records.empty() ? Database::default_path() : o.records;
  if (must_exist && !std::filesystem::exists(path)) return refuse(Code::records_unusable, path, "no such file");
  return Database::open(path);
}

std::string chip_text(const std::optional<cuda::ChipState>& chip) {
  const std::string said = chip ? autotune::text(*chip) : "";
  return said.empty() ? "" : " (" + said + ")";
}

int list(const Options& o) {
  const auto db = open(o, true);
  if (!db) return fail(db.error(), o);
  const auto tasks = db->tasks();
  if (!tasks) return fail(tasks.error(), o);
  const auto failures = db->failures();
  if (!failures) return fail(failures.error(), o);
  if (o.json) {
    nlohmann::ordered_json j;
    j["records"] = db->path();
    j["tasks"] = j["failures"] = nlohmann::ordered_json::array();
    for (const auto& t : *tasks) {
      nlohmann::ordered_json row{{"workload", t.workload}, {"kernel", t.kernel}, {"dims", t.dims}, {"target", t.target},
                                 {"device", t.device}, {"measured", t.measured}, {"failed", t.failed}};
      if (t.best_us) row["best_us"] = *t.best_us;
      if (t.best_chip) row["best_chip"] = autotune::to_json(*t.best_chip);
      j["tasks"].push_back(row);
    }
    j["failures"] = to_json(*failures);
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  for (const auto& t : *tasks)
    fmt::print("{}  {:<20} {:<32} {:<18} {:>5} measured {:>4} failed  best {}{}\n", t.workload.substr(0, 12), t.kernel, t.dims, t.target, t.measured,
               t.failed, t.best_us ? time_text(*t.best_us) : "-", chip_text(t.best_chip));
  if (tasks->empty()) fmt::print("no records in {}\n", db->path());
  if (o.why)
    for (const auto& c : *failures) {
      fmt::print("{:>6} x {} ({}): {}\n", c.count, c.code, c.phase, c.text);
      if (const std::string one = first_line(c.example); one != c.text) fmt::print("         for example: {}\n", one);
    }
  return 0;
}

int export_records(const Options& o) {
  const auto db = open(o, true);
  if (!db) return fail(db.error(), o);
  const auto lines = autotune::export_lines(*db);
  if (!lines) return fail(lines.error(), o);
  if (o.out.empty()) {
    fmt::print("{}", *lines);
    return 0;
  }
  const std::filesystem::path path(o.out);
  if (Check done = write_file(o.out, *lines); !done) return fail(done.error(), o);
  return 0;
}

int report(const Options& o, const char* what, const Result<std::int64_t>& count) {
  if (!count) return fail(count.error(), o);
  if (o.json) fmt::print("{}\n", nlohmann::ordered_json{{what, *count}}.dump(2));
  else fmt::print("{} records {}\n", *count, what);
  return 0;
}

int import_records(const Options& o) {
  auto db = open(o, false);
  if (!db) return fail(db.error(), o);
  return report(o, "added", autotune::import_lines(*db, o.file));
}

int merge_records(const Options& o) {
  if (!std::filesystem::exists(o.file)) return fail(refuse(Code::records_unusable, o.file, "no such file"), o);
  const auto from = Database::open(o.file);
  if (!from) return fail(from.error(), o);
  auto db = open(o, false);
  if (!db) return fail(db.error(), o);
  return report(o, "added", autotune::merge(*db, *from));
}

int prune_records(const Options& o) {
  auto db = open(o, true);
  if (!db) return fail(db.error(), o);
  return report(o, "removed", db->prune(o.keep));
}

}  // namespace

std::function<int()> add_records(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto chosen = std::make_shared<int (*)(const Options&)>(list);
  app.require_subcommand(0, 1);
  const auto sub = [&](const char* name, const char* help, int (*run)(const Options&)) {
    CLI::App* s = app.add_subcommand(name, help);
    s->add_option("--records", o->records, "the database; default: $XDG_DATA_HOME/tecc/records.db");
    s->add_flag("--json", o->json, "one JSON document on stdout");
    s->callback([chosen, run] { *chosen = run; });
    return s;
  };
  sub("list", "tasks with their best times", list)->add_flag("--why", o->why, "count the failures by code");
  sub("export", "JSON lines", export_records)->add_option("--out,-o", o->out, "a file instead of stdout");
  sub("import", "add JSON lines", import_records)->add_option("file", o->file, "what export wrote")->required();
  sub("merge", "add the records of another database", merge_records)->add_option("file", o->file, "the other database")->required();
  sub("prune", "keep the best candidates of every task only", prune_records)->add_option("--keep", o->keep, "how many of each")->check(CLI::PositiveNumber);
  return [o, chosen] { return (*chosen)(*o); };
}

}  // namespace tecc::cli
