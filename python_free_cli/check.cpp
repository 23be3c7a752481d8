#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "python_free_cli/options.h"

namespace tecc::cli {

std::function<int()> add_check(CLI::App& app) {
  auto in = std::make_shared<Input>();
  add_input(app, *in, false);
  return [in] {
    const auto loaded = load(*in);
    if (!loaded) return 1;
    const codegen::Workload& w = loaded->workload;
    if (in->json) {
      nlohmann::ordered_json j;
      j["kernel"] = w.kernel.name;
      j["hash"] = w.hash;
      j["text"] = te::print(w.kernel);
      j["program"] = loop::print(w.naive);
      fmt::print("{}\n", j.dump(2));
    } else {
      fmt::print("{}\n{}\nhash {}\n", te::print(w.kernel), loop::print(w.naive), w.hash);
    }
    return 0;
  };
}

}  // namespace tecc::cli
