#pragma once
#include <optional>
#include <string>

#include "autotune/measure/measurer.h"
#include "autotune/measure/steadiness.h"
#include "autotune/record/causes.h"
#include "python_free_cli/options.h"

/// What commands that measure for minutes have in common.
namespace tecc::cli {

/// --time: "60", "60s", "5m", "1h" in seconds; nothing where it is missing. Prints what is wrong with other text and returns false.
bool read_time(const std::string& text, std::optional<double>& seconds);

/// --devices, beside the --device of Input.
void add_devices(CLI::App& app, std::string& devices);
/// The GPUs of "0,2" or "all", each once; where the text is empty that of --device. E0533 E0603 E0604.
Result<std::vector<int>> devices_of(const std::string& text, const Input& in);
/// E0533 where devices were named and the target is none of them.
Check devices_fit(const std::string& text, const codegen::Target& target);

/// What each of several devices did, and which was lost: a line each, nothing for one that is there to the end.
std::string devices_text(const std::vector<autotune::Measurer::Unit>& units);
nlohmann::ordered_json to_json(const std::vector<autotune::Measurer::Unit>& units);
/// Steadiness::warnings(), each a line.
std::string warnings_text(const autotune::Steadiness& steadiness);

/// Failures by cause, an indented line each: "  3 of 64 candidates: E0520 ..."; of several that differ, what they have in common and one
/// of them.
std::string causes_text(const char* what, const std::vector<autotune::Cause>& causes, std::int64_t of);
nlohmann::ordered_json to_json(const std::vector<autotune::Cause>& causes);

/// "12.30 us", "1.234 ms".
std::string time_text(double us);

/// From now on Ctrl-C lets the candidate that is being measured end; a second one does not wait.
void watch_interrupts();
bool interrupted();

}  // namespace tecc::cli
