#include "ir/te/bounds.h"

#include <fmt/format.h>

namespace tecc::te {
namespace {

bool depends_on(const Expr& e, const std::vector<VarId>& axes) {
  bool found = false;
  walk(e, [&](const Expr& n) {
    if (const auto* v = n.as<Var>())
      for (const VarId a : axes) found = found || a == v->id;
    return !found;
  });
  return found;
}

bool reads_data(const Expr& e) {
  bool found = false;
  walk(e, [&](const Expr& n) {
    found = found || n.as<Read>() || n.as<Reduce>() || n.as<Cast>();
    return !found;
  });
  return found;
}

class BoundsChecker {
 public:
  BoundsChecker(const Kernel& kernel, const std::map<VarId, DimRange>& runtime)
      : kernel_(kernel), names_(names_of(kernel)), prover_(runtime) {}

  Check stage(const std::vector<Axis>& axes, const Expr& body) {
    where_ = kernel_.name;
    const auto mark = prover_.mark();
    TECC_CHECK(enter(axes));
    TECC_CHECK(check(body));
    prover_.back(mark);
    return Ok{};
  }
  bool forbid_integer_division = false;  // safe_everywhere

  Check enter(const std::vector<Axis>& axes) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      TECC_CHECK(arithmetic(axes[i].extent));
      if (!is_affine_in(axes[i].extent, visible_))
        return at(axes[i].extent->at, refuse(Code::extent_not_affine, text(axes[i].extent), kernel_[axes[i].var].name));
      prover_.enter(axes[i]);
      visible_.push_back(axes[i].var);
    }
    return Ok{};
  }

  Check check(const Expr& e) {
    return match(
        e, [](const Literal&) -> Check { return Ok{}; }, [](const Var&) -> Check { return Ok{}; },
        [&](const Unary& u) -> Check {
          TECC_CHECK(check(u.a));
          return own_arithmetic(e);
        },
        [&](const Binary& b) -> Check {
          TECC_CHECK(check(b.a));
          if (b.op == BinOp::logical_and || b.op == BinOp::logical_or)
            return under(b.a, b.op == BinOp::logical_and, b.b);
          TECC_CHECK(check(b.b));
          return own_arithmetic(e);
        },
        [&](const Select& s) -> Check {
          TECC_CHECK(check(s.condition));
          TECC_CHECK(under(s.condition, true, s.then));
          return under(s.condition, false, s.otherwise);
        },
        [&](const Cast& c) -> Check { return check(c.a); }, [&](const Read& r) -> Check { return read(r, e); },
        [&](const Reduce& r) -> Check {
          const auto mark = prover_.mark();
          const std::size_t visible = visible_.size();
          TECC_CHECK(enter(r.axes));
          TECC_CHECK(check(r.body));
          visible_.resize(visible);
          prover_.back(mark);
          return Ok{};
        });
  }

 private:
  Check under(const Expr& condition, bool holds, const Expr& e) {
    const auto mark = prover_.mark();
    prover_.assume(condition, holds);
    TECC_CHECK(check(e));
    prover_.back(mark);
    return Ok{};
  }

  Check read(const Read& r, const Expr& e) {
    const Tensor& tensor = kernel_[r.tensor];
    for (const Expr& i : r.index) TECC_CHECK(check(i));
    if (r.otherwise) return check(r.otherwise);
    for (std::size_t d = 0; d < r.index.size(); ++d) {
      const Expr& i = r.index[d];
      if (reads_data(i)) {
        if (forbid_integer_division) return refuse(Code::read_out_of_bounds);
        continue;  // the caller's duty
      }
      const Expr extent = extent_at(tensor, r, d);
      if (reads_data(extent)) continue;
      if (prover_.at_least(i, 0) && prover_.at_least(extent - 1, i)) continue;
      return at(i->at.file ? i->at : e->at, out_of_bounds(tensor, d, i, extent));
    }
    return Ok{};
  }

  /// A ragged extent at the indices of this read: x[i, j: i + 1] read as x[a, b] has extent a + 1 in its second dimension.
  Expr extent_at(const Tensor& tensor, const Read& r, std::size_t d) const {
    const Stage* stage = kernel_.stage_of(r.tensor);
    if (!stage) return tensor.shape[d];
    return substitute_folded(tensor.shape[d], [&](VarId v) {
      for (std::size_t k = 0; k < d; ++k)
        if (stage->axes[k].var == v) return r.index[k];
      return Expr();
    });
  }

