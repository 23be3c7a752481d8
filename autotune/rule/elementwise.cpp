#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

/// One thread, or one vector, an element: the spatial loops become one, which is cut into blocks, threads and vectors.
Check elementwise(Context& c) {
  const bool gpu = c.target.kind == codegen::Target::Kind::cuda;
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    c.done[s] = 1;
    const Block b = c.block(s);
    std::vector<Ref> spatial;
    for (std::size_t a = 0; a < b.iters.size(); ++a)
      if (b.iters[a].kind == IterKind::spatial) spatial.push_back(Builder::axis(Builder::stage(s), a));
    if (spatial.empty()) continue;
    Ref all = spatial[0];
    std::vector<Ref> outer;  // loops that could not be fused (symbolic or ragged inner extents) stay outside
    for (std::size_t a = 1; a < spatial.size(); ++a) {
      auto fused = c.build.add(Fuse{all, spatial[a]}, {"all"});
      if (fused) {
        all = (*fused)[0];
      } else {
        outer.push_back(all);
        all = spatial[a];
      }
    }
    const Form form = form_of(c.program(), b);
    std::int64_t bytes = bytes_of(c.program()[b.writes[0].buffer].type);
    for (const Read& r : form.reads) bytes = std::max(bytes, bytes_of(c.program()[r.tensor].type));
    std::vector<std::int64_t> widths{1};
    for (std::int64_t w = 2; w * bytes <= c.target.vector_bytes && !form.is_reduction; w *= 2) widths.push_back(w);
    const std::int64_t width = c.choose.choose(b.name + " vector", widths, widths.back());
    if (!gpu) {
      // Tasks of as many elements as leave each thread some, vectors inside.
      constexpr std::int64_t tasks_a_thread = 64;
      const std::int64_t chunk = c.choose.choose(b.name + " chunk", {64, 256, 1024, 4096, 16384}, c.build.extent(all) / (tasks_a_thread * c.target.sm_count));
      TECC_TRY(const auto parts, c.build.add(Split{all, {chunk / width, width}}));
      TECC_CHECK(c.build.add(Parallel{{outer.empty() ? parts[0] : outer[0]}}));
      if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
      if (!form.is_reduction) decide_once(c, b.name, {Builder::stage(s)});
      continue;
    }
    const std::int64_t threads = c.choose.choose(b.name + " threads", {64, 128, 256, 512}, 256);
    TECC_TRY(const auto parts, c.build.add(Split{all, {threads, width}}));
    for (const Ref& l : outer) TECC_CHECK(c.build.add(Bind{{l}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[0]}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
    if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
    if (!form.is_reduction) decide_once(c, b.name, {Builder::stage(s)});
  }
  return Ok{};
}

}  // namespace tecc::autotune
