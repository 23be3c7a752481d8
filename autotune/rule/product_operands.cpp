#include <algorithm>
#include <set>

#include "autotune/rule/product.h"

namespace tecc::autotune {

using namespace loop;
using namespace schedule;

bool threads_reach(const Program& p, const tecc::Read& r) {
  constexpr std::int64_t least = 4;  // bytes of a cp.async
  return reaches(p, r, least);
}

bool is_tile_of(const Program& p, const Block& maker, const tecc::Read& r) {
  return boxes_reach(p, r) && r.index.size() == maker.iters.size() && std::all_of(maker.iters.begin(), maker.iters.end(), [&](const Iter& i) { return in(r, i.var); });
}

std::optional<std::uint32_t> maker_of(const Context& c, std::uint32_t s, TensorId operand) {
  const Program& p = c.program();
  if (p[operand].role != loop::Role::workspace || readers_of(p, operand).size() != 1) return std::nullopt;
  for (std::uint32_t n = 0; n < s; ++n) {
    if (!c.alive(n) || c.done[n] || !writes(c.block(n), operand)) continue;
    const Block& b = c.block(n);
    if (b.combiner || b.writes.size() != 1) return std::nullopt;
    bool tiles = false;
    for (const tecc::Read& r : form_of(p, b).reads) {
      if (r.otherwise) return std::nullopt;
      tiles |= is_tile_of(p, b, r);
    }
    return tiles ? std::optional(n) : std::nullopt;
  }
  return std::nullopt;
}

Result<Made> make_on_the_way(Context& c, std::uint32_t stage, const Ref& rounds, const Ref& at, bool once) {
  Made out;
  const Ref maker = Builder::stage(stage);
  c.done[stage] = 1;
  TECC_CHECK(c.build.add(ComputeAt{maker, at}));
  TECC_CHECK(c.build.add(SetScope{{maker}, Scope::reg}));
  const Block b = c.block(stage);
  std::set<TensorId> known;
  for (const tecc::Read& r : form_of(c.program(), b).reads) {
    const auto tensor = c.build.tensor(r.tensor);
    if (!tensor || c.program()[r.tensor].by_value || !known.insert(r.tensor).second) continue;
    const bool tile = is_tile_of(c.program(), b, r);
    TECC_TRY(const auto copy, c.build.add(CacheRead{{maker}, *tensor, tile ? Scope::shared : Scope::reg, tile ? rounds : at}));
    if (tile) out.tiles.push_back(copy[0]);
    (tile ? out.copies : out.blocks).push_back(copy[1]);
    if (tile && once) TECC_CHECK(c.build.add(CacheHint{{copy[1]}, Hint::evict_first}));
  }
  out.blocks.push_back(maker);
  return out;
}

Check pad_operands(Context& c, std::uint32_t s, Via via) {
  const Block product_block = c.block(s);  // steps replace it
  const auto product = product_of(product_block);
  if (!product || !instruction_for(c, product_block, *product, via, true)) return Ok{};
  if (via != Via::wgmma && instruction_for(c, product_block, *product, Via::wgmma, true)) return Ok{};  // it was decided there
  for (const Iter& i : product_block.iters)
    if (i.kind == IterKind::reduce && !constant_of(i.upper)) return Ok{};  // no rule takes it
  for (const Iter& i : product_block.iters)
    if (i.kind == IterKind::spatial && loop::largest(c.program(), i.upper) < 16) return Ok{};  // few rows: reading it again costs as much as the product
  for (const Product::Factor& f : product->factor) {
    const tecc::Read& read = *f.read;
    const Buffer b = c.program()[read.tensor];
    const std::int64_t element = bytes_of(b.type), most = box_bytes / element;
    if (b.scope != Scope::global || b.by_value || read.otherwise || b.shape.size() > 5 || known_divisor(c.program(), b.shape.back()) % most == 0) continue;
    // Or threads copy tiles of it 4 bytes at a time: 777 x 1999 x 1234 in f16 takes 27 us padded, 46 with the larger operand left to them (H200, untuned).
    if (threads_reach(c.program(), read) && c.target.limits.has("cp_async") && c.choose.choose(product_block.name + " pad " + b.name, {0, 1}, 1) == 0) continue;
    const auto tensor = c.build.tensor(read.tensor);
    if (!tensor) continue;
    auto copy = c.build.add(Pad{{Builder::stage(s)}, *tensor, most});
    if (!copy) continue;
    const auto all = c.build.fuse_all(Builder::axes((*copy)[1], b.shape.size()), "all");
    if (!all) continue;
    const std::int64_t width = c.choose.choose(product_block.name + " pad vector " + b.name, those({1, 2, 4, 8}, [&](std::int64_t w) { return w <= most; }), most);
    TECC_TRY(const auto parts, c.build.add(Split{*all, {256, width}}));
    TECC_CHECK(c.build.add(Bind{{parts[0]}, Group::block}));
    TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
    if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
  }
  return Ok{};
}

}  // namespace tecc::autotune
