#include <algorithm>
#include <unordered_map>

#include "ir/base/errors.h"
#include "ir/te/canonical.h"
#include "ir/te/lift.h"

namespace tecc::te {
namespace {

class Orderer {
 public:
  Orderer(const Kernel& kernel, std::vector<LiftedStage> stages, const Bound& bound)
      : old_(kernel), stages_(std::move(stages)) {
    for (std::size_t n = 0; n < stages_.size(); ++n) stage_number_[stages_[n].tensor.n] = n;
    Kernel& k = out_.kernel;
    k.name = kernel.name;
    k.at = kernel.at;
    out_.bindings = bound.bindings;
    out_.constraints = bound.constraints;
    for (const VarId d : kernel.dims) {
      const VarId now = add_variable(d);
      k.dims.push_back(now);
      out_.runtime[now] = bound.runtime.at(d);
    }
    for (const TensorId t : kernel.inputs) k.inputs.push_back(add_tensor(t));
  }

  Lifted run() {
    for (const TensorId o : old_.outputs) visit(o);
    for (const TensorId o : old_.outputs) out_.kernel.outputs.push_back(tensors_.at(o.n));
    return std::move(out_);
  }

 private:
  /// Depth first with a stack of its own: a chain of stages may be long.
  void visit(TensorId root) {
    struct Frame {
      TensorId tensor;
      std::vector<TensorId> reads;
      std::size_t next = 0;
    };
    std::vector<Frame> stack;
    const auto enter = [&](TensorId t) {
      if (tensors_.count(t.n)) return;
      stack.push_back({t, reads_of(stages_[stage_number_.at(t.n)].body)});
    };
    enter(root);
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next < top.reads.size()) {
        enter(top.reads[top.next++]);
        continue;
      }
      const TensorId done = top.tensor;
      stack.pop_back();
      if (!tensors_.count(done.n)) place(stages_[stage_number_.at(done.n)]);
    }
  }

  static std::vector<TensorId> reads_of(const Expr& body) {
    std::vector<TensorId> out;
    walk(body, [&](const Expr& e) {
      if (const auto* r = e.as<Read>(); r && std::find(out.begin(), out.end(), r->tensor) == out.end())
        out.push_back(r->tensor);
      return true;
    });
    return out;
  }

  void place(const LiftedStage& s) {
    const bool is_output = std::count(old_.outputs.begin(), old_.outputs.end(), s.tensor) > 0;
    std::map<std::uint32_t, std::uint32_t> local;  // axes by position, dims by their final number
    for (const auto* axes : {&s.axes, &s.reduce_axes})
      for (const Axis& a : *axes) local.emplace(a.var.n, 1'000'000 + static_cast<std::uint32_t>(local.size()));
    const Numbering numbers{[&](VarId v) { return local.count(v.n) ? local.at(v.n) : variables_.at(v.n).n; },
                            [&](TensorId t) { return tensors_.at(t.n).n; }};
    const std::string key = canonical(s, old_[s.tensor].type.concrete(), numbers);
    if (const auto it = placed_.find(key); it != placed_.end() && !is_output) {
      tensors_[s.tensor.n] = it->second;
      return;
    }
    LiftedStage now = s;
    for (auto* axes : {&now.axes, &now.reduce_axes})
      for (Axis& a : *axes) {
        a.extent = moved(a.extent);
        a.var = add_variable(a.var);
      }
    now.body = moved(s.body);
    now.tensor = add_tensor(s.tensor);
    std::vector<Expr>& shape = out_.kernel.tensors[now.tensor.n].shape;
    shape.clear();
    for (const Axis& a : now.axes) shape.push_back(a.extent);
    placed_.emplace(key, now.tensor);
    out_.stages.push_back(std::move(now));
  }

  Expr moved(const Expr& e) const {
    return rewrite(e, [&](const Expr& n) -> Expr {
      if (const auto* v = n.as<Var>()) return var(variables_.at(v->id.n), n->at);
      if (const auto* r = n.as<Read>()) {
        Read out = *r;
        out.tensor = tensors_.at(r->tensor.n);
        return make(std::move(out), n->type, n->at);
      }
      return n;
    });
  }

  VarId add_variable(VarId v) {
    out_.kernel.variables.push_back(old_[v]);
    return variables_[v.n] = VarId{static_cast<std::uint32_t>(out_.kernel.variables.size() - 1)};
  }
  TensorId add_tensor(TensorId t) {
    Tensor copy = old_[t];
    if (!stage_number_.count(t.n))
      for (Expr& extent : copy.shape) extent = moved(extent);
    out_.kernel.tensors.push_back(std::move(copy));
    return tensors_[t.n] = TensorId{static_cast<std::uint32_t>(out_.kernel.tensors.size() - 1)};
  }

  const Kernel& old_;
  std::vector<LiftedStage> stages_;
  Lifted out_;
  std::unordered_map<std::uint32_t, std::size_t> stage_number_;
  std::unordered_map<std::uint32_t, VarId> variables_;
  std::unordered_map<std::uint32_t, TensorId> tensors_;
  std::unordered_map<std::string, TensorId> placed_;
};

}  // namespace

Lifted in_order_of_use(const Kernel& kernel, std::vector<LiftedStage> stages, const Bound& bound) {
  return Orderer(kernel, std::move(stages), bound).run();
}

}  // namespace tecc::te
