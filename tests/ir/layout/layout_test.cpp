#include "ir/layout/layout.h"

#include <map>
#include <random>

#include "ir/layout/access.h"
#include "ir/layout/convert.h"
#include "ir/layout/program.h"
#include "tests/support/catch.h"

using namespace tecc;
using namespace tecc::layout;

namespace {

template <class F>
void for_each_point(const std::vector<Dimension>& axes, F f) {
  Point x(axes.size(), 0);
  for (bool more = true; more;) {
    f(x);
    more = false;
    for (std::size_t d = 0; d < axes.size() && !more; ++d) {
      more = ++x[d] < axes[d].extent;
      if (!more) x[d] = 0;
    }
  }
}
bool same_map(const Layout& a, const Layout& b) {
  bool same = a.in.size() == b.in.size() && a.out.size() == b.out.size();
  if (same) for_each_point(a.in, [&](const Point& x) { same &= a.at(x) == b.at(x); });
  return same;
}
bool is_injective(const Layout& l) {
  std::map<Point, int> seen;
  bool once = true;
  for_each_point(l.in, [&](const Point& x) { once &= seen[l.at(x)]++ == 0; });
  return once;
}

/// Small layouts of all kinds: strides, padding, sums that overlap, several axes.
Layout random_strides(std::mt19937& rng, std::size_t axes_in, std::size_t axes_out) {
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(rng); };
  Layout l;
  for (std::size_t d = 0; d < axes_out; ++d) l.out.push_back({"o" + std::to_string(d), 1});
  std::vector<std::int64_t> next(axes_out, 1);  // the next stride that does not overlap
  for (std::size_t i = 0; i < axes_in; ++i) {
    std::int64_t extent = 1;
    for (std::int64_t digits = pick(1, 3); digits > 0; --digits) {
      const std::int64_t count = pick(0, 2) ? std::int64_t{1} << pick(1, 2) : pick(2, 3);
      const auto to = static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(axes_out) - 1));
      const std::int64_t stride = pick(0, 5) ? next[to] : pick(1, 9);  // now and then one that may overlap
      l.strides.push_back({i, extent, count, to, stride});
      next[to] = std::max(next[to], stride * (pick(0, 4) ? count : count + 1));  // now and then padded
      extent *= count;
    }
    l.in.push_back({"i" + std::to_string(i), extent});
  }
  return l;
}
/// ... and bits that are xored.
Layout random_layout(std::mt19937& rng, std::size_t axes_in, std::size_t axes_out) {
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(rng); };
  Layout l = normal(random_strides(rng, axes_in, axes_out));
  if (l.bits.size() >= 2 && pick(0, 1))  // a swizzle: one bit is xored into the place of another
    for (int n = 0; n < 2; ++n) {
      const auto a = static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(l.bits.size()) - 1)), b = static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(l.bits.size()) - 1));
      if (a == b) continue;
      for (std::size_t d = 0; d < axes_out; ++d) l.bits[a].image[d] ^= l.bits[b].image[d];
    }
  for_each_point(l.in, [&](const Point& x) {
    const Point y = l.at(x);
    for (std::size_t d = 0; d < axes_out; ++d) l.out[d].extent = std::max(l.out[d].extent, y[d] + 1);
  });
  return l;
}

}  // namespace

TEST_CASE("layouts: the normal form is the same map, and no further one") {
  std::mt19937 rng(1);
  for (int n = 0; n < 2000; ++n) {
    Layout l = random_layout(rng, 1 + static_cast<std::size_t>(n) % 3, 1 + static_cast<std::size_t>(n) % 2);
    INFO(n << "\n" << print(l));
    CHECK(same_map(l, normal(l)));
    Layout plain = random_strides(rng, 1 + static_cast<std::size_t>(n) % 3, 1 + static_cast<std::size_t>(n) % 2);
    if (n % 4 == 0) plain.bits.push_back({0, 1, Point(plain.out.size(), 1 + n / 4 % 7)});
    CHECK(same_map(plain, normal(plain)));
    CHECK(normal(normal(l)) == normal(l));
    // One way to say it: digits cut in two, in another order.
    Layout cut = l;
    cut.strides.clear();
    for (const Layout::Stride& s : l.strides) {
      if (s.count % 2) cut.strides.push_back(s);
      else cut.strides.insert(cut.strides.begin(), {{s.from, s.div, 2, s.to, s.stride}, {s.from, 2 * s.div, s.count / 2, s.to, 2 * s.stride}});
    }
    CHECK(normal(cut) == normal(l));
  }
}

