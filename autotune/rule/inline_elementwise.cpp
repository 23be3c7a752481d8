#include "autotune/rule/rules.h"

namespace tecc::autotune {

using namespace loop;

/// A stage is computed again by its readers when that is cheap: always where each of them uses an element once; a reduction with
/// reuse would compute each one many times, so into it only what costs nothing, casts and other indices.
Check inline_elementwise(Context& c) {
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (!c.alive(s)) continue;
    const Block& b = c.block(s);
    const Form form = form_of(c.program(), b);
    if (b.combiner || form.is_reduction) continue;
    bool repeats = false;
    for (BlockId reader : readers_of(c.program(), b.writes[0].buffer)) repeats |= form_of(c.program(), c.program().block(reader)).has_reuse;
    bool arithmetic = false;
    walk(b.writes[0].value, [&](const Expr& e) {
      arithmetic |= is_float(e->type) && (e.as<Binary>() || e.as<Unary>());
      return !e.as<Read>();
    });
    if (repeats && arithmetic) continue;
    if (c.build.try_add(schedule::Inline{{Builder::stage(s)}})) c.done[s] = 1;
  }
  return Ok{};
}

}  // namespace tecc::autotune
