#include <algorithm>

#include "autotune/rule/tensor_tiles.h"

/// A product whose terms are weights made from another product by reductions that can run along with it (attention): one loop over parts
/// of the common axis with running values, both products on matrix instructions, the weights in registers from one to the other.
namespace tecc::autotune {

using namespace loop;
using namespace schedule;

namespace {

struct Cascade {
  std::uint32_t score = 0, last = 0;    // the first product and the second
  std::vector<std::uint32_t> chain;     // the reductions between, in order, and the second product
  std::vector<std::uint32_t> between;   // elementwise stages that they read
  std::uint32_t factor = 0;             // of the second product: which one is computed
  std::optional<std::uint32_t> follower;
  // Axes of the second product, by number.
  std::vector<std::size_t> batch;
  std::size_t row = 0, column = 0, along = 0;
  // Axes of the first product.
  std::size_t score_row = 0, score_along = 0, score_depth = 0;
  TensorId queries, keys, values;
  bool ragged = false;
};

std::vector<std::uint32_t> stages_that(const Context& c, const std::function<bool(std::uint32_t)>& test) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s)
    if (!c.done[s] && c.alive(s) && test(s)) out.push_back(s);
  return out;
}
TensorId result_of(const Context& c, std::uint32_t s) { return c.block(s).writes[0].buffer; }

/// The axis of a read's index, where it is plain.
std::optional<VarId> plain(const Expr& e) {
  const auto* v = e.as<Var>();
  return v ? std::optional(v->id) : std::nullopt;
}

/// The second product: a sum over one axis of weights times a tensor in global memory.
bool find_last(const Context& c, std::uint32_t s, Cascade& out) {
  const Block& b = c.block(s);
  const auto* product = b.writes.size() == 1 && b.combiner == Reducer::sum ? b.writes[0].value.as<Binary>() : nullptr;
  if (!product || product->op != BinOp::mul) return false;
  for (std::uint32_t side = 0; side < 2; ++side) {
    const Expr &weight = side == 0 ? product->a : product->b, &other = side == 0 ? product->b : product->a;
    const auto* wide = other.as<Cast>();
    const auto* value = wide ? wide->a.as<tecc::Read>() : nullptr;
    if (!value || !boxes_reach(c.program(), *value)) continue;
    std::vector<const tecc::Read*> reads;
    walk(weight, [&](const Expr& e) {
      if (const auto* r = e.as<tecc::Read>()) reads.push_back(r);
      return true;
    });
    if (reads.size() != 1 || c.program()[reads[0]->tensor].role != loop::Role::workspace) continue;
    out.last = s, out.factor = side, out.values = value->tensor;
    out.batch.clear();
    int rows = 0, columns = 0, reduce = 0;
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      const bool in_weight = in(*reads[0], b.iters[n].var), in_value = in(*value, b.iters[n].var);
      if (b.iters[n].kind == IterKind::reduce) out.along = n, ++reduce;
      else if (in_weight && in_value) out.batch.push_back(n);
      else if (in_weight) out.row = n, ++rows;
      else if (in_value) out.column = n, ++columns;
    }
    out.ragged = reduce == 1 && !constant_of(b.iters[out.along].upper);
    return rows == 1 && columns == 1 && reduce == 1 && plain(value->index.back()) == b.iters[out.column].var;
  }
  return false;
}

