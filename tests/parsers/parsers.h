#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Every reader of what comes from outside, as a fuzzer sees it: any bytes, and the reader returns.
namespace tecc::parsers {

struct Parser {
  const char* name;
  /// Reads the bytes, and where they mean something writes them and reads that again: it must mean the same. Throws std::logic_error (by
  /// invariant()) if not. Refusals are rendered, as messages quote the input.
  void (*read)(const std::string& input);
  /// Inputs that mean something, to begin with: examples and what tecc itself writes.
  std::vector<std::string> (*seeds)();
};
std::span<const Parser> parsers();

}  // namespace tecc::parsers
