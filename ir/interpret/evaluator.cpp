#include "ir/interpret/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/numeric.h"

namespace tecc::interpreter {
namespace {

template <class F> struct Lambda final : Node {
  F f;
  explicit Lambda(F function) : f(std::move(function)) {}
  Value run(Frame& frame) const override { return f(frame); }
};
template <class F> NodePtr node(F f) { return std::make_unique<Lambda<F>>(std::move(f)); }

Value real(double v) {
  Value out;
  out.f = v;
  return out;
}
Value integer(std::int64_t v) {
  Value out;
  out.i = v;
  return out;
}

// Wrapping arithmetic without undefined overflow.
std::int64_t wrapping(BinOp op, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  switch (op) {
    case BinOp::add:
      return static_cast<std::int64_t>(x + y);
    case BinOp::sub:
      return static_cast<std::int64_t>(x - y);
    default:
      return static_cast<std::int64_t>(x * y);
  }
}

template <class T> T smaller(T a, T b) {  // NaN propagates
  return a != a ? a : b != b ? b : std::min(a, b);
}
template <class T> T larger(T a, T b) { return a != a ? a : b != b ? b : std::max(a, b); }

double function(UnOp op, double x) {
  switch (op) {
    case UnOp::neg:
      return -x;
    case UnOp::abs:
      return std::abs(x);
    case UnOp::exp:
      return std::exp(x);
    case UnOp::log:
      return std::log(x);
    case UnOp::sqrt:
      return std::sqrt(x);
    case UnOp::rsqrt:
      return 1 / std::sqrt(x);
    case UnOp::tanh:
      return std::tanh(x);
    case UnOp::erf:
      return std::erf(x);
    case UnOp::sin:
      return std::sin(x);
    case UnOp::cos:
      return std::cos(x);
    case UnOp::sigmoid:
      return 1 / (1 + std::exp(-x));
    case UnOp::floor:
      return std::floor(x);
    case UnOp::ceil:
      return std::ceil(x);
    case UnOp::round:
      return std::nearbyint(x);  // ties to even
    case UnOp::square:
      return x * x;
    case UnOp::logical_not:
      break;
  }
  return x;
}

std::string element_text(const Frame& frame) {
  std::string out;
  for (const std::uint32_t slot : frame.stage->axis_slots)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", frame.variables[slot]);
  return "[" + out + "]";
}

}  // namespace

double Rounding::operator()(double v) const {
  if (type == DType::f64) return v;
  if (type == DType::f32) return wide ? v : static_cast<float>(v);
  return round_to(wide ? v : static_cast<float>(v), type);
}

// ---- reductions -------------------------------------------------------------------------------------------------------

Value Accumulator::start() const {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::int64_t bits = 8 * bytes_of(type);
  const std::int64_t highest = type == DType::u8 ? 255 : bits == 64 ? INT64_MAX : (std::int64_t{1} << (bits - 1)) - 1;
  switch (op) {
    case Reducer::sum:
    case Reducer::mean:
      return is_float(type) ? real(0) : integer(0);
    case Reducer::prod:
      return is_float(type) ? real(1) : integer(1);
    case Reducer::max:
      return is_float(type) ? real(round_to(-infinity, type)) : integer(type == DType::u8 ? 0 : -highest - 1);
    case Reducer::min:
      return is_float(type) ? real(round_to(infinity, type)) : integer(highest);
    case Reducer::any:
      return integer(0);
    case Reducer::all:
      return integer(1);
    case Reducer::argmax:
    case Reducer::argmin:
      return integer(-1);
  }
  return {};
}

void Accumulator::add(Value& sum, Value x, Value& best, std::int64_t count) const {
  const bool floats = is_float(type), single = type != DType::f64 && !wide;
  switch (op) {
    case Reducer::sum:
    case Reducer::mean:
      if (floats) sum.f = single ? static_cast<float>(sum.f + x.f) : sum.f + x.f;
      else sum.i = wrap(wrapping(BinOp::add, sum.i, x.i), type);
      break;
    case Reducer::prod:
      if (floats) sum.f = single ? static_cast<float>(sum.f * x.f) : sum.f * x.f;
      else sum.i = wrap(wrapping(BinOp::mul, sum.i, x.i), type);
      break;
    case Reducer::min:
      if (floats) sum.f = smaller(sum.f, x.f);
      else sum.i = std::min(sum.i, x.i);
      break;
    case Reducer::max:
      if (floats) sum.f = larger(sum.f, x.f);
      else sum.i = std::max(sum.i, x.i);
      break;
    case Reducer::any:
      sum.i = sum.i || x.i;
      break;
    case Reducer::all:
      sum.i = sum.i && x.i;
      break;
    case Reducer::argmax:
    case Reducer::argmin: {  // the first of the best; a NaN is better than any number
      const bool more = op == Reducer::argmax;
      const bool better =
          count == 0 || (floats ? (best.f == best.f && (x.f != x.f || (more ? x.f > best.f : x.f < best.f)))
                                : (more ? x.i > best.i : x.i < best.i));
      if (better) {
        best = x;
        sum.i = count;
      }
    }
  }
}

Value Accumulator::finish(Value sum, std::int64_t count) const {
  const bool adds = op == Reducer::sum || op == Reducer::prod || op == Reducer::mean;
  if (!is_float(type) || !adds) return sum;
  const Rounding accumulated{is_narrow_float(type) ? DType::f32 : type, wide};
  if (op == Reducer::mean) sum.f = accumulated(sum.f / accumulated(static_cast<double>(count)));
  return real(Rounding{type, wide}(sum.f));
}

// ---- expressions ------------------------------------------------------------------------------------------------------

NodePtr Compiler::compile(const Expr& e) const {
  return match(
      e,
      [&](const Literal& l) -> NodePtr {
        const Value v = is_float(e->type)
                            ? real(Rounding{e->type, wide_}(l.decimal ? l.real : static_cast<double>(l.integer)))
                            : integer(l.integer);
        return node([v](Frame&) { return v; });
      },
      [&](const Var& v) -> NodePtr { return node([slot = v.id.n](Frame& f) { return integer(f.variables[slot]); }); },
      [&](const Unary& u) { return unary(u, e->type); }, [&](const Binary& b) { return binary(b, e); },
      [&](const Select& s) -> NodePtr {
        return node([c = compile(s.condition), a = compile(s.then), b = compile(s.otherwise)](Frame& f) {
          return c->run(f).i ? a->run(f) : b->run(f);
        });
      },
      [&](const Cast& c) { return cast(c.a->type, c.to.concrete(), compile(c.a)); },
      [&](const Read& r) { return read(r); }, [&](const Reduce& r) { return reduce(r); });
}

NodePtr Compiler::unary(const Unary& u, DType type) const {
  NodePtr a = compile(u.a);
  if (u.op == UnOp::logical_not) return node([a = std::move(a)](Frame& f) { return integer(!a->run(f).i); });
  if (is_float(type))
    return node([a = std::move(a), op = u.op, round = Rounding{type, wide_}](Frame& f) {
      return real(round(function(op, a->run(f).f)));
    });
  return node([a = std::move(a), op = u.op, type](Frame& f) {
    const std::int64_t x = a->run(f).i;
    if (op == UnOp::square) return integer(wrap(wrapping(BinOp::mul, x, x), type));
    return integer(op == UnOp::neg || x < 0 ? wrap(wrapping(BinOp::sub, 0, x), type) : x);
  });
}

NodePtr Compiler::binary(const Binary& b, const Expr& e) const {
  NodePtr x = compile(b.a), y = compile(b.b);
  if (b.op == BinOp::logical_and)
    return node([x = std::move(x), y = std::move(y)](Frame& f) { return integer(x->run(f).i && y->run(f).i); });
  if (b.op == BinOp::logical_or)
    return node([x = std::move(x), y = std::move(y)](Frame& f) { return integer(x->run(f).i || y->run(f).i); });
  if (is_float(b.a->type)) return float_binary(b.op, b.a->type, e->type, std::move(x), std::move(y));
  return integer_binary(b.op, e->type, std::move(x), std::move(y), std::string(symbol(b.op)));
}

NodePtr Compiler::float_binary(BinOp op, DType operands, DType type, NodePtr x, NodePtr y) const {
  const auto make_node = [&](auto f) -> NodePtr {
    if (operands == DType::f32 && !wide_)  // the common case without a call
      return node([x = std::move(x), y = std::move(y), f](Frame& frame) {
        const double a = x->run(frame).f;
        return real(static_cast<float>(f(a, y->run(frame).f)));
      });
    return node([x = std::move(x), y = std::move(y), f, round = Rounding{type, wide_}](Frame& frame) {
      const double a = x->run(frame).f;
      return real(round(f(a, y->run(frame).f)));
    });
  };
  const auto compare = [&](auto f) -> NodePtr {
    return node([x = std::move(x), y = std::move(y), f](Frame& frame) {
      const double a = x->run(frame).f;
      return integer(f(a, y->run(frame).f));
    });
  };
  switch (op) {
    case BinOp::add:
      return make_node([](double a, double b) { return a + b; });
    case BinOp::sub:
      return make_node([](double a, double b) { return a - b; });
    case BinOp::mul:
      return make_node([](double a, double b) { return a * b; });
    case BinOp::div:
      return make_node([](double a, double b) { return a / b; });
    case BinOp::min:
      return make_node([](double a, double b) { return smaller(a, b); });
    case BinOp::max:
      return make_node([](double a, double b) { return larger(a, b); });
    case BinOp::pow:
      return make_node([](double a, double b) { return std::pow(a, b); });
    case BinOp::less:
      return compare([](double a, double b) { return a < b; });
    case BinOp::less_equal:
      return compare([](double a, double b) { return a <= b; });
    case BinOp::equal:
      return compare([](double a, double b) { return a == b; });
    case BinOp::not_equal:
      return compare([](double a, double b) { return a != b; });
    default:
      break;
  }
  invariant(false, "an operator on floats");
  return nullptr;
}

NodePtr Compiler::integer_binary(BinOp op, DType type, NodePtr x, NodePtr y, std::string text) const {
  if (op == BinOp::div || op == BinOp::mod)
    return node([x = std::move(x), y = std::move(y), op, type, text = std::move(text)](Frame& f) {
      const std::int64_t a = x->run(f).i, b = y->run(f).i;
      if (b == 0) {
        if (!f.failed) f.failed = refuse(Code::integer_zero_division, f.stage->name, element_text(f), text);
        return integer(0);
      }
      return integer(wrap(op == BinOp::div ? floor_div(a, b) : floor_mod(a, b), type));
    });
  return node([x = std::move(x), y = std::move(y), op, type](Frame& f) {
    const std::int64_t a = x->run(f).i, b = y->run(f).i;
    switch (op) {
      case BinOp::min:
        return integer(std::min(a, b));
      case BinOp::max:
        return integer(std::max(a, b));
      case BinOp::less:
        return integer(a < b);
      case BinOp::less_equal:
        return integer(a <= b);
      case BinOp::equal:
        return integer(a == b);
      case BinOp::not_equal:
        return integer(a != b);
      default:
        return integer(wrap(wrapping(op, a, b), type));
    }
  });
}

NodePtr Compiler::cast(DType from, DType to, NodePtr a) const {
  const TypeInfo &source = info(from), &target = info(to);
  if (source.is_float && target.is_float) {
    const bool exact = target.mantissa_bits >= source.mantissa_bits && target.exponent_bits >= source.exponent_bits &&
                       to != DType::e5m2;
    if (exact) return a;
    return node([a = std::move(a), to](Frame& f) { return real(round_to(a->run(f).f, to)); });
  }
  if (source.is_float) return node([a = std::move(a), to](Frame& f) { return integer(to_integer(a->run(f).f, to)); });
  if (!target.is_float) return node([a = std::move(a), to](Frame& f) { return integer(wrap(a->run(f).i, to)); });
  if (to == DType::f32)
    return node([a = std::move(a)](Frame& f) { return real(static_cast<float>(a->run(f).i)); });  // one rounding
  return node([a = std::move(a), to](Frame& f) { return real(round_to(static_cast<double>(a->run(f).i), to)); });
}

// ---- reads ------------------------------------------------------------------------------------------------------------

/// constant + sum of coefficient * variable.
struct Compiler::AffineIndex {
  std::int64_t constant = 0;
  std::vector<std::pair<std::uint32_t, std::int64_t>> terms;

