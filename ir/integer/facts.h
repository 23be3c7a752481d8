#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "ir/expr.h"

/// What is known about the integers of index expressions: ranges and divisors, and how each operator hands them on.
/// Index arithmetic is exact (ir/expr.h), so every rule here is one on the integers; what could leave i64 is the caller's to bound.
namespace tecc::integer {

/// The values an index expression can have, both ends included; wider than i64 so that overflow shows.
struct Range {
  __int128 first, last;
  bool fits() const { return first >= INT64_MIN && last <= INT64_MAX; }
  bool operator==(const Range&) const = default;
};
inline constexpr Range any_integer{INT64_MIN, INT64_MAX};

/// A value lies in `range` and is a multiple of `multiple` (0: the value is 0).
struct Fact {
  Range range = any_integer;
  std::int64_t multiple = 1;
};

/// One operator's rules. For all x in the range X with divisor a, y in Y with divisor b (both ranges inside i64):
/// x op y lies in range(X, Y), and multiple(a, b) divides it.
struct Transfer {
  BinOp op;
  std::optional<Range> (*range)(const Range& x, const Range& y);  // none: nothing follows (the divisor may be 0 or negative)
  std::int64_t (*multiple)(std::int64_t a, std::int64_t b);       // never negative
};
/// The table of the operators on i64 whose result is i64.
std::span<const Transfer> transfers();
const Transfer* transfer_of(BinOp op);  // null: not in the table

std::optional<Range> range_of(BinOp op, const Range& x, const Range& y);
Range negated(const Range& x);
Range hull(const Range& x, const Range& y);
std::int64_t multiple_of(BinOp op, std::int64_t a, std::int64_t b);

/// What is known of variables; none: any integer.
using Known = std::function<std::optional<Fact>(VarId)>;
/// What follows for a formula of variables and literals: sums, products, quotients, remainders, min, max, select. None if something
/// else stands in it (a tensor's element may wrap), or if a value on the way could leave i64.
std::optional<Fact> fact_of(const Expr& e, const Known& known);

}  // namespace tecc::integer
