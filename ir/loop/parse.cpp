#include "ir/loop/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "ir/instruction/instruction.h"
#include "ir/loop/parse_expression.h"
#include "ir/loop/words.h"

namespace tecc::loop {
namespace {

constexpr int deepest_tree = 256;  // loops within loops: passes recurse over them
constexpr StmtId gone{~std::uint32_t{0}};  // `_` where a row that is no more was named

class Parser {
 public:
  explicit Parser(std::span<const Token> tokens) : in_(tokens), expressions_(in_, names_) {
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

  Result<Program> run() {
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

 private:
  template <class T>
  using Table = std::map<std::string, T, std::less<>>;
  template <class T>
  static std::vector<std::string> keys(const Table<T>& table) {
    std::vector<std::string> out;
    for (const auto& [name, x] : table) out.push_back(name);
    return out;
  }

  Cursor in_;
  ExpressionNames names_;
  ExpressionReader expressions_;
  Program p_;
  std::vector<Stmt> rows_;  // roots, then loops and blocks in the order of their lines, then what has no name
  Table<LoopId> loops_;
  Table<BlockId> blocks_;
  Table<TensorId> buffers_;
  Table<VarId> dims_, scope_;
  bool in_block_ = false;
  int nesting_ = 0;
  std::vector<std::pair<std::uint32_t, Token>> channels_used_, roles_used_;
  std::vector<std::pair<TensorId, Token>> reused_;

  Loop& loop(LoopId l) { return std::get<Loop>(rows_[l.n].node); }
  bool live(LoopId l) { return !loop(l).retired; }

  // ---- before the text is read: what lines may name ahead of its definition ---------------------------------------------------
  /// The dims stand behind the inputs whose shapes name them.
  Check runtime_dims() {
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

  /// A row for every kernel, loop and block. Row 0 is a kernel: no loop and no block has it.
  Check declare() {
    const std::size_t start = in_.position();
    for (; in_.now().kind != Token::end; in_.advance())
      if (in_.is("kernel") && in_.next().kind == Token::name && Cursor::is(in_.next(2), "{")) {
        rows_.push_back(Stmt{{static_cast<std::uint32_t>(rows_.size())}, {}, Root{std::string(in_.next().text)}, in_.now().at});
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

  // ---- names and numbers --------------------------------------------------------------------------------------------------
  template <class T>
  Result<T> known(const Table<T>& table, std::string_view what) {
    TECC_TRY(const Token t, in_.name(fmt::format("the name of a {}", what)));
    if (const auto found = table.find(t.text); found != table.end()) return found->second;
    return at(t.at, refuse(Code::ir_name_unknown, std::string(what), std::string(t.text), suggestion(t.text, keys(table))));
  }
  Result<LoopId> loop_named() { return in_.is("_") ? (in_.advance(), Result<LoopId>(gone)) : known(loops_, "loop"); }
  Result<BlockId> block_named() { return in_.is("_") ? (in_.advance(), Result<BlockId>(gone)) : known(blocks_, "block"); }
  Result<TensorId> buffer_named() { return known(buffers_, "buffer"); }
  Result<LoopId> live_loop() {
    const CallSite place = in_.now().at;
    const std::string name(in_.now().text);
    TECC_TRY(const LoopId l, known(loops_, "loop"));
    if (!live(l)) return at(place, refuse(Code::ir_form, fmt::format("'{}' is a loop that is no more", name), "a loop of the tree"));
    return l;
  }

  Result<std::int64_t> positive(std::string_view what) {
    const Token t = in_.now();
    TECC_TRY(const std::int64_t v, in_.integer(what));
    if (v < 1) return at(t.at, refuse(Code::ir_word, std::to_string(v), std::string(what), "1 or more"));
    return v;
  }
  /// A number that fits the field: 0 or more, below 2^31.
  template <std::integral T>
  Result<T> narrow(std::string_view what) {
    const Token t = in_.now();
    TECC_TRY(const std::int64_t v, in_.integer(what));
    if (v < 0 || v > INT32_MAX) return at(t.at, refuse(Code::ir_word, std::to_string(v), std::string(what), "0 to 2147483647"));
    return static_cast<T>(v);
  }
  /// c0, r3: a letter and a number.
  static std::optional<std::uint32_t> numbered(const Token& t, char letter) {
    std::uint32_t n = 0;
    if (t.kind != Token::name || t.text.size() < 2 || t.text[0] != letter) return std::nullopt;
    const auto [end, bad] = std::from_chars(t.text.data() + 1, t.text.data() + t.text.size(), n);
    return bad == std::errc() && end == t.text.data() + t.text.size() ? std::optional(n) : std::nullopt;
  }
  Result<std::uint32_t> channel_named() {
    const Token t = in_.now();
    const auto n = numbered(t, 'c');
    if (!n) return in_.unexpected("a channel, c0, c1, ..");
    in_.advance();
    channels_used_.push_back({*n, t});
    return *n;
  }
  template <class E, std::size_t n>
  std::optional<E> word(const std::string_view (&table)[n]) {
    const auto found = in_.now().kind == Token::name ? words::find<E>(table, in_.now().text) : std::nullopt;
    if (found) in_.advance();
    return found;
  }
  template <class E, std::size_t n>
  Result<E> word(const std::string_view (&table)[n], std::string_view what, std::size_t first = 0) {
    const Token t = in_.now();
    const auto found = word<E>(table);
    if (!found || static_cast<std::size_t>(*found) < first) return at(t.at, refuse(Code::ir_word, std::string(t.text), std::string(what), words::list(table, first)));
    return *found;
  }

  Result<std::vector<Expr>> list(DType type) {
    std::vector<Expr> out;
    do {
      TECC_TRY(Expr e, expressions_.read(type));
      out.push_back(std::move(e));
    } while (in_.accept(","));
    return out;
  }

  // ---- the header and the lines before the kernels ------------------------------------------------------------------------------
  Check header() {
    TECC_CHECK(in_.expect("("));
    if (!in_.is(";") && !in_.is(")")) do {
        TECC_TRY(const TensorId t, buffer(Role::input));
        p_.inputs.push_back(t);
      } while (in_.accept(","));
    if (in_.is(";"))
      while (!in_.is(")") && in_.now().kind != Token::end) in_.advance();  // runtime_dims read them
    for (const char* mark : {")", "->", "("}) TECC_CHECK(in_.expect(mark));
    if (!in_.is(")")) do {
        TECC_TRY(const TensorId t, buffer(Role::output));
        p_.outputs.push_back(t);
      } while (in_.accept(","));
    TECC_CHECK(in_.expect(")"));
    return in_.expect("{");
  }

  Check line() {
    if (in_.accept("buffer")) {
      TECC_TRY(const TensorId t, buffer(Role::workspace));
      (void)t;
      return Ok{};
    }
    if (in_.accept("channel")) return channel();
    if (in_.accept("role")) return role();
    if (in_.accept("stages")) return stages();
    if (in_.accept("let")) return retired();
    if (in_.accept("take_turns")) return turns();
    if (in_.accept("skew")) return skew();
    if (in_.accept("cross_thread_reduce")) {
      CrossThread c;
      TECC_TRY(c.block, block_named());
      TECC_CHECK(in_.expect("at"));
      TECC_TRY(c.at, loop_named());
      p_.cross_threads.push_back(c);
      return Ok{};
    }
    return in_.unexpected("buffer, channel, role, stages, take_turns, skew, cross_thread_reduce, let or kernel");
  }

  Result<TensorId> buffer(Role role) {
    TECC_TRY(const Token name, in_.name("the name of a buffer"));
    Buffer b;
    b.name = std::string(name.text);
    b.role = role;
    TECC_CHECK(in_.expect(":"));
    const Token type = in_.now();
    const auto known_type = type.kind == Token::name ? parse_type(type.text) : std::nullopt;
    if (!known_type) return in_.unexpected("a type");
    in_.advance();
    b.type = *known_type;
    b.by_value = !in_.accept("[");
    if (!b.by_value && !in_.accept("]")) {
      TECC_TRY(b.shape, list(DType::i64));
      TECC_CHECK(in_.expect("]"));
    }
    if (const auto scope = word<Scope>(words::scopes)) b.scope = *scope;
    if (in_.accept("order")) {
      const Token first = in_.next();
      TECC_CHECK(in_.expect("["));
      do {
        TECC_TRY(const int d, narrow<int>("a dimension"));
        b.order.push_back(d);
      } while (in_.accept(","));
      TECC_CHECK(in_.expect("]"));
      std::vector<int> sorted = b.order;
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t n = 0; n < sorted.size() || n < b.shape.size(); ++n)
        if (sorted.size() != b.shape.size() || sorted[n] != static_cast<int>(n))
          return at(first.at, refuse(Code::ir_rank, b.name, b.shape.size(), "stands in order with", fmt::format("{}", fmt::join(b.order, ", "))));
    }
    if (in_.accept("pad")) {
      TECC_TRY(b.pad, in_.integer("a number of elements"));
    }
    if (in_.accept("slots")) {
      TECC_TRY(b.slots, positive("a number of slots"));
      TECC_CHECK(in_.expect("at"));
      TECC_TRY(b.slot_loop, loop_named());
    }
    if (in_.accept("of")) {
      TECC_TRY(b.channel, channel_named());
    }
    if (in_.accept("reuses")) {
      TECC_TRY(const Token other, in_.name("the name of a buffer"));
      reused_.push_back({{p_.buffers.size()}, other});
    }
    for (const auto& [key, field] : {std::pair("panel", &b.panel), std::pair("swizzle", &b.swizzle), std::pair("align", &b.alignment)})
      if (in_.accept(key)) {
        TECC_TRY(*field, positive("a size"));
      }
    if (in_.accept("fragment")) TECC_CHECK(fragment(b));
    if (in_.accept("{")) TECC_CHECK(storage(b, name));
    const TensorId id = p_.buffers.add(b);
    if (!buffers_.emplace(name.text, id).second) return at(name.at, refuse(Code::ir_name_taken, "buffer", b.name));
    return id;
  }

  /// COUNT x UNIT @ PLACE, written 4x16@1.
  Result<Storage::Cut> cut() {
    Storage::Cut c;
    TECC_TRY(c.count, positive("a count"));
    const Token t = in_.now();
    const bool reads = t.kind == Token::name && t.text.size() > 1 && t.text[0] == 'x' && std::all_of(t.text.begin() + 1, t.text.end(), [](char x) { return x >= '0' && x <= '9'; });
    if (!reads || std::from_chars(t.text.data() + 1, t.text.data() + t.text.size(), c.unit).ec != std::errc() || c.unit < 1)
      return in_.unexpected("x and a unit, as in 4x16@1");
    in_.advance();
    TECC_CHECK(in_.expect("@"));
    TECC_TRY(c.place, in_.integer("a place"));
    return c;
  }

  Check fragment(Buffer& b) {
    TECC_CHECK(in_.expect("["));
    do {
      const Token t = in_.now();
      TECC_TRY(const std::int64_t dim, in_.integer("a dimension"));
      if (dim < 0 || dim >= static_cast<std::int64_t>(b.shape.size()))
        return at(t.at, refuse(Code::ir_rank, b.name, b.shape.size(), "has a fragment along", std::to_string(dim)));
      TECC_CHECK(in_.expect(":"));
      TECC_TRY(const Storage::Cut c, cut());
      b.fragment.push_back({static_cast<int>(dim), c.unit, c.count, c.place});
    } while (in_.accept(","));
    return in_.expect("]");
  }

  Check storage(Buffer& b, const Token& name) {
    Storage st;
    TECC_CHECK(in_.expect("in"));
    const Token home = in_.now();
    if (in_.accept("kernel")) {
      TECC_TRY(const std::int64_t k, in_.integer("the number of a kernel"));
      if (k < 0 || k >= static_cast<std::int64_t>(p_.kernels.size()))
        return at(home.at, refuse(Code::ir_name_unknown, "kernel", std::to_string(k), fmt::format("; there are {}, from 0", p_.kernels.size())));
      st.at = p_.kernels[static_cast<std::size_t>(k)];
    } else {
      TECC_TRY(st.at, loop_named());
    }
    TECC_CHECK(in_.expect(","));
    TECC_TRY(st.elements, in_.integer("a number of elements"));
    TECC_CHECK(in_.expect("elements"));
    if (in_.accept("a")) {
      TECC_CHECK(in_.expect("thread"));
      st.private_to_thread = true;
    }
    while (in_.accept(",")) {
      if (in_.accept("offset")) {
        TECC_TRY(st.offset_bytes, in_.integer("a number of bytes"));
      } else {
        TECC_CHECK(in_.expect("one"));
        TECC_CHECK(in_.expect("each"));
        while (in_.now().kind == Token::name) {
          TECC_TRY(const LoopId l, live_loop());
          st.owners.push_back(l);
        }
      }
    }
    while (in_.accept(";")) {
      Storage::Dimension d;
      d.relative = in_.accept("relative");
      TECC_CHECK(in_.expect("from"));
      TECC_TRY(d.origin, in_.integer("a coordinate"));
      while (in_.now().kind == Token::integer) {
        TECC_TRY(const Storage::Cut c, cut());
        d.cuts.push_back(c);
      }
      st.dims.push_back(std::move(d));
    }
    if (st.dims.size() != b.shape.size()) return at(name.at, refuse(Code::ir_rank, b.name, b.shape.size(), "has storage for", std::to_string(st.dims.size())));
    b.storage = std::move(st);
    return in_.expect("}");
  }

  Check channel() {
    const Token name = in_.now();
    if (numbered(name, 'c') != p_.channels.size()) return at(name.at, refuse(Code::ir_word, std::string(name.text), "the next channel", fmt::format("c{}", p_.channels.size())));
    in_.advance();
    Channel c;
    TECC_CHECK(in_.expect("at"));
    TECC_TRY(c.loop, loop_named());
    TECC_CHECK(in_.expect("slots"));
    TECC_TRY(c.slots, positive("a number of slots"));
    if (const auto how = word<Channel::How>(words::hows)) c.how = *how;
    if (in_.accept("owner")) {
      TECC_TRY(c.owner, word<Group>(words::groups, "who owns slots", 1));
      TECC_TRY(c.owners, positive("a number of owners"));
    }
    if (in_.accept("full")) {
      TECC_TRY(c.full_arrivals, in_.integer("a number of arrivals"));
    }
    if (in_.accept("empty")) {
      TECC_TRY(c.empty_arrivals, in_.integer("a number of arrivals"));
    }
    if (in_.accept("cluster")) {
      TECC_TRY(c.cluster, positive("a number of blocks"));
    }
    if (in_.accept("offset")) {
      TECC_TRY(c.offset_bytes, in_.integer("a number of bytes"));
    }
    TECC_CHECK(in_.expect(":"));
    while (in_.now().kind == Token::name && buffers_.count(in_.now().text)) {
      TECC_TRY(const TensorId t, buffer_named());
      c.buffers.push_back(t);
    }
    if (c.buffers.empty()) {
      TECC_TRY(const TensorId t, buffer_named());
      (void)t;
    }
    p_.channels.push_back(std::move(c));
    return Ok{};
  }

  Check role() {
    const Token name = in_.now();
    if (numbered(name, 'r') != p_.roles.size()) return at(name.at, refuse(Code::ir_word, std::string(name.text), "the next role", fmt::format("r{}", p_.roles.size())));
    in_.advance();
    WarpRole r;
    TECC_CHECK(in_.expect("warpgroups"));
    TECC_TRY(r.warpgroups, positive("a number of warpgroups"));
    TECC_CHECK(in_.expect("registers"));
    TECC_TRY(r.registers, in_.integer("a number of registers"));
    TECC_CHECK(in_.expect(":"));
    while (in_.is("_") || (in_.now().kind == Token::name && blocks_.count(in_.now().text))) {
      TECC_TRY(const BlockId b, block_named());
      r.blocks.push_back(b);
    }
    p_.roles.push_back(std::move(r));
    return Ok{};
  }

  Check stages() {
    do {
      TECC_TRY(const Token name, in_.name("the name of a stage"));
      StageInfo s{std::string(name.text), gone};
      if (in_.accept("=")) {
        TECC_TRY(s.block, block_named());
      } else if (const auto found = blocks_.find(name.text); found != blocks_.end()) {
        s.block = found->second;
      } else {
        return at(name.at, refuse(Code::ir_name_unknown, "block", std::string(name.text), suggestion(name.text, keys(blocks_))));
      }
      p_.stages.push_back(std::move(s));
    } while (in_.accept(","));
    return Ok{};
  }

  Check turns() {
    Turns t;
    TECC_CHECK(in_.expect("at"));
    TECC_TRY(t.loop, loop_named());
    TECC_CHECK(in_.expect(":"));
    while (in_.is("_") || (in_.now().kind == Token::name && blocks_.count(in_.now().text))) {
      TECC_TRY(const BlockId b, block_named());
      t.critical.push_back(b);
    }
    p_.turns.push_back(std::move(t));
    return Ok{};
  }

  Check skew() {
    Skewing k;
    TECC_CHECK(in_.expect("at"));
    TECC_TRY(k.loop, loop_named());
    TECC_CHECK(in_.expect(":"));
    while (in_.is("_") || (in_.now().kind == Token::name && blocks_.count(in_.now().text))) {
      Skewing::Entry e{};
      TECC_TRY(e.block, block_named());
      if (in_.is("stage") && in_.next().kind == Token::integer) {
        in_.advance();
        TECC_TRY(e.stage, positive("a stage"));
      }
      k.order.push_back(e);
    }
    p_.skews.push_back(std::move(k));
    return Ok{};
  }

  Check retired() {
    TECC_TRY(const LoopId l, known(loops_, "loop"));
    TECC_CHECK(in_.expect(":"));
    TECC_TRY(loop(l).extent, expressions_.read(DType::i64));
    TECC_CHECK(in_.expect("="));
    TECC_TRY(loop(l).retired, binding());
    return Ok{};
  }

  Result<Binding> binding() {
    Binding out;
    while (true) {
      if (in_.now().kind == Token::integer || in_.is("-")) {  // the offset, last
        TECC_TRY(out.offset, in_.integer("a number"));
        return out;
      }
      Digit d;
      const bool bracket = in_.accept("(");
      TECC_TRY(d.loop, known(loops_, "loop"));
      if (in_.accept("/")) {
        TECC_TRY(d.div, positive("a divisor"));
      }
      if (in_.accept("%")) {
        TECC_TRY(d.mod, positive("a divisor"));
      }
      if (bracket) {
        TECC_CHECK(in_.expect(")"));
        TECC_CHECK(in_.expect("*"));
        TECC_TRY(d.stride, in_.integer("a number"));
      } else if (in_.accept("*")) {
        TECC_TRY(d.stride, in_.integer("a number"));
      }
      out.digits.push_back(d);
      if (in_.is("-")) continue;
      if (!in_.accept("+")) return out;
    }
  }

  // ---- statements ---------------------------------------------------------------------------------------------------------
  Check kernel(StmtId root) {
    in_.advance(), in_.advance();
    return children(root);
  }

  Check children(StmtId parent) {
    TECC_CHECK(in_.expect("{"));
    if (++nesting_ > deepest_tree) return at(in_.before().at, refuse(Code::nesting_too_deep, deepest_tree));
    while (!in_.accept("}")) TECC_CHECK(statement(parent));
    if (rows_[parent.n].children.empty()) return at(in_.before().at, refuse(Code::ir_form, "there is no statement in these braces", "at least one"));
    --nesting_;
    return Ok{};
  }

  void add(StmtId parent, StmtId child) {
    rows_[child.n].parent = parent;
    rows_[parent.n].children.push_back(child);
  }

  Check statement(StmtId parent) {
    std::uint32_t role = Stmt::every_role, stage = 0;
    const Token first = in_.now();
    const auto r = numbered(first, 'r');
    if (in_.is("+") || (r && (Cursor::is(in_.next(), ":") || Cursor::is(in_.next(), "+")))) {
      if (r) {
        role = *r;
        roles_used_.push_back({role, first});
        in_.advance();
      }
      if (in_.accept("+")) {
        TECC_TRY(stage, narrow<std::uint32_t>("a stage"));
      }
      TECC_CHECK(in_.expect(":"));
    }
    if (in_.accept("for")) {
      if (role != Stmt::every_role || stage) return at(first.at, refuse(Code::ir_form, "a loop has a role", "roles of the statements inside"));
      TECC_TRY(const LoopId l, known(loops_, "loop"));
      if (!live(l)) return at(in_.before().at, refuse(Code::ir_name_taken, "loop", std::string(in_.before().text)));
      add(parent, l);
      return for_loop(l);
    }
    if (in_.accept("block")) {
      TECC_TRY(const BlockId b, known(blocks_, "block"));
      add(parent, b);
      rows_[b.n].role = role;
      rows_[b.n].stage = stage;
      return block(b);
    }
    const StmtId id{static_cast<std::uint32_t>(rows_.size())};
    rows_.push_back(Stmt{parent, {}, Barrier{}, first.at, role, stage});
    rows_[parent.n].children.push_back(id);
    if (in_.accept("barrier")) {
      rows_[id.n].node = Barrier{smaller_group()};
      return Ok{};
    }
    if (in_.accept("combine")) return combine(id);
    if (const auto kind = word<Event::Kind>(words::events)) {
      Event e{0, *kind};
      TECC_TRY(e.channel, channel_named());
      TECC_CHECK(moment(e.lag, e.not_first));
      rows_[id.n].node = e;
      return Ok{};
    }
    if (const auto op = word<Sync::Op>(words::syncs)) {
      Sync s{*op};
      if (words::has_channel(s.op)) {
        TECC_TRY(s.channel, channel_named());
      }
      if (words::has_count(s.op)) {
        if (s.op == Sync::Op::expect) TECC_CHECK(in_.expect("bytes"));
        TECC_TRY(s.count, in_.integer("a number"));
      }
      if (s.op == Sync::Op::arrive_empty && in_.accept("blocks")) {
        TECC_TRY(s.count, positive("a number of blocks"));
      }
      s.group = smaller_group();
      TECC_CHECK(moment(s.lag, s.not_first));
      rows_[id.n].node = s;
      return Ok{};
    }
    return in_.unexpected("a statement (for, block, barrier, combine, an event or an operation on barriers) or '}'");
  }

  /// Groups smaller than a block; that of a block is not written, its word begins the next statement.
  Group smaller_group() { return in_.is("block") ? Group::block : word<Group>(words::groups).value_or(Group::block); }

  Check moment(std::int64_t& lag, LoopId& not_first) {
    if (in_.accept("lag")) {
      TECC_TRY(lag, in_.integer("a number of iterations"));
    }
    if (in_.accept("but")) {
      TECC_CHECK(in_.expect("first"));
      TECC_TRY(not_first, live_loop());
    }
    return Ok{};
  }

  Check for_loop(LoopId l) {
    TECC_CHECK(in_.expect(":"));
    TECC_TRY(loop(l).extent, expressions_.read(DType::i64));
    if (const auto g = word<Group>(words::groups)) loop(l).group = *g;
    if (const auto k = word<LoopKind>(words::kinds)) loop(l).kind = *k;
    if (in_.accept("raster")) {
      Raster r;
      TECC_TRY(r.outer, live_loop());
      TECC_CHECK(in_.expect("group"));
      TECC_TRY(r.group, positive("a number of iterations"));
      r.longest_first = in_.accept("longest_first");
      loop(l).raster = r;
    }
    loop(l).reversed = in_.accept("reversed");
    loop(l).partitioned = in_.accept("partitioned");
    if (in_.accept("stages")) {
      TECC_TRY(loop(l).stages, narrow<std::uint32_t>("a number of stages"));
    }
    loop(l).persistent = in_.accept("persistent");
    return children(l);
  }

  Check combine(StmtId id) {
    Combine c{};
    const Token op = in_.now();
    const auto reducer = op.kind == Token::name ? parse_reducer(op.text) : std::nullopt;
    if (!reducer) return in_.unexpected("a reducer");
    in_.advance();
    c.op = *reducer;
    while (!in_.is("threads")) {
      TECC_TRY(const TensorId t, buffer_named());
      c.buffers.push_back(t);
    }
    in_.advance();
    TECC_TRY(c.threads, positive("a number of threads"));
    TECC_CHECK(in_.expect("stride"));
    TECC_TRY(c.stride, positive("a number of threads"));
    TECC_CHECK(in_.expect("scratch"));
    TECC_TRY(c.scratch, buffer_named());
    if (in_.accept("scan")) {
      c.scan.emplace();
      TECC_CHECK(in_.expect("before"));
      TECC_TRY(c.scan->before, buffer_named());
      TECC_CHECK(in_.expect("carry"));
      TECC_TRY(c.scan->carry, buffer_named());
    }
    const bool pair = c.op == Reducer::argmax || c.op == Reducer::argmin;
    if (c.buffers.size() != (pair ? 2u : 1u)) return at(op.at, refuse(Code::ir_form, fmt::format("'{}' combines {} buffers", op.text, c.buffers.size()), pair ? "two, values and positions" : "one"));
    rows_[id.n].node = std::move(c);
    return Ok{};
  }

  Check block(BlockId id) {
    Block b;
    b.name = std::string(in_.before().text);
    in_block_ = true;
    scope_.clear();
    TECC_CHECK(in_.expect("("));
    if (!in_.is(")")) do {
        TECC_TRY(Iter i, iter());
        b.iters.push_back(std::move(i));
      } while (in_.accept(","));
    TECC_CHECK(in_.expect(")"));
    if (in_.accept("where")) {
      TECC_TRY(b.predicate, list(DType::boolean));
    }
    if (in_.accept("if")) {
      TECC_TRY(b.guards, list(DType::boolean));
    }
    const Token initialised = in_.now();
    if (in_.accept("initialised")) b.init = Init::apart;
    if (in_.accept("ahead")) {
      Block::Ahead a{};
      TECC_TRY(a.loop, live_loop());
      TECC_CHECK(in_.expect("by"));
      TECC_TRY(a.by, in_.integer("a number of iterations"));
      b.ahead = a;
    }
    if (in_.accept("by")) TECC_CHECK(tile(b, id));
    if (in_.accept("hint")) {
      TECC_TRY(b.hint, word<Hint>(words::hints, "how long it stays in L2"));
    }
    for (const Iter& i : b.iters) {
      const LoopId usual = usual_axis(i);
      b.axes.push_back(usual != LoopId{} && live(usual) ? usual : LoopId{});
    }
    if (in_.is("axes")) TECC_CHECK(axes(b));
    TECC_CHECK(in_.expect("{"));
    while (!in_.accept("}")) TECC_CHECK(write(b));
    if (b.writes.empty()) return at(in_.before().at, refuse(Code::ir_form, fmt::format("block '{}' writes nothing", b.name), "at least one line, C[i, j] = .."));
    if (b.init == Init::apart && !b.combiner) return at(initialised.at, refuse(Code::ir_form, fmt::format("block '{}' is no reduction but initialised", b.name), "C[i] sum= .., or no 'initialised'"));
    in_block_ = false;
    scope_.clear();
    rows_[id.n].node = std::move(b);
    return Ok{};
  }

  Result<Iter> iter() {
    Iter i;
    if (in_.next().kind == Token::name)  // `reduce` alone is a name
      if (const auto kind = word<IterKind>(words::iters)) i.kind = *kind;
    TECC_TRY(const Token name, in_.name("an iteration variable"));
    TECC_CHECK(in_.expect(":"));
    const std::size_t sign = in_.is("-");
    if ((sign ? in_.next() : in_.now()).kind == Token::integer && Cursor::is(in_.next(sign + 1), "..")) {
      TECC_TRY(i.lower, in_.integer("a number"));
      in_.advance();
    }
    TECC_TRY(i.upper, expressions_.read(DType::i64));
    TECC_CHECK(in_.expect("="));
    TECC_TRY(i.binding, binding());
    i.var = p_.vars.add({std::string(name.text)});
    if (dims_.count(name.text) || !scope_.emplace(name.text, i.var).second) return at(name.at, refuse(Code::ir_name_taken, "variable", std::string(name.text)));
    return i;
  }

  Check tile(Block& b, BlockId id) {
    Tile t;
    TECC_TRY(t.via, word<Via>(words::vias, "a way to carry out a statement"));
    t.swap = in_.accept("swap");
    if (in_.accept("alone")) {
      t.top = id;
    } else if (in_.accept("at")) {
      TECC_TRY(t.top, known(loops_, "loop"));
    }
    if (in_.accept("atom")) {
      if (in_.accept("alone")) {
        t.atom = id;
      } else {
        TECC_TRY(t.atom, known(loops_, "loop"));
      }
    }
    if (in_.accept("as")) {
      TECC_TRY(const Token name, in_.name("the name of an instruction"));
      t.instruction = find_instruction(name.text);
      if (!t.instruction) {
        std::vector<std::string> all;
        for (const Instruction& i : instructions()) all.emplace_back(i.name);
        return at(name.at, refuse(Code::ir_name_unknown, "instruction", std::string(name.text), suggestion(name.text, all)));
      }
    }
    b.tile = t;
    return Ok{};
  }

  Check axes(Block& b) {
    const Token first = in_.now();
    in_.advance();
    b.axes.clear();
    TECC_CHECK(in_.expect("("));
    do {
      LoopId l{};
      if (!in_.accept("_")) {
        TECC_TRY(l, known(loops_, "loop"));
      }
      b.axes.push_back(l);
    } while (in_.accept(","));
    if (b.axes.size() != b.iters.size()) return at(first.at, refuse(Code::ir_form, fmt::format("block '{}' has {} axes for {} iterations", b.name, b.axes.size(), b.iters.size()), "one each, or _"));
    return in_.expect(")");
  }

  Check write(Block& b) {
    const Token name = in_.now();
    Write w;
    TECC_TRY(w.buffer, buffer_named());
    TECC_CHECK(in_.expect("["));
    if (!in_.is("]")) {
      TECC_TRY(w.index, list(DType::i64));
    }
    TECC_CHECK(in_.expect("]"));
    const Buffer& buffer = p_[w.buffer];
    if (w.index.size() != buffer.shape.size()) return at(name.at, refuse(Code::ir_rank, buffer.name, buffer.shape.size(), "is written with", std::to_string(w.index.size())));
    const Token op = in_.now();
    std::optional<Reducer> combiner;
    if (op.kind == Token::name) {
      combiner = parse_reducer(op.text);
      if (!combiner) return in_.unexpected("'=' or a reducer and '='");
      in_.advance();
    }
    TECC_CHECK(in_.expect("="));
    if (!b.writes.empty() && combiner != b.combiner) return at(op.at, refuse(Code::ir_form, fmt::format("block '{}' combines its writes in different ways", b.name), "one reducer"));
    b.combiner = combiner;
    const bool pair = combiner == Reducer::argmax || combiner == Reducer::argmin;
    if (combiner && b.writes.size() >= (pair ? 2u : 1u)) return at(name.at, refuse(Code::ir_form, fmt::format("block '{}' combines into too many buffers", b.name), pair ? "two" : "one"));
    TECC_TRY(w.value, expressions_.read(buffer.type));
    b.writes.push_back(std::move(w));
    return Ok{};
  }

  // ---- when all is read -----------------------------------------------------------------------------------------------------
  Check finish() {
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
  /// `known`: false while a loop's digits are looked at, true when they are known to end. A chain that is deeper than any program's counts as one
  /// that does not, as passes recurse along it.
  bool follows_itself(LoopId l, std::map<LoopId, bool>& known, int depth) {
    if (live(l)) return false;
    const auto [row, made] = known.emplace(l, false);
    if (!made) return !row->second;
    if (depth > deepest_tree) return true;
    for (const Digit& d : loop(l).retired->digits)
      if (follows_itself(d.loop, known, depth + 1)) return true;
    return known[l] = true, false;
  }
  void default_stages() {
    const std::function<void(StmtId)> visit = [&](StmtId s) {
      if (const auto* b = rows_[s.n].as<Block>()) p_.stages.push_back({b->name, s});
      for (StmtId c : rows_[s.n].children) visit(c);
    };
    for (StmtId k : p_.kernels) visit(k);
  }
};

}  // namespace

Result<Program> parse(const Source& source) {
  TECC_TRY(const std::vector<Token> tokens, tokens_of(source));
  return Parser(tokens).run();
}

}  // namespace tecc::loop
