#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/support/workload.h"

/// Every way in which lowering lets copies and products go on while threads do: each a schedule at the smallest sizes at which each slot is
/// used twice.
namespace tecc::test {

struct AsynchronousSchedule {
  std::string name;
  std::string text, dims, types;  // the operator
  std::string arch;
  std::string schedule;                           // its text, or
  std::map<std::string, std::int64_t> decisions;  // what the rules of the search are to decide
  /// Mutants that change nothing, each with the proof's name in docs/mutants.md.
  std::map<std::string, std::string> equivalent;
  std::int64_t shared_bytes = 0;  // that a block may have; 0: what the device offers
};

std::vector<AsynchronousSchedule> asynchronous_schedules();

/// The operator, bound to its sizes, with the schedule.
loop::Program scheduled(const AsynchronousSchedule& s, const codegen::Workload& w);
compiler::Limits limits_of(const AsynchronousSchedule& s);
/// ... and lowered within them.
loop::Program lowered(const AsynchronousSchedule& s, const codegen::Workload& w);

/// A file of examples/schedules with other numbers.
std::string schedule_file(const std::string& name, const std::vector<std::pair<std::string, std::string>>& changes);

}  // namespace tecc::test