TEST_CASE("layouts: compose is one after the other") {
  std::mt19937 rng(2);
  int made = 0;
  for (int n = 0; n < 4000; ++n) {
    const std::size_t middle = 1 + static_cast<std::size_t>(n) % 2;
    const Layout f = random_layout(rng, 1 + static_cast<std::size_t>(n) % 3, middle);
    const Layout g = random_layout(rng, middle, 1 + static_cast<std::size_t>(n / 2) % 2);
    INFO(n << "\nf:\n" << print(f) << "g:\n" << print(g));
    const auto h = compose(g, f);
    if (!h) continue;
    ++made;
    for_each_point(f.in, [&](const Point& x) { CHECK(h->at(x) == g.at(f.at(x))); });
  }
  CHECK(made > 1000);  // it is no refusal of everything
}

TEST_CASE("layouts: what the compiler's own layouts are made of always composes") {
  for (const std::int64_t pad : {0, 8, 1})
    for (const std::int64_t rows : {16, 48, 64})
      for (const std::int64_t columns : {16, 24, 192}) {
        // A fragment of 16 x 8 elements, repeated over the tile, into rows that may be padded.
        FragmentLayout fragment = accumulator_of(*find_instruction("mma.m16n8k16.f32.f16.f16"), 8);
        fragment.push_back({Piece::Of::reg, 4, columns / 8, 1, 8});
        fragment.push_back({Piece::Of::reg, 4 * (columns / 8), rows / 16, 0, 16});
        const Layout f = of_fragment(fragment, 32);
        const Layout m = row_major({{"row", rows}, {"column", columns}}, pad);
        const auto h = compose(m, f);
        REQUIRE(h);
        for_each_point(f.in, [&](const Point& x) { CHECK(h->at(x) == m.at(f.at(x))); });
      }
}

TEST_CASE("layouts: the inverse undoes, where every place has one origin") {
  std::mt19937 rng(3);
  int injective = 0, made = 0;
  for (int n = 0; n < 20000; ++n) {
    const Layout f = random_layout(rng, 1 + static_cast<std::size_t>(n) % 3, 1 + static_cast<std::size_t>(n) % 2);
    INFO(n << "\n" << print(f));
    const auto g = inverse(f);
    if (!is_injective(f)) {
      CHECK_FALSE(g);
      continue;
    }
    ++injective;
    if (!g) continue;
    ++made;
    for_each_point(f.in, [&](const Point& x) { CHECK(g->at(f.at(x)) == x); });
  }
  INFO(made << " of " << injective);
  CHECK(made > injective * 9 / 10);
}

TEST_CASE("layouts: fragments of all instructions have inverses, and are the maps of the table") {
  for (const Instruction& i : instructions())
    for (const std::int64_t n : {i.n_step, i.n_most, std::int64_t{192}}) {
      if (n % i.n_step || n > i.n_most) continue;
      const FragmentLayout pieces = accumulator_of(i, n);
      const Layout f = of_fragment(pieces, i.threads);
      INFO(i.name << " n " << n << "\n" << print(f));
      CHECK(f.out == (std::vector<Dimension>{{"row", i.m}, {"column", n}}));
      const auto g = inverse(f);
      REQUIRE(g);
      for_each_point(f.in, [&](const Point& x) {
        Point at{0, 0};
        for (const Piece& p : pieces) at[static_cast<std::size_t>(p.dim)] += (p.of == Piece::Of::thread ? x[1] : x[0]) / p.div % p.count * p.stride;
        CHECK(f.at(x) == at);
        CHECK(g->at(at) == x);
      });
    }
}

TEST_CASE("layouts: divide parts coordinates into tiles") {
  std::mt19937 rng(4);
  int made = 0;
  for (int n = 0; n < 1000; ++n) {
    const Layout f = random_layout(rng, 2, 1);
    for (std::int64_t a = 1; a <= f.in[0].extent; ++a)
      for (std::int64_t b = 1; b <= f.in[1].extent; ++b) {
        const auto tiled = divide(f, {a, b});
        if (f.in[0].extent % a || f.in[1].extent % b) {
          CHECK_FALSE(tiled);
          continue;
        }
        if (!tiled) continue;
        ++made;
        for_each_point(tiled->in, [&](const Point& x) { CHECK(tiled->at(x) == f.at({x[0] + a * x[2], x[1] + b * x[3]})); });
      }
  }
  CHECK(made > 1000);
}

