#include "tests/fuzz/fuzz.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>

namespace tecc::fuzz {

volatile std::uint64_t running_case = 0;

namespace {

std::string name_of(const schedule::Step& s) {
  return std::visit([](const auto& x) { return std::string(x.name); }, s);
}

}  // namespace

Report fuzz(const Settings& settings, std::ostream* progress) {
  Report out;
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  std::map<std::string, int> kept;
  constexpr int of_a_kind = 2;
  double said = 0;
  for (std::uint64_t n = settings.first; passed() < settings.seconds && (!settings.count || out.cases < settings.count) && out.failures.size() < settings.failures; n += settings.step) {
    running_case = n;
    ++out.cases;
    Random r = random_of(settings.seed, n);
    // The large ones cost as much as a hundred of the others.
    const bool product = one_in(r, 40), cascade = !product && one_in(r, 100);
    Expression e = product ? random_product(r) : cascade ? random_cascade(r) : random_stages(r);
    const std::string kind = e.kind;
    const auto c = make_case(std::move(e), n);
    if (!c) {
      ++out.refused["not an expression: " + number(c.error().code)];
      continue;
    }
    const double before = passed();
    const bool by_rules = kind != "stages" || one_in(r, 5);  // whose tiles are wider than the small tensors: guards and zeros
    const Drawn drawn = by_rules ? random_rules(*c, r) : random_steps(c->workload.naive, r, 6 + static_cast<std::size_t>(below(r, 12)));
    Witnesses who = settings.witnesses;
    if (kind != "stages" && !one_in(r, 6)) who.llvm = false;  // LLVM takes seconds for tiles of registers run in series
    if (settings.write_all) write_failure(settings.folder, fmt::format("{}_{}", settings.seed, n), {c->expression, n, drawn.trace, "written before it ran"});
    Outcome result;
    if (drawn.fault.empty()) result = judge(*c, drawn.trace, who);
    else result.fault = drawn.fault;
    out.seconds[kind] += passed() - before;
    ++out.pairs;
    ++out.kinds[kind];
    out.steps += drawn.trace.size();
    for (const schedule::Traced& t : drawn.trace) ++out.primitives[name_of(t.step)];
    out.by_llvm += result.llvm;
    out.by_simulator += result.simulator;
    out.by_all += result.llvm && result.simulator;
    out.rounding += result.rounding;
    if (!result.refused.empty()) ++out.refused[result.refused];
    if (progress && passed() - said > 10) {
      said = passed();
      *progress << fmt::format("{:.0f} s: {} pairs, {} agree ({} in all witnesses), {} fail\n", said, out.pairs, out.agreed, out.by_all, out.failed) << std::flush;
    }
    if (result.fault.empty()) {
      ++out.agreed;
      continue;
    }
    ++out.failed;
    if (kept[kind_of(result.fault)]++ >= of_a_kind) continue;
    Failure f{c->expression, n, drawn.trace, result.fault};
    if (drawn.fault.empty() && settings.shrink > 0) f = shrink(f, result.found, settings.shrink);
    if (kept[kind_of(f.fault)]++ > of_a_kind) continue;
    const std::string name = fmt::format("{}_{}", settings.seed, n);
    if (!settings.folder.empty()) write_failure(settings.folder, name, f);
    const auto small = make_case(f.expression, f.seed);
    out.failures.push_back({name, f.fault, f.expression.text + "# " + f.expression.dims + " " + f.expression.types, small ? print(f.trace, small->workload.naive) : "",
                            settings.folder.empty() ? fmt::format("tecc_fuzz --seed {} --first {} --count 1", settings.seed, n) : fmt::format("tecc_fuzz --replay {}/{}", settings.folder, name)});
    if (progress) *progress << fmt::format("FAILED case {}: {}\n{}\n{}\n{}\n", n, f.fault, out.failures.back().text, out.failures.back().schedule, out.failures.back().command) << std::flush;
  }
  return out;
}

std::string summary(const Report& r) {
  std::string out = fmt::format("{} pairs of an expression and a schedule, {:.1f} steps each; {} agree, {} fail\n", r.pairs, r.pairs ? static_cast<double>(r.steps) / static_cast<double>(r.pairs) : 0, r.agreed, r.failed);
  out += fmt::format("witnesses: interpreter {}, llvm {}, simulator {}, all three {}; equal in f64 only {}\n", r.agreed, r.by_llvm, r.by_simulator, r.by_all, r.rounding);
  const auto line = [&](const std::string& name, const std::map<std::string, std::uint64_t>& counts) {
    std::vector<std::pair<std::uint64_t, std::string>> all;
    for (const auto& [word, n] : counts) all.emplace_back(n, word);
    std::sort(all.rbegin(), all.rend());
    out += name + ":";
    for (const auto& [n, word] : all) out += fmt::format(" {} {},", word, n);
    out.back() = '\n';
  };
  line("expressions", r.kinds);
  out += "seconds:";
  for (const auto& [kind, s] : r.seconds) out += fmt::format(" {} {:.1f},", kind, s);
  out.back() = '\n';
  line("primitives", r.primitives);
  line("refused when lowered for a GPU", r.refused);
  return out;
}

}  // namespace tecc::fuzz
