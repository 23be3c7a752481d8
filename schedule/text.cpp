#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <map>

#include "schedule/primitive/common.h"

/// The text form of schedules:
///   file = step { (";" | NEWLINE) step } ;   step = [ NAME {"," NAME} "=" ] NAME "(" [ arg {"," arg} ] ")" ;
///   arg = [ NAME "=" ] value ;   value = NUMBER | handle | WORD | "[" value {"," value} "]" | "{" handle ":" value {"," handle ":" value} "}"
///         | NAME "(" [ arg {"," arg} ] ")" ;
namespace tecc::schedule {
namespace {

constexpr std::pair<std::string_view, Group> groups[] = {{"block", Group::block}, {"cluster", Group::cluster},
    {"warpgroup", Group::warpgroup}, {"warp", Group::warp}, {"thread", Group::thread}, {"none", Group::none}};
constexpr std::pair<std::string_view, Scope> scopes[] = {{"global", Scope::global}, {"shared", Scope::shared},
    {"register", Scope::reg}, {"local", Scope::local}};
constexpr std::pair<std::string_view, Via> vias[] = {{"plain", Via::plain}, {"vector", Via::vector}, {"cp_async", Via::cp_async},
    {"bulk", Via::bulk}, {"bulk_tensor", Via::bulk_tensor}, {"ldmatrix", Via::ldmatrix}, {"stmatrix", Via::stmatrix},
    {"mma_sync", Via::mma_sync}, {"wgmma", Via::wgmma}};
constexpr std::pair<std::string_view, bool> truths[] = {{"false", false}, {"true", true}};
constexpr std::pair<std::string_view, Tail> tails[] = {{"guard", Tail::guard}, {"exact", Tail::exact}};

constexpr std::pair<std::string_view, Order> orders[] = {{"forward", Order::forward}, {"longest_first", Order::longest_first}};

constexpr std::pair<std::string_view, loop::Hint> hints[] = {{"none", loop::Hint::none}, {"evict_first", loop::Hint::evict_first}, {"evict_last", loop::Hint::evict_last}};

template <class E> struct Words;
template <> struct Words<Group> { static constexpr auto& table = groups; };
template <> struct Words<Scope> { static constexpr auto& table = scopes; };
template <> struct Words<Tail> { static constexpr auto& table = tails; };
template <> struct Words<Via> { static constexpr auto& table = vias; };
template <> struct Words<Order> { static constexpr auto& table = orders; };
template <> struct Words<loop::Hint> { static constexpr auto& table = hints; };
template <> struct Words<bool> { static constexpr auto& table = truths; };
template <class E> concept Word = requires { Words<E>::table; };

// ---- values as written ------------------------------------------------------------------------------------------------
struct Argument;
struct Value {
  enum class Kind { number, word, list, call, map } kind = Kind::word;
  std::int64_t number = 0;
  std::string word;  // a handle or a word, dots included; of a call its name
  std::vector<Value> items;
  std::vector<Argument> arguments;
  CallSite at;
};
struct Argument {
  std::string name;  // empty: positional
  Value value;
};
struct Call {
  std::vector<std::string> results;
  std::string step;
  std::vector<Argument> arguments;
  CallSite at;
};

class Parser {
 public:
  explicit Parser(const Source& source) : source_(source) {}

  Result<std::vector<Call>> file() {
    std::vector<Call> calls;
    while (true) {
      skip(true);
      if (at_ >= source_.text.size()) return calls;
      if (peek() == ';') { ++at_; continue; }
      TECC_TRY(Call c, call());
      calls.push_back(std::move(c));
      skip(false);
      if (at_ < source_.text.size() && peek() != ';' && peek() != '\n') return wrong("the end of the step");
    }
  }

 private:
  const Source& source_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::size_t counted_ = 0;
  std::uint32_t line_ = 1, column_ = 1;

  char peek() const { return at_ < source_.text.size() ? source_.text[at_] : '\0'; }
  /// Of at_; counted on from the place before, as places are asked for in the order of the text.
  CallSite place() {
    for (; counted_ < at_ && counted_ < source_.text.size(); ++counted_) source_.text[counted_] == '\n' ? (++line_, column_ = 1) : ++column_;
    return {source_.name, line_, column_};
  }
  Refusal wrong(const std::string& wanted) {
    std::string found(1, peek());
    if (peek() == '\0') found = "the end";
    else if (peek() == '\n') found = "the end of the line";
    return tecc::at(place(), refuse(Code::schedule_syntax, wanted, found));
  }
  void skip(bool newlines) {
    while (at_ < source_.text.size()) {
      if (peek() == '#') while (at_ < source_.text.size() && peek() != '\n') ++at_;
      else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || (peek() == '\n' && (newlines || depth_ > 0))) ++at_;
      else return;
    }
  }
  static bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
  std::string name(bool dots) {
    const std::size_t from = at_;
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || (dots && peek() == '.')) ++at_;
    return source_.text.substr(from, at_ - from);
  }

