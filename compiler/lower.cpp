#include <fmt/format.h>

#include <fstream>

#include "compiler/pass/passes.h"

namespace tecc::compiler {
namespace {

constexpr Pass gpu_passes[] = {
    {"check_groups", check_groups},       {"decompose_reductions", decompose_reductions},
    {"combine_threads", combine_threads}, {"pipeline_copies", pipeline_copies},
    {"place_buffers", place_buffers},     {"insert_guards", insert_guards},
    {"insert_barriers", insert_barriers},
};
constexpr Pass cpu_passes[] = {
    {"decompose_reductions", decompose_reductions},
    {"place_buffers", place_buffers},
    {"insert_guards", insert_guards},
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
  for (const Pass& pass : limits.gpu ? gpu_pipeline() : cpu_pipeline()) {
    auto after = pass.function(std::move(p), limits);
    if (!after) return after.error();
    p = *std::move(after);
    write(pass.name);
  }
  return p;
}

}  // namespace tecc::compiler