/// What the second product depends on, up to the first one.
bool find_chain(const Context& c, Cascade& out) {
  std::vector<std::uint32_t> members{out.last};
  bool found = false;
  for (std::uint32_t s = out.last; s-- > 0;) {
    if (c.done[s] || !c.alive(s)) continue;
    const bool used = std::any_of(members.begin(), members.end(), [&](std::uint32_t m) { return reads(c.block(m), result_of(c, s)); });
    if (!used) continue;
    if (product_of(c.block(s))) {
      if (found) return false;
      out.score = s, found = true;
      continue;
    }
    if (c.block(s).writes.size() != 1) return false;
    members.push_back(s);
  }
  // Sums of the same weights, which what follows the product needs.
  for (std::uint32_t s : stages_that(c, [&](std::uint32_t n) { return c.block(n).combiner == Reducer::sum && !product_of(c.block(n)); }))
    if (!std::count(members.begin(), members.end(), s) &&
        std::any_of(members.begin(), members.end(), [&](std::uint32_t m) { return !c.block(m).combiner && reads(c.block(s), result_of(c, m)); }))
      members.push_back(s);
  std::sort(members.begin(), members.end());
  for (std::uint32_t s : members)
    if (s != out.last) (c.block(s).combiner ? out.chain : out.between).push_back(s);
  out.chain.push_back(out.last);
  return found && out.chain.size() >= 2;
}

/// Axes and operands of the first product, in terms of what the second one calls them.
bool find_score(const Context& c, Cascade& out) {
  const Block& b = c.block(out.score);
  const auto product = product_of(b);
  const auto &a = *product->factor[0].read, &k = *product->factor[1].read;
  if (!boxes_reach(c.program(), a) || !boxes_reach(c.program(), k)) return false;
  out.queries = a.tensor, out.keys = k.tensor;
  int rows = 0, along = 0, depth = 0;
  for (std::size_t n = 0; n < b.iters.size(); ++n) {
    const bool in_a = in(a, b.iters[n].var), in_k = in(k, b.iters[n].var);
    if (b.iters[n].kind == IterKind::reduce) out.score_depth = n, ++depth;
    else if (in_a && !in_k) out.score_row = n, ++rows;
    else if (in_k && !in_a) out.score_along = n, ++along;
  }
  return rows == 1 && along == 1 && depth == 1 && constant_of(b.iters[out.score_depth].upper);
}

std::optional<Cascade> cascade_of(const Context& c, std::uint32_t s) {
  Cascade out;
  if (!find_last(c, s, out) || !find_chain(c, out) || !find_score(c, out)) return std::nullopt;
  const auto readers = stages_that(c, [&](std::uint32_t n) { return reads(c.block(n), result_of(c, s)); });
  if (readers.size() != 1 || c.block(readers[0]).combiner) return std::nullopt;
  out.follower = readers[0];
  const DType into = c.program()[result_of(c, readers[0])].type;
  if (bytes_of(into) != 2) return std::nullopt;  // results leave through stmatrix
  const bool offered = std::any_of(instructions().begin(), instructions().end(), [&](const Instruction& i) {
    return i.via == Via::wgmma && i.a == c.program()[out.queries].type && i.a == c.program()[out.values].type && c.target.limits.has(i.name) && i.transposed;
  });
  const bool large = c.build.extent(Builder::axis(Builder::stage(s), out.row)) >= 64 && c.build.extent(Builder::axis(Builder::stage(s), out.along)) >= 64;
  const bool fed = feeds_tensor_cores(c.target.limits) && c.target.limits.has("stmatrix");
  return offered && fed && large ? std::optional(out) : std::nullopt;
}

