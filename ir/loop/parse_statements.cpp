#include "ir/instruction/instruction.h"
#include "ir/loop/parse.h"
#include "ir/loop/parser.h"

/// Loops, blocks, and the operations on channels and barriers.
namespace tecc::loop {

Check Parser::kernel(StmtId root) {
  in_.advance(), in_.advance();
  if (!in_.is("{")) in_.advance();  // when it begins
  return children(root);
}

Check Parser::children(StmtId parent) {
  TECC_CHECK(in_.expect("{"));
  if (++nesting_ > deepest_tree) return at(in_.before().at, refuse(Code::nesting_too_deep, deepest_tree));
  while (!in_.accept("}")) TECC_CHECK(statement(parent));
  if (rows_[parent.n].children.empty()) return at(in_.before().at, refuse(Code::ir_form, "there is no statement in these braces", "at least one"));
  --nesting_;
  return Ok{};
}

void Parser::add(StmtId parent, StmtId child) {
  rows_[child.n].parent = parent;
  rows_[parent.n].children.push_back(child);
}

Check Parser::statement(StmtId parent) {
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

Check Parser::moment(std::int64_t& lag, LoopId& not_first) {
  if (in_.accept("lag")) {
    TECC_TRY(lag, in_.integer("a number of iterations"));
  }
  if (in_.accept("but")) {
    TECC_CHECK(in_.expect("first"));
    TECC_TRY(not_first, live_loop());
  }
  return Ok{};
}

Check Parser::for_loop(LoopId l) {
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

Check Parser::combine(StmtId id) {
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

Check Parser::block(BlockId id) {
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

Result<Iter> Parser::iter() {
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

Check Parser::tile(Block& b, BlockId id) {
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

Check Parser::axes(Block& b) {
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

Check Parser::write(Block& b) {
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

}  // namespace tecc::loop
