#include "autotune/measure/points.h"

#include <algorithm>
#include <cmath>

#include "ir/numeric.h"

namespace tecc::autotune {

using namespace interpreter;

PointEvaluator::PointEvaluator(const te::Lifted& l, const std::map<std::string, std::int64_t>& dims, const std::vector<HostTensor>& inputs)
    : lifted_(l), inputs_(inputs), variables_(l.kernel.variables.size()) {
  for (const auto& [v, range] : l.runtime) variables_[v.n] = dims.at(l.kernel[v].name);
}

Scalar PointEvaluator::element(TensorId t, const std::vector<std::int64_t>& at) {
  for (std::size_t n = 0; n < inputs_.size(); ++n) {
    if (lifted_.kernel.inputs[n] != t) continue;
    const HostTensor& x = inputs_[n];
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < at.size(); ++d) offset = offset * x.shape[d] + at[d];
    Scalar out;
    if (is_float(x.dtype)) out.real = x.value(offset);
    else out.integer = x.integer(offset);
    return out;
  }
  const auto key = std::pair(t, at);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  const std::vector<std::int64_t> saved = variables_;  // the reader's axes
  const Scalar out = compute(*lifted_.stage_of(t), at);
  variables_ = saved;
  known_[key] = out;
  return out;
}

Scalar PointEvaluator::compute(const te::LiftedStage& s, const std::vector<std::int64_t>& at) {
  for (std::size_t d = 0; d < at.size(); ++d) variables_[s.axes[d].var.n] = at[d];
  if (!s.reducer) return eval(s.body);
  const DType type = s.body->type;
  Scalar sum = constant(*te::neutral(*s.reducer, type).as<Literal>(), type);
  Best best{{}, -1};
  std::int64_t count = 0;
  if (s.scan) {
    for (std::int64_t k = 0; k <= at.back(); ++k) {
      variables_[s.axes.back().var.n] = k;
      reduce(s, {}, 0, sum, best, count);
    }
  } else {
    reduce(s, s.reduce_axes, 0, sum, best, count);
  }
  if (*s.reducer == Reducer::argmax || *s.reducer == Reducer::argmin) sum.integer = best.position;
  else if (is_narrow_float(type)) sum.real = round_to(sum.real, type);
  return sum;
}

void PointEvaluator::reduce(const te::LiftedStage& s, const std::vector<Axis>& axes, std::size_t depth, Scalar& sum, Best& best, std::int64_t& count) {
  if (depth < axes.size()) {
    const std::int64_t n = eval(axes[depth].extent).integer;
    for (std::int64_t k = 0; k < n; ++k) {
      variables_[axes[depth].var.n] = k;
      reduce(s, axes, depth + 1, sum, best, count);
    }
    return;
  }
  const DType type = s.body->type;
  const Scalar x = eval(s.body);
  if (*s.reducer == Reducer::argmax || *s.reducer == Reducer::argmin) best = better(*s.reducer, type, best, {x, count});
  else if (is_float(type) && *s.reducer == Reducer::sum) sum.real += x.real;
  else sum = combine(*s.reducer, type, sum, x);
  ++count;
}

Scalar PointEvaluator::read(const Read& r) {
  std::vector<std::int64_t> at;
  for (const Expr& i : r.index) at.push_back(eval(i).integer);
  if (r.otherwise) {
    const te::LiftedStage* s = lifted_.stage_of(r.tensor);
    const std::vector<std::int64_t> saved = variables_;
    bool inside = true;
    for (std::size_t d = 0; inside && d < at.size(); ++d) {
      inside = at[d] >= 0 && at[d] < eval(s ? s->axes[d].extent : lifted_.kernel[r.tensor].shape[d]).integer;
      if (s) variables_[s->axes[d].var.n] = at[d];  // a later extent may follow this axis
    }
    variables_ = saved;
    if (!inside) return eval(r.otherwise);
  }
  return element(r.tensor, at);
}

Scalar PointEvaluator::eval(const Expr& e) {
  ++steps_;
  return match(
      e, [&](const Literal& l) { return constant(l, e->type); },
      [&](const Var& v) {
        Scalar out;
        out.integer = variables_[v.id.n];
        return out;
      },
      [&](const Unary& u) { return unary(u.op, eval(u.a), u.a->type, e->type); },
      [&](const Binary& b) {
        const Scalar x = eval(b.a);
        if (b.op == BinOp::logical_and && !x.integer) return x;
        if (b.op == BinOp::logical_or && x.integer) return x;
        return binary(b.op, x, eval(b.b), b.a->type, e->type);
      },
      [&](const Select& s) { return eval(s.condition).integer ? eval(s.then) : eval(s.otherwise); },
      [&](const Cast& c) { return cast(eval(c.a), c.a->type, c.to.concrete()); }, [&](const Read& r) { return read(r); },
      [&](const Reduce&) {
        invariant_failed("a reduction inside of a lifted stage", here());
        return Scalar{};
      });
}

}  // namespace tecc::autotune
