#include "compiler/dsl.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <vector>

namespace tecc::dsl {

struct Term {
  std::string text;
  int level;  // as in the grammar; primary binds strongest
  std::int64_t nodes = 1;
  std::optional<Refusal> mistake = {};  // of this value or one inside; found when the value is used by a stage
};

namespace {

enum Level : int { level_or = 1, level_and, level_compare, level_sum, level_term, level_unary, level_primary };

// Values are texts, so their size bounds the time of building them. The parser has the exact limits; these keep runaway
// loops (x = x * x forty times over) from filling the memory first.
constexpr std::int64_t most_nodes = 100'000;
constexpr std::size_t longest_text = 1 << 20;

Value make(std::string text, int level, std::initializer_list<const Value*> parts) {
  Term t{std::move(text), level};
  for (const Value* p : parts) {
    t.nodes += p->term().nodes;
    if (!t.mistake) t.mistake = p->term().mistake;
  }
  if (!t.mistake && (t.nodes > most_nodes || t.text.size() > longest_text))
    t.mistake = refuse(Code::expression_too_large, most_nodes);
  if (t.mistake) t.text.clear();
  return Value(std::make_shared<const Term>(std::move(t)));
}

std::string at_least(const Value& v, int level) {
  return v.term().level < level ? "(" + v.term().text + ")" : v.term().text;
}

Value binary(std::string_view op, int level, const Value& a, const Value& b) {
  const int left = level == level_compare ? level + 1 : level;  // comparisons do not chain
  return make(fmt::format("{} {} {}", at_least(a, left), op, at_least(b, level + 1)), level, {&a, &b});
}

Value call(std::string_view function, std::initializer_list<const Value*> arguments) {
  std::string text(function);
  const char* separator = "(";
  for (const Value* a : arguments) {
    text += separator + a->term().text;
    separator = ", ";
  }
  return make(text + ")", level_primary, arguments);
}

bool is_name(std::string_view s) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return !s.empty() && s.find_first_not_of(letters) == s.npos && !(s[0] >= '0' && s[0] <= '9');
}

Value named(std::string_view name, CallSite at = {}) {
  Term t{std::string(name), level_primary};
  if (!is_name(name)) t.mistake = tecc::at(at, refuse(Code::name_malformed, std::string(name)));
  return Value(std::make_shared<const Term>(std::move(t)));
}

std::string axes_text(Axes axes) {
  std::string out;
  for (const Axis& a : axes)
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", a.term().text, a.extent.term().text);
  return out;
}

Value reduction(std::string_view reducer, Axes axes, const Value& body) {
  Term t{fmt::format("{}[{}]({})", reducer, axes_text(axes), body.term().text), level_primary, 1 + body.term().nodes,
         body.term().mistake};
  if (axes.size() == 0)
    t.mistake = refuse(Code::expected, "an axis", fmt::format("an empty list of axes for '{}'", reducer));
  for (const Axis& a : axes) {
    if (!t.mistake) t.mistake = a.term().mistake;
    if (!t.mistake) t.mistake = a.extent.term().mistake;
  }
  return Value(std::make_shared<const Term>(std::move(t)));
}

}  // namespace

// ---- values -----------------------------------------------------------------------------------------------------------

Value Value::integer_literal(std::int64_t value, bool truth) {
  const std::string text = truth ? (value ? "true" : "false") : fmt::format("{}", value);
  return make(text, value < 0 ? level_unary : level_primary, {});
}

Value Value::decimal_literal(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  Term t{text, std::signbit(value) ? level_unary : level_primary};
  if (!std::isfinite(value))
    t.mistake = refuse(Code::number_too_large, fmt::format("{}", value), "a literal is finite");
  return Value(std::make_shared<const Term>(std::move(t)));
}

Value operator+(const Value& a, const Value& b) { return binary("+", level_sum, a, b); }
Value operator-(const Value& a, const Value& b) { return binary("-", level_sum, a, b); }
Value operator*(const Value& a, const Value& b) { return binary("*", level_term, a, b); }
Value operator/(const Value& a, const Value& b) { return binary("/", level_term, a, b); }
Value operator%(const Value& a, const Value& b) { return binary("%", level_term, a, b); }
Value operator<(const Value& a, const Value& b) { return binary("<", level_compare, a, b); }
Value operator<=(const Value& a, const Value& b) { return binary("<=", level_compare, a, b); }
Value operator>(const Value& a, const Value& b) { return binary(">", level_compare, a, b); }
Value operator>=(const Value& a, const Value& b) { return binary(">=", level_compare, a, b); }
Value operator==(const Value& a, const Value& b) { return binary("==", level_compare, a, b); }
Value operator!=(const Value& a, const Value& b) { return binary("!=", level_compare, a, b); }
Value operator&&(const Value& a, const Value& b) { return binary("&&", level_and, a, b); }
Value operator||(const Value& a, const Value& b) { return binary("||", level_or, a, b); }
Value operator-(const Value& a) { return make("-" + at_least(a, level_unary), level_unary, {&a}); }
Value operator!(const Value& a) { return make("!" + at_least(a, level_unary), level_unary, {&a}); }

