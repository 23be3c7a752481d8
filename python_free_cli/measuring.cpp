#include "python_free_cli/measuring.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <unistd.h>

#include <atomic>

namespace tecc::cli {
namespace {

std::atomic<int> interrupts{0};
void count_interrupt(int) {
  if (++interrupts > 1) ::_exit(130);
}

}  // namespace

std::optional<double> seconds_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const std::string unit = text.substr(used);
  const double factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  return value > 0 && factor > 0 ? std::optional(value * factor) : std::nullopt;
}

void watch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = count_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupts > 0; }

}  // namespace tecc::cli