  Result<Call> call() {
    Call c;
    c.at = place();
    if (!starts_name(peek())) return wrong("a step");
    std::vector<std::string> names{name(false)};
    skip(false);
    while (peek() == ',') {
      ++at_;
      skip(false);
      if (!starts_name(peek())) return wrong("a name");
      names.push_back(name(false));
      skip(false);
    }
    if (peek() == '=') {
      ++at_;
      skip(false);
      c.results = std::move(names);
      if (!starts_name(peek())) return wrong("a step");
      c.at = place();
      c.step = name(false);
      skip(false);
    } else if (names.size() == 1) {
      c.step = names[0];
    } else {
      return wrong("'='");
    }
    TECC_TRY(c.arguments, arguments());
    return c;
  }

  Result<std::vector<Argument>> arguments() {
    if (peek() != '(') return wrong("'('");
    std::vector<Argument> out;
    ++at_, ++depth_;
    skip(true);
    while (peek() != ')') {
      Argument a;
      if (starts_name(peek())) {
        const std::size_t back = at_;
        std::string first = name(true);
        skip(true);
        if (peek() == '=') {
          ++at_;
          a.name = std::move(first);
          skip(true);
        } else {
          at_ = back;
        }
      }
      TECC_TRY(a.value, value());
      out.push_back(std::move(a));
      skip(true);
      if (peek() == ',') { ++at_; skip(true); if (peek() == ')') return wrong("an argument"); }
      else if (peek() != ')') return wrong("',' or ')'");
    }
    ++at_, --depth_;
    return out;
  }

  Result<Value> value() {
    Value v;
    v.at = place();
    if (depth_ > 64) return wrong("fewer brackets");
    if (peek() == '[') {
      v.kind = Value::Kind::list;
      ++at_, ++depth_;
      skip(true);
      while (peek() != ']') {
        TECC_TRY(Value item, value());
        v.items.push_back(std::move(item));
        skip(true);
        if (peek() == ',') { ++at_; skip(true); }
        else if (peek() != ']') return wrong("',' or ']'");
      }
      ++at_, --depth_;
      return v;
    }
    if (peek() == '{') {
      v.kind = Value::Kind::map;  // key, value, key, value, ...
      ++at_, ++depth_;
      skip(true);
      while (peek() != '}') {
        TECC_TRY(Value key, value());
        skip(true);
        if (peek() != ':') return wrong("':'");
        ++at_;
        skip(true);
        TECC_TRY(Value item, value());
        v.items.push_back(std::move(key));
        v.items.push_back(std::move(item));
        skip(true);
        if (peek() == ',') { ++at_; skip(true); }
        else if (peek() != '}') return wrong("',' or '}'");
      }
      ++at_, --depth_;
      return v;
    }
    if (std::isdigit(static_cast<unsigned char>(peek())) || peek() == '-') {
      v.kind = Value::Kind::number;
      const char* begin = source_.text.data() + at_;
      const auto [end, error] = std::from_chars(begin, source_.text.data() + source_.text.size(), v.number);
      if (error != std::errc() || end == begin) return wrong("a number that fits 64 bits");
      at_ += static_cast<std::size_t>(end - begin);
      return v;
    }
    if (!starts_name(peek())) return wrong("a value");
    v.word = name(true);
    if (peek() == '(') {
      v.kind = Value::Kind::call;
      TECC_TRY(v.arguments, arguments());
    }
    return v;
  }
};

// ---- names ------------------------------------------------------------------------------------------------------------
/// What the names of a schedule mean: stages and inputs of the naive program, and the results bound so far.
class Handles {
 public:
  explicit Handles(const loop::Program& naive) : p_(naive) {}

