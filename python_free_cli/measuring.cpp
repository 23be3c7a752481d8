#include "python_free_cli/measuring.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <iostream>
#include <sstream>

#include "runtime/cuda/driver.h"

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

void add_devices(CLI::App& app, std::string& devices) {
  app.add_option("--devices", devices, "several GPUs of one kind side by side: 0,1,2 or all; the first times the finalists")->excludes("--device");
}

namespace {

Refusal on_cpu(const std::string& text) { return refuse(Code::devices_text, text, "the target is a CPU, which is no numbered device"); }

}  // namespace

Result<std::vector<int>> devices_of(const std::string& text, const Input& in) {
  if (text.empty()) return std::vector<int>{in.device};
  if (in.target == "llvm") return on_cpu(text);  // before a driver is asked that may not be there
  TECC_TRY(const int count, cuda::device_count());
  std::vector<int> out;
  if (text == "all") {
    if (count == 0) return refuse(Code::no_device, 0, 0);
    for (int n = 0; n < count; ++n) out.push_back(n);
    return out;
  }
  const auto no = [&](const std::string& why) { return refuse(Code::devices_text, text, why); };
  std::stringstream list(text + ",");  // so that an empty last item is one
  for (std::string item; std::getline(list, item, ',');) {
    int n = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), n);
    if (error != std::errc() || end != item.data() + item.size() || n < 0) return no(fmt::format("'{}' is not the number of a device", item));
    if (n >= count) return refuse(Code::no_device, n, count);
    if (std::find(out.begin(), out.end(), n) != out.end()) return no(fmt::format("device {} is named twice", n));
    out.push_back(n);
  }
  return out;
}

Check devices_fit(const std::string& text, const codegen::Target& target) {
  if (text.empty() || target.kind == codegen::Target::Kind::cuda) return Ok{};
  return on_cpu(text);
}

std::string devices_text(const std::vector<autotune::Measurer::Unit>& units) {
  std::string out;
  for (const auto& u : units)
    if (units.size() > 1) out += fmt::format("  device {}: {} candidates{}\n", u.ordinal, u.measured, u.lost.empty() ? "" : ", then it was lost: " + first_line(u.lost));
  return out;
}

nlohmann::ordered_json to_json(const std::vector<autotune::Measurer::Unit>& units) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& u : units) {
    out.push_back({{"ordinal", u.ordinal}, {"uuid", u.uuid}, {"measured", u.measured}});
    if (!u.lost.empty()) out.back()["lost"] = u.lost;
  }
  return out;
}

std::string warnings_text(const autotune::Steadiness& steadiness) {
  std::string out;
  for (const std::string& line : steadiness.warnings()) out += "  " + line + "\n";
  return out;
}

std::string causes_text(const char* what, const std::vector<autotune::Cause>& causes, std::int64_t of) {
  std::string out;
  for (const auto& c : causes) {
    out += fmt::format("  {} of {} {}: {} {}\n", c.count, of, what, c.code, c.text);
    if (const std::string one = first_line(c.example); one != c.text) out += fmt::format("    for example: {}\n", one);
  }
  return out;
}

nlohmann::ordered_json to_json(const std::vector<autotune::Cause>& causes) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& c : causes) out.push_back({{"code", c.code}, {"phase", c.phase}, {"count", c.count}, {"text", c.text}, {"message", c.example}});
  return out;
}

std::string time_text(double us) {
  return us < 1000 ? fmt::format("{:.2f} us", us) : us < 1e6 ? fmt::format("{:.3f} ms", us / 1e3) : fmt::format("{:.3f} s", us / 1e6);
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
