#pragma once
#include <map>

#include "tests/fuzz/schedules.h"

/// What accepted schedules are held against: the interpreter of expressions says what is right; the interpreter of loop programs, LLVM's
/// code and the simulator of GPU programs must say the same.
namespace tecc::fuzz {

struct Witnesses {
  bool interpreter = true, llvm = true, simulator = true;
};
/// What became of one pair of an expression and a schedule.
struct Outcome {
  std::string fault;    // "" if nothing is wrong
  bool llvm = false, simulator = false;  // that had a program to run; the interpreter always has
  std::string refused;  // by lowering for a GPU: the code
  Witnesses found;        // who saw the fault: the others need not run to see it again
  bool rounding = false;  // f32 results differ by what they do not in f64
};
Outcome judge(const Case& c, const schedule::Trace& trace, const Witnesses& who);

}  // namespace tecc::fuzz
