#include "python_free_cli/kernel_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tecc::cli {
namespace {

constexpr int label_width = 18;
std::string row(std::string_view label, const std::string& text) { return fmt::format("  {:<{}}{}\n", label, label_width, text); }

std::string count(std::int64_t n, std::string_view one) { return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s"); }

std::vector<std::size_t> mix(const KernelReport& k) { return k.assembly ? mix_of(*k.assembly, k.loop ? &k.loop->members : nullptr) : k.statements.value_or(std::vector<std::size_t>(works, 0)); }

/// "4 HGMMA.64x256x16.F32.BF16": the opcodes of one kind of work, most frequent first.
std::string opcodes(const KernelReport& k, Work w) {
  std::map<std::string, std::size_t> seen;
  const auto visit = [&](std::size_t i) {
    const std::string& full = k.assembly->instructions[i].opcode;
    const bool whole = w == Work::matrix || w == Work::bulk;  // elsewhere the modifiers are many and say little
    if (work_of(k.assembly->kind, full) == w) ++seen[whole || k.assembly->kind == AssemblyKind::ptx ? full : full.substr(0, full.find('.'))];
  };
  if (k.loop) std::for_each(k.loop->members.begin(), k.loop->members.end(), visit);
  else for (std::size_t i = 0; i < k.assembly->instructions.size(); ++i) visit(i);
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const auto& [name, n] : seen) order.emplace_back(n, name);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string out;
  constexpr std::size_t most = 4;
  for (std::size_t n = 0; n < std::min(most, order.size()); ++n) out += fmt::format("{}{} {}", n ? ", " : "", order[n].first, order[n].second);
  return out + (order.size() > most ? ", .." : "");
}

bool has_conflict(const codegen::cuda::SharedAccess& a) { return !a.banks || a.banks->ways > 1; }

}  // namespace

Occupancy occupancy_of(const codegen::Target& t, std::int64_t threads, std::int64_t registers, std::int64_t shared_bytes) {
  // Registers are handed out to warps in units of 256, shared memory in units of 128 bytes.
  constexpr std::int64_t warp = 32, register_unit = 256, shared_unit = 128, most_blocks = 32;
  const auto up = [](std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; };
  const std::int64_t warps = up(threads, warp) / warp, of_warp = up(registers * warp, register_unit), shared = up(shared_bytes, shared_unit);
  Occupancy out{most_blocks, "the most blocks that an SM takes"};
  const auto bound = [&](std::int64_t blocks, const char* why) {
    if (blocks < out.blocks) out = {blocks, why};
    else if (blocks == out.blocks) out.bound += fmt::format(" and {}", why);
  };
  if (t.threads_per_sm) bound(t.threads_per_sm / (warps * warp), "threads");
  if (t.registers_per_sm && of_warp) bound(t.registers_per_sm / of_warp / warps, "registers");
  if (t.shared_per_sm && shared) bound(t.shared_per_sm / shared, "shared memory");
  return out;
}

std::size_t count_opcodes(const KernelReport& k, const std::vector<std::string>& words, bool in_loop) {
  if (!k.assembly) return 0;
  const auto counts = [&](std::size_t i) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& w) { return k.assembly->instructions[i].opcode.starts_with(w); });
  };
  if (in_loop) return k.loop ? static_cast<std::size_t>(std::count_if(k.loop->members.begin(), k.loop->members.end(), counts)) : 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < k.assembly->instructions.size(); ++i) n += counts(i);
  return n;
}

