#include <fmt/format.h>

#include <fstream>

#include "compiler/pass/passes.h"

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
    {"decompose_reductions", decompose_reductions, Level::decomposed},
    {"combine_threads", combine_threads, Level::decomposed},
    {"realise_channels", realise_channels, Level::decomposed},
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

}  // namespace

std::span<const Pass> gpu_pipeline() { return gpu_passes; }
std::span<const Pass> cpu_pipeline() { return cpu_passes; }

Result<loop::Program> lower(loop::Program p, const Limits& limits, const std::string& dump) {
  int n = 0;
  const auto write = [&](std::string_view name) {
    if (!dump.empty()) std::ofstream(fmt::format("{}/{:02}_{}.ir", dump, n, name)) << print(p);
    ++n;
  };
  write("scheduled");
  TECC_CHECK(verified(p, Level::scheduled, "schedule"));
  for (const Pass& pass : limits.gpu ? gpu_pipeline() : cpu_pipeline()) {
    auto after = pass.function(std::move(p), limits);
    if (!after) return after.error();
    p = *std::move(after);
    write(pass.name);
    TECC_CHECK(verified(p, pass.leaves, pass.name));
  }
  return p;
}

}  // namespace tecc::compiler
