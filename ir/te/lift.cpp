#include "ir/te/lift.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "ir/numeric.h"
#include "ir/te/bounds.h"

namespace tecc::te {
namespace {

/// Substitutes variables in the extents and the body alike.
using Rename = std::map<VarId, Expr>;
Expr renamed(const Expr& e, const Rename& names) {
  return substitute_folded(e, [&](VarId v) {
    const auto it = names.find(v);
    return it == names.end() ? Expr() : it->second;
  });
}

bool mentions(const Expr& e, const std::vector<Axis>& axes) {
  return std::any_of(axes.begin(), axes.end(), [&](const Axis& a) { return uses(e, a.var); });
}

Expr conjunction(const std::vector<Expr>& conditions) {
  Expr out = conditions.front();
  for (std::size_t i = 1; i < conditions.size(); ++i)
    out = make(Binary{BinOp::logical_and, out, conditions[i]}, DType::boolean);
  return out;
}

/// `j + c` with j one of the axes and c free of them.
struct Prefix {
  VarId axis;
  Expr plus;
};
std::optional<Prefix> prefix_form(const Expr& extent, const std::vector<Axis>& axes) {
  for (const Axis& a : axes) {
    if (extent.as<Var>() && extent.as<Var>()->id == a.var) return Prefix{a.var, index_literal(0)};
    const auto* b = extent.as<Binary>();
    if (!b) continue;
    const auto is_axis = [&](const Expr& e) { return e.as<Var>() && e.as<Var>()->id == a.var; };
    if (b->op == BinOp::add && is_axis(b->a) && !mentions(b->b, axes)) return Prefix{a.var, b->b};
    if (b->op == BinOp::add && is_axis(b->b) && !mentions(b->a, axes)) return Prefix{a.var, b->a};
    if (b->op == BinOp::sub && is_axis(b->a) && !mentions(b->b, axes)) return Prefix{a.var, index_literal(0) - b->b};
  }
  return std::nullopt;
}

class Lifter {
 public:
  explicit Lifter(const Bound& bound) : bound_(bound), kernel_(bound.kernel) {
    kernel_.stages.clear();
    find_padded_reads();
  }

  std::vector<LiftedStage> run() {
    for (const Stage& s : bound_.kernel.stages) stage(s);
    for (const TensorId o : kernel_.outputs) become_what_it_copies(o);
    return std::move(out_);
  }
  Kernel& kernel() { return kernel_; }

 private:
  struct Context {
    std::vector<Axis> axes;        // of the stage and of enclosing reductions
    std::vector<Expr> conditions;  // under which this place is evaluated
  };

  /// Tensors that some read pads with an else-value: their elements, not only their use, must be what was written.
  void find_padded_reads() {
    for (const Stage& s : bound_.kernel.stages)
      walk(s.body, [&](const Expr& e) {
        if (const auto* r = e.as<Read>(); r && r->otherwise) padded_.insert(r->tensor);
        return true;
      });
  }

  void stage(const Stage& s) {
    owner_ = kernel_[s.tensor].name;
    counts_.clear();
    const std::size_t first = out_.size();
    LiftedStage out{s.tensor, s.axes, {}, {}, false, {}, false, s.at};
    out.body = extract(s.body, {s.axes, {}});
    const bool is_output = std::count(kernel_.outputs.begin(), kernel_.outputs.end(), s.tensor) > 0;
    // The hidden stage of the whole body comes last: its inner reductions were made before it.
    if (s.body.as<Reduce>() && out_.size() > first && out_.back().tensor == made_) {
      if (!is_output && !padded_.count(s.tensor)) {
        LiftedStage& hidden = out_.back();
        hidden.hidden = false;
        kernel_.tensors[hidden.tensor.n].name = owner_;
        replaced_[s.tensor] = {s.axes, out.body};
        return;
      }
      if (merge_hidden(out)) return;
    }
    kernel_.stages.push_back({s.tensor, out.axes, {}, s.at});
    out_.push_back(std::move(out));
  }

  /// The stage is the reduction itself if it reads its hidden stage element by element.
  bool merge_hidden(LiftedStage& out) {
    LiftedStage& hidden = out_.back();
    const auto* read = out.body.as<Read>();
    if (!read || read->otherwise) return false;
    std::size_t next = 0;  // hidden's axes are a subsequence of the stage's
    Rename names;
    for (std::size_t d = 0; d < read->index.size(); ++d) {
      const auto* v = read->index[d].as<Var>();
      while (v && next < out.axes.size() && out.axes[next].var != v->id) ++next;
      if (!v || next == out.axes.size()) return false;
      names[hidden.axes[d].var] = read->index[d];
      ++next;
    }
    if (hidden.scan) {
      const auto* last = read->index.back().as<Var>();
      if (out.axes.empty() || out.axes.back().var != last->id) return false;
    }
    out.reducer = hidden.reducer;
    out.scan = hidden.scan;
    out.reduce_axes = hidden.reduce_axes;
    for (Axis& a : out.reduce_axes) a.extent = renamed(a.extent, names);
    out.body = renamed(hidden.body, names);
    kernel_.stages.back() = {out.tensor, out.axes, {}, out.at};
    out_.back() = out;
    return true;
  }

