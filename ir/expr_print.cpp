// Words and printing: `.te` syntax with minimal parentheses, so that the text parses back to the same structure.
#include <fmt/format.h>

#include <cmath>

#include "ir/expr.h"

namespace tecc {
namespace {

// Binding strength, weakest first; the grammar's rules of the same names.
enum Level : int { level_or = 1, level_and, level_compare, level_sum, level_term, level_unary, level_primary };

struct BinaryWord {
  BinOp op;
  std::string_view word;
  Level level;  // level_primary: written as a function
};
// clang-format off
constexpr BinaryWord binary_words[] = {
    {BinOp::add,         "+",   level_sum},     {BinOp::sub,        "-",  level_sum},
    {BinOp::mul,         "*",   level_term},    {BinOp::div,        "/",  level_term},
    {BinOp::mod,         "%",   level_term},    {BinOp::min,        "min", level_primary},
    {BinOp::max,         "max", level_primary}, {BinOp::pow,        "pow", level_primary},
    {BinOp::less,        "<",   level_compare}, {BinOp::less_equal, "<=", level_compare},
    {BinOp::equal,       "==",  level_compare}, {BinOp::not_equal,  "!=", level_compare},
    {BinOp::logical_and, "&&",  level_and},     {BinOp::logical_or, "||", level_or},
};
constexpr std::string_view unary_words[] = {"-",   "!",   "abs", "exp",     "log",   "sqrt", "rsqrt", "tanh",
                                            "erf", "sin", "cos", "sigmoid", "floor", "ceil", "round", "square"};
constexpr std::string_view reducer_words[] = {"sum", "prod", "min", "max", "any", "all", "argmax", "argmin", "mean"};
// clang-format on

std::string number_text(const Expr& e, const Literal& l) {
  if (e->type == DType::boolean) return l.integer ? "true" : "false";
  if (!l.decimal) return fmt::format("{}", l.integer);
  std::string text = fmt::format("{}", l.real);  // the shortest text that reads back exactly
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

class Printer {
 public:
  explicit Printer(const Names& names) : names_(names) {}

  void put(const Expr& e, int at_least) {
    const bool parentheses = level_of(e) < at_least;
    if (parentheses) out += '(';
    match(
        e,
        [&](const Literal& l) {
          out += number_text(e, l);
          if (names_.typed_literal && names_.typed_literal(e)) out += fmt::format(":{}", name(e->type));
        },
        [&](const Var& v) { out += names_.var(v.id); },
        [&](const Unary& u) {
          out += symbol(u.op);
          // -5 reads as one literal: a minus before a literal that has none keeps its brackets.
          const bool apart = u.op == UnOp::neg && u.a.as<Literal>() && level_of(u.a) == level_primary;
          if (u.op == UnOp::neg || u.op == UnOp::logical_not) return put(u.a, apart ? level_primary + 1 : level_unary);
          call({&u.a});
        },
        [&](const Binary& b) {
          const int level = level_of(e);
          if (level == level_primary) {
            out += symbol(b.op);
            return call({&b.a, &b.b});
          }
          put(b.a, level == level_compare ? level + 1 : level);  // comparisons do not chain
          out += fmt::format(" {} ", symbol(b.op));
          put(b.b, level + 1);
        },
        [&](const Select& s) {
          out += "select";
          call({&s.condition, &s.then, &s.otherwise});
        },
        [&](const Cast& c) {
          out += type(c.to);
          call({&c.a});
        },
        [&](const Read& r) {
          out += names_.tensor(r.tensor);
          if (!r.index.empty() || !names_.by_value || !names_.by_value(r.tensor)) {
            out += '[';
            for (std::size_t i = 0; i < r.index.size(); ++i) {
              if (i) out += ", ";
              put(r.index[i], 0);
            }
            out += ']';
          }
          if (r.otherwise) {
            out += " else ";
            put(r.otherwise, level_unary);
          }
        },
        [&](const Reduce& r) {
          out += symbol(r.op);
          out += '[';
          for (std::size_t i = 0; i < r.axes.size(); ++i) {
            out += fmt::format("{}{}: ", i ? ", " : "", names_.var(r.axes[i].var));
            put(r.axes[i].extent, 0);
          }
          out += ']';
          call({&r.body});
        });
    if (parentheses) out += ')';
  }

  std::string out;

 private:
  void call(std::initializer_list<const Expr*> arguments) {
    const char* separator = "(";
    for (const Expr* a : arguments) {
      out += separator;
      put(*a, 0);
      separator = ", ";
    }
    out += ')';
  }

  std::string type(TypeRef t) const {
    if (names_.type) return names_.type(t);
    return t.is_parameter() ? fmt::format("T{}", t.parameter_index()) : std::string(name(t.concrete()));
  }

  static int level_of(const Expr& e) {
    if (const auto* b = e.as<Binary>()) return binary_words[static_cast<int>(b->op)].level;
    if (const auto* u = e.as<Unary>())
      return u->op == UnOp::neg || u->op == UnOp::logical_not ? level_unary : level_primary;
    if (const auto* l = e.as<Literal>())
      return (l->decimal ? std::signbit(l->real) : l->integer < 0) ? level_unary : level_primary;
    return level_primary;
  }

  const Names& names_;
};

template <class Op, std::size_t n>
std::optional<Op> find_word(const std::string_view (&words)[n], std::string_view name, std::size_t first) {
  for (std::size_t i = first; i < n; ++i)
    if (words[i] == name) return static_cast<Op>(i);
  return std::nullopt;
}

}  // namespace

std::string_view symbol(BinOp op) { return binary_words[static_cast<int>(op)].word; }
std::string_view symbol(UnOp op) { return unary_words[static_cast<int>(op)]; }
std::string_view symbol(Reducer op) { return reducer_words[static_cast<int>(op)]; }
std::optional<UnOp> parse_function(std::string_view name) { return find_word<UnOp>(unary_words, name, 2); }
std::optional<Reducer> parse_reducer(std::string_view name) { return find_word<Reducer>(reducer_words, name, 0); }

std::string print(const Expr& e, const Names& names) {
  Printer printer(names);
  printer.put(e, 0);
  return std::move(printer.out);
}

}  // namespace tecc
