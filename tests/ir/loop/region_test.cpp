#include <set>

#include "ir/loop/affine.h"
#include "tests/support/te.h"

using namespace tecc;
using namespace tecc::loop;

namespace {

struct Nest {
  Program p;
  BlockId block;
  std::vector<LoopId> loops;
  std::vector<std::int64_t> extents;
};

/// One block over k = sum of loop * stride + offset.
Nest nest(const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& strides, std::int64_t offset) {
  Nest n{{}, {}, {}, extents};
  StmtId parent = n.p.stmts.add(Stmt{{}, {}, Root{"r"}, {}});
  n.p.stmts.edit(parent, [&](Stmt& s) { s.parent = parent; });
  n.p.kernels = {parent};
  Binding binding{{}, offset};
  for (std::size_t i = 0; i < extents.size(); ++i) {
    parent = add_loop(n.p, parent, 0, "l", index_literal(extents[i]));
    n.loops.push_back(parent);
    binding.digits.push_back({parent, 1, 0, strides[i]});
  }
  Block b;
  b.name = "b";
  b.iters = {{add_var(n.p, "k"), IterKind::spatial, 0, index_literal(1 << 20), binding}};
  n.block = add_stmt(n.p, parent, 0, Stmt{{}, {}, std::move(b), {}});
  return n;
}

std::int64_t value(const Binding& b, const std::vector<LoopId>& loops, const std::vector<std::int64_t>& at) {
  std::int64_t v = b.offset;
  for (const Digit& d : b.digits) {
    const std::size_t n = static_cast<std::size_t>(std::find(loops.begin(), loops.end(), d.loop) - loops.begin());
    v += (d.mod ? at[n] / d.div % d.mod : at[n] / d.div) * d.stride;
  }
  return v;
}

/// The region of k / by holds every quotient, wherever the fixed loops stand; its span, where it is one element.
void check(const Nest& n, std::int64_t by, unsigned fixed, bool wants_one) {
  const Block& b = n.p.block(n.block);
  const auto still = [&](LoopId l) { return (fixed >> (std::find(n.loops.begin(), n.loops.end(), l) - n.loops.begin()) & 1) != 0; };
  const Region r = region_of(n.p, b, make(Binary{BinOp::div, var(b.iters[0].var), index_literal(by)}, DType::i64), still);
  REQUIRE(!r.whole);
  bool one = true;
  std::vector<std::int64_t> at(n.loops.size(), 0);
  for (bool more = true; more;) {
    const std::int64_t quotient = value(b.iters[0].binding, n.loops, at) / by, first = value(r.fixed, n.loops, at);
    CHECK((first <= quotient && quotient < first + r.span));
    one &= r.span == 1;
    more = false;
    for (std::size_t i = at.size(); i-- > 0 && !more;) more = ++at[i] < n.extents[i] || (at[i] = 0, false);
  }
  CHECK(one == wants_one);
}

}  // namespace

TEST_CASE("binding_of: a quotient is digits of the loops, or nothing where digits carry") {
  int found = 0, carried = 0;
  const auto walk = [&](const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& strides, std::int64_t offset) {
    const Nest n = nest(extents, strides, offset);
    const Block& b = n.p.block(n.block);
    for (std::int64_t by = 1; by <= 30; ++by) {
      const auto q = binding_of(n.p, b, make(Binary{BinOp::div, var(b.iters[0].var), index_literal(by)}, DType::i64));
      ++(q ? found : carried);
      if (!q) continue;
      std::vector<std::int64_t> at(extents.size(), 0);
      for (bool more = true; more;) {
        INFO("/ " << by);
        CHECK(value(*q, n.loops, at) == floor_div(value(b.iters[0].binding, n.loops, at), by));
        more = false;
        for (std::size_t i = at.size(); i-- > 0 && !more;) more = ++at[i] < extents[i] || (at[i] = 0, false);
      }
    }
  };
  walk({3, 3, 8}, {24, 8, 1}, 0);
  walk({4, 4, 2}, {16, 4, 2}, 1);
  walk({2, 2, 2, 2, 2}, {16, 8, 4, 2, 1}, 0);
  walk({5, 7}, {6, 1}, -3);    // digits that overshoot each other, below zero
  walk({3, 4}, {-8, 2}, 20);   // that run backwards
  CHECK(found >= 20);
  CHECK(carried >= 20);
  const Nest n = nest({16, 32, 4, 2}, {256, 8, 2, 1}, 0);  // the depth of a tile of int8 weights, whose scales hold 128 terms each
  const Block& b = n.p.block(n.block);
  CHECK(binding_of(n.p, b, make(Binary{BinOp::div, var(b.iters[0].var), index_literal(128)}, DType::i64)));
}

TEST_CASE("region_of: quotients of tiles, their digits and what lies between") {
  check(nest({4, 16, 8}, {128, 8, 1}, 0), 128, 1, true);         // k0 * 128 + a tile of 128, by 128
  check(nest({4, 8, 4, 2}, {128, 8, 2, 1}, 0), 128, 0b101, true);  // threads stand still inside of the tile
  check(nest({8, 8, 8}, {64, 8, 1}, 0), 128, 1, true);           // two tiles a quotient: a digit of the loop
  check(nest({8, 8, 8}, {64, 8, 1}, 0), 32, 1, false);           // two quotients a tile
  check(nest({8, 4, 8}, {48, 8, 1}, 0), 128, 1, false);          // 48 does not divide 128
  check(nest({4, 16, 8}, {128, 8, 1}, 64), 128, 1, false);       // the tile lies across two quotients
  check(nest({4, 16, 8}, {128, 8, 1}, 0), 128, 0, false);        // nothing stands still
}