  Refusal out_of_bounds(const Tensor& tensor, std::size_t d, const Expr& i, const Expr& extent) const {
    const auto digits = [](__int128 v) { return fmt::format("{}", static_cast<std::int64_t>(v)); };
    const auto span = prover_.range(i);
    std::string shape;
    for (const Expr& s : tensor.shape) shape += (shape.empty() ? "" : ", ") + text(s);
    const std::string dimension = fmt::format("dimension {} of its shape [{}]", d, shape);
    const auto limit = prover_.range(extent);
    std::string runs = "which is not proved to be inside";
    if (span && (span->first > INT64_MIN && span->last < INT64_MAX))
      runs = fmt::format("which runs from {} to {}", digits(span->first), digits(span->last));
    std::string allowed;
    if (const auto c = constant_of(extent)) allowed = fmt::format("allowed is 0 to {}", *c - 1);
    else if (limit && limit->last < INT64_MAX)
      allowed = fmt::format("allowed is 0 to {} - 1 ({} is {}..{})", text(extent), text(extent), digits(limit->first),
                            digits(limit->last));
    else allowed = fmt::format("allowed is 0 to {} - 1", text(extent));
    return refuse(Code::read_out_of_bounds, tensor.name, dimension, text(i),
                  fmt::format("{}; {}; write {}[...] else 0 if a value outside is meant", runs, allowed, tensor.name));
  }

  /// An extent: all of its arithmetic.
  Check arithmetic(const Expr& e) { return check(e); }

  /// This node's own arithmetic, if it is on index values.
  Check own_arithmetic(const Expr& e) {
    if (e->type != DType::i64) {
      const auto* b = e.as<Binary>();
      if (forbid_integer_division && b && is_integer(e->type) && (b->op == BinOp::div || b->op == BinOp::mod))
        return refuse(Code::zero_division);
      return Ok{};
    }
    const auto* b = e.as<Binary>();
    if (reads_data(e)) {
      if (forbid_integer_division && b && (b->op == BinOp::div || b->op == BinOp::mod))
        return refuse(Code::zero_division);
      return Ok{};
    }
    if (!prover_.range(e))
      return at(e->at, refuse(Code::index_overflow, text(e), " for some values of its axes and dims"));
    if (!b || (b->op != BinOp::div && b->op != BinOp::mod)) return Ok{};
    const auto divisor = prover_.range(b->b);
    if (divisor && (divisor->first > 0 || divisor->last < 0)) return Ok{};
    if (prover_.at_least(b->b, 1) || prover_.at_least(index_literal(-1), b->b)) return Ok{};
    return at(e->at, refuse(Code::zero_division, text(e), fmt::format(": '{}' can be 0", text(b->b)),
                            fmt::format("write max({}, 1) or guard it with select", text(b->b))));
  }

  std::string text(const Expr& e) const {
    constexpr std::size_t widest = 80;
    if (count_nodes(e, 60) > 60) return "...";
    std::string out = print(e, names_);
    return out.size() > widest ? out.substr(0, widest - 3) + "..." : out;
  }

  const Kernel& kernel_;
  Names names_;
  Prover prover_;
  std::vector<VarId> visible_;
  std::string where_;
};

}  // namespace

bool is_affine_in(const Expr& e, const std::vector<VarId>& axes) {
  if (!depends_on(e, axes)) return true;
  if (e.as<Var>()) return true;
  if (const auto* u = e.as<Unary>()) return u->op == UnOp::neg && is_affine_in(u->a, axes);
  const auto* b = e.as<Binary>();
  if (!b) return false;
  if (b->op == BinOp::add || b->op == BinOp::sub) return is_affine_in(b->a, axes) && is_affine_in(b->b, axes);
  if (b->op == BinOp::mul)
    return (constant_of(b->a) && is_affine_in(b->b, axes)) || (constant_of(b->b) && is_affine_in(b->a, axes));
  return false;
}

Check check_bounds(const Kernel& kernel, const std::map<VarId, DimRange>& runtime) {
  for (const Stage& s : kernel.stages) {
    BoundsChecker checker(kernel, runtime);
    TECC_CHECK(checker.stage(s.axes, s.body));
  }
  return Ok{};
}

bool safe_everywhere(const Kernel& kernel, const std::map<VarId, DimRange>& runtime, const std::vector<Axis>& axes,
                     const Expr& body) {
  BoundsChecker checker(kernel, runtime);
  checker.forbid_integer_division = true;
  return static_cast<bool>(checker.stage(axes, body));
}

}  // namespace tecc::te
