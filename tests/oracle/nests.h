#pragma once
#include "ir/loop/program.h"
#include "tests/fuzz/expressions.h"

/// Random nests for the oracle: expressions whose naive programs lie in the fragment.
namespace tecc::oracle {

/// One to three stages of constant extents from 2 to 6 with affine indices: elementwise with shifts, transpositions, reductions, products
/// and prefix scans, each reading inputs or the stages before.
fuzz::Expression random_nest(fuzz::Random& r);

/// The fragment in which the checks of steps promise to refuse nothing that is legal:
///   extents   constant, at least 2; no loop that runs once, be it because its further iterations lie outside of the domain (a loop of 2 split by
///             2, 2: the checks ask which loops an iteration follows from, not which of their values it takes)
///   indices   affine in the block's iterations, which are digits of loops
///   regions   boxes: what a block reads or writes while outer loops hold still
///   scans     no loop carries parts of the scan and of another axis (fused loops, also once they are cut again)
///   instances each runs once: a split whose surplus would run some again is refused, though it may do no harm (E0352)
/// Why a program lies outside of it; "" for a program inside.
std::string outside_of_fragment(const loop::Program& p);

}  // namespace tecc::oracle
