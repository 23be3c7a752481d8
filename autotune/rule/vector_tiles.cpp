#include "autotune/rule/contraction.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

/// On a CPU: a register tile of rows x vectors, the panel of the operand that the vectors run along packed once for all rows.
Check vector_tiles(Context& c, std::uint32_t s, const Form& form) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  std::vector<std::size_t> spatial, reduce;
  for (std::size_t a = 0; a < b.iters.size(); ++a) (b.iters[a].kind == IterKind::reduce ? reduce : spatial).push_back(a);
  if (spatial.size() < 2) return Ok{};
  c.done[s] = 1;
  const std::size_t m = spatial[spatial.size() - 2], n = spatial.back();
  const std::int64_t lanes = c.target.vector_bytes / 4;
  const bool many_registers = c.target.vector_bytes == 64;  // 32 of them with AVX-512, else 16
  const std::int64_t extent_m = c.build.extent(Builder::axis(stage, m)), extent_n = c.build.extent(Builder::axis(stage, n));
  const std::int64_t rows = std::min(extent_m, c.choose.choose(b.name + " rows", {1, 2, 4, 6, 8, 12}, many_registers ? 8 : 6));
  const std::int64_t vectors = c.choose.choose(b.name + " vectors", {1, 2, 3, 4}, extent_n < 2 * lanes ? 1 : 2);
  TECC_TRY(const auto i, c.build.add(Split{Builder::axis(stage, m), {rows}}, {"i0", "i1"}));
  TECC_TRY(const auto j, c.build.add(Split{Builder::axis(stage, n), {vectors, lanes}}, {"j0", "j1", "j2"}));
  std::vector<Ref> order;
  for (std::size_t a : spatial)
    if (a != m && a != n) order.push_back(Builder::axis(stage, a));
  order.push_back(j[0]);
  order.push_back(i[0]);
  for (std::size_t a : reduce) order.push_back(Builder::axis(stage, a));
  for (const Ref& l : {i[1], j[1], j[2]}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  bool followed = false;
  for (std::uint32_t e : followers_of(c, s)) {
    auto loops = c.build.add(ReverseComputeAt{Builder::stage(e), i[0]});
    if (!loops) continue;
    const Ref last = loops->back();
    if (c.build.present(last))
      if (auto parts = c.build.add(Split{last, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
    c.done[e] = 1;
    followed = true;
  }
  if (followed && readers_of(c.program(), b.writes[0].buffer).size() == 1 && c.program()[b.writes[0].buffer].role == loop::Role::workspace) {
    TECC_CHECK(c.build.add(SetScope{{stage}, Scope::local}));
  } else if (auto copy = c.build.add(CacheWrite{stage, *c.build.tensor(b.writes[0].buffer), Scope::local, i[0]})) {
    const Ref last = Builder::axis((*copy)[1], spatial.size() - 1);
    if (c.build.present(last))
      if (auto parts = c.build.add(Split{last, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
  }
  TECC_CHECK(c.build.add(Unroll{{i[1], j[1]}}));
  (void)c.build.try_add(Vectorize{{j[2]}});
  // The panel: every row of tiles reads it again.
  for (const Read& r : form.reads) {
    const auto dim = dimension_of(b, r, n);
    const auto handle = c.build.tensor(r.tensor);
    if (!dim || !handle || extent_m < 4 * rows || c.choose.choose(b.name + " pack " + c.program()[r.tensor].name, {0, 1}, 1) == 0) continue;
    auto copy = c.build.add(CacheRead{{stage}, *handle, Scope::local, j[0]});
    if (!copy) continue;
    const std::size_t rank = r.index.size();
    if (*dim + 1 != rank) {
      std::vector<std::int64_t> layout;
      for (std::size_t d = 0; d < rank; ++d)
        if (d != *dim) layout.push_back(static_cast<std::int64_t>(d));
      layout.push_back(static_cast<std::int64_t>(*dim));
      TECC_CHECK(c.build.add(SetLayout{(*copy)[0], layout, 0}));
    }
    const Ref along = Builder::axis((*copy)[1], *dim);
    if (*dim + 1 == rank && c.build.present(along))
      if (auto parts = c.build.add(Split{along, {lanes}})) (void)c.build.try_add(Vectorize{{(*parts)[1]}});
  }
  TECC_CHECK(c.build.add(Parallel{{order[0]}}));
  return Ok{};
}

}  // namespace tecc::autotune
