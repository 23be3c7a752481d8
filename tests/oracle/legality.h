#pragma once
#include <memory>
#include <set>
#include <string>

#include "ir/loop/program.h"

/// Integer sets as judge of schedules: an exact account of which instance of which block runs when (isl), that shares no code with the
/// checks of steps.
namespace tecc::oracle {

class Oracle {
 public:
  /// What depends on what is read off the naive program: elements that a block reads, on the instances that write them; iterations of a scan,
  /// on those before. Steps of a reduction may run in any order.
  explicit Oracle(const loop::Program& naive);
  ~Oracle();
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  /// What is wrong with a program that steps made of it; "" if nothing is:
  ///   an instance that does not run, or (of a sum or scan that is not in `again`: those that were moved to where they are used) runs twice;
///   other blocks may, as they store the same again, unless everything is to run once;
  ///   an instance of a sum in `again` that runs twice inside of the outermost loop of its reduction, where the sum begins;
  ///   an instance that runs before one that it depends on, or at the same time, in another iteration of a loop that is parallel;
  ///   steps of one sum in several iterations of such a loop. Loops bound to threads may share out a sum, as a later step combines them.
  /// The text has the instances.
  enum class Runs : std::uint8_t { any, once };
  std::string fault(const loop::Program& p, const std::set<loop::BlockId>& again, Runs runs = Runs::any) const;

 private:
  struct Inside;
  std::unique_ptr<Inside> in_;
};

}  // namespace tecc::oracle
