#pragma once
#include <algorithm>

#include "ir/loop/affine.h"
#include "schedule/step.h"

/// What several primitives share: retiring a loop, making a nest for a region, saying names.
namespace tecc::schedule {

using loop::Binding;
using loop::Block;
using loop::BlockId;
using loop::Buffer;
using loop::Digit;
using loop::Group;
using loop::Iter;
using loop::IterKind;
using loop::Loop;
using loop::LoopId;
using loop::LoopKind;
using loop::Program;
using loop::Region;
using loop::Root;
using loop::Scope;
using loop::Stmt;
using loop::StmtId;
using loop::Tile;
using loop::Via;
using loop::Write;

inline std::string say(const Program& p, LoopId l) { return loop::loop_name(p, l); }
inline const std::string& say_block(const Program& p, BlockId b) { return p.block(b).name; }
/// "'i', 'j' or 'k'"; "none" for an empty list.
std::string say_list(const std::vector<std::string>& names);

using loop::retire;

/// Loops for the varying part of some regions, nested under `parent` at `position` in the order of the regions; returns for
/// each region its loop (absent when it would run once), the binding fixed + varying, and the innermost place.
struct RegionNest {
  std::vector<std::optional<LoopId>> loops;
  std::vector<Binding> bindings;
  StmtId innermost;
};
struct RegionAxis {
  std::string name;
  Region region;
  Expr extent;             // the whole dimension: from lower to here
  std::int64_t lower = 0;  // below 0 where a copy also holds what lies outside of its tensor
};
RegionNest make_nest(Program& p, StmtId parent, std::size_t position, const std::vector<RegionAxis>& axes, CallSite at);

/// The n-th iteration of a block over a region of its own. The whole of a ragged axis has an extent that follows the block's earlier
/// iterations: here it runs to its largest value, and a guard cuts the rest.
RegionAxis own_axis(const Program& p, const Block& b, std::size_t n, Region region);
/// Gives a detached block (its row, with the loops that it had) a nest of these axes under `l` at `position`. Returns its loops.
std::vector<std::optional<LoopId>> move_into_nest(Program& p, BlockId id, Stmt row, LoopId l, std::size_t position, const std::vector<RegionAxis>& axes);

/// A block that copies a tensor, one iteration a dimension, and the buffer on the other side of it.
struct Copy {
  TensorId buffer;
  Block block;                   // without its write
  std::vector<RegionAxis> axes;  // what it runs over, one a dimension
  std::vector<Expr> index;       // of an element, in both
};
/// The buffer is called after the tensor and the word; the block too, until the caller names it.
Copy make_copy(Program& p, TensorId tensor, const std::string& word, Scope scope, const std::vector<Region>& regions);
/// A ragged block `b`, which writes the tensor, leaves elements of its box unwritten: the copy does not touch them.
void follow_ragged(const Block& b, TensorId tensor, Copy& copy);
/// Puts the block, with this value written to `to`, into a nest under `l` at `position`.
BlockId place_copy(Program& p, Copy copy, TensorId to, Expr value, LoopId l, std::size_t position);

/// True while the loops around (and including) `place` hold still.
std::function<bool(LoopId)> fixed_around(const Program& p, StmtId place);

/// The smallest region that holds both; falls back to the whole dimension.
Region hull(const Program& p, const Region& a, const Region& b);

/// The part of `tensor` that `reader` reads while `fixed` loops hold still, one region a dimension.
std::vector<Region> read_region(const Program& p, BlockId reader, TensorId tensor, const std::function<bool(LoopId)>& fixed);

/// Calls f on every read of `tensor` in the block's values, indices and predicate.
void for_each_read(const Block& b, TensorId tensor, const std::function<void(const tecc::Read&)>& f);
/// Rewrites values, indices and predicate of a block.
void rewrite_block(Block& b, const std::function<Expr(const Expr&)>& f);

/// The outermost loop around `b` (inside `within`, if given) that feeds one of its reduce or scan iterations.
std::optional<LoopId> outermost_reduction_loop(const Program& p, BlockId b);

/// Of a sum that begins anew whenever its outermost reduction loop does: one of the loops `inside`, which lie or come to lie inside of that one,
/// whose iterations run instances of it again, so that they would count several times. Largest and smallest values stay what they are.
std::optional<LoopId> counted_again(const Program& p, BlockId sum, const std::vector<LoopId>& inside);

/// Everything under the loops of `b` that is not `b`: the loops up to the first one that also holds something else.
/// nullopt if the whole nest up to its root holds only `b`.
std::optional<StmtId> company_of(const Program& p, BlockId b);

/// A loop whose extent follows others comes to run to `extent`, with the loops `gone` no longer around it. Blocks whose domains do not cut what
/// is new (a copy of the part that the loop runs over) may not read what the kernel computes part by part: E0321.
Check check_widened(const Program& p, LoopId l, const std::function<bool(LoopId)>& gone);

/// A block of the kernel outside of `at` that uses what `sum` writes, where threads may combine that once only (reduction.cpp): each iteration
/// of `at` would combine again what all of them share. Largest and smallest values stay what they are.
std::optional<BlockId> used_outside(const Program& p, BlockId sum, LoopId at);

/// True if one copy directly inside `l` fills `b` for readers beside it (pipeline.cpp).
bool fills_ahead(const Program& p, LoopId l, TensorId b);

/// True if the block also writes places outside of the buffer's shape: a copy of reads with an `else`. Global memory has none.
bool has_rim(const Program& p, BlockId b);

std::vector<Handle> loop_handles(const std::vector<std::optional<LoopId>>& loops);

}  // namespace tecc::schedule
