#pragma once
#include <optional>
#include <string>

/// What commands that measure for minutes have in common.
namespace tecc::cli {

/// "60", "60s", "5m", "1h" in seconds; nothing for other text.
std::optional<double> seconds_of(const std::string& text);

/// From now on Ctrl-C lets the candidate that is being measured end; a second one does not wait.
void watch_interrupts();
bool interrupted();

}  // namespace tecc::cli
