#include "ir/loop/fill.h"

#include "ir/number.h"

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

namespace {

/// What all statements that write the tensor copy, the same index along `d` on both sides; nullptr if one of them does something else.
const Read* copied_along(const Program& p, TensorId t, std::size_t d) {
  const Read* from = nullptr;
  for (BlockId id : writers_of(p, t)) {
    const Block& b = p.block(id);
    const Read* read = b.combiner || b.writes.size() != 1 ? nullptr : b.writes[0].value.as<Read>();
    if (!read || d >= read->index.size() || d >= b.writes[0].index.size() || !same_value(read->index[d], b.writes[0].index[d])) return nullptr;
    if (read->otherwise && !is_zero(read->otherwise)) return nullptr;
    if (from && (from->tensor != read->tensor || !from->otherwise != !read->otherwise)) return nullptr;
    from = read;
  }
  return from;
}

}  // namespace

std::optional<Expr> zeros_from(const Program& p, TensorId t, std::size_t d) {
  for (std::size_t n = 0; n <= p.buffers.size(); ++n) {  // running values are copied in circles
    const Read* from = copied_along(p, t, d);
    const bool global = p[t].scope == Scope::global;
    if (global && (!from || !from->otherwise)) return p[t].shape[d];
    if (!from) return std::nullopt;
    t = from->tensor;
  }
  return std::nullopt;
}

bool is_zero_from(const Program& p, TensorId t, std::size_t d, const Expr& upper) {
  const auto from = zeros_from(p, t, d);
  if (!from) return false;
  const auto a = constant_of(*from), b = constant_of(upper);
  return same_value(*from, upper) || (a && b && *a <= *b);
}

}  // namespace tecc::loop
