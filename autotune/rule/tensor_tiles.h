#pragma once
#include <functional>

#include "autotune/rule/rules.h"
#include "ir/instruction/instruction.h"
#include "ir/loop/affine.h"
#include "ir/number.h"

/// What the rules that use matrix instructions share.
namespace tecc::autotune {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The options that fit; the first one where none does, so that there is something to refuse.
inline std::vector<std::int64_t> those(const std::vector<std::int64_t>& all, const std::function<bool(std::int64_t)>& fits) {
  std::vector<std::int64_t> out;
  for (std::int64_t v : all)
    if (fits(v)) out.push_back(v);
  if (out.empty()) out.push_back(all.front());
  return out;
}

inline bool in(const tecc::Read& r, VarId v) {
  return std::any_of(r.index.begin(), r.index.end(), [&](const Expr& e) { return uses(e, v); });
}

constexpr std::int64_t box_bytes = 16;  // what bulk copies want rows to be multiples of

/// Plain indices into a whole tensor in global memory, whose rows and pointer are multiples of so many bytes.
inline bool reaches(const loop::Program& p, const tecc::Read& r, std::int64_t bytes) {
  const loop::Buffer& b = p[r.tensor];
  if (b.scope != loop::Scope::global || b.by_value || r.otherwise || b.shape.size() > 5 || b.alignment % bytes) return false;
  for (const Expr& e : r.index)
    if (!e.as<Var>()) return false;
  return loop::known_divisor(p, b.shape.back()) * bytes_of(b.type) % bytes == 0;
}
/// By tensor maps.
inline bool boxes_reach(const loop::Program& p, const tecc::Read& r) { return reaches(p, r, box_bytes); }

/// True if the device has what tiles of tensor cores live on besides their products: copies by tensor maps, barriers for them, and roles.
inline bool feeds_tensor_cores(const compiler::Limits& l) { return l.has("bulk_tensor") && l.has("mbarrier") && l.has("setmaxnreg"); }

/// The loop that a follower of the sum has for an axis of the sum: by the read of its result.
inline std::optional<std::size_t> axis_in(const Context& c, loop::BlockId sum, const loop::Block& follower, std::size_t axis) {
  const loop::Block& b = c.program().block(sum);
  std::size_t dim = 0;
  for (; dim < b.writes[0].index.size(); ++dim)
    if (const auto* v = b.writes[0].index[dim].as<Var>(); v && v->id == b.iters[axis].var) break;
  for (const tecc::Read& r : form_of(c.program(), follower).reads) {
    if (r.tensor != b.writes[0].buffer || dim >= r.index.size()) continue;
    const auto* v = r.index[dim].as<Var>();
    for (std::size_t l = 0; v && l < follower.iters.size(); ++l)
      if (follower.iters[l].var == v->id) return l;
  }
  return std::nullopt;
}

/// Registers a thread of the role that loads and of a role of `groups` warpgroups that multiply, where an SM runs `residents` such blocks at
/// once: multiples of 8, and together no more than the threads of a block start with.
struct Share {
  std::int64_t start, loader, consumer;  // what all threads start with, and what they have then
  /// ptxas wants the sums of one wgmma and some more within what threads start with.
  bool carries(std::int64_t columns) const { return columns / 2 + 26 <= start; }
};
/// `by_threads`: the loaders copy elements themselves, and need registers for the addresses of the copies in flight (with 40 of them instead
/// of 56 a product of 777 x 1999 x 1234 takes twice as long).
inline Share share_of(std::int64_t groups, std::int64_t residents = 1, bool by_threads = false) {
  constexpr std::int64_t of_a_thread = 512, most = 248;  // 65536 registers an SM for 128 threads; what setmaxnreg gives
  const std::int64_t start = std::min<std::int64_t>(of_a_thread / residents / (groups + 1), 255) / 8 * 8, all = start * (groups + 1);
  Share out{start, by_threads ? (residents == 1 ? 56 : 40) : residents == 1 ? 32 : 24, 0};
  out.consumer = std::min((all - out.loader) / groups / 8 * 8, most);
  out.loader = std::min<std::int64_t>(all - groups * out.consumer, 56) / 8 * 8;
  return out;
}

}  // namespace tecc::autotune
