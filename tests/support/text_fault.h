#pragma once
#include "ir/loop/parse.h"

namespace tecc::test {

/// What is wrong with the text of a program: that it does not read, or that what it reads as prints something else; "" if nothing is.
inline std::string text_fault(const loop::Program& p) {
  const Source source{intern("p.ir"), print(p)};
  const auto q = loop::parse(source);
  if (!q) return render(q.error(), source);
  const std::string again = print(*q);
  return again == source.text ? "" : "the text\n" + source.text + "reads back as\n" + again;
}

}  // namespace tecc::test
