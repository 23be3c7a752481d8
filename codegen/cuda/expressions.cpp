#include "codegen/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codegen/access.h"
#include "codegen/cuda/words.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/number.h"
#include "ir/numeric.h"

namespace tecc::codegen::cuda {

using namespace loop;

std::string KernelEmitter::digit(const Digit& d) {
  std::string text = loop_var(d.loop);
  if (ahead_ && d.loop == ahead_->loop) text = fmt::format("({} + {})", text, ahead_->by);
  if (d.div != 1) text = fmt::format("{} / {}", text, d.div);
  if (d.mod) text = fmt::format("{} % {}", text, d.mod);
  if (d.div != 1 || d.mod) text = "(" + text + ")";
  if (d.stride != 1) text += fmt::format(" * {}", literal_text(d.stride));
  return text;
}

std::string KernelEmitter::literal_text(std::int64_t v) const { return std::abs(v) > 0x7fffffff || wide_ ? fmt::format("{}ll", v) : std::to_string(v); }

std::string KernelEmitter::binding(const Binding& b) {
  std::string out;
  for (const Digit& d : b.digits) out += (out.empty() ? "" : " + ") + digit(d);
  if (b.offset < 0 && !out.empty()) out += fmt::format(" - {}", literal_text(-b.offset));
  else if (b.offset || out.empty()) out += (out.empty() ? "" : " + ") + literal_text(b.offset);
  return out;
}

std::string KernelEmitter::address(const Address& a, TensorId t) {
  std::string out = binding(a.linear);
  if (out == literal_text(0)) out.clear();
  const auto add = [&](const std::string& term) { out += (out.empty() ? "" : " + ") + term; };
  for (const Address::Symbolic& s : a.symbolic) add(fmt::format("({}) * {}", binding(s.index), value(s.stride)));
  for (const Address::General& g : a.general) {
    std::string term = value(g.index);
    if (!g.minus.digits.empty()) term = fmt::format("({} - ({}))", term, binding(g.minus));
    if (g.origin) term = fmt::format("({} - ({}))", term, literal_text(g.origin));
    if (g.unit != 1) term = fmt::format("({} / {})", term, literal_text(g.unit));
    if (g.count) term = fmt::format("({} % {})", term, literal_text(g.count));
    if (const auto c = constant_of(g.stride); !c || *c != 1) term = fmt::format("{} * {}", term, value(g.stride));
    add(term);
  }
  const Buffer& b = p_[t];
  if (b.channel && b.slots > 1) {
    add(fmt::format("{} * {}", slot_of(*b.channel, 0), b.storage->elements));
  } else if (a.slot) {
    if (a.slot->loop) add(fmt::format("({}{}) % {} * {}", loop_var(*a.slot->loop), a.slot->ahead ? fmt::format(" + {}", a.slot->ahead) : "", a.slot->slots, a.slot->elements));
  }
  if (b.storage && !b.storage->owners.empty()) {
    std::int64_t copy = b.storage->elements * b.slots;
    for (auto l = b.storage->owners.rbegin(); l != b.storage->owners.rend(); ++l) {
      add(fmt::format("{} * {}", loop_var(*l), copy));
      copy *= constant_extent(p_, *l).value_or(1);
    }
  }
  return out.empty() ? "0" : out;
}

std::string KernelEmitter::element(const Address& a, TensorId t) {
  if (p_[t].by_value) return buffer_names_[t];
  if (!p_[t].swizzle) return fmt::format("{}[{}]", buffer_names_[t], address(a, t));
  return fmt::format("{}[{}<{}, {}>({})]", buffer_names_[t], call("tecc_swizzle"), memory_type(p_[t].type), p_[t].swizzle, address(a, t));
}

std::string KernelEmitter::element(BlockId id, TensorId t, const std::vector<Expr>& index) { return element(address_of(p_, id, t, index), t); }

bool KernelEmitter::is_once(const Block& b, TensorId t) const { return b.hint == Hint::evict_first && p_[t].scope == Scope::global && !p_[t].by_value; }

bool KernelEmitter::nonnegative(const std::optional<Interval>& r) { return r && r->low >= 0; }

std::string KernelEmitter::value(const Expr& e) {
  const DType type = e->type;
  return match(
      e, [&](const Literal& l) -> std::string { return literal_value(l, type); },
      [&](const Var& v) -> std::string { return variable(v.id); },
      [&](const Unary& u) -> std::string { return unary(u, type); },
      [&](const Binary& b) -> std::string { return binary(b, type); },
      [&](const Select& s) -> std::string { return fmt::format("({} ? {} : {})", value(s.condition), value(s.then), value(s.otherwise)); },
      [&](const Cast& c) -> std::string { return cast(value(c.a), c.a->type, c.to.concrete()); },  // tf32(x) is typed f32
      [&](const Read& r) -> std::string {
        const auto lane = lanes_.find(&*e);
        std::string text = lane != lanes_.end() ? lane->second : element(block_, r.tensor, r.index);
        if (lane == lanes_.end() && is_once(p_.block(block_), r.tensor)) text = fmt::format("{}<{}, 1>(&{}).lane[0]", call("tecc_load_once"), memory_type(p_[r.tensor].type), text);
        if (p_[r.tensor].type == DType::boolean) text = fmt::format("({} != 0)", text);
        if (!r.otherwise) return text;
        std::string condition;
        for (const Expr& c : in_bounds(p_, p_.block(block_), r)) condition += (condition.empty() ? "" : " && ") + value(c);
        return condition.empty() ? text : fmt::format("({} ? {} : {})", condition, text, value(r.otherwise));
      },
      [&](const Reduce&) -> std::string { return "0"; });
}

std::string KernelEmitter::variable(VarId v) {
  if (p_.dims.count(v)) return identifier(p_.vars[v].name);
  if (iter_of(p_.block(block_), v)) return "v_" + identifier(p_.vars[v].name);
  return identifier(names_.var(v));  // a loop, in the extent of a ragged one
}

std::string KernelEmitter::literal_value(const Literal& l, DType type) {
  if (type == DType::boolean) return l.integer ? "true" : "false";
  if (!is_float(type)) return type == DType::i64 ? literal_text(l.integer) : fmt::format("(({}){})", memory_type(type), l.integer);
  const double v = l.decimal ? l.real : l.real != 0 ? l.real : static_cast<double>(l.integer);
  if (is_narrow_float(type)) return fmt::format("{}{{{:#x}}}", memory_type(type), encode(v, type));
  return float_text(v, type);
}

namespace {

constexpr double log2_e = 1.4426950408889634;

/// True if a number that e is to be multiplied by goes into one that is there.
bool joins(const Expr& e) {
  if (e->type != DType::f32) return false;
  if (const auto* u = e.as<Unary>()) return u->op == UnOp::neg && joins(u->a);
  const auto* x = e.as<Binary>();
  if (!x) return false;
  if (x->op == BinOp::add || x->op == BinOp::sub) return joins(x->a) || joins(x->b);
  if (x->op != BinOp::mul && x->op != BinOp::div) return false;
  const auto n = number_of(x->b);
  return (n && *n != 0) || (x->op == BinOp::mul && (number_of(x->a) || joins(x->a)));
}

}  // namespace

/// e * by in f32, the number joined with those that e is multiplied by: so that exp(a / c - b) is one fma and ex2. A sum is multiplied
/// term by term if it is the whole, whose terms often vary less than it does (the largest of a row), or if numbers join.
std::string KernelEmitter::scaled(const Expr& e, double by, bool whole) {
  if (const auto* x = e.as<Binary>(); x && e->type == DType::f32) {
    if ((x->op == BinOp::add || x->op == BinOp::sub) && (whole || joins(e))) return fmt::format("({} {} {})", scaled(x->a, by, false), x->op == BinOp::add ? '+' : '-', scaled(x->b, by, false));
    if (x->op == BinOp::mul || x->op == BinOp::div)
      if (const auto n = number_of(x->b); n && *n != 0) return scaled(x->a, x->op == BinOp::mul ? by * *n : by / *n, whole);
    if (x->op == BinOp::mul)
      if (const auto n = number_of(x->a)) return scaled(x->b, by * *n, whole);
    if (x->op == BinOp::mul && joins(x->a)) return fmt::format("({} * {})", scaled(x->a, by, false), value(x->b));
  }
  if (const auto* u = e.as<Unary>(); u && u->op == UnOp::neg && e->type == DType::f32) return scaled(u->a, -by, whole);
  return fmt::format("({} * {})", value(e), float_text(by, DType::f32));
}

/// times / (1 + exp(-by * e)).
std::string KernelEmitter::logistic(const Expr& e, double by, double times) {
  const std::string one = float_text(1 / times, DType::f32);
  return fmt::format("{0}(({1} + ({1} * {2}({3}))))", call("tecc_rcp"), one, call("tecc_ex2"), scaled(e, -by * log2_e));
}

std::string KernelEmitter::unary(const Unary& u, DType type) {
  if (fast_ && type == DType::f32 && u.a->type == DType::f32) {
    if (u.op == UnOp::exp) return fmt::format("{}({})", call("tecc_ex2"), scaled(u.a, log2_e));
    if (u.op == UnOp::sigmoid) return logistic(u.a, 1, 1);
  }
  const DType operand = u.a->type;
  const FunctionText f = function_text(u.op);
  std::string a = value(u.a);
  if (is_narrow_float(operand) || operand == DType::tf32) return cast(fmt::format(fmt::runtime(f.f32), fmt::format("tecc_to_f32({})", a)), DType::f32, type);
  const std::string_view text = operand == DType::f64 ? f.f64 : is_float(operand) ? f.f32 : f.integer;
  if (text.empty()) why_ = refuse(Code::no_lowering, "CUDA", fmt::format("{} of {}", symbol(u.op), name(operand)));
  if (u.op == UnOp::neg || u.op == UnOp::logical_not) a = "(" + a + ")";
  const std::string out = "(" + fmt::format(fmt::runtime(text), a) + ")";
  return is_integer(type) && bytes_of(type) < 4 ? fmt::format("(({}){})", memory_type(type), out) : out;
}

std::string KernelEmitter::binary(const Binary& b, DType type) {
  if (fast_ && type == DType::f32 && (b.op == BinOp::add || b.op == BinOp::sub)) {  // 1 + tanh(y) = 2 / (1 + exp(-2 y)), which keeps its bits where tanh nears -1
    const auto of_tanh = [](const Expr& e) { return e.as<Unary>() && e.as<Unary>()->op == UnOp::tanh ? &e.as<Unary>()->a : nullptr; };
    if (const Expr* y = of_tanh(b.b); y && number_of(b.a) == 1.0) return logistic(*y, b.op == BinOp::add ? 2 : -2, 2);
    if (const Expr* y = of_tanh(b.a); y && number_of(b.b) == 1.0 && b.op == BinOp::add) return logistic(*y, 2, 2);
  }
  if (b.op == BinOp::div && type == DType::f32 && b.b->type == DType::f32) {
    if (const auto n = number_of(b.b); n && *n != 0) return fmt::format("({} * {})", value(b.a), float_text(1 / *n, DType::f32));
    if (fast_) return fmt::format("({} * {}({}))", value(b.a), call("tecc_rcp"), value(b.b));
  }
  std::string x = value(b.a), y = value(b.b);
  const DType operand = b.a->type;
  if (is_narrow_float(operand)) x = fmt::format("tecc_to_f32({})", x), y = fmt::format("tecc_to_f32({})", y);
  std::string out;
  if (b.op == BinOp::pow) {
    out = operand == DType::f64 ? fmt::format("pow({}, {})", x, y) : fmt::format("powf({}, {})", x, y);
  } else if (b.op == BinOp::mod || (b.op == BinOp::div && !is_float(operand))) {
    if (is_float(operand)) {
      out = fmt::format("({0} - floorf({0} / {1}) * {1})", x, y);
    } else {
      const Block* block = p_.stmts.has(block_) && p_[block_].as<Block>() ? &p_.block(block_) : nullptr;
      const bool plain = operand == DType::i64 && nonnegative(range_of(p_, block, b.a)) && nonnegative(range_of(p_, block, b.b));
      if (plain) out = fmt::format("({} {} {})", x, b.op == BinOp::div ? "/" : "%", y);
      else out = fmt::format("tecc_floor_{}<{}>({}, {})", b.op == BinOp::div ? "div" : "mod", operand == DType::i64 ? index_type() : std::string(memory_type(operand)), x, y);
    }
  } else if (b.op == BinOp::min || b.op == BinOp::max) {
    const std::string t = is_narrow_float(operand) ? "float" : operand == DType::i64 ? index_type() : std::string(memory_type(operand));
    out = fmt::format("{}<{}>({}, {})", b.op == BinOp::min ? "tecc_min" : "tecc_max", t, x, y);
  } else {
    if (operand == DType::i32 && type == DType::i32) x = "(unsigned)" + x, y = "(unsigned)" + y;  // wraps
    out = fmt::format(fmt::runtime(operator_text(b.op)), x, y);
  }
  if (is_narrow_float(type)) return cast(out, DType::f32, type);
  if (is_integer(type) && type != DType::i64) return fmt::format("(({}){})", memory_type(type), out);
  return out;
}

std::string KernelEmitter::cast(const std::string& a, DType from, DType to) {
  if (from == to) return a;
  const std::string_view name = memory_type(to);
  if (to == DType::boolean) return is_narrow_float(from) ? fmt::format("(tecc_to_f32({}) != 0.0f)", a) : fmt::format("({} != 0)", a);
  if (is_float(to)) {
    if (to == DType::f64) return is_narrow_float(from) ? fmt::format("((double)tecc_to_f32({}))", a) : fmt::format("((double)({}))", a);
    std::string as_f32 = is_narrow_float(from) || from == DType::tf32 ? fmt::format("tecc_to_f32({})", a) : from == DType::i8 || from == DType::u8 ? fmt::format("tecc_to_f32(({})({}))", memory_type(from), a) : from == DType::f32 ? a : fmt::format("((float)({}))", a);
    if (to == DType::f32) return as_f32;
    return fmt::format("{}({})", cast_function(to), as_f32);
  }
  if (is_float(from)) return fmt::format("{}({})", cast_function(to), is_narrow_float(from) ? fmt::format("tecc_to_f32({})", a) : a);
  return to == DType::i64 ? fmt::format("(({})({}))", wide_ ? "long long" : "int", a) : fmt::format("(({})({}))", name, a);
}

}  // namespace tecc::codegen::cuda
