#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/base/nearest.h"
#include "ir/te/bounds.h"
#include "ir/te/elaborate.h"

namespace tecc::te {
namespace {

constexpr std::int64_t most_formula_nodes = 10'000;  // lets of runtime dims are substituted and could double each time

std::string range_text(const DimRange& r) {
  if (r.fixed()) return fmt::format("{}", r.min);
  return fmt::format("{}..{}{}", r.min, r.max, r.multiple_of == 1 ? "" : fmt::format(":{}", r.multiple_of));
}

class Binder {
 public:
  Binder(const Kernel& kernel, const Bindings& bindings) : source_(kernel), bindings_(bindings) {
    out_.kernel = kernel;
    out_.bindings = bindings;
  }

  Result<Bound> run() {
    TECC_CHECK(types());
    TECC_CHECK(dims());
    const std::vector<DType> types = types_;
    Elaborator elaborate(source_, out_.kernel, types, values_);
    TECC_CHECK(lets(elaborate));
    TECC_CHECK(inputs(elaborate));
    for (Stage& s : out_.kernel.stages) TECC_CHECK(stage(s, elaborate));
    TECC_CHECK(outputs());
    TECC_CHECK(alignments());
    out_.kernel.type_parameters.clear();
    out_.kernel.integers.clear();
    std::erase_if(out_.kernel.dims, [&](VarId v) { return !out_.runtime.count(v); });
    TECC_CHECK(check_bounds(out_.kernel, out_.runtime));
    TECC_CHECK(extents());
    constraints();
    warn();
    return std::move(out_);
  }

 private:
  Check types() {
    for (const std::string& p : source_.type_parameters) {
      const auto it = bindings_.types.find(p);
      if (it == bindings_.types.end()) return at(source_.at, refuse(Code::type_missing, p));
      types_.push_back(it->second);
    }
    for (const auto& [name, type] : bindings_.types)
      if (std::find(source_.type_parameters.begin(), source_.type_parameters.end(), name) ==
          source_.type_parameters.end())
        return at(source_.at,
                  refuse(Code::type_binding_unknown, source_.name, name, did_you_mean(name, source_.type_parameters)));
    return Ok{};
  }

  Check dims() {
    std::vector<std::string> known;
    for (const auto* list : {&source_.dims, &source_.integers})
      for (const VarId v : *list) known.push_back(source_[v].name);
    for (const auto& [name, range] : bindings_.dims)
      if (std::find(known.begin(), known.end(), name) == known.end())
        return at(source_.at, refuse(Code::dim_unknown, source_.name, name, did_you_mean(name, known)));
    for (const VarId v : source_.dims) {
      const auto it = bindings_.dims.find(source_[v].name);
      if (it == bindings_.dims.end()) return at(source_[v].at, refuse(Code::dim_missing, "dim", source_[v].name));
      TECC_CHECK(dim(v, it->second));
    }
    for (const VarId v : source_.integers) {
      const auto it = bindings_.dims.find(source_[v].name);
      if (it == bindings_.dims.end())
        return at(source_[v].at, refuse(Code::dim_missing, "integer parameter", source_[v].name));
      if (!it->second.fixed())
        return at(source_[v].at, refuse(Code::integer_range, source_[v].name, range_text(it->second)));
      values_[v] = index_literal(it->second.min);
    }
    return Ok{};
  }

  Check dim(VarId v, DimRange r) {
    const auto refused = [&](std::string_view why) {
      return at(source_[v].at, refuse(Code::dim_range, source_[v].name, range_text(r), std::string(why)));
    };
    if (r.min < 1) return refused("a dim is at least 1");
    if (r.max < r.min) return refused("the first value must not exceed the last");
    DimRange kept = r;
    kept.min = r.min % r.multiple_of == 0 ? r.min : (r.min / r.multiple_of + 1) * r.multiple_of;
    kept.max = r.max / r.multiple_of * r.multiple_of;
    if (kept.max < kept.min || kept.min < 1) return refused(fmt::format("it holds no multiple of {}", r.multiple_of));
    out_.bindings.dims[source_[v].name] = kept;
    if (kept.fixed()) values_[v] = index_literal(kept.min);
    else out_.runtime[v] = kept;
    return Ok{};
  }

  Check lets(Elaborator& elaborate) {
    for (std::uint32_t n = 0; n < source_.variables.size(); ++n) {
      const Variable& v = source_.variables[n];
      if (v.kind != VarKind::let) continue;
      TECC_TRY(const Expr value, elaborate.formula(v.value, fmt::format("let '{}'", v.name)));
      if (count_nodes(value, most_formula_nodes) > most_formula_nodes)
        return at(v.at, refuse(Code::expression_too_large, most_formula_nodes));
      Prover prover(out_.runtime);
      if (!prover.range(value)) return at(v.value->at, refuse(Code::index_overflow, v.name, ""));
      values_[VarId{n}] = value;
      out_.kernel.variables[n].value = {};
    }
    return Ok{};
  }

  Check inputs(Elaborator& elaborate) {
    for (const TensorId id : source_.inputs) {
      Tensor& t = out_.kernel.tensors[id.n];
      t.type = elaborate.type_of(source_[id].type);
      for (Expr& extent : t.shape) {
        const Expr written = extent;
        TECC_TRY(extent, elaborate.formula(written, fmt::format("the shape of '{}'", t.name)));
        TECC_CHECK(at_least_one(extent, written, fmt::format("'{}'", t.name)));
      }
      TECC_CHECK(countable(t));
    }
    return Ok{};
  }

