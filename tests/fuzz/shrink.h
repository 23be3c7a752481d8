#pragma once
#include <functional>

#include "tests/fuzz/witnesses.h"

/// Failures made small, and kept.
namespace tecc::fuzz {

/// The trace without step `n` and without all that names its results.
schedule::Trace without(const schedule::Trace& trace, std::size_t n);
/// The shortest beginning that `fails`, then without every step that it does not need; gives up looking after `seconds`.
schedule::Trace shrink(const schedule::Trace& trace, const std::function<bool(const schedule::Trace&)>& fails, double seconds);

/// A failure of the same kind with smaller sizes and fewer steps. `seed` is of the inputs.
struct Failure {
  Expression expression;
  std::uint64_t seed;
  schedule::Trace trace;
  std::string fault;
};
Failure shrink(const Failure& f, const Witnesses& who, double seconds);

/// What failures of one kind have in common: the text without numbers and names.
std::string kind_of(const std::string& fault);

/// FOLDER/NAME.te and FOLDER/NAME.schedule; the first lines of the former say what `read_failure` needs.
void write_failure(const std::string& folder, const std::string& name, const Failure& f);
/// The pair of `PATH.te` and `PATH.schedule`.
Result<std::pair<Case, schedule::Trace>> read_failure(const std::string& path);

}  // namespace tecc::fuzz