  /// An output that is nothing but a copy of a reduction is the reduction, and all read the output.
  void become_what_it_copies(TensorId output) {
    const auto stage_of = [&](TensorId t) {
      return std::find_if(out_.begin(), out_.end(), [&](const LiftedStage& s) { return s.tensor == t; });
    };
    const auto copy = stage_of(output);
    const auto* read = copy->body.as<Read>();
    if (!read || read->otherwise || copy->reducer ||
        std::count(kernel_.outputs.begin(), kernel_.outputs.end(), read->tensor))
      return;
    const auto original = stage_of(read->tensor);
    if (original == out_.end() || !original->reducer || original->axes.size() != copy->axes.size()) return;
    for (std::size_t d = 0; d < copy->axes.size(); ++d) {
      const auto* v = read->index[d].as<Var>();
      if (!v || v->id != copy->axes[d].var || !same_extent(*original, *copy, d)) return;
    }
    for (std::size_t d = 0; d < copy->axes.size(); ++d)  // schedules name the output's axes
      kernel_.variables[original->axes[d].var.n].name = kernel_[copy->axes[d].var].name;
    const TensorId gone = original->tensor;
    original->tensor = output;
    original->hidden = false;
    out_.erase(copy);
    for (LiftedStage& s : out_)
      s.body = rewrite(s.body, [&](const Expr& e) {
        const auto* r = e.as<Read>();
        return r && r->tensor == gone ? same(e, Read{output, r->index, r->otherwise}) : e;
      });
  }
  static bool same_extent(const LiftedStage& a, const LiftedStage& b, std::size_t d) {
    Rename names;
    for (std::size_t k = 0; k < d; ++k) names[a.axes[k].var] = var(b.axes[k].var);
    return same_value(renamed(a.axes[d].extent, names), b.axes[d].extent);
  }

  /// `e` without reductions; their stages are appended to out_.
  Expr extract(const Expr& e, const Context& at) {
    if (const auto* r = e.as<Reduce>()) return reduction(*r, e, at);
    const auto inside = [&](const Expr& child) { return extract(child, at); };
    const auto under = [&](const Expr& child, const Expr& condition, bool holds) {
      if (!has_reduction(child)) return inside(child);
      Context narrowed = at;
      narrowed.conditions.push_back(holds ? condition : make(Unary{UnOp::logical_not, condition}, DType::boolean));
      return extract(child, narrowed);
    };
    return match(
        e, [&](const Literal&) { return e; }, [&](const Var&) { return e; },
        [&](const Unary& u) {
          return same(e, Unary{u.op, inside(u.a)});
        },
        [&](const Binary& b) {
          const Expr a = inside(b.a);
          const bool lazy = b.op == BinOp::logical_and || b.op == BinOp::logical_or;
          return same(e, Binary{b.op, a, lazy ? under(b.b, a, b.op == BinOp::logical_and) : inside(b.b)});
        },
        [&](const Select& s) {
          const Expr c = inside(s.condition);
          const Expr x = under(s.then, c, true);
          return same(e, Select{c, x, under(s.otherwise, c, false)});
        },
        [&](const Cast& c) {
          return same(e, Cast{c.to, inside(c.a)});
        },
        [&](const Read& r) {
          Read out{r.tensor, {}, {}};
          for (const Expr& i : r.index) out.index.push_back(inside(i));
          if (r.otherwise) out.otherwise = inside(r.otherwise);
          if (const auto it = replaced_.find(r.tensor); it != replaced_.end()) {
            Rename names;
            for (std::size_t d = 0; d < out.index.size(); ++d) names[it->second.axes[d].var] = out.index[d];
            return renamed(it->second.value, names);
          }
          return same(e, std::move(out));
        },
        [&](const Reduce&) { return e; });
  }
  template <class Kind> static Expr same(const Expr& e, Kind kind) { return make(std::move(kind), e->type, e->at); }
  static bool has_reduction(const Expr& e) {
    bool found = false;
    walk(e, [&](const Expr& n) {
      found = found || n.as<Reduce>();
      return !found;
    });
    return found;
  }