  Check at_least_one(const Expr& extent, const Expr& written, const std::string& whose) {
    Prover prover(out_.runtime);
    const std::string text = print(written, names_of(source_));
    if (const auto c = constant_of(extent)) {
      if (*c >= 1) return Ok{};
      return at(written->at, refuse(Code::extent_below_one, text, whose, fmt::format("{}", *c)));
    }
    if (prover.at_least(extent, 1)) return Ok{};
    const auto r = prover.range(extent);
    if (!r) return at(written->at, refuse(Code::index_overflow, text, " for some values of the runtime dims"));
    return at(written->at, refuse(Code::extent_below_one, text, whose,
                                  fmt::format("{} for some runtime dims", static_cast<std::int64_t>(r->first))));
  }

  Check countable(const Tensor& t) {
    Prover prover(out_.runtime);
    __int128 elements = 1;
    for (const Expr& extent : t.shape) {
      const auto r = prover.range(extent);
      if (!r) return at(extent->at, refuse(Code::index_overflow, t.name, ""));
      if (r->last < INT64_MAX)
        elements *= std::max<__int128>(r->last, 1);  // a ragged extent is bounded by check_bounds
      if (elements > INT64_MAX) return at(t.at, refuse(Code::tensor_too_large, t.name));
    }
    return Ok{};
  }

  Check stage(Stage& s, Elaborator& elaborate) {
    Tensor& t = out_.kernel.tensors[s.tensor.n];
    t.shape.clear();
    for (Axis& a : s.axes) {
      TECC_TRY(a.extent, elaborate.formula(a.extent, fmt::format("the extent of axis '{}'", source_[a.var].name)));
      t.shape.push_back(a.extent);
    }
    TECC_TRY(s.body, elaborate.body(s.body));
    t.type = s.body->type;
    return Ok{};
  }

  Check outputs() {
    for (const TensorId id : out_.kernel.outputs) {
      const Stage& s = *out_.kernel.stage_of(id);
      const Stage& written = *source_.stage_of(id);
      for (std::size_t d = 0; d < s.axes.size(); ++d)
        for (const Axis& other : s.axes)
          if (uses(s.axes[d].extent, other.var))
            return at(written.axes[d].extent->at,
                      refuse(Code::output_ragged, source_[s.axes[d].var].name, source_[id].name,
                             print(written.axes[d].extent, names_of(source_))));
    }
    return Ok{};
  }

  /// Pointers that the caller hands over. 256 bytes are what every allocator of device memory gives.
  Check alignments() {
    constexpr std::int64_t most = 256;
    std::map<std::string, const Tensor*> known;
    std::vector<std::string> names;
    for (const auto* list : {&out_.kernel.inputs, &out_.kernel.outputs})
      for (const TensorId id : *list)
        if (const Tensor& t = out_.kernel[id]; !t.by_value) known[t.name] = &t, names.push_back(t.name);
    for (const auto& [name, bytes] : bindings_.align) {
      const auto t = known.find(name);
      if (t == known.end()) return at(source_.at, refuse(Code::alignment_tensor, source_.name, name, did_you_mean(name, names)));
      const std::int64_t element = bytes_of(t->second->type.concrete());
      if (bytes < element || bytes > most || (bytes & (bytes - 1)) != 0) return at(t->second->at, refuse(Code::alignment_bytes, name, bytes, element, most));
    }
    return Ok{};
  }

  /// Extents of stages, once they are known to be affine and free of overflow.
  Check extents() {
    for (const Stage& s : out_.kernel.stages) {
      const Stage& written = *source_.stage_of(s.tensor);
      Prover prover(out_.runtime);
      __int128 elements = 1;
      for (std::size_t d = 0; d < s.axes.size(); ++d) {
        const Expr& extent = s.axes[d].extent;
        bool ragged = false;
        for (const Axis& other : s.axes) ragged = ragged || uses(extent, other.var);
        if (!ragged)
          TECC_CHECK(
              at_least_one(extent, written.axes[d].extent,
                           fmt::format("axis '{}' of '{}'", source_[s.axes[d].var].name, source_[s.tensor].name)));
        const auto r = prover.range(extent);
        elements *= r ? std::max<__int128>(r->last, 1) : INT64_MAX;
        if (elements > INT64_MAX) return at(s.at, refuse(Code::tensor_too_large, source_[s.tensor].name));
        prover.enter(s.axes[d]);
      }
    }
    return Ok{};
  }

  /// What a launcher must check besides the ranges.
  void constraints() {
    for (const auto& [v, r] : out_.runtime)
      if (r.multiple_of > 1) out_.constraints.push_back(fmt::format("{} % {}", out_.kernel[v].name, r.multiple_of));
  }

  void warn() {
    const Kernel& k = out_.kernel;
    std::vector<bool> used(k.tensors.size());
    for (const TensorId o : k.outputs) used[o.n] = true;
    for (auto s = k.stages.rbegin(); s != k.stages.rend(); ++s) {
      if (used[s->tensor.n])
        walk(s->body, [&](const Expr& e) {
          if (const auto* r = e.as<Read>()) used[r->tensor.n] = true;
          return true;
        });
    }
    for (const Stage& s : k.stages)
      if (!used[s.tensor.n])
        out_.warnings.push_back(fmt::format("stage '{}' is not used by any output and is dropped", k[s.tensor].name));
  }

  const Kernel& source_;
  const Bindings& bindings_;
  Bound out_;
  std::vector<DType> types_;
  std::map<VarId, Expr> values_;  // integers, fixed dims, lets
};

}  // namespace

Result<Bound> bind(const Kernel& kernel, const Bindings& bindings) { return Binder(kernel, bindings).run(); }

}  // namespace tecc::te
