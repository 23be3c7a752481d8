#include "codegen/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "ir/base/files.h"
#include "ir/base/json.h"
#include "ir/base/nearest.h"
#include "ir/instruction/instruction.h"

namespace tecc::codegen {
namespace {

// clang-format off
struct Row { const char* arch; std::int64_t sms, shared_block, shared_sm, threads_sm, lanes, l2_mib; double gbs, f32, tensor; };
constexpr Row rows[] = {  // vendor's data sheets; shared memory in KiB
    {"sm_75",  40,  64,  64, 1024,  64,  4,  320,   8.1,   65},
    {"sm_80", 108, 163, 164, 2048,  64, 40, 1555,  19.5,  312},
    {"sm_86",  84,  99, 100, 1536, 128,  6,  936,  35.6,  142},
    {"sm_87",  16, 163, 164, 1536, 128,  4,  204,   5.3,   42},
    {"sm_89", 128,  99, 100, 1536, 128, 72, 1008,  82.6,  330},
    {"sm_90", 132, 227, 228, 2048, 128, 50, 3350,  66.9,  989},
    {"sm_90a",132, 227, 228, 2048, 128, 50, 3350,  66.9,  989},
    {"sm_100",148, 227, 228, 2048, 128,126, 8000,  80.0, 2250},
    {"sm_100a",148,227, 228, 2048, 128,126, 8000,  80.0, 2250},
    {"sm_120",170,  99, 100, 1536, 128, 96, 1792, 104.8,  419},
};
// clang-format on

Target from_row(const Row& r) {
  Target t;
  t.arch = r.arch;
  t.limits = {true, 1024, r.shared_block * 1024, 255, r.arch, {}};
  t.sm_count = r.sms;
  t.shared_per_sm = r.shared_sm * 1024;
  t.registers_per_sm = 65536;
  t.threads_per_sm = r.threads_sm;
  t.f32_lanes_per_sm = r.lanes;
  t.l2_bytes = r.l2_mib << 20;
  t.memory_gbs = r.gbs;
  t.f32_tflops = r.f32;
  t.tensor_tflops = r.tensor;
  return t;
}

Target cpu() {
  Target t;
  t.kind = Target::Kind::cpu;
  t.arch = "native";
  t.limits = {.gpu = false, .threads_per_block = 1, .shared_bytes = 0, .registers = 0};
  t.sm_count = std::max(1u, std::thread::hardware_concurrency());
  t.l2_bytes = 1 << 20;
  t.memory_gbs = 20;
#ifdef __x86_64__
  t.vector_bytes = __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
#endif
  // Two fused multiply-adds of a vector a cycle, at 3.5 GHz.
  t.f32_tflops = 3.5e-3 * static_cast<double>(t.sm_count) * 4 * static_cast<double>(t.vector_bytes / 4);
  return t;
}

/// The keys of a device file, with where they go. A number that is no whole one goes into a double only.
template <class T, class F>
void for_each_number(T& t, F f) {
  f("threads_per_block", t.limits.threads_per_block);
  f("shared_bytes_per_block", t.limits.shared_bytes);
  f("registers_per_thread", t.limits.registers);
  f("sm_count", t.sm_count);
  f("shared_bytes_per_sm", t.shared_per_sm);
  f("registers_per_sm", t.registers_per_sm);
  f("threads_per_sm", t.threads_per_sm);
  f("f32_lanes_per_sm", t.f32_lanes_per_sm);
  f("l2_bytes", t.l2_bytes);
  f("memory_gbs", t.memory_gbs);
  f("f32_tflops", t.f32_tflops);
  f("tensor_tflops", t.tensor_tflops);
}

std::string known_names() {
  std::string out;
  for (const Row& r : rows) out += (out.empty() ? "" : ", ") + std::string(r.arch);
  return out;
}
std::optional<Target> known(const std::string& arch) {
  for (const Row& r : rows)
    if (r.arch == arch) return from_row(r);
  return std::nullopt;
}

}  // namespace

Result<Target> parse_device_file(const std::string& text, const std::string& file) {
  const auto no = [&](const std::string& why) { return refuse(Code::device_file, file, why); };
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return no("is not one JSON object");
  const auto& j = *parsed;
  if (!j.contains("arch") || !j["arch"].is_string()) return no("names no \"arch\"; known: " + known_names());
  const auto base = known(j["arch"].get<std::string>());
  if (!base) return refuse(Code::unknown_arch, j["arch"].get<std::string>(), known_names());
  Target t = *base;
  std::vector<std::string> keys = {"arch", "instructions"};
  for_each_number(t, [&](const char* key, auto&) { keys.push_back(key); });
  for (const auto& [key, value] : j.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) return no(fmt::format("has a key '{}' that says nothing{}", key, did_you_mean(key, keys)));
  std::string wrong;
  for_each_number(t, [&](const char* key, auto& field) {
    if (!j.contains(key)) return;
    constexpr bool whole = std::is_integral_v<std::decay_t<decltype(field)>>;
    const bool fits = whole ? j[key].is_number_integer() && j[key] <= INT64_MAX : j[key].is_number();
    if (fits && j[key] > 0) field = j[key].template get<std::decay_t<decltype(field)>>();
    else wrong = fmt::format("gives {} for '{}', which is a {}number above 0", j[key].dump(), key, whole ? "whole " : "");
  });
  if (!wrong.empty()) return no(wrong);
  if (!j.contains("instructions")) return t;
  std::vector<std::string> names, listed;
  for (const InstructionName& i : instruction_names()) names.emplace_back(i.name);
  if (!j["instructions"].is_array()) return no("has 'instructions' that are no list of names");
  for (const auto& one : j["instructions"]) {
    const std::string name = one.is_string() ? one.get<std::string>() : one.dump();
    if (std::find(names.begin(), names.end(), name) == names.end()) return no(fmt::format("lists '{}', which is no instruction{}", name, did_you_mean(name, names)));
    listed.push_back(name);
  }
  t.limits.instructions = std::move(listed);
  return t;
}

std::vector<Target> known_targets() {
  std::vector<Target> out;
  for (const Row& r : rows) out.push_back(from_row(r));
  return out;
}

Result<Target> find_target(const std::string& text) {
  if (text == "cpu" || text == "llvm") return cpu();
  if (text.ends_with(".json")) {
    TECC_TRY(const std::string file, read_file(text));
    return parse_device_file(file, text);
  }
  if (auto t = known(text)) return *std::move(t);
  return refuse(Code::unknown_arch, text, known_names());
}

std::string device_file(const Target& t) {
  nlohmann::ordered_json j;
  j["arch"] = t.arch;
  for_each_number(t, [&](const char* key, const auto& value) { j[key] = value; });
  j["instructions"] = nlohmann::ordered_json::array();
  for (const InstructionName& i : instruction_names())
    if (t.limits.has(i.name)) j["instructions"].push_back(i.name);
  return j.dump(2) + "\n";
}

}  // namespace tecc::codegen
