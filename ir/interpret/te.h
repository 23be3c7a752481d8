#pragma once
#include <map>
#include <span>

#include "ir/interpret/array.h"
#include "ir/te/kernel.h"

namespace tecc {

/// The reference interpreter: runs a tensor expression as it is written, stage by stage, without schedules.
///
/// f32 and f64 operations round once, narrower floats are the f32 operation and the cast, integers wrap. Sums run in
/// order, in f32 for narrower floats. Reads that the binding proved are not checked again; data-dependent ones are
/// (E0230), as is division of tensor integers (E0231).
struct InterpretOptions {
  bool wide = false;  // f32 and narrower arithmetic, sums and stages in f64; casts to narrower types still round
};

/// `inputs` in the order of the parameters, scalars as arrays of rank 0; `dims` gives the runtime dims. The outputs in order.
/// Running the Bound kernel checks lift(); its prefix sums cost quadratic time.
Result<std::vector<Array>> interpret(const te::Bound& bound, const std::map<std::string, std::int64_t>& dims,
                                     std::span<const Array> inputs, InterpretOptions options = {});
Result<std::vector<Array>> interpret(const te::Lifted& lifted, const std::map<std::string, std::int64_t>& dims,
                                     std::span<const Array> inputs, InterpretOptions options = {});

}  // namespace tecc
