#include <algorithm>
#include <charconv>

#include "ir/loop/parser.h"

/// The header of a program and the lines before its kernels: buffers with their storage, channels, roles, what steps noted.
namespace tecc::loop {

Check Parser::header() {
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

Check Parser::line() {
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

Result<TensorId> Parser::buffer(Role role) {
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

Result<Storage::Cut> Parser::cut() {
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

Check Parser::fragment(Buffer& b) {
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

Check Parser::storage(Buffer& b, const Token& name) {
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

Check Parser::channel() {
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

Check Parser::role() {
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

Check Parser::stages() {
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

Check Parser::turns() {
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

Check Parser::skew() {
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

Check Parser::retired() {
  TECC_TRY(const LoopId l, known(loops_, "loop"));
  TECC_CHECK(in_.expect(":"));
  TECC_TRY(loop(l).extent, expressions_.read(DType::i64));
  TECC_CHECK(in_.expect("="));
  TECC_TRY(loop(l).retired, binding());
  return Ok{};
}

Result<Binding> Parser::binding() {
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

}  // namespace tecc::loop