Axis::Axis(std::string_view name, Value e, CallSite site) : Value(named(name, site)), extent(std::move(e)), at(site) {}

Value Read::otherwise(Value outside) const {
  return make(fmt::format("{} else {}", term().text, at_least(outside, level_unary)), level_primary, {this, &outside});
}

Value Type::operator()(Value x) const { return call(name_, {&x}); }

Read Tensor::read(std::initializer_list<Value> index) const {
  std::string text = name_ + "[";
  Term t{{}, level_primary};
  for (const Value& i : index) {
    text += (text.back() == '[' ? "" : ", ") + i.term().text;
    t.nodes += i.term().nodes;
    if (!t.mistake) t.mistake = i.term().mistake;
  }
  t.text = text + "]";
  if (!t.mistake && (t.nodes > most_nodes || t.text.size() > longest_text))
    t.mistake = refuse(Code::expression_too_large, most_nodes);
  return Read(std::make_shared<const Term>(std::move(t)));
}

Value sum(Axes axes, Value body) { return reduction("sum", axes, body); }
Value prod(Axes axes, Value body) { return reduction("prod", axes, body); }
Value min(Axes axes, Value body) { return reduction("min", axes, body); }
Value max(Axes axes, Value body) { return reduction("max", axes, body); }
Value any(Axes axes, Value body) { return reduction("any", axes, body); }
Value all(Axes axes, Value body) { return reduction("all", axes, body); }
Value argmax(Axes axes, Value body) { return reduction("argmax", axes, body); }
Value argmin(Axes axes, Value body) { return reduction("argmin", axes, body); }
Value mean(Axes axes, Value body) { return reduction("mean", axes, body); }

Value select(Value c, Value a, Value b) { return call("select", {&c, &a, &b}); }
Value min(Value a, Value b) { return call("min", {&a, &b}); }
Value max(Value a, Value b) { return call("max", {&a, &b}); }
Value pow(Value a, Value b) { return call("pow", {&a, &b}); }
Value abs(Value x) { return call("abs", {&x}); }
Value exp(Value x) { return call("exp", {&x}); }
Value log(Value x) { return call("log", {&x}); }
Value sqrt(Value x) { return call("sqrt", {&x}); }
Value rsqrt(Value x) { return call("rsqrt", {&x}); }
Value tanh(Value x) { return call("tanh", {&x}); }
Value erf(Value x) { return call("erf", {&x}); }
Value sin(Value x) { return call("sin", {&x}); }
Value cos(Value x) { return call("cos", {&x}); }
Value sigmoid(Value x) { return call("sigmoid", {&x}); }
Value floor(Value x) { return call("floor", {&x}); }
Value ceil(Value x) { return call("ceil", {&x}); }
Value round(Value x) { return call("round", {&x}); }
Value square(Value x) { return call("square", {&x}); }

// ---- kernels ----------------------------------------------------------------------------------------------------------

struct Kernel::Text {
  struct Line {
    std::string text;
    CallSite at;
  };
  std::string name;
  CallSite at;
  std::vector<std::string> types, integers;
  std::vector<Line> parameters, body;
  std::optional<Refusal> mistake;

  void note(const std::optional<Refusal>& why, CallSite site) {
    if (why && !mistake) mistake = tecc::at(site, *why);
  }
  void note(const Value& v, CallSite site) { note(v.term().mistake, site); }
  std::string checked(std::string_view word, CallSite site) {
    if (!is_name(word)) note(refuse(Code::name_malformed, std::string(word)), site);
    return std::string(word);
  }
};

Kernel::Kernel(std::string_view name, CallSite at) : text_(std::make_unique<Text>()) {
  text_->name = text_->checked(name, at);
  text_->at = at;
}
Kernel::~Kernel() = default;
Kernel::Kernel(Kernel&&) noexcept = default;

