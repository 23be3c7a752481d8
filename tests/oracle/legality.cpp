#include "tests/oracle/legality.h"

#include <fmt/format.h>
#include <isl/ctx.h>
#include <isl/map.h>
#include <isl/union_map.h>
#include <isl/union_set.h>

#include <stdexcept>
#include <utility>

#include "ir/loop/affine.h"

namespace tecc::oracle {

using namespace loop;

namespace {

/// An isl_union_map that is owned.
class Map {
 public:
  Map() = default;
  explicit Map(isl_union_map* m) : map_(m) {
    if (!m) throw std::runtime_error("isl refused a map");
  }
  Map(isl_ctx* ctx, const std::string& text) : map_(isl_union_map_read_from_str(ctx, text.c_str())) {
    if (!map_) throw std::runtime_error("isl does not read " + text);
  }
  Map(const Map& o) : map_(isl_union_map_copy(o.map_)) {}
  Map(Map&& o) noexcept : map_(std::exchange(o.map_, nullptr)) {}
  Map& operator=(Map o) noexcept {
    std::swap(map_, o.map_);
    return *this;
  }
  ~Map() { isl_union_map_free(map_); }

  isl_union_map* take() const { return isl_union_map_copy(map_); }
  bool empty() const { return isl_union_map_is_empty(map_) == isl_bool_true; }
  bool within(const Map& o) const { return isl_union_map_is_subset(map_, o.map_) == isl_bool_true; }
  Map then(const Map& o) const { return Map(isl_union_map_apply_range(take(), o.take())); }
  Map reversed() const { return Map(isl_union_map_reverse(take())); }
  Map minus(const Map& o) const { return Map(isl_union_map_subtract(take(), o.take())); }
  Map cut(const Map& o) const { return Map(isl_union_map_intersect(take(), o.take())); }
  std::string sample() const {
    isl_basic_map* one = isl_union_map_sample(take());
    char* text = isl_basic_map_to_str(one);
    const std::string out = text ? text : "?";
    std::free(text);
    isl_basic_map_free(one);
    return out;
  }

 private:
  isl_union_map* map_ = nullptr;
};

std::string joined(const std::vector<std::string>& parts, const char* by) {
  std::string out;
  for (const std::string& s : parts) out += (out.empty() ? "" : by) + s;
  return out;
}

/// A program in isl's words: block n's executions T_n[loops], its instances S_n[iterations], buffers A_n[index].
struct Text {
  const Program& p;

