/// online([r1, .., rn], loop, at): reductions over one axis, each using the ones before, run in one loop with running values (also called:
/// online softmax, flash attention, cascaded reduction)
///   top = max_j s[j]                           ->   for j0: top max= s[j] of this part;  f = exp(seen - top); seen = top
///   l = sum_j exp(s[j] - top)                             l = l * f;  l += exp(s[j] - top) of this part
///   o = sum_j exp(s[j] - top) * v[j]                      o = o * f;  o += exp(s[j] - top) * v[j] of this part
/// The last member stays in its nest; the others and what stands between them move under `at`, for the part that one iteration of `at`
/// needs. It is legal because the body of a later member is a factor exp(x - r1) times what does not depend on r1: going from r1 to r1'
/// multiplies all of the sum by exp(r1 - r1'). Values rounded to a narrower type are rounded after that positive factor (docs/language.md).
/// Results  the block that makes the factor, then for each later member the block that rescales it.
/// Keeps    the results, up to the order of additions.
/// Refuses  E0365 the chain is no such cascade; E0323 the places; E0351 a member is initialised elsewhere; E0321 a result is used too early.
/// Source   Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135; for cascades in general: RedFuser, arXiv 2603.10026.
#include <fmt/format.h>

#include <map>

#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

std::string say_chain(const Program& p, const std::vector<BlockId>& chain) {
  std::string out;
  for (BlockId b : chain) out += (out.empty() ? "" : ", ") + say_block(p, b);
  return out;
}

bool reads_buffer(const Expr& e, TensorId t) {
  bool found = false;
  walk(e, [&](const Expr& x) {
    if (const auto* r = x.as<tecc::Read>()) found |= r->tensor == t;
    return !found;
  });
  return found;
}

/// True if e = exp(x - running) * rest, through casts, where x and rest do not use the running value.
bool splits(const Expr& e, TensorId running) {
  if (const auto* c = e.as<Cast>()) return splits(c->a, running);
  if (const auto* u = e.as<Unary>(); u && u->op == UnOp::exp) {
    const auto* d = u->a.as<Binary>();
    return d && d->op == BinOp::sub && !reads_buffer(d->a, running) && d->b.as<tecc::Read>() && d->b.as<tecc::Read>()->tensor == running;
  }
  const auto* x = e.as<Binary>();
  if (!x || (x->op != BinOp::mul && x->op != BinOp::div)) return false;
  const bool left = reads_buffer(x->a, running), right = reads_buffer(x->b, running);
  if (left && !right) return splits(x->a, running);
  return right && !left && x->op == BinOp::mul && splits(x->b, running);
}

/// A number above zero, whatever the dims: a literal, or made of such.
bool is_positive_constant(const Expr& e) {
  if (const auto* l = e.as<Literal>()) return l->decimal || l->real != 0 ? l->real > 0 : l->integer > 0;
  if (const auto* c = e.as<Cast>()) return is_positive_constant(c->a);
  const auto* u = e.as<Unary>();
  return u && (u->op == UnOp::sqrt || u->op == UnOp::rsqrt) && is_positive_constant(u->a);
}
/// x * c or x / c with a positive c: its maximum is that of x, scaled.
const Binary* positively_scaled(const Expr& e) {
  const auto* x = e.as<Binary>();
  return x && (x->op == BinOp::mul || x->op == BinOp::div) && is_positive_constant(x->b) ? x : nullptr;
}

struct Member {
  BlockId block;
  std::vector<Region> regions;  // of its iterations, for one iteration of `at`
};
struct Plan {
  std::vector<BlockId> chain;
  LoopId loop, at;
  std::vector<Member> moved;                             // in order of execution: members but the last, and what stands between
  std::map<BlockId, std::vector<Expr>> running_index;    // of later members: where they read the first one's result
};

