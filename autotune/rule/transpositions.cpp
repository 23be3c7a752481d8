#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

/// Elementwise stages that read a tensor across its rows: tiles go through shared memory, so that both sides are touched along their rows.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

/// The read to stage, and the axes of the block that run along its rows and along the rows of the result.
struct Crossing {
  tecc::Read read;
  std::size_t along_read = 0, along_write = 0;
};

std::optional<Crossing> crossing_of(const Context& c, std::uint32_t s) {
  const Block& b = c.block(s);
  if (b.combiner || b.writes.size() != 1 || b.writes[0].index.empty()) return std::nullopt;
  const auto axis_of = [&](const Expr& e) -> std::optional<std::size_t> {
    const auto* v = e.as<Var>();
    for (std::size_t n = 0; v && n < b.iters.size(); ++n)
      if (b.iters[n].var == v->id) return n;
    return std::nullopt;
  };
  const auto along_write = axis_of(b.writes[0].index.back());
  if (!along_write) return std::nullopt;
  std::optional<Crossing> out;
  const std::vector<tecc::Read> reads = form_of(c.program(), b).reads;
  for (const tecc::Read& r : reads) {
    const auto along = axis_of(r.index.back());
    const bool both = std::any_of(r.index.begin(), r.index.end(), [&](const Expr& e) { return axis_of(e) == along_write; });
    if (r.otherwise || !along || along == along_write || !both) continue;
    if (out) return std::nullopt;  // several: caches will do
    out = Crossing{r, *along, *along_write};
  }
  // A tile would have to hold what the other reads of the tensor take, too: for A[i, j] + A[j, i] whole rows.
  if (out && std::count_if(reads.begin(), reads.end(), [&](const tecc::Read& r) { return r.tensor == out->read.tensor; }) > 1) return std::nullopt;
  return out;
}

/// A tile's loops as one, shared out to the threads in vectors.
Check share_out(Context& c, const Ref& outer, const Ref& inner, std::int64_t threads, std::int64_t width) {
  TECC_TRY(const auto all, c.build.add(Fuse{outer, inner}));
  TECC_TRY(const auto parts, c.build.add(Split{all[0], {threads, width}}));
  TECC_CHECK(c.build.add(Bind{{parts[1]}, Group::thread}));
  if (width > 1) (void)c.build.try_add(Vectorize{{parts[2]}});
  return Ok{};
}

Check through_shared(Context& c, std::uint32_t s, const Crossing& x) {
  const Block b = c.block(s);
  const Ref stage = Builder::stage(s);
  const std::string& name = b.name;
  c.done[s] = 1;
  const std::int64_t bytes = bytes_of(c.program()[b.writes[0].buffer].type), most = c.target.vector_bytes / bytes;
  std::vector<std::int64_t> widths;
  for (std::int64_t w = 1; w <= most; w *= 2) widths.push_back(w);
  // Where a search begins is what the recorded space of 4-byte elements holds for fastest (benchmarks/spaces).
  const std::int64_t read_tile = c.choose.choose(name + " tile along reads", {16, 32, 64, 128}, 64);
  const std::int64_t write_tile = c.choose.choose(name + " tile along writes", {16, 32, 64, 128}, 64);
  const std::int64_t load = c.choose.choose(name + " load vector", widths, most), store = c.choose.choose(name + " store vector", widths, bytes <= 2 ? most : 1);
  const std::int64_t threads = c.choose.choose(name + " threads", {128, 256, 512}, 256);
  const std::int64_t pad = c.choose.choose(name + " pad", {0, 1, 2, 4}, 2);
  TECC_TRY(const auto r, c.build.add(Split{Builder::axis(stage, x.along_read), {read_tile}}, {"r0", "r1"}));
  TECC_TRY(const auto w, c.build.add(Split{Builder::axis(stage, x.along_write), {write_tile}}, {"w0", "w1"}));
  std::vector<Ref> blocks;
  for (std::size_t a = 0; a < b.iters.size(); ++a)
    if (a != x.along_read && a != x.along_write) blocks.push_back(Builder::axis(stage, a));
  const bool read_first = c.choose.choose(name + " order", {0, 1}, 1) == 0;  // which neighbours run at the same time
  blocks.push_back(read_first ? r[0] : w[0]);
  blocks.push_back(read_first ? w[0] : r[0]);
  std::vector<Ref> order = blocks;
  order.push_back(r[1]), order.push_back(w[1]);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{blocks, Group::block}));
  const auto tensor = c.build.tensor(x.read.tensor);
  if (!tensor) return refuse(Code::not_inside, name, "a tensor", "none");
  TECC_TRY(const auto copy, c.build.add(CacheRead{{stage}, *tensor, Scope::shared, blocks.back()}, {"xs", "xl"}));
  if (pad) TECC_CHECK(c.build.add(SetLayout{copy[0], {}, pad}));
  std::optional<Ref> outer, inner;  // the loops of the copy that run
  for (std::size_t d = 0; d < x.read.index.size(); ++d) {
    const Ref axis = Builder::axis(copy[1], d);
    if (!c.build.present(axis)) continue;
    outer = inner, inner = axis;
  }
  if (outer && inner) TECC_CHECK(share_out(c, *outer, *inner, threads, load));
  TECC_CHECK(share_out(c, r[1], w[1], threads, store));
  decide_once(c, name, {copy[1], stage});
  return Ok{};
}

}  // namespace

Check transpositions(Context& c) {
  if (c.target.kind != codegen::Target::Kind::cuda) return Ok{};
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    const auto x = crossing_of(c, s);
    if (!x) continue;
    const Ref stage = Builder::stage(s);
    if (std::min(c.build.extent(Builder::axis(stage, x->along_read)), c.build.extent(Builder::axis(stage, x->along_write))) >= 16) TECC_CHECK(through_shared(c, s, *x));
  }
  return Ok{};
}

}  // namespace tecc::autotune
