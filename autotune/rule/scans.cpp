#include "autotune/rule/rules.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

Check scans(Context& c) {
  const bool gpu = c.target.kind == codegen::Target::Kind::cuda;
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    const Block b = c.block(s);  // a copy: every step replaces rows
    const Form form = form_of(c.program(), b);
    if (!form.is_scan) continue;
    c.done[s] = 1;
    std::vector<Ref> spatial;
    for (std::size_t a = 0; a < b.iters.size(); ++a)
      if (b.iters[a].kind == IterKind::spatial) spatial.push_back(Builder::axis(Builder::stage(s), a));
    if (spatial.empty()) continue;
    Ref row = spatial[0];
    for (std::size_t a = 1; a < spatial.size(); ++a) {
      auto fused = c.build.add(Fuse{row, spatial[a]}, {"rows"});
      if (!fused) break;
      row = (*fused)[0];
    }
    if (!gpu) {
      TECC_CHECK(c.build.add(Parallel{{row}}));
      continue;
    }
    const std::int64_t threads = c.choose.choose(b.name + " threads", {32, 64, 128, 256}, 64);
    TECC_TRY(const auto parts, c.build.add(Split{row, {threads}}));
    TECC_CHECK(c.build.add(Bind{{parts[0]}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
  }
  return Ok{};
}

}  // namespace tecc::autotune
