#pragma once
#include <fmt/format.h>

#include <map>

#include "ir/loop/parse_expression.h"
#include "ir/loop/words.h"

namespace tecc::loop {

/// Reads the text of a program. parse.cpp: what lines may name ahead of its definition, names and numbers, what must hold when all is read;
/// parse_lines.cpp: the header and the lines before the kernels; parse_statements.cpp: loops, blocks and operations.
class Parser {
 public:
  explicit Parser(std::span<const Token> tokens);
  Result<Program> run();

 private:
  template <class T>
  using Table = std::map<std::string, T, std::less<>>;
  template <class T>
  static std::vector<std::string> keys(const Table<T>& table) {
    std::vector<std::string> out;
    for (const auto& [name, x] : table) out.push_back(name);
    return out;
  }

  static constexpr int deepest_tree = 256;          // loops within loops: passes recurse over them
  static constexpr StmtId gone{~std::uint32_t{0}};  // `_` where a row that is no more was named

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

  // ---- before the text is read: what lines may name ahead of its definition ------------------------------------------
  /// The dims stand behind the inputs whose shapes name them.
  Check runtime_dims();
  /// A row for every kernel, loop and block. Row 0 is a kernel: no loop and no block has it.
  Check declare();

  // ---- names and numbers ---------------------------------------------------------------------------------------------
  template <class T>
  Result<T> known(const Table<T>& table, std::string_view what) {
    TECC_TRY(const Token t, in_.name(fmt::format("the name of a {}", what)));
    if (const auto found = table.find(t.text); found != table.end()) return found->second;
    return at(t.at, refuse(Code::ir_name_unknown, std::string(what), std::string(t.text), suggestion(t.text, keys(table))));
  }
  Result<LoopId> loop_named() { return in_.is("_") ? (in_.advance(), Result<LoopId>(gone)) : known(loops_, "loop"); }
  Result<BlockId> block_named() { return in_.is("_") ? (in_.advance(), Result<BlockId>(gone)) : known(blocks_, "block"); }
  Result<TensorId> buffer_named() { return known(buffers_, "buffer"); }
  Result<LoopId> live_loop();
  Result<std::int64_t> positive(std::string_view what);
  /// A number that fits the field: 0 or more, below 2^31.
  template <std::integral T>
  Result<T> narrow(std::string_view what) {
    const Token t = in_.now();
    TECC_TRY(const std::int64_t v, in_.integer(what));
    if (v < 0 || v > INT32_MAX) return at(t.at, refuse(Code::ir_word, std::to_string(v), std::string(what), "0 to 2147483647"));
    return static_cast<T>(v);
  }
  /// c0, r3: a letter and a number.
  static std::optional<std::uint32_t> numbered(const Token& t, char letter);
  Result<std::uint32_t> channel_named();
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
  Result<std::vector<Expr>> list(DType type);

  // ---- the header and the lines before the kernels -------------------------------------------------------------------
  Check header();
  Check line();
  Result<TensorId> buffer(Role role);
  /// COUNT x UNIT @ PLACE, written 4x16@1.
  Result<Storage::Cut> cut();
  Check fragment(Buffer& b);
  Check storage(Buffer& b, const Token& name);
  Check channel();
  Check role();
  Check stages();
  Check turns();
  Check skew();
  Check retired();
  Result<Binding> binding();

  // ---- statements ----------------------------------------------------------------------------------------------------
  Check kernel(StmtId root);
  Check children(StmtId parent);
  void add(StmtId parent, StmtId child);
  Check statement(StmtId parent);
  /// Groups smaller than a block; that of a block is not written, its word begins the next statement.
  Group smaller_group() { return in_.is("block") ? Group::block : word<Group>(words::groups).value_or(Group::block); }
  Check moment(std::int64_t& lag, LoopId& not_first);
  Check for_loop(LoopId l);
  Check combine(StmtId id);
  Check block(BlockId id);
  Result<Iter> iter();
  Check tile(Block& b, BlockId id);
  Check axes(Block& b);
  Check write(Block& b);

  // ---- when all is read ----------------------------------------------------------------------------------------------
  Check finish();
  /// `known`: false while a loop's digits are looked at, true when they are known to end. A chain that is deeper than any program's counts as one
  /// that does not, as passes recurse along it.
  bool follows_itself(LoopId l, std::map<LoopId, bool>& known, int depth);
  void default_stages();
};

}  // namespace tecc::loop
