#pragma once
#include <string>

#include "ir/base/errors.h"

namespace tecc::autotune {

/// Faults on purpose, to test what tuning makes of them: TECC_INJECT=compile:5,hang:5,wrong:2,die:2 (percent of candidates).
enum class Fault : std::uint8_t { none, compile, hang, wrong, die };

class Injector {
 public:
  /// From the environment; nothing is injected where the variable is not set. E0529.
  static Result<Injector> from_environment();
  static Result<Injector> parse(const std::string& text);
  /// The same for the same candidate, so that runs repeat.
  Fault fault_of(std::uint64_t trace_hash) const;

 private:
  int percent_[5] = {};
};
std::string_view name(Fault fault);

}  // namespace tecc::autotune