  std::optional<Ref> find(const std::string& text) const {
    if (const auto named = whole(text)) return named;
    const std::size_t dot = text.rfind('.');
    if (dot == std::string::npos) return std::nullopt;
    const std::string axis = text.substr(dot + 1);
    auto base = whole(text.substr(0, dot));
    if (!base || base->axis || axis.empty()) return std::nullopt;
    if (base->base == Ref::Base::stage) {
      const Block& b = p_.block(p_.stages[base->index].block);
      for (std::uint32_t n = 0; n < b.axes.size(); ++n)
        if (p_.vars[p_.loop(b.axes[n]).var].name == axis) return base->axis = n, base;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(axis.data(), axis.data() + axis.size(), number);
    if (error != std::errc() || end != axis.data() + axis.size() || base->base == Ref::Base::input) return std::nullopt;
    base->axis = number;
    return base;
  }

  std::string list() const {
    std::string out;
    for (const loop::StageInfo& s : p_.stages) out += (out.empty() ? "" : ", ") + s.name;
    for (TensorId t : p_.inputs) out += (out.empty() ? "" : ", ") + p_[t].name;
    for (const auto& [name, r] : results_) out += ", " + name;
    return out;
  }

  bool bind(const std::string& name, std::uint32_t step, std::uint32_t result) {
    return name == "_" || results_.emplace(name, Ref{Ref::Base::step, step, result, {}}).second;
  }

 private:
  /// A name that is bound, a stage or an input; names of stages may hold points (C.sum).
  std::optional<Ref> whole(const std::string& text) const {
    if (const auto bound = results_.find(text); bound != results_.end()) return bound->second;
    for (std::uint32_t n = 0; n < p_.stages.size(); ++n)
      if (p_.stages[n].name == text) return Ref{Ref::Base::stage, n, 0, {}};
    for (std::uint32_t n = 0; n < p_.inputs.size(); ++n)
      if (p_[p_.inputs[n]].name == text) return Ref{Ref::Base::input, n, 0, {}};
    return std::nullopt;
  }

  const loop::Program& p_;
  std::map<std::string, Ref> results_;
};

// ---- values to fields -------------------------------------------------------------------------------------------------
using Converted = Check;
Refusal expected(const Value& v, std::string_view step, std::string_view field, const std::string& what) {
  return at(v.at, refuse(Code::bad_argument, std::string(step), std::string(field), what));
}
Converted convert(const Value& v, const Handles& h, std::string_view step, std::string_view field, Ref& out) {
  if (v.kind == Value::Kind::number && v.number >= 0 && v.number < 2) {
    out = Ref{Ref::Base::factor, static_cast<std::uint32_t>(v.number), 0, {}};
    return Ok{};
  }
  if (v.kind != Value::Kind::word) return expected(v, step, field, "a handle");
  const auto r = h.find(v.word);
  if (!r) return at(v.at, refuse(Code::unknown_handle, v.word, h.list()));
  out = *r;
  return Ok{};
}
Converted convert(const Value& v, const Handles&, std::string_view step, std::string_view field, std::int64_t& out) {
  if (v.kind != Value::Kind::number) return expected(v, step, field, "a number");
  out = v.number;
  return Ok{};
}
template <Word E>
Converted convert(const Value& v, const Handles&, std::string_view step, std::string_view field, E& out) {
  std::string words;
  for (const auto& [word, value] : Words<E>::table) {
    if (v.kind == Value::Kind::word && v.word == word) return out = value, Ok{};
    words += (words.empty() ? "" : ", ") + std::string(word);
  }
  return expected(v, step, field, "one of " + words);
}
/// A value of several fields is written as a call: role([al, bl], warpgroups=1).
template <class S>
concept Record = requires { S::fields(); };
template <Record S>
Converted convert(const Value& v, const Handles& h, std::string_view step, std::string_view field, S& out);

Converted convert(const Value& v, const Handles& h, std::string_view step, std::string_view field, std::vector<Stage>& out) {
  if (v.kind != Value::Kind::map) return expected(v, step, field, "{block: stage, ...}");
  for (std::size_t n = 0; n + 1 < v.items.size(); n += 2) {
    Stage& s = out.emplace_back();
    TECC_CHECK(convert(v.items[n], h, step, field, s.block));
    TECC_CHECK(convert(v.items[n + 1], h, step, field, s.by));
  }
  return Ok{};
}
template <class T>
Converted convert(const Value& v, const Handles& h, std::string_view step, std::string_view field, std::vector<T>& out) {
  if (v.kind == Value::Kind::list) {
    for (const Value& item : v.items) TECC_CHECK(convert(item, h, step, field, out.emplace_back()));
    return Ok{};
  }
  return convert(v, h, step, field, out.emplace_back());  // one value stands for a list of one
}

template <class S>
Result<S> build(const Call& call, const Handles& h) {
  S step;
  std::size_t position = 0;
  std::vector<bool> used(call.arguments.size());
  std::string names;
  std::apply([&](const auto&... f) { ((names += (names.empty() ? "" : ", ") + std::string(f.name)), ...); }, S::fields());
  std::optional<Refusal> why;
  const auto fill = [&](const auto& field) {
    if (why) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(step.*field.member)>, std::vector<Ref>> && std::tuple_size_v<decltype(S::fields())> == 1) {
      if (call.arguments.size() > 1) {  // reorder(i, j, k): a step that takes only a list takes it without brackets, too
        for (std::size_t n = 0; n < call.arguments.size() && !why && call.arguments[n].name.empty(); ++n) {
          used[n] = true;
          if (auto done = convert(call.arguments[n].value, h, S::name, field.name, (step.*field.member).emplace_back()); !done) why = done.error();
        }
        return;
      }
    }
    const Value* value = nullptr;
    for (std::size_t n = 0; n < call.arguments.size() && !why; ++n)
      if (call.arguments[n].name == field.name) {
        if (value) why = at(call.arguments[n].value.at, refuse(Code::argument_twice, call.step, std::string(field.name)));
        value = &call.arguments[n].value, used[n] = true;
      }
    if (why) return;
    if (!value && position < call.arguments.size() && call.arguments[position].name.empty()) {
      value = &call.arguments[position].value;
      used[position++] = true;
    }
    if (!value) {
      if (!field.optional) why = at(call.at, refuse(Code::missing_argument, call.step, std::string(field.name)));
      return;
    }
    if (auto done = convert(*value, h, S::name, field.name, step.*field.member); !done) why = done.error();
  };
  std::apply([&](const auto&... f) { (fill(f), ...); }, S::fields());
  if (why) return *why;
  for (std::size_t n = 0; n < used.size(); ++n)
    if (!used[n]) {
      const Argument& a = call.arguments[n];
      return at(a.value.at, refuse(Code::extra_argument, call.step, a.name.empty() ? fmt::format("number {}", n + 1) : a.name, names));
    }
  return step;
}

