#include "runtime/cuda/api.h"

#include <fmt/format.h>

#include "ir/base/shared_library.h"

namespace tecc::cuda {
namespace {

struct Opened {
  Api api;
  std::string missing;  // why there is no usable driver; empty when there is
};

std::string words(const Api& api, int result) {
  const char *name = nullptr, *text = nullptr;
  if (api.error_name) api.error_name(result, &name);
  if (api.error_string) api.error_string(result, &text);
  return fmt::format("{} ({})", text ? text : "unknown error", name ? name : std::to_string(result).c_str());
}

Opened open_driver() {
  Opened out;
  const SharedLibrary library({"libcuda.so.1", "libcuda.so"}, {});
  if (!library) return out.missing = library.error(), out;
  Api& a = out.api;
#define TECC_FIND(member, symbol, parameters)                 \
  if (!library.find(symbol, a.member) && out.missing.empty()) \
    out.missing = "libcuda.so.1 is too old: it has no " symbol;
  TECC_CUDA_FUNCTIONS(TECC_FIND)
#undef TECC_FIND
  library.find("cuTensorMapEncodeTiled", a.encode_tiled);
  if (!out.missing.empty()) return out;
  // a stub library or a machine without a GPU answers here; no_device is found out by counting
  if (const int result = a.init(0); result != 0 && result != no_device) out.missing = words(a, result);
  return out;
}

const Opened& opened() {
  static const Opened driver = open_driver();
  return driver;
}

}  // namespace

Result<const Api*> api() {
  if (!opened().missing.empty()) return refuse(Code::no_driver, opened().missing);
  return &opened().api;
}

Check check(int result, const std::string& what) {
  if (result == 0) return Ok{};
  return refuse(Code::driver_failed, what, words(opened().api, result));
}

}  // namespace tecc::cuda