  Expr reduction(const Reduce& r, const Expr& e, const Context& at) {
    const bool is_mean = r.op == Reducer::mean;
    const Reducer op = is_mean ? Reducer::sum : r.op;
    const std::string hidden_name = next_name(op);  // before those inside: numbered in text order
    Context inner = at;
    inner.axes.insert(inner.axes.end(), r.axes.begin(), r.axes.end());
    Expr body = extract(r.body, inner);
    const DType narrow = body->type;
    const bool widened = (op == Reducer::sum || op == Reducer::prod) && is_narrow_float(narrow);
    if (widened) body = make(Cast{DType::f32, body}, DType::f32, e->at);
    const bool indexes = op == Reducer::argmax || op == Reducer::argmin;
    const DType type = indexes ? DType::i64 : body->type;
    const std::vector<Axis> kept = used_axes(at, r.axes, body);
    const bool guarded = !may_leave(at, kept, r.axes, body);
    // The reduction leaves the place that its conditions protected, so the conditions go with it.
    if (guarded) body = make(Select{conjunction(conditions_left(at, kept)), body, literal(0, body->type)}, body->type, e->at);
    Expr elements, value;
    if (is_mean) elements = count(r, at, type, e);
    if (!guarded && !indexes) value = scan(op, r, body, at, hidden_name, e);
    if (!value) value = hidden_stage(op, r.axes, body, type, at, hidden_name, e);
    made_ = value.as<Read>() ? std::optional(value.as<Read>()->tensor) : std::nullopt;
    if (is_mean) value = make(Binary{BinOp::div, value, elements}, type, e->at);
    if (widened) value = make(Cast{narrow, value}, narrow, e->at);
    return value;
  }

  std::string next_name(Reducer op) {
    const std::string word = fmt::format("{}.{}", owner_, symbol(op));
    const int n = ++counts_[op];
    return n == 1 ? word : fmt::format("{}{}", word, n);
  }

  /// The axes of the context that the expressions use, directly or in the extents of those they use; in context order.
  std::vector<Axis> used_axes(const Context& at, const std::vector<Axis>& own, const Expr& body) const {
    std::vector<Axis> out;
    for (std::size_t n = at.axes.size(); n-- > 0;) {
      const VarId v = at.axes[n].var;
      bool used = uses(body, v);
      for (const Axis& a : own) used = used || uses(a.extent, v);
      for (const Axis& a : out) used = used || uses(a.extent, v);
      if (used) out.insert(out.begin(), at.axes[n]);
    }
    return out;
  }

  /// What holds where `at` is evaluated and is not known over `kept` alone: that the axes left behind have iterations, and the conditions.
  std::vector<Expr> conditions_left(const Context& at, const std::vector<Axis>& kept) const {
    std::vector<Expr> out;
    Prover prover(bound_.runtime);
    for (const Axis& a : at.axes) {
      const bool stays = std::any_of(kept.begin(), kept.end(), [&](const Axis& k) { return k.var == a.var; });
      if (!stays && !prover.at_least(a.extent, 1)) out.push_back(make(Binary{BinOp::less, index_literal(0), a.extent}, DType::boolean));
      prover.enter(a);
    }
    out.insert(out.end(), at.conditions.begin(), at.conditions.end());
    return out;
  }

  /// The body may be evaluated over `kept` and its `own` axes, whether or not it was asked for there.
  bool may_leave(const Context& at, std::vector<Axis> kept, const std::vector<Axis>& own, const Expr& body) const {
    if (conditions_left(at, kept).empty()) return true;
    kept.insert(kept.end(), own.begin(), own.end());
    return safe_everywhere(kernel_, bound_.runtime, kept, body);
  }

  VarId copy_axis(VarId v) {
    kernel_.variables.push_back(kernel_[v]);
    return VarId{static_cast<std::uint32_t>(kernel_.variables.size() - 1)};
  }
  std::vector<Axis> copy_axes(const std::vector<Axis>& axes, Rename& names) {
    std::vector<Axis> out;
    for (const Axis& a : axes) {
      out.push_back({copy_axis(a.var), renamed(a.extent, names), a.at});
      names[a.var] = var(out.back().var, a.at);
    }
    return out;
  }

  TensorId add(LiftedStage s, const std::string& name, DType type) {
    Tensor t{name, type, {}, false, s.at};
    for (const Axis& a : s.axes) t.shape.push_back(a.extent);
    kernel_.tensors.push_back(std::move(t));
    s.tensor = TensorId{static_cast<std::uint32_t>(kernel_.tensors.size() - 1)};
    s.hidden = true;
    kernel_.stages.push_back({s.tensor, s.axes, {}, s.at});
    out_.push_back(std::move(s));
    return out_.back().tensor;
  }