template <Record S>
Converted convert(const Value& v, const Handles& h, std::string_view step, std::string_view field, S& out) {
  if (v.kind != Value::Kind::call || v.word != S::name) return expected(v, step, field, std::string(S::name) + "(...)");
  TECC_TRY(out, build<S>(Call{{}, v.word, v.arguments, v.at}, h));
  return Ok{};
}

template <std::size_t N = 0>
Result<Step> build_named(const Call& call, const Handles& h) {
  if constexpr (N < std::variant_size_v<Step>) {
    using S = std::variant_alternative_t<N, Step>;
    if (S::name != call.step) return build_named<N + 1>(call, h);
    TECC_TRY(S step, build<S>(call, h));
    return Step{std::move(step)};
  } else {
    std::string names;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((names += (names.empty() ? "" : ", ") + std::string(std::variant_alternative_t<I, Step>::name)), ...);
    }(std::make_index_sequence<std::variant_size_v<Step>>());
    return at(call.at, refuse(Code::unknown_step, call.step, names));
  }
}

// ---- printing ---------------------------------------------------------------------------------------------------------
struct Shown {
  const Trace& trace;
  const loop::Program& naive;

  std::string operator()(const Ref& r) const {
    std::string base;
    switch (r.base) {
      case Ref::Base::stage: base = naive.stages[r.index].name; break;
      case Ref::Base::factor: return std::to_string(r.index);
      case Ref::Base::input: base = naive[naive.inputs[r.index]].name; break;
      case Ref::Base::step: {
        const auto& names = trace[r.index].names;
        base = r.result < names.size() ? names[r.result] : fmt::format("r{}_{}", r.index, r.result);
        break;
      }
    }
    if (!r.axis) return base;
    if (r.base == Ref::Base::stage) {
      const Block& b = naive.block(naive.stages[r.index].block);
      const auto name = [&](std::size_t n) { return naive.vars[naive.loop(b.axes[n]).var].name; };
      bool first = *r.axis < b.axes.size();  // two axes may have one name: the second goes by its number
      for (std::size_t n = 0; first && n < *r.axis; ++n) first = name(n) != name(*r.axis);
      if (first) return base + "." + name(*r.axis);
    }
    return fmt::format("{}.{}", base, *r.axis);
  }
  std::string operator()(std::int64_t n) const { return std::to_string(n); }
  template <Word E>
  std::string operator()(E e) const {
    for (const auto& [word, value] : Words<E>::table)
      if (value == e) return std::string(word);
    return "?";
  }
  std::string operator()(const std::vector<Stage>& stages) const {
    std::string out;
    for (const Stage& s : stages) out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", (*this)(s.block), s.by);
    return "{" + out + "}";
  }
  template <class T>
  std::string operator()(const std::vector<T>& v) const {
    if (v.size() == 1) return (*this)(v[0]);
    std::string out;
    for (const T& x : v) out += (out.empty() ? "" : ", ") + (*this)(x);
    return "[" + out + "]";
  }
  template <Record S>
  std::string operator()(const S& record) const {
    std::string out;
    const auto show = [&](const auto& field) {
      if (field.optional && record.*field.member == S{}.*field.member) return;
      out += (out.empty() ? "" : ", ") + (field.optional ? std::string(field.name) + "=" : std::string()) + (*this)(record.*field.member);
    };
    std::apply([&](const auto&... f) { (show(f), ...); }, S::fields());
    return fmt::format("{}({})", S::name, out);
  }
};

}  // namespace

