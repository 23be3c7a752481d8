#include "ir/loop/fill.h"

namespace tecc::loop {

std::optional<Interval> reach_of(const Program& p, const Block& b, const Expr& index) {
  const auto affine = affine_of(index);
  const auto binding = affine ? binding_of(b, *affine) : std::nullopt;
  return binding ? std::optional(range_of(p, *binding)) : std::nullopt;
}

bool copies_zeros(const Block& b) { return b.tile && (b.tile->via == Via::cp_async || b.tile->via == Via::bulk_tensor); }

bool holds_surplus(const Program& p, const Block& b, TensorId t, const std::vector<Expr>& index) {
  const auto& storage = p[t].storage;
  if (!storage) return false;
  for (std::size_t d = 0; d < index.size(); ++d) {
    const Storage::Dimension& place = storage->dims[d];
    if (place.relative) continue;  // sized by the loops
    const auto affine = affine_of(index[d]);
    const auto binding = affine ? binding_of(b, *affine) : std::nullopt;
    if (!binding || (b.ahead && b.ahead->by > 0 && depends_on(p, *binding, b.ahead->loop))) return false;  // further than ranges know
    const Interval reach = range_of(p, *binding);
    if (reach.low < place.origin || reach.high - place.origin >= place.extent()) return false;
  }
  return true;
}

bool fills_with_zero(const Program& p, const Block& b) {
  if (b.combiner || b.writes.size() != 1) return false;
  const Write& w = b.writes[0];
  const Buffer& to = p[w.buffer];
  if (!to.fragment.empty() || to.panel) return true;
  const auto* from = w.value.as<Read>();
  // Of several writers each may hold a part: zeros of one would cover elements of another.
  return to.scope == Scope::local && b.predicate.empty() && from && !from->otherwise && p[from->tensor].scope == Scope::global && !p[from->tensor].by_value && writers_of(p, w.buffer).size() == 1 &&
         holds_surplus(p, b, w.buffer, w.index);
}

}  // namespace tecc::loop
