#pragma once
#include <array>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ir/integer/facts.h"
#include "ir/te/affine.h"
#include "ir/te/kernel.h"

namespace tecc::te {

using integer::Range;

/// What is known about axes and runtime dims at one place of a kernel, and proofs from it. Knows sums, products by
/// constants, floor division and remainder by constants, min, max, select, and products of two variables (i * N + j).
class Prover {
 public:
  explicit Prover(const std::map<VarId, DimRange>& runtime);

  /// 0 <= axis < extent.
  void enter(const Axis& axis);
  /// The condition holds (or does not). What cannot be expressed is forgotten, which is sound.
  void assume(const Expr& condition, bool holds);
  /// Facts and axes added since mark() are dropped by back(mark).
  struct Mark {
    std::size_t facts, defined, splits, entered;
    std::uint32_t fresh;
  };
  Mark mark() const { return {facts_.size(), defined_.size(), splits_.size(), entered_.size(), fresh_}; }
  void back(const Mark& mark);

  bool at_least(const Expr& a, const Expr& b);  // a >= b everywhere
  bool at_least(const Expr& a, std::int64_t b) { return at_least(a, index_literal(b)); }
  /// By interval arithmetic, conditions not used. Reads count as anything their type holds; none if a node overflows i64.
  std::optional<Range> range(const Expr& e) const;

 private:
  struct Split {  // in one case these facts hold, in the other those
    std::uint32_t variable;
    std::array<std::vector<Affine>, 2> cases;
  };
  std::optional<Affine> form(const Expr& e);
  std::optional<Affine> new_form(const Expr& e);
  std::optional<Affine> quotient(const Affine& a, std::int64_t divisor);
  std::optional<Affine> product(const Affine& a, const Affine& b, bool with_facts);
  std::uint32_t product_variable(std::uint32_t x, std::uint32_t y, bool with_facts);
  void facts_of(const Expr& condition, bool holds, std::vector<Affine>& out);
  std::vector<Affine> linked_facts(const Affine& goal, std::vector<const Split*>& splits) const;
  static bool refuted(std::vector<Affine> facts, std::span<const Split* const> splits);

  std::uint32_t fresh_ = 1u << 30;  // auxiliary variables are numbered above all VarIds
  std::vector<Affine> facts_;       // each >= 0
  std::vector<std::pair<Expr, Affine>> defined_;
  std::vector<Split> splits_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> products_;
  std::vector<std::pair<VarId, Range>> entered_;
};

}  // namespace tecc::te
