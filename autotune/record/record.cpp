#include "autotune/record/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "ir/base/json.h"
#include "ir/base/sha256.h"

namespace tecc::autotune {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::array phases{std::string_view("lower"), std::string_view("compile"), std::string_view("load"),
                            std::string_view("run"),   std::string_view("timeout"), std::string_view("died"),
                            std::string_view("wrong")};

Json to_json(const Genome& genome) {
  Json out = Json::array();
  for (const Choice& c : genome) out.push_back({{"name", c.name}, {"options", c.options}, {"value", c.value}});
  return out;
}

Json to_json(const Record& r) {
  Json j;
  j["workload"] = r.workload;
  j["kernel"] = r.kernel;
  j["dims"] = r.dims;
  j["target"] = r.target;
  j["device"] = r.device;
  j["schedule"] = r.schedule;
  j["trace"] = r.trace_hash;
  j["program"] = r.program_hash;
  j["genome"] = to_json(r.genome);
  if (const auto* m = std::get_if<Measured>(&r.outcome)) {
    j["us"] = m->us;
  } else {
    const Failed& f = std::get<Failed>(r.outcome);
    j["failed"] = {{"phase", name(f.phase)}, {"code", f.code}, {"message", f.message}};
  }
  j["round"] = r.round;
  j["seed"] = r.seed;
  j["tool"] = r.tool;
  j["features"] = r.features;
  return j;
}

std::string text(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string_view name(Phase phase) { return phases[static_cast<std::size_t>(phase)]; }

std::optional<Phase> parse_phase(std::string_view name) {
  for (std::size_t n = 0; n < phases.size(); ++n)
    if (phases[n] == name) return static_cast<Phase>(n);
  return std::nullopt;
}

const Conditions& conditions(const Outcome& outcome) {
  return std::visit([](const auto& one) -> const Conditions& { return one.conditions; }, outcome);
}
Conditions& conditions(Outcome& outcome) {
  return std::visit([](auto& one) -> Conditions& { return one.conditions; }, outcome);
}

Failed failed(Phase phase, const Refusal& why) { return {phase, number(why.code), message(why), {}}; }

std::string fingerprint_family(const codegen::Target& t) {
  return fmt::format("{}/{}/", t.kind == codegen::Target::Kind::cuda ? "cuda" : "cpu", t.arch);
}
std::string fingerprint(const codegen::Target& t) { return fmt::format("{}{}", fingerprint_family(t), t.sm_count); }

std::string genome_json(const Genome& genome) { return text(to_json(genome)); }

std::string json_line(const Record& r) {
  Json j = to_json(r);
  if (!r.expression.empty()) j["expression"] = r.expression;
  if (!r.search.empty()) j["search"] = r.search;
  const Conditions& c = conditions(r.outcome);
  if (!c.uuid.empty()) j["uuid"] = c.uuid;
  if (c.chip) j["chip"] = to_json(*c.chip);
  j["made"] = r.made;
  return text(j);
}

std::string identity(const Record& r) { return sha256(text(to_json(r))); }

Result<Record> parse_record(const std::string& line_text, const std::string& file, std::int64_t line) {
  const auto no = [&](const std::string& why) { return refuse(Code::record_line, file, line, why); };
  const auto parsed = parse_json(line_text);
  if (!parsed) return no(std::get<std::string>(parsed.error().args[0]));
  const Json& j = *parsed;
  try {
    Record r;
    r.workload = j.at("workload");
    r.kernel = j.at("kernel");
    r.dims = j.at("dims");
    r.target = j.at("target");
    r.device = j.at("device");
    r.schedule = j.at("schedule");
    r.trace_hash = j.at("trace");
    r.program_hash = j.at("program");
    for (const Json& c : j.at("genome"))
      r.genome.push_back({c.at("name"), all_exactly<std::int64_t>(c.at("options")), exactly<std::int64_t>(c.at("value"))});
    if (j.contains("us") == j.contains("failed")) return no("it needs either 'us' or 'failed'");
    if (j.contains("us")) {
      Measured m{j["us"].get<std::vector<double>>(), {}};
      if (m.us.empty()) return no("'us' has no samples");
      for (double us : m.us)
        if (!std::isfinite(us) || us <= 0) return no("a sample is not a positive number of microseconds");
      r.outcome = std::move(m);
    } else {
      const auto phase = parse_phase(j["failed"].at("phase").get<std::string>());
      if (!phase) return no("unknown phase '" + j["failed"]["phase"].get<std::string>() + "'");
      r.outcome = Failed{*phase, j["failed"].at("code"), j["failed"].at("message"), {}};
    }
    conditions(r.outcome).uuid = j.value("uuid", "");
    if (j.contains("chip")) conditions(r.outcome).chip = chip_from(j["chip"]);
    r.round = exactly<int>(j.at("round"));
    r.seed = exactly<std::uint64_t>(j.at("seed"));
    r.tool = j.at("tool");
    r.features = exactly<int>(j.at("features"));
    r.expression = j.value("expression", "");
    r.search = j.value("search", "");
    if (j.contains("made")) r.made = exactly<std::int64_t>(j["made"]);
    return r;
  } catch (const nlohmann::json::exception& e) {
    return no(e.what());
  }
}

Result<std::vector<Record>> parse_records(const std::string& text, const std::string& file) {
  std::istringstream in(text);
  std::vector<Record> out;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    TECC_TRY(Record r, parse_record(line, file, number));
    out.push_back(std::move(r));
  }
  return out;
}

}  // namespace tecc::autotune
