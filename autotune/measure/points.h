#pragma once
#include <map>
#include <vector>

#include "ir/interpret/scalar.h"
#include "ir/te/kernel.h"
#include "runtime/tensor.h"

namespace tecc::autotune {

/// Single elements of a tensor expression, each computed directly from what it depends on: the reference where computing all
/// of them in an interpreter would take hours. Sums are kept in f64.
class PointEvaluator {
 public:
  /// `inputs` in the order of the parameters, scalars of rank 0; `dims` the runtime dims by name. All must outlive this.
  PointEvaluator(const te::Lifted& lifted, const std::map<std::string, std::int64_t>& dims, const std::vector<HostTensor>& inputs);
  interpreter::Scalar element(TensorId tensor, const std::vector<std::int64_t>& at);
  /// Steps taken so far, to bound the effort.
  std::int64_t steps() const { return steps_; }

 private:
  using Scalar = interpreter::Scalar;
  Scalar eval(const Expr& e);
  Scalar read(const Read& r);
  Scalar compute(const te::LiftedStage& s, const std::vector<std::int64_t>& at);
  void reduce(const te::LiftedStage& s, const std::vector<Axis>& axes, std::size_t depth, Scalar& sum, interpreter::Best& best, std::int64_t& count);

  const te::Lifted& lifted_;
  const std::vector<HostTensor>& inputs_;
  std::vector<std::int64_t> variables_;
  std::map<std::pair<TensorId, std::vector<std::int64_t>>, Scalar> known_;
  std::int64_t steps_ = 0;
};

}  // namespace tecc::autotune
