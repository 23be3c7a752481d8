#pragma once
#include "tests/support/te.h"
#include "tests/support/text_fault.h"

namespace tecc::test {

/// The program after a round through its text, which must print the same again.
inline loop::Program reread(const loop::Program& p) {
  const std::string fault = text_fault(p);
  if (!fault.empty()) FAIL(fault);
  return *loop::parse({intern("p.ir"), print(p)});
}

}  // namespace tecc::test
