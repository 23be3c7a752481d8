#pragma once
#include <span>
#include <string_view>

#include "autotune/rule/builder.h"
#include "autotune/search/choices.h"
#include "codegen/target.h"

/// The space of schedules: rules look at the form of blocks and at the target, never at names of operators, and write steps
/// whose numbers are choices. Rules run in the order of the table; each takes the stages it knows how to treat.
namespace tecc::autotune {

struct Context {
  const codegen::Target& target;
  Chooser& choose;
  Builder& build;
  std::vector<std::uint8_t> done;  // by stage: a rule has scheduled it

  const loop::Program& program() const { return build.program(); }
  bool alive(std::uint32_t stage) const { return program().stmts.has(program().stages[stage].block); }
  const loop::Block& block(std::uint32_t stage) const { return program().block(program().stages[stage].block); }
};

struct Rule {
  std::string_view name;
  Check (*apply)(Context&);
};

/// Elementwise stages into their readers, where computing them again is cheap.
Check inline_elementwise(Context& c);
/// A product of weights that reductions make out of another product: both in one loop, with running values.
Check cascades(Context& c);
/// Sums of products on matrix instructions: tiles in shared memory ahead of the warpgroups that multiply them, with what follows the sum.
Check matrix_products(Context& c);
/// The others whose types have a matrix instruction that reads registers (mma.sync): warps of a block, each with a tile of its own.
Check warp_products(Context& c);
/// Reductions with reuse: each input is invariant along some output axis. Multi-level tiles, copies in fast memory, and the
/// elementwise stages that follow.
Check tile_contractions(Context& c);
/// Reductions along rows with what surrounds them: one kernel a group, a team of threads a row, the row kept in registers.
Check rows(Context& c);
/// Prefix scans: a team of threads a row, or a thread a row.
Check scans(Context& c);
/// Elementwise stages that read across rows: tiles in shared memory.
Check transpositions(Context& c);
/// What is left: elementwise stages, and reductions without other form, one thread an element.
Check elementwise(Context& c);

std::span<const Rule> all_rules();

struct Candidate {
  schedule::Trace trace;
  schedule::State state;
  Genome genome;
};
/// One point of the space. A refusal means that the choices do not go together.
Result<Candidate> propose(const loop::Program& naive, const codegen::Target& target, Chooser choose);

/// A decision: blocks that use what they touch in memory once, all of them or those that load, leave L2 to others (cache_hint); on CPUs results go past the cache. `first` is where a search begins: on an H100
/// behind a kernel that left L2 dirty, 0.5 GB of rows, elements or transposed tiles take 3 to 6 % longer so, scans 3 % less, and the
/// weights of products with 16 rows 3 to 4 % less.
void decide_once(Context& c, const std::string& name, const std::vector<schedule::Ref>& blocks, bool first = false);

// ---- what rules ask of a block ------------------------------------------------------------------------------------------
struct AxisUse {
  std::vector<std::uint8_t> in_read;  // one flag a read: the axis appears in its index
};
/// The reads of a block's value, and for each iteration which of them mention it.
struct Form {
  std::vector<Read> reads;
  std::vector<AxisUse> axes;  // as Block::iters
  bool is_reduction = false, is_scan = false;
  /// Two reads or more, each invariant along some spatial axis that another one uses.
  bool has_reuse = false;
  int transcendental = 0;  // exp, tanh, ... in the value
};
Form form_of(const loop::Program& p, const loop::Block& b);

}  // namespace tecc::autotune