  bool add(const Expr& e, std::int64_t times) {
    if (const auto c = constant_of(e)) {
      constant += times * *c;
      return true;
    }
    if (const auto* v = e.as<Var>()) {
      for (auto& [slot, coefficient] : terms)
        if (slot == v->id.n) {
          coefficient += times;
          return true;
        }
      terms.emplace_back(v->id.n, times);
      return true;
    }
    const auto* b = e.as<Binary>();
    if (!b) return false;
    if (b->op == BinOp::add) return add(b->a, times) && add(b->b, times);
    if (b->op == BinOp::sub) return add(b->a, times) && add(b->b, -times);
    if (b->op != BinOp::mul) return false;
    if (const auto c = constant_of(b->b)) return add(b->a, times * *c);
    if (const auto c = constant_of(b->a)) return add(b->b, times * *c);
    return false;
  }
};

NodePtr Compiler::read(const Read& r) const {
  const std::uint32_t tensor = r.tensor.n;
  if (r.index.empty()) return node([tensor](Frame& f) { return f.tensors[tensor].elements[0]; });
  const Storage& storage = frame_.tensors[tensor];
  AffineIndex offset;
  bool affine = !r.otherwise;
  for (std::size_t d = 0; affine && d < r.index.size(); ++d) affine = offset.add(r.index[d], storage.strides[d]);
  if (affine && offset.terms.size() == 2)  // matrices: the inner loop of most references
    return node([tensor, constant = offset.constant, x = offset.terms[0], y = offset.terms[1]](Frame& f) {
      return f.tensors[tensor].elements[static_cast<std::size_t>(constant + x.second * f.variables[x.first] +
                                                                 y.second * f.variables[y.first])];
    });
  if (affine)
    return node([tensor, offset = std::move(offset)](Frame& f) {
      std::int64_t at = offset.constant;
      for (const auto& [slot, coefficient] : offset.terms) at += coefficient * f.variables[slot];
      return f.tensors[tensor].elements[static_cast<std::size_t>(at)];
    });
  std::vector<NodePtr> index;
  for (const Expr& i : r.index) index.push_back(compile(i));
  return node([tensor, index = std::move(index), otherwise = r.otherwise ? compile(r.otherwise) : nullptr](Frame& f) {
    Storage& s = f.tensors[tensor];
    std::int64_t offset = 0;
    bool inside = true;
    std::vector<std::int64_t> at(index.size());
    for (std::size_t d = 0; d < index.size(); ++d) at[d] = index[d]->run(f).i;  // indices may read this frame's tensors
    for (std::size_t d = 0; inside && d < at.size(); ++d) {
      inside = at[d] >= 0 && at[d] < s.extents[d];
      if (inside && d < s.ragged.size() && s.ragged[d]) {
        for (std::size_t k = 0; k < d; ++k) f.variables[s.axis_slots[k]] = at[k];
        inside = at[d] < s.ragged[d]->run(f).i;
      }
      offset += at[d] * s.strides[d];
    }
    if (inside) return s.elements[static_cast<std::size_t>(offset)];
    if (otherwise) return otherwise->run(f);
    if (!f.failed)
      f.failed = refuse(Code::index_out_of_range, f.stage->name, element_text(f), s.name,
                        fmt::format("[{}], outside its shape [{}]", fmt::join(at, ", "), fmt::join(s.extents, ", ")));
    return integer(0);
  });
}

NodePtr Compiler::reduce(const Reduce& r) const {
  struct Loop {
    std::uint32_t slot;
    NodePtr extent;
  };
  struct Runner {
    std::vector<Loop> loops;
    NodePtr body;
    Accumulator accumulator;
    void run(Frame& f, std::size_t depth, Value& sum, Value& best, std::int64_t& count) const {
      const std::int64_t n = loops[depth].extent->run(f).i;
      std::int64_t& variable = f.variables[loops[depth].slot];
      for (variable = 0; variable < n; ++variable) {
        if (depth + 1 < loops.size()) {
          run(f, depth + 1, sum, best, count);
          continue;
        }
        accumulator.add(sum, body->run(f), best, count);
        ++count;
      }
    }
  };
  Runner runner{{}, compile(r.body), {r.op, r.body->type, wide_}};
  for (const Axis& a : r.axes) runner.loops.push_back({a.var.n, compile(a.extent)});
  return node([runner = std::move(runner)](Frame& f) {
    Value sum = runner.accumulator.start(), best{};
    std::int64_t count = 0;
    runner.run(f, 0, sum, best, count);
    return runner.accumulator.finish(sum, count);
  });
}

}  // namespace tecc::interpreter
