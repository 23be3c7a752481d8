#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "ir/loop/program.h"

/// Index analysis over bindings: affine forms, ranges, regions. Everything here is conservative: a range may be too wide,
/// an answer "don't know" is always allowed, a wrong one never.
namespace tecc::loop {

/// constant + sum coefficient * variable, coefficients not zero, variables in order of first use.
struct Affine {
  std::int64_t constant = 0;
  std::vector<std::pair<VarId, std::int64_t>> terms;
};
std::optional<Affine> affine_of(const Expr& e);

struct Interval {
  std::int64_t low, high;  // inclusive
  bool operator==(const Interval&) const = default;
};

/// Digits sorted and merged: neighbours that continue each other become one, terms that are always zero vanish. The binding of an
/// iteration keeps the digits of loops that run once: split, they may overshoot.
enum class Zeros : std::uint8_t { vanish, stay };
Binding normal(const Program& p, Binding binding, Zeros zeros = Zeros::vanish);
Binding add(const Program& p, const Binding& a, const Binding& b, std::int64_t factor = 1);  // a + factor * b
/// An affine form over iteration variables as digits over loops; nullopt if it names anything but the block's iterations.
std::optional<Binding> binding_of(const Block& b, const Affine& a);
/// The same of an index expression that is affine, or the quotient of such a one by a constant that no sum of digits below it reaches.
std::optional<Binding> binding_of(const Program& p, const Block& b, const Expr& e);
/// Replaces digits of retired loop `l` by digits of what it was made of, where radices line up.
Binding expand(const Program& p, const Binding& b, LoopId l);

/// Marks `old`, which stands in no tree any more, as retired, its value following from `digits`, and expands it in the bindings of the
/// blocks under `top`.
void retire(Program& p, LoopId old, Binding digits, StmtId top);
/// A number that divides the value of `e` for all dims.
std::int64_t known_divisor(const Program& p, const Expr& e);

/// Ranges. Of a loop variable: 0 .. largest extent - 1 (retired loops: of their digits, which may overshoot).
Interval range_of(const Program& p, LoopId l);
Interval range_of(const Program& p, const Digit& d);
Interval range_of(const Program& p, const Binding& b);
/// Of an index expression over the block's iterations (clamped to their domains), runtime dims and loop variables; nullopt
/// if it reads tensors.
std::optional<Interval> range_of(const Program& p, const Block* b, const Expr& e);
/// The largest value of an extent.
std::int64_t largest(const Program& p, const Expr& extent);

/// The extent with the variables of some loops eliminated by its largest value over their iterations (constant for extents
/// that grow or fall with them; the blocks' guards cut what is too much).
Expr relaxed(const Program& p, const Expr& extent, const std::function<bool(LoopId)>& eliminate);
/// The loop whose variable this is; nullopt for dims and iteration variables.
std::optional<LoopId> loop_of_var(const Program& p, VarId v);

/// True if binding < upper always holds / binding >= lower always holds.
bool stays_below(const Program& p, const Block& b, const Iter& i);
bool stays_above(const Program& p, const Iter& i);
/// The guards of a block: its predicate and the domain conditions that its bindings do not imply.
std::vector<Expr> guards_of(const Program& p, const Block& b);

/// The part of one dimension that is touched while some loops are fixed and others vary: x = fixed + varying, where varying
/// is a sum of digits (exact, distinct values) or only known to lie in [0, span).
struct Region {
  Binding fixed;
  std::vector<Digit> varying;  // from slow to fast; empty when `span` is all that is known, or nothing varies
  std::int64_t span = 1;       // varying part lies in [0, span)
  bool exact = true;           // the varying digits enumerate distinct values
  bool whole = false;          // nothing is known: the whole dimension (fixed is 0)
};
/// Region of index expression `e` of block `b`, where `fixed(loop)` tells which loops hold still.
Region region_of(const Program& p, const Block& b, const Expr& e, const std::function<bool(LoopId)>& fixed);

}  // namespace tecc::loop
