#pragma once
#include "ir/te/prover.h"

namespace tecc::te {

/// Proves, for every allowed value of the runtime dims: reads stay inside their tensors, index arithmetic stays inside
/// i64 and divides by nothing that can be 0, extents are affine in earlier axes. E0210, E0211, E0214, E0240.
/// `kernel` is elaborated; messages print its expressions.
Check check_bounds(const Kernel& kernel, const std::map<VarId, DimRange>& runtime);

/// True if every read in `body`, evaluated for all points of `axes` without regard to any enclosing condition, is proved
/// in bounds, and nothing in it divides tensor integers: such a body may be evaluated where it was not asked for.
bool safe_everywhere(const Kernel& kernel, const std::map<VarId, DimRange>& runtime, const std::vector<Axis>& axes,
                     const Expr& body);

/// The coefficients of `e` on `axes` are constants (the rest may be any formula of dims).
bool is_affine_in(const Expr& e, const std::vector<VarId>& axes);

}  // namespace tecc::te
