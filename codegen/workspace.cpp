#include <algorithm>

#include "codegen/build.h"
#include "compiler/memory/place.h"
#include "ir/loop/affine.h"

namespace tecc::codegen {

using namespace loop;

std::string formula_of(const Program& p, const Expr& e) { return print(e, names_of(p)); }

Workspace plan_workspace(const Program& p) {
  constexpr std::int64_t alignment = 256;
  struct Live {
    TensorId tensor;
    std::int64_t first, last;
  };
  std::vector<Live> live;
  std::int64_t moment = -1;  // kernels that run side by side share one
  for (StmtId root : p.kernels) {
    if (p[root].as<Root>()->start != Root::Start::concurrent) ++moment;
    for (BlockId id : blocks_under(p, root)) {
      const Block& b = p.block(id);
      const auto touch = [&](TensorId t) {
        if (p[t].role != loop::Role::workspace || p[t].scope != Scope::global) return;
        for (Live& l : live)
          if (l.tensor == t) {
            l.last = moment;
            return;
          }
        live.push_back({t, moment, moment});
      };
      for (TensorId t : read_buffers(b)) touch(t);
      for (const Write& w : b.writes) touch(w.buffer);
    }
  }
  Workspace out;
  std::vector<Lifetime> lifetimes;
  bool constant = true;
  for (const Live& l : live) {
    Expr elements = index_literal(bytes_of(p[l.tensor].type));
    for (const Expr& e : p[l.tensor].shape) elements = elements * e;
    const auto bytes = constant_of(elements);
    constant &= bytes.has_value();
    lifetimes.push_back({p[l.tensor].name, l.first, l.last + 1, std::max<std::int64_t>(bytes.value_or(1), 1), alignment});
  }
  if (constant) {
    const Placement placed = place(lifetimes, {});
    for (std::size_t n = 0; n < live.size(); ++n) out.offsets[live[n].tensor] = std::to_string(placed.offsets[n]);
    out.constant_bytes = live.empty() ? 0 : placed.height;
    out.bytes = std::to_string(out.constant_bytes);
    return out;
  }
  // Sizes known only at launch: one after the other.
  std::string offset = "0";
  for (const Live& l : live) {
    Expr bytes = index_literal(bytes_of(p[l.tensor].type));
    for (const Expr& e : p[l.tensor].shape) bytes = bytes * e;
    out.offsets[l.tensor] = offset;
    const std::string size = "ceildiv(" + formula_of(p, bytes) + ", 256) * 256";
    offset = offset == "0" ? size : offset + " + " + size;
  }
  out.bytes = offset;
  return out;
}

}  // namespace tecc::codegen
