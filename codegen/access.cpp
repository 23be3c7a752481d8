#include "codegen/access.h"

#include <algorithm>

#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"

namespace tecc::codegen {

using namespace loop;

namespace {

/// Row-major strides of a global buffer.
std::vector<Expr> strides_of(const Buffer& b) {
  std::vector<Expr> out(b.shape.size(), index_literal(1));
  for (std::size_t d = b.shape.size(); d-- > 1;) out[d - 1] = out[d] * b.shape[d];
  return out;
}

void add_affine(const Program& p, Address& a, const Binding& index, const Expr& stride) {
  if (const auto c = constant_of(stride)) a.linear = loop::add(p, a.linear, index, *c);
  else if (!index.digits.empty() || index.offset) a.symbolic.push_back({index, stride});
}

/// Digits of a coordinate as digits of an address: each falls into one cut.
std::optional<Binding> placed_digits(const Program& p, const Storage::Dimension& dim, const Binding& rest) {
  Binding out;
  const auto offset = dim.place_of(rest.offset);
  if (rest.offset != 0 && dim.cuts.size() == 1) {  // a plain stride takes any offset, that of a row before the first, too
    if (rest.offset % dim.cuts[0].unit) return std::nullopt;
    out.offset = rest.offset / dim.cuts[0].unit * dim.cuts[0].place;
  } else if (offset) {
    out.offset = *offset;
  } else {
    return std::nullopt;
  }
  std::vector<std::int64_t> used(dim.cuts.size(), 0);
  std::vector<Digit> todo = rest.digits;
  while (!todo.empty()) {
    const Digit x = todo.back();
    todo.pop_back();
    bool placed = false;
    for (std::size_t c = 0; c < dim.cuts.size() && !placed; ++c) {
      const Storage::Cut& cut = dim.cuts[c];
      if (x.stride % cut.unit || (x.stride < 0 && dim.cuts.size() > 1)) continue;
      const std::int64_t high = range_of(p, Digit{x.loop, x.div, x.mod, 1}).high;
      if (c > 0 && x.stride * high >= dim.cuts[c - 1].unit) {  // it counts on into the next cut: two digits
        const std::int64_t below = dim.cuts[c - 1].unit / x.stride;
        if (dim.cuts[c - 1].unit % x.stride || (x.mod && x.mod % below)) return std::nullopt;
        todo.push_back({x.loop, x.div, below, x.stride});
        todo.push_back({x.loop, x.div * below, x.mod / below, x.stride * below});
        placed = true;
        continue;
      }
      used[c] += x.stride / cut.unit * high;
      if (dim.cuts.size() > 1 && used[c] >= cut.count) return std::nullopt;
      out.digits.push_back({x.loop, x.div, x.mod, x.stride / cut.unit * cut.place});
      placed = true;
    }
    if (!placed) return std::nullopt;
  }
  return out;
}

bool digit_varies(const Program& p, const Digit& d, LoopId v) {
  if (d.loop == v) return true;
  return p.loop(d.loop).retired && depends_on(p, *p.loop(d.loop).retired, v);
}

/// How a digit without its stride changes over `width` neighbouring iterations of a loop, the first of them a multiple of the width.
enum class Along : std::uint8_t { constant, counts, otherwise };  // counts: by one each, from a multiple of the width on

Along along(const Program& p, const Digit& d, LoopId v, std::int64_t width) {
  Along value = d.loop == v ? Along::counts : Along::constant;
  if (const auto& made = p.loop(d.loop).retired) {
    bool multiple = made->offset % width == 0;
    for (const Digit& x : made->digits) {
      const Along a = along(p, x, v, width);
      if (a == Along::otherwise || (a == Along::counts && (x.stride != 1 || value == Along::counts))) return Along::otherwise;
      if (a == Along::counts) value = a;
      else multiple &= x.stride % width == 0;
    }
    if (value == Along::counts && !multiple) return Along::otherwise;
  }
  if (value == Along::constant) return value;
  if (d.div == 1 && d.mod % width == 0) return value;  // mod 0: no remainder is taken
  return d.div % width == 0 ? Along::constant : Along::otherwise;
}

}  // namespace

Binding at_zero(const Program& p, Binding b, const std::vector<LoopId>& loops) {
  std::erase_if(b.digits, [&](const Digit& d) { return std::any_of(loops.begin(), loops.end(), [&](LoopId l) { return digit_varies(p, d, l); }); });
  return b;
}

Address address_of(const Program& p, BlockId id, TensorId buffer, const std::vector<Expr>& index, const std::vector<LoopId>& zero) {
  const Block& b = p.block(id);
  const Buffer& buf = p[buffer];
  Address out;
  const std::vector<Expr> strides = buf.storage ? std::vector<Expr>() : strides_of(buf);
  for (std::size_t d = 0; d < index.size(); ++d) {
    auto binding = binding_of(p, b, index[d]);
    if (binding && !zero.empty()) binding = at_zero(p, normal(p, *binding), zero);
    if (!buf.storage) {
      if (binding) add_affine(p, out, normal(p, *binding), strides[d]);
      else out.general.push_back({index[d], {}, 0, 1, 0, strides[d]});
      continue;
    }
    const Storage::Dimension& dim = buf.storage->dims[d];
    const auto still = [&](LoopId l) { return compiler::holds_still(p, buf, l); };
    if (binding) {
      Binding rest = normal(p, *binding);
      if (dim.relative) std::erase_if(rest.digits, [&](const Digit& x) { return still(x.loop); });
      rest.offset -= dim.origin;
      if (const auto placed = placed_digits(p, dim, rest)) {
        out.linear = loop::add(p, out.linear, *placed);
        continue;
      }
    }
    if (dim.extent() == 1) continue;  // whatever the index is made of: there is one place
    Binding minus;
    if (dim.relative) minus = Binding{region_of(p, b, index[d], still).fixed.digits, 0};
    for (std::size_t c = 0; c < dim.cuts.size(); ++c)
      out.general.push_back({index[d], minus, dim.origin, dim.cuts[c].unit, c == 0 ? 0 : dim.cuts[c].count, index_literal(dim.cuts[c].place)});
  }
  if (buf.slots > 1) {
    Address::Slot slot{std::nullopt, 0, buf.slots, buf.storage->elements};
    if (is_inside(p, id, buf.slot_loop)) {
      slot.loop = buf.slot_loop;
      slot.ahead = b.ahead ? b.ahead->by : 0;
    }
    out.slot = slot;
  }
  return out;
}

std::vector<Expr> in_bounds(const Program& p, const Block& b, const Read& r, bool lazy) {
  std::vector<Expr> out;
  if (!r.otherwise && !lazy) return out;
  for (std::size_t d = 0; d < r.index.size(); ++d) {
    const auto range = range_of(p, &b, r.index[d]);
    const Expr& extent = p[r.tensor].shape[d];
    if (!range || range->low < 0) out.push_back(make(Binary{BinOp::less_equal, index_literal(0), r.index[d]}, DType::boolean));
    const auto smallest = range_of(p, nullptr, extent);
    if (!range || !smallest || range->high >= smallest->low) out.push_back(make(Binary{BinOp::less, r.index[d], extent}, DType::boolean));
  }
  return out;
}

bool varies(const Program& p, const Block& b, const Expr& e, LoopId v) {
  bool found = false;
  walk(e, [&](const Expr& x) {
    if (const auto* var = x.as<Var>()) {
      if (const Iter* i = iter_of(b, var->id)) found |= depends_on(p, i->binding, v);
      else found |= p.loop(v).var == var->id;
    }
    return !found;
  });
  return found;
}

bool is_vector(const Program& p, const Address& a, LoopId v, std::int64_t width) {
  if (!a.general.empty()) return false;
  bool found = false;
  if (a.linear.offset % width) return false;
  for (const Digit& d : a.linear.digits) {
    const Along how = along(p, d, v, width);
    if (how == Along::otherwise || (how == Along::constant && d.stride % width) || (how == Along::counts && (d.stride != 1 || found))) return false;
    found |= how == Along::counts;
  }
  for (const Address::Symbolic& s : a.symbolic) {
    // The stride is a product of dims: it must be known to be a multiple of the width.
    std::int64_t known = 1;
    walk(s.stride, [&](const Expr& e) {
      if (const auto c = constant_of(e)) known *= *c;
      else if (const auto* x = e.as<Var>()) {
        if (const auto dim = p.dims.find(x->id); dim != p.dims.end()) known *= dim->second.multiple_of;
      } else if (const auto* y = e.as<Binary>(); y && y->op == BinOp::mul) return true;
      else known = 1;
      return false;
    });
    if (known % width) return false;
    for (const Digit& d : s.index.digits)
      if (digit_varies(p, d, v)) return false;
  }
  return found && (!a.slot || a.slot->elements % width == 0);
}

bool is_uniform(const Program& p, const Block& b, const Address& a, LoopId v) {
  for (const Digit& d : a.linear.digits)
    if (digit_varies(p, d, v)) return false;
  for (const Address::Symbolic& s : a.symbolic)
    for (const Digit& d : s.index.digits)
      if (digit_varies(p, d, v)) return false;
  for (const Address::General& g : a.general)
    if (varies(p, b, g.index, v)) return false;
  return true;
}

bool guard_is_uniform(const Program& p, const Block& b, const Expr& guard, LoopId v, std::int64_t width) {
  if (!varies(p, b, guard, v)) return true;
  const auto* compared = guard.as<Binary>();
  if (!compared || (compared->op != BinOp::less && compared->op != BinOp::less_equal)) return false;
  const bool below = compared->op == BinOp::less;  // x < limit, or limit <= x: they part at the same place
  const Expr &limit = below ? compared->b : compared->a, &x = below ? compared->a : compared->b;
  const auto affine = affine_of(x);
  const auto binding = affine ? binding_of(b, *affine) : std::nullopt;
  std::int64_t divisor = 1;
  if (const auto bound = constant_of(limit)) divisor = *bound;
  else if (const auto* dim = limit.as<Var>(); dim && p.dims.count(dim->id)) divisor = p.dims.at(dim->id).multiple_of;
  if (!binding) return false;
  bool counts = false, multiple = divisor % width == 0 && binding->offset % width == 0;
  for (const Digit& d : normal(p, *binding).digits) {
    const Along how = along(p, d, v, width);
    if (how == Along::otherwise || (how == Along::counts && (d.stride != 1 || counts))) return false;
    if (how == Along::counts) counts = true;
    else multiple &= d.stride % width == 0;
  }
  return !counts || multiple;
}

}  // namespace tecc::codegen