TEST_CASE("layouts: the swizzle is what bulk copies do to byte addresses") {
  for (const std::int64_t span : {0, 32, 64, 128}) {
    const Layout s = swizzle(span, 8192);
    for (std::int64_t byte = 0; byte < 8192; ++byte) CHECK(s.at({byte})[0] == (byte ^ ((byte >> 3) & (span ? span - 16 : 0))));
    CHECK(is_injective(s));
    CHECK(inverse(s));
  }
}

namespace {

/// Of every aligned group of registers: neighbours in memory, at a multiple.
bool is_access(const Layout& l, std::int64_t element, std::int64_t width) {
  const std::int64_t n = width / element;
  if (l.in[0].extent % n) return false;
  bool good = true;
  for_each_point(l.in, [&](const Point& x) {
    const std::int64_t base = l.at({x[0] / n * n, x[1]})[0];
    good &= base % width == 0 && l.at(x)[0] == base + x[0] % n * element;
  });
  return good;
}

}  // namespace

TEST_CASE("layouts: the widest access is one, and a wider one is none") {
  std::mt19937 rng(5);
  std::map<std::int64_t, int> widths;
  for (int n = 0; n < 4000; ++n) {
    Layout l = random_layout(rng, 2, 1);
    const std::int64_t element = std::int64_t{1} << (n % 3);
    for (Layout::Stride& s : l.strides) s.stride *= element;
    for (Layout::Bit& b : l.bits) b.image[0] *= element;
    INFO(n << "\n" << print(l));
    const std::int64_t width = widest_access(l, element);
    ++widths[width];
    CHECK(is_access(l, element, width));
    if (width < 16) CHECK_FALSE(is_access(l, element, 2 * width));
  }
  CHECK(widths.size() == 5);  // 1, 2, 4, 8 and 16 bytes have been seen
}

TEST_CASE("layouts: bank conflicts of patterns that are known") {
  const auto strided = [](std::int64_t stride, std::int64_t width) {
    std::vector<std::int64_t> bytes;
    for (std::int64_t t = 0; t < 32; ++t) bytes.push_back(t * stride);
    return bank_conflicts(bytes, width);
  };
  for (std::int64_t words = 0; words <= 64; ++words) {  // stride s: 32 / gcd threads fall on different banks
    INFO(words);
    CHECK(strided(4 * words, 4).ways == (words == 0 ? 1 : std::gcd(words, std::int64_t{32})));
    CHECK(strided(4 * words, 4).phases == 1);
  }
  CHECK(strided(2, 2).ways == 1);  // two threads share a word
  CHECK(strided(8, 8).cycles == 2);
  CHECK(strided(8, 8).ways == 1);
  CHECK(strided(16, 16).cycles == 4);
  CHECK(strided(16, 16).ways == 1);
  CHECK(strided(128, 16).ways == 8);
  CHECK(strided(144, 16).ways == 1);  // rows padded by 16 bytes
  CHECK(strided(256, 8).ways == 16);
}

TEST_CASE("layouts: rows of 128 bytes conflict, swizzled ones do not") {
  // ldmatrix and stmatrix: eight threads name rows of 16 bytes; rows are `span` bytes apart.
  for (const std::int64_t span : {32, 64, 128})
    for (std::int64_t column = 0; column < span; column += 16) {
      Layout rows{{{"register", 1}, {"thread", 8}}, {{"byte", 8 * span}}, {{1, 1, 8, 0, span}}, {}};
      CHECK(bank_conflicts(rows, 2, 16).ways == span / 16);
      CHECK(bank_conflicts(*compose(swizzle(span, 8 * span), normal(rows)), 2, 16).ways == 1);
    }
}

