#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "compiler/pass/passes.h"
#include "ir/loop/parse.h"

namespace tecc::compiler {
namespace {

using loop::Level;

Check verified(const loop::Program& p, Level level, std::string_view pass) {
  Check done = verify(p, level);
  if (done) return done;
  Refusal why = done.error();
  why.args[0] = std::string(pass);
  return why;
}

constexpr Pass gpu_passes[] = {
    {"check_groups", check_groups, Level::scheduled},
    {"assign_roles", assign_roles, Level::scheduled},
    {"skew_statements", skew_statements, Level::scheduled},
    {"choose_instructions", choose_instructions, Level::tiled},
    {"scan_threads", scan_threads, Level::tiled},
    {"decompose_reductions", decompose_reductions, Level::decomposed},
    {"combine_threads", combine_threads, Level::decomposed},
    {"realise_channels", realise_channels, Level::decomposed},
    {"overlap_kernels", overlap_kernels, Level::decomposed},
    {"check_instructions", check_instructions, Level::decomposed},
    {"pipeline_copies", pipeline_copies, Level::pipelined},
    {"place_buffers", place_buffers, Level::placed},
    {"insert_guards", insert_guards, Level::placed},
    {"insert_barriers", insert_barriers, Level::placed},
    {"lower_events", lower_events, Level::threaded},
};
constexpr Pass cpu_passes[] = {
    {"decompose_reductions", decompose_reductions, Level::decomposed},
    {"place_buffers", place_buffers, Level::placed},
    {"insert_guards", insert_guards, Level::placed},
};
constexpr std::string_view before_all = "scheduled";  // the stage that no pass leaves
constexpr std::string_view head = "# tecc: after ";

std::span<const Pass> pipeline(const Limits& limits) { return limits.gpu ? gpu_pipeline() : cpu_pipeline(); }

/// How many passes have run at the stage; nullopt if the pipeline has no such stage.
std::optional<std::size_t> passes_until(std::string_view stage, const Limits& limits) {
  if (stage == before_all) return 0;
  const auto all = pipeline(limits);
  for (std::size_t n = 0; n < all.size(); ++n)
    if (all[n].name == stage) return n + 1;
  return std::nullopt;
}

}  // namespace

std::span<const Pass> gpu_pipeline() { return gpu_passes; }
std::span<const Pass> cpu_pipeline() { return cpu_passes; }

std::string print(const Stage& stage) { return fmt::format("{}{}\n{}", head, stage.after, print(stage.program)); }

Result<Stage> parse_stage(const Source& source, const Limits& limits) {
  const std::string_view text = source.text;
  const std::string_view line = text.substr(0, text.find('\n'));
  if (!line.starts_with(head)) return refuse(Code::no_stage, source.name, fmt::format("its first line is not '{}PASS', as --dump-ir writes it", head));
  const std::string after(line.substr(head.size()));
  const auto done = passes_until(after, limits);
  if (!done) {
    std::string legal(before_all);
    for (const Pass& p : pipeline(limits)) legal += fmt::format(", {}", p.name);
    return at({source.name, 1, static_cast<std::uint32_t>(head.size()) + 1},
              refuse(Code::no_stage, source.name, fmt::format("'{}' is no stage of the passes for a {}; legal: {}", after, limits.gpu ? "GPU" : "CPU", legal)));
  }
  TECC_TRY(loop::Program p, loop::parse(source));
  if (Check good = verify(p, *done ? pipeline(limits)[*done - 1].leaves : Level::scheduled); !good) {
    const Refusal& why = good.error();  // without a place it is the program as a whole: its first line
    return at(why.at.file ? why.at : CallSite{source.name, 2, 1}, refuse(Code::edited_program, after, std::get<std::string>(why.args[1])));
  }
  return Stage{after, std::move(p)};
}

Result<loop::Program> lower(loop::Program p, const Limits& limits, const std::string& dump, std::vector<Spent>* spent) {
  return lower_from({std::string(before_all), std::move(p)}, limits, dump, spent);
}

Result<loop::Program> lower_from(Stage stage, const Limits& limits, const std::string& dump, std::vector<Spent>* spent) {
  using Clock = std::chrono::steady_clock;
  const std::size_t done = passes_until(stage.after, limits).value();
  const auto all = pipeline(limits);
  const auto write = [&](std::size_t n, std::string_view name) {
    if (!dump.empty()) std::ofstream(fmt::format("{}/{:02}_{}.ir", dump, n, name)) << print(Stage{std::string(name), stage.program});
  };
  name_as_printed(stage.program);  // so that going on from a file leads to the same text
  write(done, stage.after);
  if (done == 0) TECC_CHECK(verified(stage.program, Level::scheduled, "schedule"));
  for (std::size_t n = 0; n < all.size(); ++n) {
    // What was fed back behind check_instructions has met another device's.
    if (n < done && all[n].function != check_instructions) continue;
    const auto begin = spent ? Clock::now() : Clock::time_point{};
    auto after = all[n].function(std::move(stage.program), limits);
    if (!after) return after.error();
    stage.program = *std::move(after);
    if (n < done) continue;
    name_as_printed(stage.program);
    write(n + 1, all[n].name);
    TECC_CHECK(verified(stage.program, all[n].leaves, all[n].name));
    if (spent) spent->push_back({std::string(all[n].name), std::chrono::duration<double, std::milli>(Clock::now() - begin).count()});
  }
  return std::move(stage.program);
}

std::optional<Stage> before_bug(Stage stage, const Limits& limits, std::span<const Pass> passes) {
  const auto last = std::find_if(passes.begin(), passes.end(), [&](const Pass& p) { return p.name == stage.after; });
  const auto first = last == passes.end() ? passes.begin() : last + 1;
  name_as_printed(stage.program);
  for (const Pass& pass : std::span(first, passes.end())) {
    Stage next{std::string(pass.name), stage.program};
    try {
      auto after = pass.function(std::move(next.program), limits);
      if (!after) return number(after.error().code).starts_with('B') ? std::optional(std::move(stage)) : std::nullopt;
      next.program = *std::move(after);
      name_as_printed(next.program);
      if (!verify(next.program, pass.leaves)) return stage;
    } catch (const std::exception&) {
      return stage;
    }
    stage = std::move(next);
  }
  return std::nullopt;
}

}  // namespace tecc::compiler