  Expr hidden_stage(Reducer op, const std::vector<Axis>& own, const Expr& body, DType type, const Context& at,
                    const std::string& name, const Expr& e) {
    const std::vector<Axis> used = used_axes(at, own, body);
    Rename names;
    LiftedStage s;
    s.axes = copy_axes(used, names);
    s.reducer = op;
    s.reduce_axes = copy_axes(own, names);
    s.body = renamed(body, names);
    s.at = e->at;
    Read read{add(std::move(s), name, type), {}, {}};
    for (const Axis& a : used) read.index.push_back(var(a.var));
    return make(std::move(read), type, e->at);
  }

  /// op[k: j + c](body) with body free of j: a running reduction over k < n + c - 1, read at j + c - 1. Empty: no scan.
  Expr scan(Reducer op, const Reduce& r, const Expr& body, const Context& at, const std::string& name, const Expr& e) {
    if (r.axes.size() != 1) return {};
    const auto prefix = prefix_form(r.axes[0].extent, at.axes);
    if (!prefix || uses(body, prefix->axis)) return {};
    const Axis& j = *std::find_if(at.axes.begin(), at.axes.end(), [&](const Axis& a) { return a.var == prefix->axis; });
    const Expr shift = prefix->plus - 1, length = j.extent + shift;
    Expr empty = neutral(op, body->type);
    if (const auto n = constant_of(length); n && *n <= 0) return empty;
    const Axis running{r.axes[0].var, length, r.axes[0].at};
    const std::vector<Axis> used = used_axes(at, {running}, body);
    if (std::any_of(used.begin(), used.end(), [&](const Axis& a) { return a.var == j.var; }))
      return {};  // an extent follows j
    if (!may_leave(at, used, {running}, body)) return {};  // where j has no iterations
    Rename names;
    LiftedStage s;
    s.axes = copy_axes(used, names);
    for (Axis& k : copy_axes({running}, names)) s.axes.push_back(std::move(k));
    s.reducer = op;
    s.scan = true;
    s.body = renamed(body, names);
    s.at = e->at;
    Read read{add(std::move(s), name, body->type), {}, {}};
    for (const Axis& a : used) read.index.push_back(var(a.var));
    read.index.push_back(var(j.var) + shift);
    const auto c = constant_of(prefix->plus);
    if (!c || *c < 1) read.otherwise = empty;  // nothing is added up yet
    return make(std::move(read), body->type, e->at);
  }

  /// How many elements a mean has, in the type of its sum.
  Expr count(const Reduce& r, const Context& at, DType type, const Expr& e) {
    bool box = true;
    Expr n = index_literal(1);
    for (const Axis& a : r.axes) {
      box = box && !mentions(a.extent, r.axes);
      n = n * (a.extent.as<Var>() && kernel_[a.extent.as<Var>()->id].kind == VarKind::dim
                   ? a.extent
                   : index_max(a.extent, index_literal(0)));
    }
    if (!box) n = hidden_stage(Reducer::sum, r.axes, index_literal(1), DType::i64, at, next_name(Reducer::sum), e);
    if (const auto c = constant_of(n)) return make(Literal{*c, static_cast<double>(*c), false}, type, e->at);
    return make(Cast{type, n}, type, e->at);
  }

  struct Replacement {
    std::vector<Axis> axes;
    Expr value;
  };
  const Bound& bound_;
  Kernel kernel_;
  std::vector<LiftedStage> out_;
  std::map<TensorId, Replacement> replaced_;
  std::set<TensorId> padded_;
  std::string owner_;
  std::map<Reducer, int> counts_;
  std::optional<TensorId> made_;  // the hidden stage of the outermost reduction just lifted
};

}  // namespace

Expr neutral(Reducer op, DType type) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto integer = [&](std::int64_t v) { return make(Literal{v, static_cast<double>(v), false}, type); };
  const std::int64_t bits = 8 * bytes_of(type);
  const std::int64_t highest = type == DType::u8 ? 255 : bits == 64 ? INT64_MAX : (std::int64_t{1} << (bits - 1)) - 1;
  switch (op) {
    case Reducer::sum:
    case Reducer::mean:
      return is_float(type) ? literal(0, type) : integer(0);
    case Reducer::prod:
      return is_float(type) ? literal(1, type) : integer(1);
    case Reducer::any:
      return integer(0);
    case Reducer::all:
      return integer(1);
    case Reducer::max:
      return is_float(type) ? literal(round_to(-infinity, type), type) : integer(type == DType::u8 ? 0 : -highest - 1);
    case Reducer::min:
      return is_float(type) ? literal(round_to(infinity, type), type) : integer(highest);
    case Reducer::argmax:
    case Reducer::argmin:
      return make(Literal{-1, -1, false}, DType::i64);
  }
  return {};
}

Lifted lift(const Bound& bound) {
  Lifter lifter(bound);
  std::vector<LiftedStage> stages = lifter.run();
  return in_order_of_use(lifter.kernel(), std::move(stages), bound);
}

}  // namespace tecc::te
