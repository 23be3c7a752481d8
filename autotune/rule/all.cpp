#include "autotune/rule/rules.h"

namespace tecc::autotune {
namespace {

constexpr Rule rules[] = {
    {"inline_elementwise", inline_elementwise}, {"cascades", cascades}, {"matrix_products", matrix_products}, {"warp_products", warp_products},
    {"tile_contractions", tile_contractions}, {"rows", rows}, {"scans", scans}, {"transpositions", transpositions}, {"elementwise", elementwise},
};

}  // namespace

std::span<const Rule> all_rules() { return rules; }

Result<Candidate> propose(const loop::Program& naive, const codegen::Target& target, Chooser choose) {
  Builder build(naive);
  Context c{target, choose, build, std::vector<std::uint8_t>(naive.stages.size(), 0)};
  for (const Rule& r : rules) TECC_CHECK(r.apply(c));
  return Candidate{build.trace(), build.state(), choose.made()};
}

}  // namespace tecc::autotune