Result<Trace> parse(const Source& source, const loop::Program& naive) {
  TECC_TRY(const std::vector<Call> calls, Parser(source).file());
  Trace trace;
  Handles handles(naive);
  State state{naive, {}};  // replayed alongside: how many results a step has depends on what it is applied to
  for (const Call& call : calls) {
    TECC_TRY(Step step, build_named(call, handles));
    if (Check done = run(state, step); !done) return at(call.at, done.error());
    const std::size_t results = state.results.back().size();
    if (!call.results.empty() && call.results.size() != results)
      return at(call.at, refuse(Code::result_count, call.step, results, call.results.size()));
    for (std::uint32_t n = 0; n < call.results.size(); ++n) {
      if (handles.find(call.results[n]) || !handles.bind(call.results[n], static_cast<std::uint32_t>(trace.size()), n))
        return at(call.at, refuse(Code::name_bound, call.results[n]));
    }
    trace.push_back({std::move(step), call.results, call.at});
  }
  return trace;
}

std::string print(const Trace& given, const loop::Program& naive) {
  // Names the user did not give: every result that is used gets one.
  Trace trace = given;
  State state{naive, {}};
  for (std::size_t n = 0; n < trace.size(); ++n) {
    std::size_t results = trace[n].names.size();
    if (Check done = run(state, trace[n].step); done) results = state.results.back().size();
    for (std::size_t r = trace[n].names.size(); r < results; ++r) trace[n].names.push_back(fmt::format("r{}_{}", n, r));
  }
  const Shown shown{trace, naive};
  std::string out;
  for (const Traced& t : trace) {
    if (!t.names.empty()) out += fmt::format("{} = ", fmt::join(t.names, ", "));
    std::visit([&](const auto& step) { out += shown(step) + "\n"; }, t.step);
  }
  return out;
}

namespace {
struct Hasher {
  std::uint64_t h = 0xcbf29ce484222325ull;
  void add(std::uint64_t v) {
    h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
    h *= 0x100000001b3ull;
  }
  void operator()(const Ref& r) {
    add(static_cast<std::uint64_t>(r.base));
    add(r.index);
    add(r.result);
    add(r.axis ? *r.axis + 1 : 0);
  }
  void operator()(std::int64_t n) { add(static_cast<std::uint64_t>(n)); }
  template <Word E>
  void operator()(E e) { add(static_cast<std::uint64_t>(e)); }
  template <Record S>
  void operator()(const S& record) {
    std::apply([&](const auto&... f) { ((*this)(record.*f.member), ...); }, S::fields());
  }
  void operator()(const Stage& s) {
    (*this)(s.block);
    (*this)(s.by);
  }
  template <class T>
  void operator()(const std::vector<T>& v) {
    add(v.size());
    for (const T& x : v) (*this)(x);
  }
};
}  // namespace

std::uint64_t hash(const Trace& trace) {
  Hasher h;
  for (const Traced& t : trace) {
    h.add(t.step.index());
    std::visit([&](const auto& step) { h(step); }, t.step);
  }
  return h.h;
}

}  // namespace tecc::schedule
