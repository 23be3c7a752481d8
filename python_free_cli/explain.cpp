#include <fmt/format.h>

#include <iostream>

#include "python_free_cli/options.h"

namespace tecc::cli {

std::function<int()> add_explain(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  app.add_option("what", *what, "an error number: E0303")->required();
  return [what] {
    const auto text = explanation(*what);
    if (!text) {
      Input in;
      return fail(refuse(Code::unknown_error, *what), in);
    }
    fmt::print("{}", *text);
    return 0;
  };
}

}  // namespace tecc::cli
