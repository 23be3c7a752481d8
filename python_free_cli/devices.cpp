#include "runtime/devices.h"

#include <fmt/format.h>

#include "codegen/cuda/nvrtc.h"
#include "python_free_cli/options.h"

namespace tecc::cli {

std::function<int()> add_devices(CLI::App& app) {
  auto as_json = std::make_shared<bool>(false);
  auto spec = std::make_shared<std::string>();
  app.add_flag("--json", *as_json, "one JSON document on stdout");
  app.add_option("--spec", *spec, "print a device file: of an architecture, or of another device file with every key in it");
  return [as_json, spec] {
    if (!spec->empty()) {
      const auto target = codegen::find_target(*spec);
      Input in;
      in.json = *as_json;
      if (!target) return fail(target.error(), in);
      if (target->kind != codegen::Target::Kind::cuda) return fail(refuse(Code::unknown_arch, *spec, "the names of GPUs, as nvcc spells them"), in);
      fmt::print("{}", codegen::device_file(*target));
      return 0;
    }
    std::string nvrtc;
    if (const auto v = nvrtc_version()) nvrtc = fmt::format("{}.{}", v->first, v->second);
    const DeviceReport report = device_report(nvrtc);
    fmt::print("{}", *as_json ? json(report) : text(report));
    return 0;
  };
}

}  // namespace tecc::cli
