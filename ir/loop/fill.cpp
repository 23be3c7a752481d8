#include "ir/loop/fill.h"

namespace tecc::loop {

bool fills_with_zero(const Program& p, const Block& b) {
  if (b.combiner || b.writes.size() != 1) return false;
  const Buffer& to = p[b.writes[0].buffer];
  if (!to.fragment.empty() || to.panel) return true;
  const auto* from = b.writes[0].value.as<Read>();
  // Of several writers each may hold a part: zeros of one would cover elements of another.
  return to.scope == Scope::local && b.predicate.empty() && from && !from->otherwise && p[from->tensor].scope == Scope::global && !p[from->tensor].by_value && writers_of(p, b.writes[0].buffer).size() == 1;
}

}  // namespace tecc::loop
