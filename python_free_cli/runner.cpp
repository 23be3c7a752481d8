#include "autotune/measure/serve.h"
#include "python_free_cli/options.h"

namespace tecc::cli {

/// `tecc __runner FD`: started by `tecc tune`, never by a person.
std::function<int()> add_runner(CLI::App& app) {
  auto fd = std::make_shared<int>(-1);
  app.add_option("socket", *fd)->required();
  return [fd] { return autotune::serve(*fd); };
}

}  // namespace tecc::cli
