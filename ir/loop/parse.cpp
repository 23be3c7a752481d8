#include "ir/loop/parse.h"

#include <algorithm>
#include <charconv>

#include "ir/loop/parser.h"

namespace tecc::loop {

Parser::Parser(std::span<const Token> tokens) : in_(tokens), expressions_(in_, names_) {
  names_.variable = [this](std::string_view name) -> std::optional<VarId> {
    if (const auto found = scope_.find(name); found != scope_.end()) return found->second;
    if (const auto found = dims_.find(name); found != dims_.end()) return found->second;
    if (const auto found = loops_.find(name); !in_block_ && found != loops_.end()) return std::get<Loop>(rows_[found->second.n].node).var;
    return std::nullopt;
  };
  names_.variables = [this] {
    std::vector<std::string> out = keys(scope_);
    for (const std::string& d : keys(dims_)) out.push_back(d);
    if (!in_block_)
      for (const std::string& l : keys(loops_)) out.push_back(l);
    return out;
  };
  names_.tensor = [this](std::string_view name) -> std::optional<TensorId> {
    const auto found = buffers_.find(name);
    return found == buffers_.end() ? std::nullopt : std::optional(found->second);
  };
  names_.tensors = [this] { return keys(buffers_); };
  names_.type = [this](TensorId t) { return p_[t].type; };
  names_.rank = [this](TensorId t) { return p_[t].shape.size(); };
}

Result<Program> Parser::run() {
  TECC_CHECK(in_.expect("program"));
  TECC_TRY(const Token name, in_.name("the name of the program"));
  p_.name = std::string(name.text);
  TECC_CHECK(runtime_dims());
  TECC_CHECK(declare());
  TECC_CHECK(header());
  while (!in_.is("kernel")) {
    if (in_.is("}") || in_.now().kind == Token::end) return in_.unexpected("a kernel");
    TECC_CHECK(line());
  }
  for (std::uint32_t k = 0; in_.is("kernel"); ++k) TECC_CHECK(kernel({k}));
  TECC_CHECK(in_.expect("}"));
  if (in_.now().kind != Token::end) return in_.unexpected("the end of the text");
  TECC_CHECK(finish());
  for (Stmt& s : rows_) p_.stmts.add(std::move(s));
  return std::move(p_);
}

Check Parser::runtime_dims() {
  const std::size_t start = in_.position();
  TECC_CHECK(in_.expect("("));
  int braces = 0;  // a storage's dimensions are told apart by semicolons, too
  for (int depth = 1; depth > 0 && in_.now().kind != Token::end; in_.advance()) {
    depth += in_.is("(") - in_.is(")");
    braces += in_.is("{") - in_.is("}");
    if (depth != 1 || !in_.is(";") || braces) continue;
    in_.advance();
    do {
      TECC_TRY(const Token name, in_.name("the name of a runtime dim"));
      te::DimRange r;
      TECC_CHECK(in_.expect("="));
      TECC_TRY(r.min, in_.integer("a number"));
      TECC_CHECK(in_.expect(".."));
      TECC_TRY(r.max, in_.integer("a number"));
      if (in_.accept(":")) {
        TECC_TRY(r.multiple_of, positive("a divisor"));
      }
      const VarId v = p_.vars.add({std::string(name.text)});
      if (!dims_.emplace(name.text, v).second) return at(name.at, refuse(Code::ir_name_taken, "dim", std::string(name.text)));
      p_.dims[v] = r;
    } while (in_.accept(","));
    break;
  }
  in_.go_to(start);
  return Ok{};
}

Check Parser::declare() {
  const std::size_t start = in_.position();
  for (; in_.now().kind != Token::end; in_.advance())
    if (const auto start = words::find<Root::Start>(words::starts, in_.next(2).text); in_.is("kernel") && in_.next().kind == Token::name && Cursor::is(in_.next(start ? 3 : 2), "{")) {
      rows_.push_back(Stmt{{static_cast<std::uint32_t>(rows_.size())}, {}, Root{std::string(in_.next().text), start.value_or(Root::Start::ordered)}, in_.now().at});
      p_.kernels.push_back({static_cast<std::uint32_t>(rows_.size() - 1)});
    }
  for (in_.go_to(start); in_.now().kind != Token::end; in_.advance()) {
    const Token name = in_.next();
    if (name.kind != Token::name) continue;
    const StmtId id{static_cast<std::uint32_t>(rows_.size())};
    if ((in_.is("for") || in_.is("let")) && Cursor::is(in_.next(2), ":")) {
      if (!loops_.emplace(name.text, id).second) return at(name.at, refuse(Code::ir_name_taken, "loop", std::string(name.text)));
      Loop made;
      made.var = p_.vars.add({std::string(name.text)});
      rows_.push_back(Stmt{{}, {}, std::move(made), in_.now().at});
      if (in_.is("let")) loop(id).retired = Binding{};
    } else if (in_.is("block") && Cursor::is(in_.next(2), "(")) {
      if (!blocks_.emplace(name.text, id).second) return at(name.at, refuse(Code::ir_name_taken, "block", std::string(name.text)));
      Block b;
      b.name = std::string(name.text);
      rows_.push_back(Stmt{{}, {}, std::move(b), in_.now().at});
    }
  }
  in_.go_to(start);
  return Ok{};
}

// ---- names and numbers ------------------------------------------------------------------------------------------------
Result<LoopId> Parser::live_loop() {
  const CallSite place = in_.now().at;
  const std::string name(in_.now().text);
  TECC_TRY(const LoopId l, known(loops_, "loop"));
  if (!live(l)) return at(place, refuse(Code::ir_form, fmt::format("'{}' is a loop that is no more", name), "a loop of the tree"));
  return l;
}

Result<std::int64_t> Parser::positive(std::string_view what) {
  const Token t = in_.now();
  TECC_TRY(const std::int64_t v, in_.integer(what));
  if (v < 1) return at(t.at, refuse(Code::ir_word, std::to_string(v), std::string(what), "1 or more"));
  return v;
}

std::optional<std::uint32_t> Parser::numbered(const Token& t, char letter) {
  std::uint32_t n = 0;
  if (t.kind != Token::name || t.text.size() < 2 || t.text[0] != letter) return std::nullopt;
  const auto [end, bad] = std::from_chars(t.text.data() + 1, t.text.data() + t.text.size(), n);
  return bad == std::errc() && end == t.text.data() + t.text.size() ? std::optional(n) : std::nullopt;
}

Result<std::uint32_t> Parser::channel_named() {
  const Token t = in_.now();
  const auto n = numbered(t, 'c');
  if (!n) return in_.unexpected("a channel, c0, c1, ..");
  in_.advance();
  channels_used_.push_back({*n, t});
  return *n;
}

Result<std::vector<Expr>> Parser::list(DType type) {
  std::vector<Expr> out;
  do {
    TECC_TRY(Expr e, expressions_.read(type));
    out.push_back(std::move(e));
  } while (in_.accept(","));
  return out;
}

// ---- when all is read -------------------------------------------------------------------------------------------------
Check Parser::finish() {
  for (const auto& [n, t] : channels_used_)
    if (n >= p_.channels.size()) return at(t.at, refuse(Code::ir_name_unknown, "channel", std::string(t.text), fmt::format("; there are {}", p_.channels.size())));
  for (const auto& [n, t] : roles_used_)
    if (n >= p_.roles.size()) return at(t.at, refuse(Code::ir_name_unknown, "role", std::string(t.text), fmt::format("; there are {}", p_.roles.size())));
  for (const auto& [t, other] : reused_) {
    const auto found = buffers_.find(other.text);
    if (found == buffers_.end()) return at(other.at, refuse(Code::ir_name_unknown, "buffer", std::string(other.text), suggestion(other.text, keys(buffers_))));
    p_.buffers.edit(t, [&](Buffer& b) { b.reuses = found->second; });
  }
  std::map<LoopId, bool> known;
  for (const auto& [name, l] : loops_) {
    if (follows_itself(l, known, 0)) return at(rows_[l.n].at, refuse(Code::ir_form, fmt::format("the value of loop '{}' follows from itself", name), "digits of other loops"));
    if (live(l) && rows_[l.n].parent == StmtId{} && std::count(rows_[0].children.begin(), rows_[0].children.end(), l) == 0)
      return at(rows_[l.n].at, refuse(Code::ir_form, fmt::format("loop '{}' stands in no kernel", name), "a statement of a kernel"));
  }
  if (p_.stages.empty()) default_stages();
  return Ok{};
}

bool Parser::follows_itself(LoopId l, std::map<LoopId, bool>& known, int depth) {
  if (live(l)) return false;
  const auto [row, made] = known.emplace(l, false);
  if (!made) return !row->second;
  if (depth > deepest_tree) return true;
  for (const Digit& d : loop(l).retired->digits)
    if (follows_itself(d.loop, known, depth + 1)) return true;
  return known[l] = true, false;
}

void Parser::default_stages() {
  const std::function<void(StmtId)> visit = [&](StmtId s) {
    if (const auto* b = rows_[s.n].as<Block>()) p_.stages.push_back({b->name, s});
    for (StmtId c : rows_[s.n].children) visit(c);
  };
  for (StmtId k : p_.kernels) visit(k);
}

Result<Program> parse(const Source& source) {
  TECC_TRY(const std::vector<Token> tokens, tokens_of(source));
  return Parser(tokens).run();
}

}  // namespace tecc::loop