std::string text_of(const KernelReport& k, const codegen::Target* target) {
  std::string out = "kernel " + k.name;
  if (k.launch) {
    out += fmt::format(": {} of {}", count(k.launch->grid, "block"), count(k.launch->threads, "thread"));
    if (k.launch->cluster > 1) out += fmt::format(", in clusters of {}", k.launch->cluster);
  }
  out += "\n";
  const bool sass = k.assembly && k.assembly->kind == AssemblyKind::sass;
  if (k.cubin) {
    std::string registers = fmt::format("{} a thread", k.cubin->registers);
    if (count_opcodes(k, {"USETMAXREG", "setmaxnreg"}, false)) registers += " when it starts; roles change that";
    out += row("registers", registers);
    std::string stack = fmt::format("{} bytes a thread", k.cubin->stack_bytes);
    if (sass) {
      const std::size_t loads = count_opcodes(k, {"LDL"}, false), stores = count_opcodes(k, {"STL"}, false);
      stack += loads + stores == 0 ? ", no spills" : fmt::format(", {} loads and {} stores of spills or arrays ({} in the hot loop)", loads, stores, count_opcodes(k, {"LDL", "STL"}, true));
    }
    out += row("stack", stack);
  }
  if (k.launch || k.cubin)
    out += row("shared memory", (k.launch ? fmt::format("{} bytes a block", k.launch->shared_bytes) : std::string()) + (k.launch && k.cubin ? " + " : "") +
                                    (k.cubin ? fmt::format("{} static{}", k.cubin->shared_bytes, k.cubin->shared_bytes == 1024 ? " (the system's)" : "") : ""));
  if (k.occupancy && target) {
    out += row("blocks per SM", fmt::format("{}, bound by {}", k.occupancy->blocks, k.occupancy->bound));
    out += row("waves", fmt::format("{:.2f} ({} on {} x {})", k.waves, count(k.launch->grid, "block"), count(target->sm_count, "SM"), k.occupancy->blocks));
  }
  if (!k.source.empty()) {
    const std::vector<std::size_t> all = mix(k);
    std::size_t total = 0;
    for (const std::size_t n : all) total += n;
    out += row(k.loop ? "hot loop" : "instructions", fmt::format("{}{}, from {}", total, k.statements ? " statements" : k.loop ? fmt::format(" of {} instructions", k.assembly->instructions.size()) : "", k.source));
    for (std::size_t w = 0; w < works; ++w)
      if (all[w]) out += fmt::format("    {:<24}{:>5}{}{}\n", name(static_cast<Work>(w)), all[w], k.assembly ? "   " : "", k.assembly ? opcodes(k, static_cast<Work>(w)) : "");
    if (k.assembly) out += row("MEMBAR", fmt::format("{}, {} in the hot loop", count_opcodes(k, {"MEMBAR", "membar", "fence.acq", "fence.sc"}, false), count_opcodes(k, {"MEMBAR", "membar", "fence.acq", "fence.sc"}, true)));
  }
  if (k.shared) {
    const auto bad = std::count_if(k.shared->begin(), k.shared->end(), has_conflict);
    out += row("bank conflicts", k.shared->empty() ? "no thread touches shared memory" : bad == 0 ? fmt::format("none in {} access{}", k.shared->size(), k.shared->size() == 1 ? "" : "es") : fmt::format("in {} of {} accesses", bad, k.shared->size()));
    const auto label = [](const auto& a) { return fmt::format("{} {} {}", a.statement, a.is_write ? "->" : "<-", a.buffer); };
    std::size_t widest = 0;
    for (const auto& a : *k.shared) widest = std::max(widest, label(a).size());
    for (const auto& a : *k.shared)
      out += fmt::format("    {:<{}}  {:<20}{}\n", label(a), widest, a.how, !a.banks ? "the data decide" : a.banks->ways == 1 ? "no conflict" : fmt::format("{} ways", a.banks->ways));
  }
  return out;
}

nlohmann::ordered_json json_of(const KernelReport& k) {
  nlohmann::ordered_json j;
  j["kernel"] = k.name;
  if (k.launch) j["launch"] = {{"grid", k.launch->grid}, {"threads", k.launch->threads}, {"cluster", k.launch->cluster}, {"shared_bytes", k.launch->shared_bytes}};
  if (k.cubin) j["cubin"] = {{"registers", k.cubin->registers}, {"stack_bytes", k.cubin->stack_bytes}, {"static_shared_bytes", k.cubin->shared_bytes}, {"barriers", k.cubin->barriers}, {"code_bytes", k.cubin->code_bytes}};
  if (k.occupancy) j["blocks_per_sm"] = k.occupancy->blocks, j["blocks_bound_by"] = k.occupancy->bound, j["waves"] = k.waves;
  if (!k.source.empty()) {
    j["source"] = k.source;
    auto& out = j[k.loop ? "hot_loop" : "instructions"];
    const std::vector<std::size_t> all = mix(k);
    for (std::size_t w = 0; w < works; ++w)
      if (all[w]) out[std::string(name(static_cast<Work>(w)))] = all[w];
    if (k.assembly) j["membars"] = count_opcodes(k, {"MEMBAR", "membar"}, false);
  }
  if (k.shared) {
    j["shared_accesses"] = nlohmann::ordered_json::array();
    for (const auto& a : *k.shared) {
      nlohmann::ordered_json one = {{"statement", a.statement}, {"buffer", a.buffer}, {"writes", a.is_write}, {"bytes_a_thread", a.width}};
      if (a.banks) one["ways"] = a.banks->ways, one["cycles"] = a.banks->cycles;
      j["shared_accesses"].push_back(std::move(one));
    }
  }
  return j;
}

}  // namespace tecc::cli
