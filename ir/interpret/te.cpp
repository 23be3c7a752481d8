#include "ir/interpret/te.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/interpret/evaluator.h"
#include "ir/te/prover.h"

namespace tecc {
namespace {

using namespace interpreter;

class Machine {
 public:
  Machine(const te::Kernel& kernel, const std::map<VarId, te::DimRange>& runtime, const InterpretOptions& options)
      : kernel_(kernel), runtime_(runtime), options_(options) {
    frame_.variables.resize(kernel.variables.size());
    frame_.tensors.resize(kernel.tensors.size());
  }

  Check set_dims(const std::map<std::string, std::int64_t>& dims) {
    for (const auto& [v, r] : runtime_) {
      const std::string& name = kernel_[v].name;
      const auto it = dims.find(name);
      if (it == dims.end()) return refuse(Code::dim_missing, "runtime dim", name);
      const std::int64_t value = it->second;
      if (value < r.min || value > r.max)
        return refuse(Code::runtime_dim, name, value, fmt::format("its range is {}..{}", r.min, r.max));
      if (value % r.multiple_of)
        return refuse(Code::runtime_dim, name, value, fmt::format("it must be a multiple of {}", r.multiple_of));
      frame_.variables[v.n] = value;
      exact_[v] = {value, value, 1};
    }
    return Ok{};
  }

  Check set_inputs(std::span<const Array> inputs) {
    if (inputs.size() != kernel_.inputs.size())
      return refuse(Code::input_count, kernel_.name, kernel_.inputs.size(), inputs.size());
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      const te::Tensor& t = kernel_[kernel_.inputs[n]];
      std::vector<std::int64_t> shape;
      for (const Expr& extent : t.shape) shape.push_back(Compiler(frame_, false).compile(extent)->run(frame_).i);
      const Array& a = inputs[n];
      if (a.type != t.type.concrete() || a.shape != shape)
        return refuse(Code::argument_shape, t.name, fmt::format("[{}]", fmt::join(a.shape, ", ")),
                      std::string(name(a.type)), describe(t.type.concrete(), shape));
      Storage& s = prepare(kernel_.inputs[n], std::move(shape));
      for (std::size_t i = 0; i < s.elements.size(); ++i) {
        if (is_float(a.type)) s.elements[i].f = a.get(static_cast<std::int64_t>(i));
        else s.elements[i].i = a.get_integer(static_cast<std::int64_t>(i));
      }
    }
    return Ok{};
  }

  Check run(const te::LiftedStage& s) {
    Storage& out = allocate(s);
    frame_.stage = &out;
    const Compiler compiler(frame_, options_.wide);
    Nest nest{{}, {}, compiler.compile(s.body), {}, s.scan};
    for (const Axis& a : s.axes) nest.axes.push_back({a.var.n, compiler.compile(a.extent)});
    for (const Axis& a : s.reduce_axes) nest.reduce.push_back({a.var.n, compiler.compile(a.extent)});
    if (s.reducer) nest.accumulator = Accumulator{*s.reducer, s.body->type, options_.wide};
    loop(nest, out, 0, 0);
    if (frame_.failed) return at(s.at, *frame_.failed);
    return Ok{};
  }

  std::vector<Array> outputs() const {
    std::vector<Array> out;
    for (const TensorId id : kernel_.outputs) {
      const Storage& s = frame_.tensors[id.n];
      Array a(kernel_[id].type.concrete(), s.extents);
      for (std::size_t i = 0; i < s.elements.size(); ++i) {
        if (is_float(a.type)) a.set(static_cast<std::int64_t>(i), s.elements[i].f);
        else a.set_integer(static_cast<std::int64_t>(i), s.elements[i].i);
      }
      out.push_back(std::move(a));
    }
    return out;
  }

 private:
  struct Loop {
    std::uint32_t slot;
    NodePtr extent;
  };
  struct Nest {
    std::vector<Loop> axes, reduce;
    NodePtr body;
    std::optional<Accumulator> accumulator;
    bool scan;
  };

  Storage& prepare(TensorId id, std::vector<std::int64_t> extents) {
    Storage& s = frame_.tensors[id.n];
    s.name = kernel_[id].name;
    s.strides.assign(extents.size(), 1);
    std::int64_t elements = 1;
    for (std::size_t d = extents.size(); d-- > 0;) {
      s.strides[d] = elements;
      elements *= extents[d];
    }
    s.extents = std::move(extents);
    s.elements.assign(static_cast<std::size_t>(elements), Value{});
    return s;
  }