Result<Plan> plan(const State& state, const Online& step) {
  TECC_TRY(const std::vector<BlockId> chain, blocks_of(state, step.chain));
  TECC_TRY(const LoopId l, loop_of(state, step.loop));
  TECC_TRY(const LoopId at, loop_of(state, step.at));
  const Program& p = state.program;
  const auto no = [&](const std::string& why) { return refuse(Code::no_cascade, say_chain(p, chain), why); };
  if (chain.size() < 2) return no("it has one member");
  const BlockId last = chain.back();
  for (LoopId m : {at, l})
    if (!loop::is_inside(p, last, m)) {
      std::vector<std::string> names;
      for (LoopId n : loop::loops_around(p, last)) names.push_back(say(p, n));
      return refuse(Code::not_inside, say_block(p, last), say(p, m), say_list(names));
    }
  if (!loop::is_inside(p, at, l)) return no(fmt::format("loop '{}' is not inside of '{}'", say(p, at), say(p, l)));
  if (!loop::feeds(p, l, p.block(last), IterKind::reduce)) return no(fmt::format("loop '{}' does not cut the reduction of '{}'", say(p, l), say_block(p, last)));
  for (BlockId b : chain) {
    const Block& block = p.block(b);
    if (!block.combiner || block.writes.size() != 1) return no(fmt::format("'{}' is no reduction to one value", block.name));
    if (block.init != loop::Init::fused) return refuse(Code::initialised_already, block.name);
    if (p[block.writes[0].buffer].role != loop::Role::workspace) return refuse(Code::is_output, block.name, p[block.writes[0].buffer].name);
    const bool first = b == chain[0];
    if (first ? *block.combiner != Reducer::max : *block.combiner != Reducer::sum) return no(fmt::format("'{}' is no {}", block.name, first ? "maximum" : "sum"));
  }
  const TensorId running = p.block(chain[0]).writes[0].buffer;

  // What stands between the members: statements that use the running value and are used by a later member.
  std::vector<BlockId> between;
  for (BlockId b : loop::all_blocks(p)) {
    if (std::find(chain.begin(), chain.end(), b) != chain.end() || p.block(b).combiner) continue;
    const bool uses = loop::reads(p.block(b), running) || std::any_of(between.begin(), between.end(), [&](BlockId x) { return loop::reads(p.block(b), p.block(x).writes[0].buffer); });
    if (!uses) continue;
    const bool used = std::any_of(chain.begin() + 1, chain.end(), [&](BlockId m) { return loop::reads(p.block(m), p.block(b).writes[0].buffer); });
    if (used) between.push_back(b);
  }
  const auto expanded = [&](Expr e) {
    for (auto x = between.rbegin(); x != between.rend(); ++x) {
      const Block& b = p.block(*x);
      e = rewrite(e, [&](const Expr& y) {
        const auto* r = y.as<tecc::Read>();
        if (!r || r->tensor != b.writes[0].buffer) return y;
        return substitute(b.writes[0].value, [&](VarId v) -> Expr {
          for (std::size_t d = 0; d < r->index.size(); ++d)
            if (const auto* w = b.writes[0].index[d].as<Var>(); w && w->id == v) return r->index[d];
          return Expr();
        });
      });
    }
    return e;
  };
  Plan out{chain, l, at, {}, {}};
  for (std::size_t n = 1; n < chain.size(); ++n) {
    const Block& b = p.block(chain[n]);
    const Expr body = expanded(b.writes[0].value);
    for (std::size_t m = 1; m < n; ++m)
      if (reads_buffer(body, p.block(chain[m]).writes[0].buffer)) return no(fmt::format("'{}' uses the finished '{}'", b.name, say_block(p, chain[m])));
    if (!splits(body, running)) return no(fmt::format("the body of '{}' is not exp(x - {}) times what does not depend on it", b.name, p[running].name));
    walk(body, [&](const Expr& e) {
      if (const auto* r = e.as<tecc::Read>(); r && r->tensor == running) out.running_index[chain[n]] = r->index;
      return true;
    });
  }
  for (BlockId b : between)
    for (BlockId r : loop::readers_of(p, p.block(b).writes[0].buffer))
      if (std::find(chain.begin(), chain.end(), r) == chain.end() && std::find(between.begin(), between.end(), r) == between.end())
        return refuse(Code::other_reader, say_block(p, b), say_block(p, r), say(p, at), "none");
  for (std::size_t n = 0; n + 1 < chain.size(); ++n)
    for (BlockId r : loop::readers_of(p, p.block(chain[n]).writes[0].buffer)) {
      const bool inside = std::find(chain.begin(), chain.end(), r) != chain.end() || std::find(between.begin(), between.end(), r) != between.end();
      if (!inside && loop::compare_order(p, r, last) < 0) return refuse(Code::too_early, say_block(p, r), p[p.block(chain[n]).writes[0].buffer].name);
    }

  // The part of each moved statement: an axis that indexes a tensor whose part is known has that part.
  const auto fixed = fixed_around(p, at);
  std::map<TensorId, std::vector<Region>> parts;
  for (TensorId t : loop::read_buffers(p.block(last))) parts[t] = read_region(p, last, t, fixed);
  std::vector<BlockId> todo(chain.begin(), chain.end() - 1);
  todo.insert(todo.end(), between.begin(), between.end());
  std::vector<Member> located;
  for (bool more = true; more && !todo.empty();) {
    more = false;
    for (BlockId id : todo) {
      const Block& b = p.block(id);
      std::vector<std::optional<Region>> regions(b.iters.size());
      const auto match = [&](TensorId t, const std::vector<Expr>& index) {
        const auto known = parts.find(t);
        if (known == parts.end()) return;
        for (std::size_t d = 0; d < index.size(); ++d)
          if (const auto* v = index[d].as<Var>())
            if (const Iter* i = iter_of(b, v->id)) regions[static_cast<std::size_t>(i - b.iters.data())] = known->second[d];
      };
      for (const Write& w : b.writes) match(w.buffer, w.index);
      for (const Write& w : b.writes)
        walk(w.value, [&](const Expr& e) {
          if (const auto* r = e.as<tecc::Read>()) match(r->tensor, r->index);
          return true;
        });
      if (!std::all_of(regions.begin(), regions.end(), [](const auto& r) { return r.has_value(); })) continue;
      Member m{id, {}};
      for (const auto& r : regions) m.regions.push_back(*r);
      for (TensorId t : loop::read_buffers(b))
        for_each_read(b, t, [&](const tecc::Read& r) {
          std::vector<Region> part;
          for (const Expr& e : r.index) {
            const auto* v = e.as<Var>();
            const Iter* i = v ? iter_of(b, v->id) : nullptr;
            if (!i) return;
            part.push_back(m.regions[static_cast<std::size_t>(i - b.iters.data())]);
          }
          parts.emplace(t, std::move(part));
        });
      located.push_back(std::move(m));
      std::erase(todo, id);
      more = true;
      break;
    }
  }
  if (!todo.empty()) return no(fmt::format("the part of '{}' that one iteration of '{}' needs is not known", say_block(p, todo[0]), say(p, at)));
  std::sort(located.begin(), located.end(), [&](const Member& a, const Member& b) { return loop::compare_order(p, a.block, b.block) < 0; });
  out.moved = std::move(located);
  return out;
}

}  // namespace

