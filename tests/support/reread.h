#pragma once
#include "ir/loop/parse.h"
#include "tests/support/te.h"

namespace tecc::test {

/// What is wrong with the text of a program: that it does not read, or that what it reads as prints something else; "" if nothing is.
inline std::string text_fault(const loop::Program& p) {
  const Source source{intern("p.ir"), print(p)};
  const auto q = loop::parse(source);
  if (!q) return render(q.error(), source);
  const std::string again = print(*q);
  return again == source.text ? "" : "the text\n" + source.text + "reads back as\n" + again;
}
/// The program after a round through its text, which must print the same again.
inline loop::Program reread(const loop::Program& p) {
  const std::string fault = text_fault(p);
  if (!fault.empty()) FAIL(fault);
  return *loop::parse({intern("p.ir"), print(p)});
}

}  // namespace tecc::test
