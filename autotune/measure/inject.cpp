#include "autotune/measure/inject.h"

#include <cstdlib>
#include <sstream>

namespace tecc::autotune {
namespace {

constexpr std::string_view names[] = {"none", "compile", "hang", "wrong", "die"};

}  // namespace

std::string_view name(Fault fault) { return names[static_cast<std::size_t>(fault)]; }

Result<Injector> Injector::from_environment() {
  const char* text = std::getenv("TECC_INJECT");
  return parse(text ? text : "");
}

Result<Injector> Injector::parse(const std::string& text) {
  Injector out;
  std::stringstream items(text);
  int sum = 0;
  for (std::string item; std::getline(items, item, ',');) {
    const std::size_t colon = item.find(':');
    std::size_t kind = 1;
    while (kind < 5 && names[kind] != item.substr(0, colon)) ++kind;
    const std::string percent = colon == std::string::npos ? "" : item.substr(colon + 1);
    if (kind == 5 || percent.empty() || percent.size() > 3 || percent.find_first_not_of("0123456789") != std::string::npos)
      return refuse(Code::inject_text, text);
    sum += out.percent_[kind] = std::stoi(percent);
  }
  if (sum > 100) return refuse(Code::inject_text, text);
  return out;
}

Fault Injector::fault_of(std::uint64_t h) const {
  h ^= h >> 33, h *= 0xff51afd7ed558ccdull, h ^= h >> 33;  // the hashes of neighbours differ in few bits
  int die = static_cast<int>(h % 100);
  for (int kind = 1; kind < 5; ++kind) {
    if (die < percent_[kind]) return static_cast<Fault>(kind);
    die -= percent_[kind];
  }
  return Fault::none;
}

}  // namespace tecc::autotune