Check check(const State& state, const Online& step) {
  TECC_CHECK(plan(state, step));
  return Ok{};
}

Applied apply(const State& state, const Online& step) {
  Applied out{state.program, {}};
  Program& p = out.program;
  const Plan plan_ = *plan(state, step);
  const BlockId first = plan_.chain[0], last = plan_.chain.back();
  const auto fixed = fixed_around(p, plan_.at);
  const auto position = [&] { return loop::position_in_parent(p, loop::child_towards(p, plan_.at, last)); };
  std::map<BlockId, std::vector<Region>> regions;
  for (const Member& m : plan_.moved) regions[m.block] = m.regions;
  for (const Iter& i : p.block(last).iters) regions[last].push_back(loop::region_of(p, p.block(last), var(i.var), fixed));

  /// Puts a block under `at`, before the last member's nest, with a loop for each of its axes.
  const auto put = [&](BlockId id, Stmt row, const std::vector<Region>& parts) {
    Block& b = std::get<Block>(row.node);
    std::vector<RegionAxis> axes;
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      Expr extent = b.iters[n].upper;
      for (const Iter& i : b.iters)
        if (uses(extent, i.var)) extent = index_literal(loop::largest(p, extent));
      axes.push_back({p.vars[b.iters[n].var].name, parts[n], extent});
    }
    const std::size_t where = position();
    const RegionNest nest = make_nest(p, plan_.at, where, axes, row.at);
    b.axes.assign(b.iters.size(), StmtId{});
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      b.iters[n].binding = nest.bindings[n];
      b.axes[n] = nest.loops[n].value_or(StmtId{});
    }
    const std::size_t inside = nest.innermost == plan_.at ? where : 0;
    if (id == BlockId{}) return loop::add_stmt(p, nest.innermost, inside, std::move(row));
    p.stmts.set(id, std::move(row));
    loop::insert_child(p, nest.innermost, inside, id);
    return id;
  };
  /// A block over the spatial axes of `like`; `value` gets the index of its result.
  const auto over_axes_of = [&](BlockId like, const std::string& name) {
    Block b;
    b.name = name;
    std::vector<Region> parts;
    std::map<VarId, Expr> mine;
    const Block& model = p.block(like);
    for (std::size_t n = 0; n < model.iters.size(); ++n) {
      if (model.iters[n].kind != IterKind::spatial) continue;
      Iter i = model.iters[n];
      i.var = loop::add_var(p, p.vars[i.var].name);
      mine[p.block(like).iters[n].var] = var(i.var);
      b.iters.push_back(std::move(i));
      parts.push_back(regions[like][n]);
    }
    const auto renamed = [mine](const Expr& e) {
      return substitute(e, [&](VarId v) {
        const auto found = mine.find(v);
        return found == mine.end() ? Expr() : found->second;
      });
    };
    for (Iter& i : b.iters) i.upper = renamed(i.upper);
    return std::tuple{std::move(b), std::move(parts), renamed};
  };

  const TensorId running = p.block(first).writes[0].buffer;
  const DType type = p[running].type;
  Buffer like = p[running];
  like.scope = Scope::reg;  // whoever needs them makes them
  like.name = p[running].name + ".seen";
  const TensorId seen = p.buffers.add(like);
  like.name = p[running].name + ".factor";
  const TensorId factor = p.buffers.add(like);
  const CallSite at = p[first].at;

  std::vector<Handle> rescales;
  const auto rescale = [&](BlockId member) {
    auto [b, parts, renamed] = over_axes_of(member, p.block(member).name + ".rescale");
    const Write& w = p.block(member).writes[0];
    std::vector<Expr> index, where;
    for (const Expr& e : w.index) index.push_back(renamed(e));
    for (const Expr& e : plan_.running_index.at(member)) where.push_back(renamed(e));
    const DType t = p[w.buffer].type;
    const Expr by = make(tecc::Read{factor, where, Expr()}, type);
    b.writes = {{w.buffer, index, make(Binary{BinOp::mul, make(tecc::Read{w.buffer, index, Expr()}, t), t == type ? by : make(Cast{t, by}, t)}, t)}};
    rescales.push_back(BlockHandle{put({}, Stmt{{}, {}, std::move(b), p[member].at}, parts)});
  };

  for (const Member& m : plan_.moved) {
    const bool later = m.block != first && p.block(m.block).combiner;
    if (later) rescale(m.block);
    const Stmt row = p[m.block];
    loop::detach(p, m.block);
    put(m.block, row, m.regions);
    if (m.block != first) continue;
    auto [b, parts, renamed] = over_axes_of(first, p.block(first).name + ".factor");
    std::vector<Expr> index;
    for (const Expr& e : p.block(first).writes[0].index) index.push_back(renamed(e));
    const Expr now = make(tecc::Read{running, index, Expr()}, type), before = make(tecc::Read{seen, index, Expr()}, type);
    // Equal values, both infinite before the first finite one, leave the sums as they are.
    const Expr same = make(Binary{BinOp::equal, before, now}, DType::boolean);
    b.writes = {{factor, index, make(Select{same, literal(1, type), make(Unary{UnOp::exp, make(Binary{BinOp::sub, before, now}, type)}, type)}, type)}, {seen, index, now}};
    out.results.push_back(BlockHandle{put({}, Stmt{{}, {}, std::move(b), at}, parts)});
  }
  rescale(last);
  if (const Binary* scale = positively_scaled(p.block(first).writes[0].value)) {  // the maximum of x; who reads it scales
    const Binary by = *scale;
    p.stmts.edit(first, [&](Stmt& s) { std::get<Block>(s.node).writes[0].value = by.a; });
    for (const TensorId t : {running, seen})
      for (BlockId b : loop::readers_of(p, t)) {
        if (b == first) continue;
        p.stmts.edit(b, [&](Stmt& s) {
          for (Write& w : std::get<Block>(s.node).writes)
            if (w.buffer != seen)
              w.value = rewrite(w.value, [&](const Expr& e) {
                const auto* r = e.as<tecc::Read>();
                return r && r->tensor == t ? make(Binary{by.op, e, by.b}, type) : e;
              });
        });
      }
  }
  out.results.insert(out.results.end(), rescales.begin(), rescales.end());
  for (BlockId b : plan_.chain) {
    const BlockId init = loop::decompose(p, b, plan_.loop);
    if (b == first)
      p.stmts.edit(init, [&](Stmt& s) {
        auto& writes = std::get<Block>(s.node).writes;
        writes.push_back({seen, writes[0].index, writes[0].value});
      });
  }
  return out;
}

}  // namespace tecc::schedule