  std::string value(LoopId l) const {
    const auto& retired = p.loop(l).retired;
    return retired ? "(" + value(*retired) + ")" : fmt::format("x{}", l.n);
  }
  std::string value(const Binding& b) const {
    std::string out = std::to_string(b.offset);
    for (const Digit& d : b.digits) {
      std::string v = value(d.loop);
      if (d.div != 1) v = fmt::format("floor(({})/{})", v, d.div);
      if (d.mod) v = fmt::format("(({}) mod {})", v, d.mod);
      out += fmt::format(" + {}*{}", d.stride, v);
    }
    return out;
  }
  std::string value(const Expr& e) const {
    if (const auto c = constant_of(e)) return std::to_string(*c);
    if (const auto* v = e.as<Var>()) return fmt::format("v{}", v->id.n);
    const auto* x = e.as<Binary>();
    if (!x) throw std::runtime_error("an index that is not affine");
    const char* op = x->op == BinOp::add ? "+" : x->op == BinOp::sub ? "-" : x->op == BinOp::mul ? "*" : nullptr;
    if (!op) throw std::runtime_error("an index that is not affine");
    return "(" + value(x->a) + " " + op + " " + value(x->b) + ")";
  }
  std::vector<std::string> loops(BlockId b) const {
    std::vector<std::string> out;
    for (LoopId l : loops_around(p, b)) out.push_back(fmt::format("x{}", l.n));
    return out;
  }
  std::string execution(BlockId b) const { return fmt::format("T{}[{}]", b.n, joined(loops(b), ", ")); }
  std::string instance(BlockId b) const {
    std::vector<std::string> v;
    for (const Iter& i : p.block(b).iters) v.push_back(fmt::format("v{}", i.var.n));
    return fmt::format("S{}[{}]", b.n, joined(v, ", "));
  }
  /// lower <= v < upper.
  std::vector<std::string> domain(BlockId b) const {
    std::vector<std::string> out;
    for (const Iter& i : p.block(b).iters) out.push_back(fmt::format("{} <= v{} < {}", i.lower, i.var.n, value(i.upper)));
    return out;
  }
  std::string runs(BlockId b) const {
    std::vector<std::string> all = domain(b);
    for (const Iter& i : p.block(b).iters) all.push_back(fmt::format("v{} = {}", i.var.n, value(i.binding)));
    for (LoopId l : loops_around(p, b)) all.push_back(fmt::format("0 <= x{} < {}", l.n, value(p.loop(l).extent)));
    if (all.empty()) all.push_back("0 = 0");
    return fmt::format("{} -> {} : {}", execution(b), instance(b), joined(all, " and "));
  }
  std::string where(BlockId b) const {
    const auto d = domain(b);
    return d.empty() ? "" : " : " + joined(d, " and ");
  }
  /// (place among its siblings, loop, place, loop, ..), filled up with zeros.
  std::string time(BlockId b, std::size_t depth) const {
    std::vector<std::string> out;
    std::vector<StmtId> path{b};
    while (!p[path.back()].as<Root>()) path.push_back(p[path.back()].parent);
    out.push_back(std::to_string(std::find(p.kernels.begin(), p.kernels.end(), path.back()) - p.kernels.begin()));
    for (std::size_t n = path.size() - 1; n-- > 0;) {
      out.push_back(std::to_string(position_in_parent(p, path[n])));
      if (p[path[n]].as<Loop>()) out.push_back(p.loop(path[n]).reversed ? fmt::format("-x{}", path[n].n) : fmt::format("x{}", path[n].n));
    }
    while (out.size() < depth) out.emplace_back("0");
    return fmt::format("{} -> [{}]", execution(b), joined(out, ", "));
  }
};

bool at_once(const Loop& l) { return l.kind == LoopKind::parallel || l.kind == LoopKind::vectorized || l.group != Group::none; }

}  // namespace

struct Oracle::Inside {
  isl_ctx* ctx = isl_ctx_alloc();
  Map needs;                             // S -> S: the first cannot run before the second has
  Map writes;                            // S -> A
  std::map<BlockId, std::string> wants;  // S -> S, the identity: what each block must run
  std::set<BlockId> sums;
  ~Inside() {
    needs = Map(), writes = Map();
    isl_ctx_free(ctx);
  }
};

Oracle::Oracle(const Program& naive) : in_(std::make_unique<Inside>()) {
  const Text t{naive};
  std::string writes, reads, scans;
  for (BlockId id : all_blocks(naive)) {
    const Block& b = naive.block(id);
    const auto access = [&](TensorId buffer, const std::vector<Expr>& index, bool clipped) {
      std::vector<std::string> at, inside = t.domain(id);
      for (std::size_t d = 0; d < index.size(); ++d) {
        at.push_back(t.value(index[d]));
        if (clipped) inside.push_back(fmt::format("0 <= {} < {}", at.back(), t.value(naive[buffer].shape[d])));
      }
      return fmt::format("{} -> A{}[{}]{}; ", t.instance(id), buffer.n, joined(at, ", "), inside.empty() ? "" : " : " + joined(inside, " and "));
    };
    for (const Write& w : b.writes) {
      writes += access(w.buffer, w.index, false);
      walk(w.value, [&](const Expr& e) {
        if (const auto* r = e.as<tecc::Read>(); r && !naive[r->tensor].by_value) reads += access(r->tensor, r->index, static_cast<bool>(r->otherwise));
        return true;
      });
    }
    for (std::size_t n = 0; n < b.iters.size(); ++n) {
      if (b.iters[n].kind != IterKind::scan) continue;
      std::vector<std::string> before, names, all = t.domain(id);
      for (std::size_t k = 0; k < b.iters.size(); ++k) {
        names.push_back(fmt::format("v{}", b.iters[k].var.n));
        before.push_back(k == n ? "q" : names.back());
      }
      all.push_back(fmt::format("{} <= q < v{}", b.iters[n].lower, b.iters[n].var.n));
      scans += fmt::format("S{}[{}] -> S{}[{}] : {}; ", id.n, joined(names, ", "), id.n, joined(before, ", "), joined(all, " and "));
    }
    in_->wants[id] = fmt::format("{{ {} -> {}{} }}", t.instance(id), t.instance(id), t.where(id));
    if (b.combiner && std::none_of(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::scan; })) in_->sums.insert(id);
  }
  in_->writes = Map(in_->ctx, "{ " + writes + "}");
  in_->needs = Map(isl_union_map_union(Map(in_->ctx, "{ " + reads + "}").then(in_->writes.reversed()).take(), Map(in_->ctx, "{ " + scans + "}").take()));
}

Oracle::~Oracle() = default;

