#include <algorithm>

#include "autotune/rule/rules.h"
#include "ir/loop/affine.h"

namespace tecc::autotune {

using namespace loop;

void decide_once(Context& c, const std::string& name, const std::vector<schedule::Ref>& blocks, bool first) {
  if (c.target.kind == codegen::Target::Kind::cpu) {  // results beyond what caches keep: half of the lines that a store fetches are spared
    constexpr double kept = 4 << 20;  // bytes
    double bytes = 0;
    for (const schedule::Ref& b : blocks)
      for (const Write& w : c.program().block(*schedule::block_of(c.build.state(), b)).writes) {
        double elements = 1;
        for (const Expr& e : c.program()[w.buffer].shape) elements *= static_cast<double>(loop::largest(c.program(), e));
        bytes += elements * static_cast<double>(bytes_of(c.program()[w.buffer].type));
      }
    if (bytes <= kept) return;
    first = true;
  }
  const auto stores = [&](const schedule::Ref& b) {
    const Block& block = c.program().block(*schedule::block_of(c.build.state(), b));
    return std::any_of(block.writes.begin(), block.writes.end(), [&](const Write& w) { return c.program()[w.buffer].scope == Scope::global; });
  };
  // 2: loads alone. By stores of that kind rows take a tenth longer, by loads prefix sums a fifth less (H200).
  const auto count = std::count_if(blocks.begin(), blocks.end(), stores);
  const bool apart = count > 0 && count < static_cast<std::ptrdiff_t>(blocks.size());
  const std::int64_t once = c.choose.choose(name + " once", apart ? std::vector<std::int64_t>{0, 1, 2} : std::vector<std::int64_t>{0, 1}, !first ? 0 : apart ? 2 : 1);
  if (once == 0) return;
  for (const schedule::Ref& b : blocks)
    if (once == 1 || !stores(b)) (void)c.build.try_add(schedule::CacheHint{{b}, loop::Hint::evict_first});
}

Form form_of(const Program& p, const Block& b) {
  Form f;
  for (const Write& w : b.writes)
    walk(w.value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>(); r && !r->index.empty()) f.reads.push_back(*r);
      if (const auto* u = e.as<Unary>()) {
        switch (u->op) {
          case UnOp::exp: case UnOp::log: case UnOp::tanh: case UnOp::erf: case UnOp::sin: case UnOp::cos: case UnOp::sigmoid: case UnOp::sqrt: case UnOp::rsqrt: ++f.transcendental; break;
          default: break;
        }
      }
      return true;
    });
  for (const Iter& i : b.iters) {
    AxisUse use;
    for (const Read& r : f.reads)
      use.in_read.push_back(std::any_of(r.index.begin(), r.index.end(), [&](const Expr& e) { return uses(e, i.var); }));
    f.axes.push_back(std::move(use));
    f.is_reduction |= i.kind == IterKind::reduce;
  }
  f.is_scan = loop::is_scan(b);
  // Every read that the reduction runs along must miss a spatial axis which another such read has.
  int reused = 0;
  for (std::size_t r = 0; r < f.reads.size(); ++r) {
    bool reduced = false, misses = false;
    for (std::size_t a = 0; a < b.iters.size(); ++a) {
      reduced |= b.iters[a].kind == IterKind::reduce && f.axes[a].in_read[r];
      const bool other = std::any_of(f.axes[a].in_read.begin(), f.axes[a].in_read.end(), [](std::uint8_t x) { return x; });
      misses |= b.iters[a].kind == IterKind::spatial && !f.axes[a].in_read[r] && other && constant_of(b.iters[a].upper) != 1;
    }
    reused += reduced && misses;
  }
  f.has_reuse = f.is_reduction && b.combiner == Reducer::sum && reused >= 2;
  (void)p;
  return f;
}

}  // namespace tecc::autotune