Type Kernel::type(std::string_view name, CallSite at) {
  text_->types.push_back(text_->checked(name, at));
  return Type(name);
}
Value Kernel::dim(std::string_view name, CallSite at) { return named(text_->checked(name, at), at); }
Value Kernel::integer(std::string_view name, CallSite at) {
  text_->integers.push_back(text_->checked(name, at));
  return named(name, at);
}
Value Kernel::let(std::string_view name, Value value, CallSite at) {
  text_->note(value, at);
  text_->body.push_back({fmt::format("let {} = {}", text_->checked(name, at), value.term().text), at});
  return named(name, at);
}
Tensor Kernel::input(std::string_view name, Type type, std::initializer_list<Value> shape, CallSite at) {
  std::string extents;
  for (const Value& e : shape) {
    text_->note(e, at);
    extents += (extents.empty() ? "" : ", ") + e.term().text;
  }
  text_->parameters.push_back({fmt::format("{}: {}[{}]", text_->checked(name, at), type.name(), extents), at});
  return Tensor(name);
}
Value Kernel::scalar(std::string_view name, Type type, CallSite at) {
  text_->parameters.push_back({fmt::format("{}: {}", text_->checked(name, at), type.name()), at});
  return named(name, at);
}
Tensor Kernel::stage(std::string_view name, Axes axes, Value body, CallSite at) {
  for (const Axis& a : axes) {
    text_->note(a, a.at);
    text_->note(a.extent, a.at);
  }
  text_->note(body, at);
  text_->body.push_back({fmt::format("{}[{}] = {}", text_->checked(name, at), axes_text(axes), body.term().text), at});
  return Tensor(name);
}

namespace {

/// Puts the places of the C++ program where the places of the text were.
class Relocator {
 public:
  explicit Relocator(const std::vector<CallSite>& lines) : lines_(lines) {}
  CallSite operator()(CallSite at) const {
    return at.line >= 1 && at.line <= lines_.size() ? lines_[at.line - 1] : lines_.front();
  }

  void operator()(te::Kernel& k) const {
    k.at = (*this)(k.at);
    for (te::Variable& v : k.variables) {
      v.at = (*this)(v.at);
      if (v.value) v.value = moved(v.value);
    }
    for (te::Tensor& t : k.tensors) {
      t.at = (*this)(t.at);
      for (Expr& e : t.shape) e = moved(e);
    }
    for (te::Stage& s : k.stages) {
      s.at = (*this)(s.at);
      axes(s.axes);
      s.body = moved(s.body);
    }
  }

 private:
  void axes(std::vector<tecc::Axis>& list) const {
    for (tecc::Axis& a : list) {
      a.at = (*this)(a.at);
      a.extent = moved(a.extent);
    }
  }
  Expr moved(const Expr& e) const {
    return rewrite(e, [&](const Expr& n) {
      ExprNode copy = *n;
      copy.at = (*this)(n->at);
      if (auto* r = std::get_if<Reduce>(&copy.kind))
        for (tecc::Axis& a : r->axes) a.at = (*this)(a.at);
      return Expr(std::make_shared<const ExprNode>(std::move(copy)));
    });
  }
  const std::vector<CallSite>& lines_;
};

}  // namespace

Result<te::Kernel> Kernel::outputs(std::initializer_list<Tensor> stages, CallSite at) && {
  Text& t = *text_;
  if (t.mistake) return *t.mistake;
  std::string text;
  std::vector<CallSite> lines;  // of each line of the text
  const auto line = [&](const std::string& words, CallSite site) {
    text += words + "\n";
    lines.push_back(site);
  };
  line(fmt::format("kernel {}{}(", t.name, t.types.empty() ? "" : fmt::format("<{}>", fmt::join(t.types, ", "))), t.at);
  for (const Text::Line& p : t.parameters) line(p.text + (&p == &t.parameters.back() ? "" : ","), p.at);
  if (!t.integers.empty()) line(fmt::format("; {}", fmt::join(t.integers, ", ")), t.at);
  std::string names;
  for (const Tensor& o : stages) names += (names.empty() ? "" : ", ") + o.name();
  line(") -> (" + names + ") {", at);
  for (const Text::Line& l : t.body) line(l.text, l.at);
  line("}", at);
  const Relocator relocate(lines);
  auto kernels = te::parse({intern("tensor expression"), text});
  if (!kernels) {
    Refusal why = kernels.error();
    why.at = relocate(why.at);
    return why;
  }
  te::Kernel kernel = std::move(kernels->front());
  relocate(kernel);
  return kernel;
}

}  // namespace tecc::dsl
