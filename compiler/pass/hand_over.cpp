#include "compiler/pass/hand_over.h"

#include <algorithm>
#include <limits>

#include "ir/loop/affine.h"

namespace tecc::compiler {

using namespace loop;

namespace {

/// A digit of the executor's number: of the thread number (loop: row 0), or of a loop bound to blocks.
struct OwnDigit {
  LoopId loop{};
  std::int64_t div, values, stride;
  auto operator<=>(const OwnDigit&) const = default;
};
/// One dimension of what an executor touches: own digits, what is the same for all of them, and the rest as strides and reaches.
struct Part {
  bool known = false;
  bool exact = true;  // the rest enumerates distinct values
  std::vector<OwnDigit> own;
  std::vector<Digit> common;
  std::int64_t offset = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> rest;  // stride, largest value
};

class Comparison {
 public:
  Comparison(const Program& p, StmtId root, std::optional<LoopId> nest) : p_(p), grid_(grid_of(p, root)), nest_(nest) {}

  Part part(const Block& b, const Expr& index) const {
    const Region r = region_of(p_, b, index, [&](LoopId l) { return is_own(l) || is_common(l); });
    Part out;
    if (r.whole) return out;
    out.known = true;
    out.offset = r.fixed.offset;
    for (const Digit& d : r.fixed.digits) {
      if (p_.loop(d.loop).retired) return {};  // its radices do not line up with the loops that are left
      if (!is_own(d.loop)) out.common.push_back(d);
      else if (!own(d, out)) return {};
    }
    std::sort(out.own.begin(), out.own.end());
    out.exact = r.exact;
    if (!r.exact) out.rest.push_back({1, r.span - 1});
    for (const Digit& d : r.varying) out.rest.push_back({d.stride, range_of(p_, Digit{d.loop, d.div, d.mod, 1}).high});
    return out;
  }

  /// True if an element of both parts has the same own digits in both.
  static bool agree(const Part& a, const Part& b) {
    if (!a.known || !b.known || a.own != b.own || a.common != b.common) return false;
    const std::int64_t low = std::min(a.offset, b.offset);
    for (const Part* x : {&a, &b})
      for (const OwnDigit& d : x->own) {
        // x / stride % values is the digit: the others are multiples of stride * values, or together stay below the stride.
        if (d.stride <= 0 || d.values > std::numeric_limits<std::int64_t>::max() / d.stride) return false;
        std::int64_t below = x->offset - low;
        const auto count = [&](std::int64_t stride, std::int64_t most) {
          if (stride % (d.stride * d.values) != 0) below += std::abs(stride) * most;
        };
        for (const OwnDigit& other : x->own)
          if (other != d) count(other.stride, other.values - 1);
        for (const auto& [stride, most] : x->rest) count(stride, most);
        if (below >= d.stride) return false;
      }
    return true;
  }

  /// True if an executor makes all that it uses: its part of `made` is dense and holds its part of `used`.
  static bool covers(const Part& made, const Part& used) {
    if (!made.known || !made.exact || !used.known || made.own != used.own || made.common != used.common) return false;
    std::vector<std::pair<std::int64_t, std::int64_t>> rest = made.rest;
    std::sort(rest.begin(), rest.end());
    std::int64_t high = made.offset, last = used.offset;
    for (const auto& [stride, most] : rest) {
      if (stride < 1 || stride > high - made.offset + 1) return false;
      high += stride * most;
    }
    for (const auto& [stride, most] : used.rest) last += std::max<std::int64_t>(stride, 0) * most;
    return made.offset <= used.offset && last <= high && std::all_of(used.rest.begin(), used.rest.end(), [](const auto& r) { return r.first >= 0; });
  }

 private:
  const Program& p_;
  std::vector<LoopId> grid_;
  std::optional<LoopId> nest_;

  bool is_own(LoopId l) const {
    return nest_ ? is_thread_group(p_.loop(l).group) : std::find(grid_.begin(), grid_.end(), l) != grid_.end();
  }
  /// Between iterations of the loops around a nest stand barriers; blocks never meet.
  bool is_common(LoopId l) const { return nest_ && l != *nest_ && is_inside(p_, *nest_, l); }

