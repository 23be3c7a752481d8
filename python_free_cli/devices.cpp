#include "runtime/devices.h"

#include <fmt/format.h>

#include "codegen/cuda/nvrtc.h"
#include "python_free_cli/options.h"

namespace tecc::cli {

std::function<int()> add_devices(CLI::App& app) {
  auto as_json = std::make_shared<bool>(false);
  app.add_flag("--json", *as_json, "one JSON document on stdout");
  return [as_json] {
    std::string nvrtc;
    if (const auto v = nvrtc_version()) nvrtc = fmt::format("{}.{}", v->first, v->second);
    const DeviceReport report = device_report(nvrtc);
    fmt::print("{}", *as_json ? json(report) : text(report));
    return 0;
  };
}

}  // namespace tecc::cli