std::string Oracle::fault(const Program& p, const std::set<BlockId>& again, Runs how) const {
  isl_ctx* ctx = in_->ctx;
  const Text t{p};
  std::size_t depth = 0;
  std::string runs, times, together, apart;
  const std::vector<BlockId> blocks = all_blocks(p);
  for (BlockId b : blocks) depth = std::max(depth, 2 * loops_around(p, b).size() + 2);
  for (BlockId b : blocks) {
    runs += t.runs(b) + "; ";
    times += t.time(b, depth) + "; ";
  }
  const Map run(ctx, "{ " + runs + "}"), time(ctx, "{ " + times + "}");
  for (BlockId b : blocks) {
    const Map own(ctx, "{ " + t.runs(b) + " }"), want(ctx, in_->wants.at(b));
    const Map seen = own.reversed().then(own);  // S -> S: the identity where it runs
    if (!want.within(seen)) return fmt::format("block '{}' does not run {}", p.block(b).name, want.minus(seen).sample());
    if ((how == Runs::once || p.block(b).combiner) && !again.count(b)) {
      const Map twice = own.then(own.reversed()).minus(Map(ctx, fmt::format("{{ {0} -> {0} }}", t.execution(b))));
      if (!twice.empty()) return fmt::format("block '{}' runs twice what it runs in {}", p.block(b).name, twice.sample());
    }
    if (in_->sums.count(b) && again.count(b)) {
      std::vector<std::string> now, then, same;
      bool begun = false;
      for (LoopId l : loops_around(p, b)) {
        begun |= feeds(p, l, p.block(b), IterKind::reduce);
        now.push_back(fmt::format("x{}", l.n));
        then.push_back(fmt::format("y{}", l.n));
        if (!begun) same.push_back(fmt::format("x{0} = y{0}", l.n));
      }
      const Map one_run(ctx, fmt::format("{{ T{0}[{1}] -> T{0}[{2}]{3} }}", b.n, joined(now, ", "), joined(then, ", "), same.empty() ? "" : " : " + joined(same, " and ")));
      const Map twice = own.then(own.reversed()).cut(one_run).minus(Map(ctx, fmt::format("{{ {0} -> {0} }}", t.execution(b))));
      if (!twice.empty()) return fmt::format("block '{}' adds twice in one run what it runs in {}", p.block(b).name, twice.sample());
    }
  }
  // Who can rely on whom: what ran before, in the same iteration of every parallel loop around both.
  for (BlockId x : blocks)
    for (BlockId y : blocks) {
      if (root_of(p, x) != root_of(p, y)) {
        together += fmt::format("{} -> T{}[{}]; ", t.execution(x), y.n, joined([&] {
          std::vector<std::string> other;
          for (LoopId l : loops_around(p, y)) other.push_back(fmt::format("y{}", l.n));
          return other;
        }(), ", "));
        continue;
      }
      std::vector<std::string> other, same, differ;
      const auto around = loops_around(p, x);
      for (LoopId l : loops_around(p, y)) {
        other.push_back(fmt::format("y{}", l.n));
        if (std::find(around.begin(), around.end(), l) == around.end() || !at_once(p.loop(l))) continue;
        const bool in_order = p.loop(l).kind == LoopKind::serial || p.loop(l).kind == LoopKind::unrolled;
        // Threads may share a scan, whose order the step `scan` keeps; without it lowering refuses (E0447).
        if (x == y && in_order && p.loop(l).group == Group::thread && feeds(p, l, p.block(x), IterKind::scan)) continue;
        same.push_back(fmt::format("x{0} = y{0}", l.n));
        const bool threads = in_order && (p.loop(l).group == Group::thread || p.loop(l).group == Group::warp);
        if (!threads) differ.push_back(fmt::format("x{0} != y{0}", l.n));
      }
      const std::string pair = fmt::format("{} -> T{}[{}]", t.execution(x), y.n, joined(other, ", "));
      together += pair + (same.empty() ? "" : " : " + joined(same, " and ")) + "; ";
      if (x == y && !differ.empty()) apart += pair + " : " + joined(differ, " or ") + "; ";
    }
  const Map before = Map(isl_union_map_lex_lt_union_map(time.take(), time.take())).cut(Map(ctx, "{ " + together + "}"));
  const Map needed = run.then(in_->needs);               // T -> S
  const Map there = before.reversed().then(run);         // T -> S that ran before it
  if (!needed.within(there)) return "runs before what it needs: " + needed.minus(there).sample();
  const Map racing(ctx, "{ " + apart + "}");
  const Map element = run.then(in_->writes);             // T -> A
  const Map race = element.then(element.reversed()).cut(racing);
  if (!race.empty()) {
    for (BlockId b : blocks)
      if (in_->sums.count(b) && !again.count(b)) {
        const Map own(ctx, "{ " + t.runs(b) + " }");
        const Map mine = own.then(in_->writes);
        if (const Map both = mine.then(mine.reversed()).cut(racing); !both.empty()) return fmt::format("block '{}' adds at the same time: {}", p.block(b).name, both.sample());
      }
  }
  return "";
}

}  // namespace tecc::oracle
