#include "ir/loop/digits.h"
#include "tests/support/te.h"

// Sums of digits against their values, all pairs of small digits.

using namespace tecc;
using namespace tecc::loop;

namespace {

std::int64_t value(const Program& p, const Binding& b, const std::map<LoopId, std::int64_t>& at) {
  std::int64_t v = b.offset;
  for (const Digit& d : b.digits) {
    const auto known = at.find(d.loop);
    std::int64_t x = floor_div(known != at.end() ? known->second : value(p, *p.loop(d.loop).retired, at), d.div);
    if (d.mod) x = floor_mod(x, d.mod);
    v += x * d.stride;
  }
  return v;
}

struct Loops {
  Program p;
  StmtId root;
  LoopId outer, inner;
};
Loops loops(std::int64_t outer, std::int64_t inner) {
  Loops l;
  l.root = l.p.stmts.add(Stmt{{}, {}, Root{"r"}, {}});
  l.p.stmts.edit(l.root, [&](Stmt& s) { s.parent = l.root; });
  l.p.kernels = {l.root};
  l.outer = add_loop(l.p, l.root, 0, "o", index_literal(outer));
  l.inner = add_loop(l.p, l.outer, 0, "i", index_literal(inner));
  return l;
}

std::vector<Digit> digits_of(LoopId l) {
  std::vector<Digit> out;
  for (const std::int64_t div : {1, 2, 3, 4, 6})
    for (const std::int64_t mod : {0, 2, 3, 4})
      for (const std::int64_t stride : {-2, 0, 1, 2, 3, 4, 6, 12}) out.push_back({l, div, mod, stride});
  return out;
}

}  // namespace

TEST_CASE("digits: sorted and merged sums of two digits have the value of the sum, inside of their range") {
  Loops l = loops(5, 12);
  std::int64_t wrong = 0, merged = 0;
  for (const Digit& x : digits_of(l.inner))
    for (const LoopId other : {l.inner, l.outer})
      for (const Digit& y : digits_of(other)) {
        const Binding sum{{x, y}, 7};
        const Binding got = normal(l.p, sum), kept = normal(l.p, sum, Zeros::stay);
        const Interval range = range_of(l.p, sum);
        merged += got.digits.size() < 2;
        for (std::int64_t o = 0; o < 5; ++o)
          for (std::int64_t i = 0; i < 12; ++i) {
            const std::map<LoopId, std::int64_t> at{{l.outer, o}, {l.inner, i}};
            const std::int64_t v = value(l.p, sum, at);
            wrong += value(l.p, got, at) != v || value(l.p, kept, at) != v || v < range.low || v > range.high;
          }
      }
  CHECK(wrong == 0);
  CHECK(merged > 0);
}

TEST_CASE("digits: a retired loop's digits become digits of what it was made of, with the same value") {
  std::int64_t wrong = 0, lines_up = 0;
  for (const std::int64_t outer : {2, 3, 4})
    for (const std::int64_t inner : {2, 3, 4, 6}) {
      Loops l = loops(outer, inner);
      const LoopId old = add_loop(l.p, l.inner, 0, "x", index_literal(outer * inner));
      l.p.stmts.edit(old, [&](Stmt& s) { std::get<Loop>(s.node).retired = Binding{{{l.outer, 1, 0, inner}, {l.inner, 1, 0, 1}}, 0}; });
      for (const Digit& d : digits_of(old)) {
        const Binding before{{d}, 3}, after = expand(l.p, before, old);
        lines_up += std::none_of(after.digits.begin(), after.digits.end(), [&](const Digit& x) { return x.loop == old; });
        for (std::int64_t o = 0; o < outer; ++o)
          for (std::int64_t i = 0; i < inner; ++i) {
            const std::map<LoopId, std::int64_t> at{{l.outer, o}, {l.inner, i}};
            wrong += value(l.p, after, at) != value(l.p, before, at);
          }
      }
    }
  CHECK(wrong == 0);
  CHECK(lines_up > 0);
}

TEST_CASE("digits: what digits of a retired loop and of its parts tell together is told by their values") {
  std::int64_t wrong = 0, told = 0, missed = 0;
  for (const std::int64_t outer : {2, 3, 4, 6})
    for (const std::int64_t inner : {2, 4, 6})
      for (const std::int64_t stride : {inner, inner + 1}) {
        Loops l = loops(outer, inner);
        const LoopId old = add_loop(l.p, l.inner, 0, "x", index_literal(outer * inner));
        l.p.stmts.edit(old, [&](Stmt& s) { std::get<Loop>(s.node).retired = Binding{{{l.outer, 1, 0, stride}, {l.inner, 1, 0, 1}}, 0}; });
        for (const std::int64_t mod : {2, 3, 4, 6, 8, 12, 24})
          for (const std::int64_t div : {1, 2, 3, 4, 6})
            for (const LoopId asked : {l.outer, l.inner}) {
              const std::vector<Digit> digits{{old, 1, mod, 1}, {l.outer, div, 0, 100}};
              bool follows = true;
              std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> seen;
              for (std::int64_t o = 0; o < outer; ++o)
                for (std::int64_t i = 0; i < inner; ++i) {
                  const std::map<LoopId, std::int64_t> at{{l.outer, o}, {l.inner, i}};
                  const std::pair named{value(l.p, {{digits[0]}, 0}, at), value(l.p, {{digits[1]}, 0}, at)};
                  const auto [first, fresh] = seen.emplace(named, at.at(asked));
                  follows = follows && (fresh || first->second == at.at(asked));
                }
              const bool says = tell(l.p, digits, asked);
              wrong += says && !follows;
              told += says;
              missed += follows && !says && mod % inner == 0 && stride == inner;  // radices that line up
            }
      }
  CHECK(wrong == 0);
  CHECK(told > 100);
  CHECK(missed == 0);
}