TEST_CASE("layouts: conversions") {
  using Kind = Conversion::Kind;
  const Instruction& i = *find_instruction("mma.m16n8k16.f32.bf16.bf16");
  const Layout d = of_fragment(accumulator_of(i, 16), 32), a = of_fragment(a_fragment_of(i), 32);
  CHECK(plan_conversion(d, a)->kind == Kind::nothing);  // what attention rests on
  // Registers of one thread in another order.
  const Layout turned{{{"register", 4}, {"thread", 32}}, {{"row", 4}, {"column", 32}}, {{0, 1, 2, 0, 2}, {0, 2, 2, 0, 1}, {1, 1, 32, 1, 1}}, {}};
  const Layout plain{turned.in, turned.out, {{0, 1, 4, 0, 1}, {1, 1, 32, 1, 1}}, {}};
  CHECK(plan_conversion(plain, turned)->kind == Kind::registers);
  CHECK(plan_conversion(plain, turned)->from == std::vector<std::int64_t>{0, 2, 1, 3});
  // Rows to columns: neighbours of a warp.
  const Layout across{turned.in, turned.out, {{0, 1, 4, 1, 1}, {1, 1, 8, 1, 4}, {1, 8, 4, 0, 1}}, {}};
  CHECK(plan_conversion(plain, across)->kind == Kind::shuffles);
  // Two warps change places.
  const Layout two{{{"register", 1}, {"thread", 64}}, {{"row", 64}}, {{1, 1, 64, 0, 1}}, {}};
  const Layout other{two.in, two.out, {{1, 1, 32, 0, 2}, {1, 32, 2, 0, 1}}, {}};
  CHECK(plan_conversion(two, other)->kind == Kind::shared);
  CHECK(plan_conversion(two, two)->kind == Kind::nothing);
  // What every thread holds is everywhere; what nobody holds is nowhere.
  const Layout all{{{"register", 4}, {"thread", 32}}, {{"row", 4}, {"column", 1}}, {{0, 1, 4, 0, 1}}, {}};
  const Layout one{{{"register", 1}, {"thread", 32}}, {{"row", 4}, {"column", 1}}, {{1, 1, 4, 0, 1}}, {}};
  CHECK(plan_conversion(one, all)->kind == Kind::shuffles);
  CHECK(plan_conversion(all, one)->kind == Kind::shuffles);  // another register in each thread
  CHECK_FALSE(plan_conversion(all, plain));
}

TEST_CASE("layouts: a register layout can be taken for each result from where it says") {
  // The postcondition of `registers`, and of the others that the kind is the cheapest one, on all pairs of small bijections.
  std::mt19937 rng(6);
  std::map<Conversion::Kind, int> kinds;
  for (int n = 0; n < 300; ++n) {
    std::vector<Piece> digits;  // bits of 64 elements: 2 of registers, 4 of lanes; the warp is one more
    std::vector<int> order = {0, 1, 2, 3, 4, 5, 6, 7};
    const auto shuffled = [&](int first, int last) {
      std::vector<int> o = order;
      std::shuffle(o.begin() + first, o.begin() + last, rng);
      Layout l{{{"register", 4}, {"thread", 64}}, {{"row", 256}}, {}, {}};
      for (std::size_t b = 0; b < 8; ++b) l.bits.push_back({b < 2 ? 0u : 1u, std::int64_t{1} << (b < 2 ? b : b - 2), {std::int64_t{1} << o[b]}});
      return normal(std::move(l));
    };
    const Layout x = shuffled(0, 0), y = n % 3 == 0 ? shuffled(0, 2) : n % 3 == 1 ? shuffled(0, 7) : shuffled(0, 8);
    const auto c = plan_conversion(x, y);
    REQUIRE(c);
    ++kinds[c->kind];
    bool same = true, thread = true, warp = true;
    const Layout back = *inverse(x);
    for_each_point(y.in, [&](const Point& p) {
      const Point q = back.at(y.at(p));
      same &= p == q;
      thread &= p[1] == q[1];
      warp &= p[1] / 32 == q[1] / 32;
      if (c->kind == Conversion::Kind::registers) CHECK(q[0] == c->from[static_cast<std::size_t>(p[0])]);
    });
    using Kind = Conversion::Kind;
    CHECK(c->kind == (same ? Kind::nothing : thread ? Kind::registers : warp ? Kind::shuffles : Kind::shared));
  }
  CHECK(kinds.size() == 4);
}

TEST_CASE("layouts: storage of a buffer, swizzled panels and padded rows") {
  loop::Buffer b;
  b.type = DType::bf16;
  b.storage = loop::Storage{};
  b.storage->elements = 64 * 128;
  b.storage->dims = {{false, 0, {{1, 64, 64}}}, {false, 0, {{64, 2, 4096}, {1, 64, 1}}}};
  b.panel = 64, b.swizzle = 128;
  const auto l = of_storage(b);
  REQUIRE(l);
  for_each_point(l->in, [&](const Point& x) {
    const std::int64_t byte = 2 * (x[0] * 64 + x[1] / 64 * 4096 + x[1] % 64);
    CHECK(l->at(x)[0] == (byte ^ ((byte >> 3) & 112)));
  });
  b.swizzle = 0, b.panel = 0;
  b.storage->dims = {{false, 0, {{1, 64, 72}}}, {false, 0, {{1, 64, 1}}}};
  for_each_point(of_storage(b)->in, [&](const Point& x) { CHECK(of_storage(b)->at(x)[0] == 2 * (x[0] * 72 + x[1])); });
  b.storage.reset();
  CHECK_FALSE(of_storage(b));
}