  /// The bounding box: a ragged extent counts with its largest value.
  Storage& allocate(const te::LiftedStage& stage) {
    te::Prover prover(exact_);
    std::vector<std::int64_t> extents;
    for (const Axis& a : stage.axes) {
      const auto r = prover.range(a.extent);
      extents.push_back(r ? std::max<std::int64_t>(0, static_cast<std::int64_t>(r->last)) : 0);
      prover.enter(a);
    }
    Storage& s = prepare(stage.tensor, std::move(extents));
    for (const Axis& a : stage.axes) {
      s.axis_slots.push_back(a.var.n);
      const bool ragged =
          std::any_of(stage.axes.begin(), stage.axes.end(), [&](const Axis& b) { return uses(a.extent, b.var); });
      s.ragged.push_back(ragged ? Compiler(frame_, false).compile(a.extent) : nullptr);
    }
    return s;
  }

  void loop(const Nest& nest, Storage& out, std::size_t depth, std::int64_t offset) {
    if (depth == nest.axes.size()) {
      out.elements[static_cast<std::size_t>(offset)] = nest.accumulator ? reduced(nest) : nest.body->run(frame_);
      return;
    }
    const std::int64_t n = nest.axes[depth].extent->run(frame_).i;
    const std::uint32_t slot = nest.axes[depth].slot;
    if (nest.scan && depth + 1 == nest.axes.size()) {
      Value sum = nest.accumulator->start(), best{};
      for (std::int64_t k = 0; k < n && !frame_.failed; ++k) {
        frame_.variables[slot] = k;
        nest.accumulator->add(sum, nest.body->run(frame_), best, k);
        out.elements[static_cast<std::size_t>(offset + k)] = nest.accumulator->finish(sum, k + 1);
      }
      return;
    }
    for (std::int64_t i = 0; i < n && !frame_.failed; ++i) {
      frame_.variables[slot] = i;
      loop(nest, out, depth + 1, offset + i * out.strides[depth]);
    }
  }

  Value reduced(const Nest& nest) {
    Value sum = nest.accumulator->start(), best{};
    std::int64_t count = 0;
    reduce(nest, 0, sum, best, count);
    return nest.accumulator->finish(sum, count);
  }
  void reduce(const Nest& nest, std::size_t depth, Value& sum, Value& best, std::int64_t& count) {
    const std::int64_t n = nest.reduce[depth].extent->run(frame_).i;
    std::int64_t& variable = frame_.variables[nest.reduce[depth].slot];
    for (variable = 0; variable < n; ++variable) {
      if (depth + 1 < nest.reduce.size()) {
        reduce(nest, depth + 1, sum, best, count);
      } else {
        nest.accumulator->add(sum, nest.body->run(frame_), best, count++);
      }
    }
  }

  const te::Kernel& kernel_;
  const std::map<VarId, te::DimRange>& runtime_;
  InterpretOptions options_;
  Frame frame_;
  std::map<VarId, te::DimRange> exact_;
};

Result<std::vector<Array>> run(const te::Kernel& kernel, const std::map<VarId, te::DimRange>& runtime,
                               const std::vector<te::LiftedStage>& stages,
                               const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs,
                               const InterpretOptions& options) {
  Machine machine(kernel, runtime, options);
  TECC_CHECK(machine.set_dims(dims));
  TECC_CHECK(machine.set_inputs(inputs));
  for (const te::LiftedStage& s : stages) TECC_CHECK(machine.run(s));
  return machine.outputs();
}

}  // namespace

Result<std::vector<Array>> interpret(const te::Bound& bound, const std::map<std::string, std::int64_t>& dims,
                                     std::span<const Array> inputs, InterpretOptions options) {
  const te::Kernel& k = bound.kernel;
  std::vector<bool> used(k.tensors.size());
  for (const TensorId o : k.outputs) used[o.n] = true;
  std::vector<te::LiftedStage> stages;
  for (auto s = k.stages.rbegin(); s != k.stages.rend(); ++s) {
    if (!used[s->tensor.n]) continue;
    walk(s->body, [&](const Expr& e) {
      if (const auto* r = e.as<Read>()) used[r->tensor.n] = true;
      return true;
    });
    stages.push_back({s->tensor, s->axes, {}, {}, false, s->body, false, s->at});
  }
  std::reverse(stages.begin(), stages.end());
  return run(k, bound.runtime, stages, dims, inputs, options);
}

Result<std::vector<Array>> interpret(const te::Lifted& lifted, const std::map<std::string, std::int64_t>& dims,
                                     std::span<const Array> inputs, InterpretOptions options) {
  return run(lifted.kernel, lifted.runtime, lifted.stages, dims, inputs, options);
}

}  // namespace tecc
