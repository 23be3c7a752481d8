#include "codegen/target.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace tecc::codegen {
namespace {

// clang-format off
struct Row { const char* arch; std::int64_t sms, shared_block, shared_sm, threads_sm, l2_mib; double gbs, f32, tensor; };
constexpr Row rows[] = {  // vendor's data sheets; shared memory in KiB
    {"sm_75",  40,  64,  64, 1024,  4,  320,   8.1,   65},
    {"sm_80", 108, 163, 164, 2048, 40, 1555,  19.5,  312},
    {"sm_86",  84,  99, 100, 1536,  6,  936,  35.6,  142},
    {"sm_87",  16, 163, 164, 1536,  4,  204,   5.3,   42},
    {"sm_89", 128,  99, 100, 1536, 72, 1008,  82.6,  330},
    {"sm_90", 132, 227, 228, 2048, 50, 3350,  66.9,  989},
    {"sm_90a",132, 227, 228, 2048, 50, 3350,  66.9,  989},
    {"sm_100",148, 227, 228, 2048,126, 8000,  80.0, 2250},
    {"sm_100a",148,227, 228, 2048,126, 8000,  80.0, 2250},
    {"sm_120",170,  99, 100, 1536, 96, 1792, 104.8,  419},
};
// clang-format on

Target from_row(const Row& r) {
  Target t;
  t.arch = r.arch;
  t.limits = {true, 1024, r.shared_block * 1024, 255, r.arch};
  t.sm_count = r.sms;
  t.shared_per_sm = r.shared_sm * 1024;
  t.registers_per_sm = 65536;
  t.threads_per_sm = r.threads_sm;
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
  t.limits = {false, 1, 0, 0};
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

}  // namespace

std::vector<Target> known_targets() {
  std::vector<Target> out;
  for (const Row& r : rows) out.push_back(from_row(r));
  return out;
}

Result<Target> find_target(const std::string& text) {
  if (text == "cpu" || text == "llvm") return cpu();
  std::string names;
  for (const Row& r : rows) {
    if (r.arch == text) return from_row(r);
    names += (names.empty() ? "" : ", ") + std::string(r.arch);
  }
  if (text.ends_with(".json")) {
    std::ifstream in(text);
    if (!in) return refuse(Code::file_unreadable, text, "no such file");
    const auto j = nlohmann::json::parse(in, nullptr, false);
    if (j.is_discarded() || !j.is_object() || !j.contains("arch") || !j["arch"].is_string()) return refuse(Code::unknown_arch, text, names);
    TECC_TRY(Target t, find_target(j["arch"].get<std::string>()));
    const auto take = [&](const char* key, auto& field) {
      if (j.contains(key) && j[key].is_number()) field = j[key].template get<std::decay_t<decltype(field)>>();
    };
    take("threads_per_block", t.limits.threads_per_block);
    take("shared_bytes_per_block", t.limits.shared_bytes);
    take("registers_per_thread", t.limits.registers);
    take("sm_count", t.sm_count);
    take("shared_bytes_per_sm", t.shared_per_sm);
    take("registers_per_sm", t.registers_per_sm);
    take("threads_per_sm", t.threads_per_sm);
    take("l2_bytes", t.l2_bytes);
    take("memory_gbs", t.memory_gbs);
    take("f32_tflops", t.f32_tflops);
    take("tensor_tflops", t.tensor_tflops);
    return t;
  }
  return refuse(Code::unknown_arch, text, names);
}

}  // namespace tecc::codegen