  bool own(const Digit& d, Part& out) const {
    if (nest_) {
      const auto t = thread_digit(p_, d);
      if (t) out.own.push_back({{}, t->div, t->mod, t->stride});
      return t.has_value();
    }
    const auto extent = constant_extent(p_, d.loop);
    if (!extent && !d.mod) out.own.push_back({d.loop, d.div, std::numeric_limits<std::int32_t>::max(), d.stride});
    else out.own.push_back({d.loop, d.div, d.mod ? d.mod : ceil_of(*extent, d.div), d.stride});
    return true;
  }
  static std::int64_t ceil_of(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
};

using Index = std::vector<Expr>;
std::vector<Index> written(const Block& b, TensorId t) {
  std::vector<Index> out;
  for (const Write& w : b.writes)
    if (w.buffer == t) out.push_back(w.index);
  return out;
}
std::vector<Index> touched(const Block& b, TensorId t) {
  std::vector<Index> out = written(b, t);
  const auto note = [&](const Expr& e) {
    walk(e, [&](const Expr& x) {
      if (const auto* r = x.as<Read>(); r && r->tensor == t) out.push_back(r->index);
      return true;
    });
  };
  for (const Write& w : b.writes) {
    for (const Expr& i : w.index) note(i);
    note(w.value);
  }
  for (const Expr& c : b.predicate) note(c);
  return out;
}

/// Loops over warpgroups alone: one thread of each stores what threads share, all of them make what each keeps (elect).
bool is_elected(const Program& p, BlockId b) {
  const std::vector<LoopId> around = thread_loops(p, b);
  if (!std::all_of(around.begin(), around.end(), [&](LoopId l) { return p.loop(l).group == Group::warpgroup; })) return false;
  const Scope to = p[p.block(b).writes[0].buffer].scope;
  return to == Scope::global || to == Scope::shared;
}
/// True if both indices follow from the same digits of the same loops.
bool same_digits(const Program& p, const Block& a, const Expr& x, const Block& b, const Expr& y) {
  const auto i = affine_of(x), j = affine_of(y);
  const auto m = i ? binding_of(a, *i) : std::nullopt, n = j ? binding_of(b, *j) : std::nullopt;
  return m && n && normal(p, *m) == normal(p, *n);
}
bool acts_as_one(const Block& b) { return b.tile && b.tile->instruction; }

/// The buffers that the blocks of the kernel write, each with a writer and another block that uses it, in the same role.
template <class F>
Check for_each_handed(const Program& p, StmtId root, F&& f) {
  const std::vector<BlockId> blocks = blocks_under(p, root);
  for (BlockId w : blocks)
    for (const Write& made : p.block(w).writes)
      for (BlockId u : blocks)
        if (u != w && p[u].role == p[w].role && (reads(p.block(u), made.buffer) || writes(p.block(u), made.buffer))) TECC_CHECK(f(made.buffer, w, u));
  return Ok{};
}

/// The outermost loop around `s` that is bound to threads, among those whose iterations share the buffer.
std::optional<LoopId> nest_of(const Program& p, TensorId t, BlockId s) {
  std::vector<LoopId> around = thread_loops(p, s);
  if (const auto& st = p[t].storage)
    std::erase_if(around, [&](LoopId l) { return std::find(st->owners.begin(), st->owners.end(), l) != st->owners.end(); });
  return around.empty() ? std::nullopt : std::optional(around.front());
}

}  // namespace

bool stays_with_executor(const Program& p, TensorId buffer, BlockId writer, BlockId user, std::optional<LoopId> nest) {
  const Block &w = p.block(writer), &u = p.block(user);
  if (nest && (acts_as_one(w) || acts_as_one(u) || is_elected(p, writer) != is_elected(p, user))) return false;
  const Comparison compare(p, root_of(p, writer), nest);
  const std::vector<BlockId> all = writers_of(p, buffer);
  const bool adds_up = w.combiner || std::any_of(all.begin(), all.end(), [&](BlockId x) { return x != writer && root_of(p, x) == root_of(p, writer); });
  for (const Index& made : written(w, buffer))
    for (const Index& used : touched(u, buffer))
      for (std::size_t d = 0; d < made.size(); ++d) {
        const Part own = compare.part(w, made[d]), other = compare.part(u, used[d]);
        if (own.known && own.own.empty()) continue;  // every executor makes all of it
        if (!own.known && same_digits(p, w, made[d], u, used[d])) continue;  // radices do not line up, but alike
        if (!Comparison::agree(own, other) && (adds_up || !Comparison::covers(own, other))) return false;
      }
  return true;
}

Check check_threads_apart(const Program& p, StmtId root) {
  return for_each_handed(p, root, [&](TensorId t, BlockId w, BlockId u) -> Check {
    const Buffer& b = p[t];
    if ((b.scope != Scope::shared && b.scope != Scope::global) || b.channel) return Ok{};
    const auto nest = nest_of(p, t, w);
    if (!nest || nest_of(p, t, u) != nest || stays_with_executor(p, t, w, u, nest)) return Ok{};
    return refuse(Code::divergent_barrier, b.name, loop_name(p, *nest));
  });
}

Check check_blocks_apart(const Program& p, StmtId root) {
  const std::vector<LoopId> grid = grid_of(p, root);
  if (std::all_of(grid.begin(), grid.end(), [&](LoopId l) { return constant_extent(p, l) == 1; })) return Ok{};
  return for_each_handed(p, root, [&](TensorId t, BlockId w, BlockId u) -> Check {
    if (p[t].scope != Scope::global || stays_with_executor(p, t, w, u, std::nullopt)) return Ok{};
    return refuse(Code::blocks_apart, p[t].name, p.block(u).name, p.block(w).name);
  });
}

}  // namespace tecc::compiler
