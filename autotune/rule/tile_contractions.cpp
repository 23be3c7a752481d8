#include <algorithm>

#include "autotune/rule/contraction.h"

namespace tecc::autotune {

using namespace loop;

std::vector<std::uint32_t> followers_of(const Context& c, std::uint32_t s) {
  std::vector<std::uint32_t> out;
  const Program& p = c.program();
  for (BlockId reader : readers_of(p, c.block(s).writes[0].buffer))
    for (std::uint32_t n = 0; n < p.stages.size(); ++n)
      if (c.alive(n) && p.stages[n].block == reader && !c.done[n] && !c.block(n).combiner) out.push_back(n);
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::size_t> dimension_of(const Block& b, const tecc::Read& r, std::size_t axis) {
  for (std::size_t d = 0; d < r.index.size(); ++d)
    if (const auto* v = r.index[d].as<Var>(); v && v->id == b.iters[axis].var) return d;
  return std::nullopt;
}

Check tile_contractions(Context& c) {
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    const Form form = form_of(c.program(), c.block(s));
    if (!form.has_reuse) continue;
    TECC_CHECK(c.target.kind == codegen::Target::Kind::cuda ? register_tiles(c, s, form) : vector_tiles(c, s, form));
  }
  return Ok{};
}

}  // namespace tecc::autotune
