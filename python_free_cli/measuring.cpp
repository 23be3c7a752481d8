#include "python_free_cli/measuring.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <unistd.h>

#include <atomic>
#include <iostream>

namespace tecc::cli {
namespace {

std::atomic<int> interrupts{0};
void count_interrupt(int) {
  if (++interrupts > 1) ::_exit(130);
}

/// "60", "60s", "5m", "1h" in seconds; nothing for other text.
std::optional<double> seconds_of(const std::string& text) {
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

}  // namespace

bool read_time(const std::string& text, std::optional<double>& seconds) {
  if (text.empty()) return true;
  seconds = seconds_of(text);
  if (!seconds) std::cerr << "--time: '" << text << "' is not a time; write for example 60s, 5m or 1h\n";
  return seconds.has_value();
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
