#include "ir/expr.h"

#include "ir/base/sha256.h"
#include "tests/support/catch.h"

using namespace tecc;

namespace {
const Names letters{[](VarId v) { return std::string(1, static_cast<char>('a' + v.n)); },
                    [](TensorId t) { return "T" + std::to_string(t.n); }};
std::string text(const Expr& e) { return print(e, letters); }
}  // namespace

TEST_CASE("expr: index arithmetic folds constants and units, and never overflows") {
  const Expr a = var(VarId{0}), b = var(VarId{1});
  const std::pair<Expr, std::string> rows[] = {{a + 0, "a"},
                                               {index_literal(2) + index_literal(3), "5"},
                                               {a + 1 + 2, "a + 3"},
                                               {a + 3 - 3, "a"},
                                               {a - 1 + 1, "a"},
                                               {a + 2 - (a + 1), "1"},
                                               {a * 1, "a"},
                                               {a * 0, "0"},
                                               {(a + b) * 4, "(a + b) * 4"},
                                               {floor_div(a, index_literal(1)), "a"},
                                               {floor_mod(a, index_literal(1)), "0"},
                                               {floor_div(index_literal(-7), index_literal(2)), "-4"},
                                               {floor_mod(index_literal(-7), index_literal(2)), "1"},
                                               {ceil_div(a, index_literal(8)), "(a + 7) / 8"},
                                               {ceil_div(index_literal(9), index_literal(8)), "2"},
                                               {index_min(a, a), "a"},
                                               {index_max(index_literal(3), index_literal(4)), "4"},
                                               {index_literal(INT64_MAX) + index_literal(1), "9223372036854775807 + 1"},
                                               {floor_div(a, index_literal(0)), "a / 0"}};
  for (const auto& [e, want] : rows) CHECK(text(e) == want);
}

TEST_CASE("expr: rewriting keeps untouched trees") {
  const Expr a = var(VarId{0}), b = var(VarId{1});
  const Expr e = make(Read{TensorId{0}, {a + 1, b}, index_literal(0)});
  CHECK(rewrite(e, [](const Expr& n) { return n; }) == e);
  CHECK(substitute(e, [](VarId) { return Expr(); }) == e);
  const Expr moved = substitute(e, [](VarId v) { return v.n == 0 ? index_literal(4) : Expr(); });
  CHECK(text(moved) == "T0[4 + 1, b] else 0");
  CHECK(text(substitute_folded(e, [](VarId v) { return v.n == 0 ? index_literal(4) : Expr(); })) == "T0[5, b] else 0");
  CHECK(moved.as<Read>()->index[1] == b);
  CHECK(uses(e, VarId{1}));
  CHECK(!uses(moved, VarId{0}));
  CHECK(same_value(e, make(Read{TensorId{0}, {a + 1, b}, index_literal(0)})));
  CHECK(!same_value(e, moved));
  CHECK(count_nodes(e, 100) == 6);
}

TEST_CASE("sha256: known digests") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
