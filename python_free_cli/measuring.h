#pragma once
#include <optional>
#include <string>

/// What commands that measure for minutes have in common.
namespace tecc::cli {

/// --time: "60", "60s", "5m", "1h" in seconds; nothing where it is missing. Prints what is wrong with other text and returns false.
bool read_time(const std::string& text, std::optional<double>& seconds);

/// From now on Ctrl-C lets the candidate that is being measured end; a second one does not wait.
void watch_interrupts();
bool interrupted();

}  // namespace tecc::cli