Check schedule_cascade(Context& c, const Cascade& f) {
  const std::string name = c.block(f.last).name;
  const Ref last = Builder::stage(f.last), score = Builder::stage(f.score), follower = Builder::stage(*f.follower);
  const std::int64_t length = c.build.extent(Builder::axis(last, f.along)), rows = c.build.extent(Builder::axis(last, f.row));
  const std::int64_t width = c.build.extent(Builder::axis(last, f.column));
  for (std::uint32_t s : f.chain) c.done[s] = 1;
  for (std::uint32_t s : f.between) c.done[s] = 1;
  c.done[f.score] = c.done[*f.follower] = 1;

  const std::int64_t groups = c.choose.choose(name + " warpgroups", those({1, 2, 3}, [&](std::int64_t g) { return g == 1 || 64 * (g - 1) < rows; }), 2);
  const std::int64_t room = share_of(groups).consumer - 24;  // both accumulators, and the weights as the next product takes them
  const std::int64_t part = c.choose.choose(name + " part", those({64, 80, 96, 112, 128, 160, 176, 192}, [&](std::int64_t n) { return n / 2 + n / 4 + ceil_div(width, 8) * 4 <= room && (n == 64 || n <= length); }), 128);
  const std::int64_t depth = c.build.extent(Builder::axis(score, f.score_depth));
  const std::int64_t fixed = groups * 2 * 64 * (depth + width) + 4096;  // queries, results, barriers
  const std::int64_t slots = c.choose.choose(name + " slots", those({1, 2, 3, 4}, [&](std::int64_t n) { return n * 2 * part * (depth + width) + fixed <= c.target.limits.shared_bytes; }), 2);
  const std::int64_t band = c.choose.choose(name + " band", {8, 1, 2, 4, 16}, 8);
  const bool skewed = c.choose.choose(name + " skew", {1, 0}, 1) == 1;
  const bool turns = skewed && groups > 1 && c.choose.choose(name + " turns", {1, 0}, 1) == 1;
  const bool persist = c.choose.choose(name + " persist", {1, 0}, f.ragged ? 0 : 1) == 1;  // of uneven work the hardware hands out the next best
  const bool longest_first = f.ragged && c.choose.choose(name + " longest first", {1, 0}, 1) == 1;

  // The second product's nest; what else there is moves into it.
  std::optional<Ref> all;
  for (std::size_t n : f.batch) {
    const Ref axis = Builder::axis(last, n);
    if (!all) { all = axis; continue; }
    TECC_TRY(const auto fused, c.build.add(Fuse{*all, axis}, {"bh"}));
    all = fused[0];
  }
  TECC_TRY(const auto i, c.build.add(Split{Builder::axis(last, f.row), {64 * groups}}, {"i0", "i1"}));
  TECC_TRY(const auto w, c.build.add(Split{i[1], {64}}, {"w", "i2"}));
  TECC_TRY(const auto j, c.build.add(Split{Builder::axis(last, f.along), {part}}, {"j0", "j1"}));
  std::vector<Ref> order;
  if (all) order.push_back(*all);
  for (const Ref& l : {i[0], j[0], w[0], w[1], Builder::axis(last, f.column), j[1]}) order.push_back(l);
  TECC_CHECK(c.build.add(Reorder{order}));
  TECC_CHECK(c.build.add(Bind{{w[0]}, Group::warpgroup}));
  std::vector<Ref> chain, registers{score};
  for (std::uint32_t s : f.chain) chain.push_back(Builder::stage(s));
  std::vector<std::string> names{"sc"};
  for (std::size_t n = 1; n < f.chain.size(); ++n) names.push_back("f" + std::to_string(n));
  TECC_TRY(const auto factors, c.build.add(Online{chain, j[0], w[0]}, names));
  TECC_TRY(const auto parts, c.build.add(ComputeAt{score, w[0]}));
  for (std::uint32_t s : f.between) registers.push_back(Builder::stage(s));
  registers.insert(registers.end(), chain.begin(), chain.end());
  TECC_CHECK(c.build.add(SetScope{registers, Scope::reg}));
  TECC_TRY(const auto cast, c.build.add(CacheRead{{last}, Ref{Ref::Base::factor, f.factor, 0, {}}, Scope::reg, w[0]}, {"p", "cast"}));
  TECC_TRY(const auto q, c.build.add(CacheRead{{score}, *c.build.tensor(f.queries), Scope::shared, i[0]}, {"qs", "ql"}));
  TECC_TRY(const auto k, c.build.add(CacheRead{{score}, *c.build.tensor(f.keys), Scope::shared, j[0]}, {"ks", "kl"}));
  TECC_TRY(const auto v, c.build.add(CacheRead{{last}, *c.build.tensor(f.values), Scope::shared, j[0]}, {"vs", "vl"}));
  TECC_TRY(const auto s, c.build.add(Blockize{parts[f.score_row]}, {"s"}));
  TECC_TRY(const auto o, c.build.add(Blockize{w[1]}, {"o"}));
  TECC_CHECK(c.build.add(Tensorize{{s[0], o[0]}, Via::wgmma, false}));
  for (std::size_t n = 0; n + 1 < chain.size(); ++n) TECC_CHECK(c.build.add(CrossThreadReduce{{chain[n]}, n == 0 ? w[0] : i[0]}));

  // What follows, through shared memory.
  const Block out = c.block(*f.follower);
  const TensorId result = out.writes[0].buffer;
  const auto row_at = axis_in(c, c.program().stages[f.last].block, out, f.row);
  if (!row_at) return refuse(Code::not_product, name);
  TECC_TRY(const auto follow, c.build.add(ReverseComputeAt{follower, i[0]}));
  TECC_TRY(const auto ow, c.build.add(Split{follow[*row_at], {64}}, {"v", "o1"}));
  TECC_CHECK(c.build.add(Bind{{ow[0]}, Group::warpgroup}));
  TECC_TRY(const auto store, c.build.add(CacheWrite{follower, *c.build.tensor(result), Scope::shared, ow[0]}, {"os", "ol"}));
  TECC_TRY(const auto e, c.build.add(Blockize{ow[1]}, {"f"}));
  TECC_CHECK(c.build.add(CopyWith{{e[0]}, Via::stmatrix}));
  TECC_CHECK(c.build.add(CopyWith{{q[1], k[1], v[1], store[1]}, Via::bulk_tensor}));
  if (f.ragged && skewed) {
    TECC_CHECK(c.build.add(Reverse{j[0]}));
    TECC_CHECK(c.build.add(Partition{j[0]}));
  }
  Ref g = i[0];
  if (all) {
    TECC_TRY(const auto both, c.build.add(schedule::Raster{*all, i[0], band, longest_first ? Order::longest_first : Order::forward}, {"g"}));
    g = both[0];
  }
  const std::vector<Ref> grid = all ? std::vector<Ref>{*all, i[0]} : std::vector<Ref>{i[0]};
  TECC_CHECK(persist ? c.build.add(Persist{g}) : c.build.add(Bind{grid, Group::block}));
  TECC_CHECK(c.build.add(Pipeline{g, {q[0]}, 1}));
  TECC_CHECK(c.build.add(Pipeline{j[0], {k[0]}, slots}));
  TECC_CHECK(c.build.add(Pipeline{j[0], {v[0]}, slots}));
  TECC_CHECK(c.build.add(Pipeline{g, {store[0]}, 1}));

  std::vector<Ref> steps{s[0], o[0], chain[0], factors[0]};
  for (std::uint32_t n : f.between) steps.push_back(Builder::stage(n));
  for (std::size_t n = 1; n + 1 < chain.size(); ++n) steps.push_back(factors[n]), steps.push_back(chain[n]);
  steps.push_back(factors.back()), steps.push_back(cast[1]);
  std::vector<Ref> works = steps;
  works.push_back(e[0]), works.push_back(store[1]);
  const Share share = share_of(groups);
  TECC_CHECK(c.build.add(Specialize{{schedule::Role{{q[1], k[1], v[1]}, 1, groups == 2 ? 24 : share.loader}, schedule::Role{works, groups, groups == 2 ? 240 : share.consumer}}}));
  if (skewed) TECC_CHECK(c.build.add(Skew{j[0], {{o[0], 1}}, steps}));
  if (turns) TECC_CHECK(c.build.add(TakeTurns{w[0], {s[0], o[0]}}));
  return Ok{};
}

}  // namespace

Check cascades(Context& c) {
  if (c.target.kind != codegen::Target::Kind::cuda) return Ok{};
  for (std::uint32_t s = 0; s < c.program().stages.size(); ++s) {
    if (c.done[s] || !c.alive(s)) continue;
    if (const auto found = cascade_of(c, s)) TECC_CHECK(schedule_cascade(c, *found));
  }
  return Ok{};
}

}  // namespace tecc::autotune
