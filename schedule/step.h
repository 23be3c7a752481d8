#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "ir/base/errors.h"
#include "ir/loop/program.h"

/// Schedules: lists of steps. A step is a small value naming a primitive, loops or blocks, and numbers; its primitive's header
/// in schedule/primitive/ says what it does, keeps and refuses. Steps print, parse, replay and hash.
namespace tecc::schedule {

/// What a step names: a stage of the expression (its block, or its buffer), an input, or a result of an earlier step; with
/// `axis`, the n-th loop made with that block; or the n-th factor of a product. Never an id or a name, so that a trace replays on another shape.
struct Ref {
  enum class Base : std::uint8_t { stage, input, step, factor };
  Base base = Base::stage;
  std::uint32_t index = 0;   // of the stage or input in canonical order, or of the step
  std::uint32_t result = 0;  // step: which of its results
  std::optional<std::uint32_t> axis;
  bool operator==(const Ref&) const = default;
};

enum class Tail : std::uint8_t { guard, exact };
enum class Order : std::uint8_t { forward, longest_first };

template <class Step, class Member>
struct Field {
  std::string_view name;
  Member Step::*member;
  bool optional = false;
};
template <class Step, class Member>
Field(std::string_view, Member Step::*) -> Field<Step, Member>;
template <class Step, class Member>
Field(std::string_view, Member Step::*, bool) -> Field<Step, Member>;

#define TECC_STEP(NAME, ...)                          \
  static constexpr std::string_view name = NAME;      \
  static constexpr auto fields() { return std::tuple{__VA_ARGS__}; } \

struct Split {
  Ref loop;
  std::vector<std::int64_t> factors;
  Tail tail = Tail::guard;
  bool operator==(const Split&) const = default;
  TECC_STEP("split", Field{"loop", &Split::loop}, Field{"factors", &Split::factors}, Field{"tail", &Split::tail, true})
};
struct Fuse {
  Ref outer, inner;
  bool operator==(const Fuse&) const = default;
  TECC_STEP("fuse", Field{"outer", &Fuse::outer}, Field{"inner", &Fuse::inner})
};
struct Reorder {
  std::vector<Ref> loops;
  bool operator==(const Reorder&) const = default;
  TECC_STEP("reorder", Field{"loops", &Reorder::loops})
};
struct TileLoops {
  std::vector<Ref> loops;
  std::vector<std::int64_t> factors;
  bool operator==(const TileLoops&) const = default;
  TECC_STEP("tile", Field{"loops", &TileLoops::loops}, Field{"factors", &TileLoops::factors})
};
struct FuseKernels {
  Ref first, second;
  bool operator==(const FuseKernels&) const = default;
  TECC_STEP("fuse_kernels", Field{"first", &FuseKernels::first}, Field{"second", &FuseKernels::second})
};
struct Bind {
  std::vector<Ref> loops;
  loop::Group group = loop::Group::none;
  bool operator==(const Bind&) const = default;
  TECC_STEP("bind", Field{"loops", &Bind::loops}, Field{"group", &Bind::group})
};
struct Parallel {
  std::vector<Ref> loops;
  bool operator==(const Parallel&) const = default;
  TECC_STEP("parallel", Field{"loops", &Parallel::loops})
};
struct Vectorize {
  std::vector<Ref> loops;
  bool operator==(const Vectorize&) const = default;
  TECC_STEP("vectorize", Field{"loops", &Vectorize::loops})
};
struct Unroll {
  std::vector<Ref> loops;
  bool operator==(const Unroll&) const = default;
  TECC_STEP("unroll", Field{"loops", &Unroll::loops})
};
struct Inline {
  std::vector<Ref> blocks;
  bool operator==(const Inline&) const = default;
  TECC_STEP("inline", Field{"blocks", &Inline::blocks})
};
struct ReverseInline {
  Ref block;
  bool operator==(const ReverseInline&) const = default;
  TECC_STEP("reverse_inline", Field{"block", &ReverseInline::block})
};
struct ComputeAt {
  Ref block, loop;
  bool operator==(const ComputeAt&) const = default;
  TECC_STEP("compute_at", Field{"block", &ComputeAt::block}, Field{"loop", &ComputeAt::loop})
};
struct ReverseComputeAt {
  Ref block, loop;
  bool operator==(const ReverseComputeAt&) const = default;
  TECC_STEP("reverse_compute_at", Field{"block", &ReverseComputeAt::block}, Field{"loop", &ReverseComputeAt::loop})
};
struct CacheRead {
  std::vector<Ref> readers;
  Ref tensor;
  loop::Scope scope = loop::Scope::shared;
  Ref at;
  bool operator==(const CacheRead&) const = default;
  TECC_STEP("cache_read", Field{"readers", &CacheRead::readers}, Field{"tensor", &CacheRead::tensor},
            Field{"scope", &CacheRead::scope}, Field{"at", &CacheRead::at})
};
struct Pad {
  std::vector<Ref> readers;
  Ref tensor;
  std::int64_t multiple = 8;
  bool operator==(const Pad&) const = default;
  TECC_STEP("pad", Field{"readers", &Pad::readers}, Field{"tensor", &Pad::tensor}, Field{"multiple", &Pad::multiple})
};
struct CacheWrite {
  Ref block, tensor;
  loop::Scope scope = loop::Scope::local;
  Ref at;
  bool operator==(const CacheWrite&) const = default;
  TECC_STEP("cache_write", Field{"block", &CacheWrite::block}, Field{"tensor", &CacheWrite::tensor},
            Field{"scope", &CacheWrite::scope}, Field{"at", &CacheWrite::at})
};
struct SetScope {
  std::vector<Ref> blocks;
  loop::Scope scope = loop::Scope::local;
  bool operator==(const SetScope&) const = default;
  TECC_STEP("set_scope", Field{"blocks", &SetScope::blocks}, Field{"scope", &SetScope::scope})
};
struct SetLayout {
  Ref buffer;
  std::vector<std::int64_t> order;  // dimensions from slowest to fastest; empty: as declared
  std::int64_t pad = 0;             // elements added to the length of the fastest dimension
  bool operator==(const SetLayout&) const = default;
  TECC_STEP("set_layout", Field{"buffer", &SetLayout::buffer}, Field{"order", &SetLayout::order, true},
            Field{"pad", &SetLayout::pad, true})
};
struct DecomposeReduction {
  Ref block, loop;
  bool operator==(const DecomposeReduction&) const = default;
  TECC_STEP("decompose_reduction", Field{"block", &DecomposeReduction::block}, Field{"loop", &DecomposeReduction::loop})
};
struct Rfactor {
  Ref block, loop;
  bool operator==(const Rfactor&) const = default;
  TECC_STEP("rfactor", Field{"block", &Rfactor::block}, Field{"loop", &Rfactor::loop})
};
struct SplitReduction {
  Ref loop;
  std::int64_t parts = 2, multiple = 1;
  bool operator==(const SplitReduction&) const = default;
  TECC_STEP("split_reduction", Field{"loop", &SplitReduction::loop}, Field{"parts", &SplitReduction::parts},
            Field{"multiple", &SplitReduction::multiple, true})
};
struct CrossThreadReduce {
  std::vector<Ref> blocks;
  Ref at;
  bool operator==(const CrossThreadReduce&) const = default;
  TECC_STEP("cross_thread_reduce", Field{"blocks", &CrossThreadReduce::blocks}, Field{"at", &CrossThreadReduce::at})
};
struct Scan {
  std::vector<Ref> blocks;
  Ref at;
  bool operator==(const Scan&) const = default;
  TECC_STEP("scan", Field{"blocks", &Scan::blocks}, Field{"at", &Scan::at})
};
struct Pipeline {
  Ref loop;
  std::vector<Ref> buffers;
  std::int64_t slots = 2;
  bool operator==(const Pipeline&) const = default;
  TECC_STEP("pipeline", Field{"loop", &Pipeline::loop}, Field{"buffers", &Pipeline::buffers},
            Field{"slots", &Pipeline::slots, true})
};

struct Blockize {
  Ref loop;
  bool operator==(const Blockize&) const = default;
  TECC_STEP("blockize", Field{"loop", &Blockize::loop})
};
struct Tensorize {
  std::vector<Ref> blocks;
  loop::Via via = loop::Via::plain;
  bool swap = false;
  bool operator==(const Tensorize&) const = default;
  TECC_STEP("tensorize", Field{"blocks", &Tensorize::blocks}, Field{"via", &Tensorize::via}, Field{"swap", &Tensorize::swap, true})
};
struct CopyWith {
  std::vector<Ref> blocks;
  loop::Via via = loop::Via::plain;
  bool operator==(const CopyWith&) const = default;
  TECC_STEP("copy_with", Field{"blocks", &CopyWith::blocks}, Field{"via", &CopyWith::via})
};
struct CacheHint {
  std::vector<Ref> blocks;
  loop::Hint hint = loop::Hint::evict_first;
  bool operator==(const CacheHint&) const = default;
  TECC_STEP("cache_hint", Field{"blocks", &CacheHint::blocks}, Field{"hint", &CacheHint::hint})
};
struct Raster {
  Ref outer, inner;
  std::int64_t group = 8;
  Order order = Order::forward;
  bool operator==(const Raster&) const = default;
  TECC_STEP("raster", Field{"outer", &Raster::outer}, Field{"inner", &Raster::inner}, Field{"group", &Raster::group, true},
            Field{"order", &Raster::order, true})
};
struct Persist {
  Ref loop;
  bool operator==(const Persist&) const = default;
  TECC_STEP("persist", Field{"loop", &Persist::loop})
};
/// role(blocks, warpgroups, registers): a value of specialize.
struct Role {
  std::vector<Ref> blocks;
  std::int64_t warpgroups = 1, registers = 0;
  bool operator==(const Role&) const = default;
  TECC_STEP("role", Field{"blocks", &Role::blocks}, Field{"warpgroups", &Role::warpgroups, true}, Field{"registers", &Role::registers, true})
};
struct Specialize {
  std::vector<Role> roles;
  bool operator==(const Specialize&) const = default;
  TECC_STEP("specialize", Field{"roles", &Specialize::roles})
};

struct Online {
  std::vector<Ref> chain;
  Ref loop, at;
  bool operator==(const Online&) const = default;
  TECC_STEP("online", Field{"chain", &Online::chain}, Field{"loop", &Online::loop}, Field{"at", &Online::at})
};
/// `block: stage`: an entry of skew's map.
struct Stage {
  Ref block;
  std::int64_t by = 0;
  bool operator==(const Stage&) const = default;
};
struct Skew {
  Ref loop;
  std::vector<Stage> stage;
  std::vector<Ref> order;
  bool operator==(const Skew&) const = default;
  TECC_STEP("skew", Field{"loop", &Skew::loop}, Field{"stage", &Skew::stage}, Field{"order", &Skew::order})
};
struct TakeTurns {
  Ref loop;
  std::vector<Ref> critical;
  bool operator==(const TakeTurns&) const = default;
  TECC_STEP("take_turns", Field{"loop", &TakeTurns::loop}, Field{"critical", &TakeTurns::critical})
};
struct Reuse {
  Ref output, input;
  bool operator==(const Reuse&) const = default;
  TECC_STEP("reuse", Field{"output", &Reuse::output}, Field{"input", &Reuse::input})
};

struct Reverse {
  Ref loop;
  bool operator==(const Reverse&) const = default;
  TECC_STEP("reverse", Field{"loop", &Reverse::loop})
};
struct Partition {
  Ref loop;
  bool operator==(const Partition&) const = default;
  TECC_STEP("partition", Field{"loop", &Partition::loop})
};

struct Cluster {
  Ref loop;
  std::int64_t size = 2;
  bool operator==(const Cluster&) const = default;
  TECC_STEP("cluster", Field{"loop", &Cluster::loop}, Field{"size", &Cluster::size})
};

/// Every primitive, once: text form, replay and hash follow from this list.
using Step = std::variant<Split, Fuse, Reorder, Bind, Parallel, Vectorize, Unroll, Inline, ComputeAt, ReverseComputeAt,
                          CacheRead, CacheWrite, SetScope, SetLayout, DecomposeReduction, Rfactor, CrossThreadReduce, Pipeline,
                          Blockize, Tensorize, CopyWith, Raster, Persist, Specialize, Online, Skew, TakeTurns, Reuse, Reverse, Partition, Cluster,
                          SplitReduction, Pad, Scan, CacheHint, ReverseInline, TileLoops, FuseKernels>;
struct Traced {
  Step step;
  std::vector<std::string> names;  // what the user called the results; for printing
  CallSite at;
};
using Trace = std::vector<Traced>;

/// What a Ref stands for now.
struct Absent {};  // a result that is not there (compute_at: an axis whose extent is 1)
struct LoopHandle { loop::LoopId id; };
struct BlockHandle { loop::BlockId id; };
struct BufferHandle { TensorId id; };
using Handle = std::variant<Absent, LoopHandle, BlockHandle, BufferHandle>;

/// A program on its way: what the steps so far have made of the naive one.
struct State {
  loop::Program program;
  std::vector<std::vector<Handle>> results;  // one entry a step
};
struct Applied {
  loop::Program program;
  std::vector<Handle> results;
};

/// Resolving (resolve.cpp): E0301 loop gone (names what replaced it), E0302 block gone, E0303 absent result, E0304 wrong kind.
Result<loop::LoopId> loop_of(const State& s, const Ref& r);
std::optional<loop::LoopId> present_loop(const State& s, const Ref& r);  // loop_of without the words of a refusal, for who asks often
Result<loop::BlockId> block_of(const State& s, const Ref& r);
Result<TensorId> buffer_of(const State& s, const Ref& r);
Result<std::vector<loop::LoopId>> loops_of(const State& s, const std::vector<Ref>& r);
Result<std::vector<loop::BlockId>> blocks_of(const State& s, const std::vector<Ref>& r);

/// check() says whether a step may be applied; apply() requires that and gives the new program and the step's results.
/// Both are pure. One pair a primitive, in schedule/primitive/.
#define TECC_PRIMITIVE(S)                      \
  Check check(const State& state, const S& step); \
  Applied apply(const State& state, const S& step);
TECC_PRIMITIVE(Split)
TECC_PRIMITIVE(Fuse)
TECC_PRIMITIVE(Reorder)
TECC_PRIMITIVE(Bind)
TECC_PRIMITIVE(Parallel)
TECC_PRIMITIVE(Vectorize)
TECC_PRIMITIVE(Unroll)
TECC_PRIMITIVE(Inline)
TECC_PRIMITIVE(ComputeAt)
TECC_PRIMITIVE(ReverseComputeAt)
TECC_PRIMITIVE(CacheRead)
TECC_PRIMITIVE(CacheWrite)
TECC_PRIMITIVE(SetScope)
TECC_PRIMITIVE(SetLayout)
TECC_PRIMITIVE(DecomposeReduction)
TECC_PRIMITIVE(Rfactor)
TECC_PRIMITIVE(CrossThreadReduce)
TECC_PRIMITIVE(Pipeline)
TECC_PRIMITIVE(Blockize)
TECC_PRIMITIVE(Tensorize)
TECC_PRIMITIVE(CopyWith)
TECC_PRIMITIVE(Raster)
TECC_PRIMITIVE(Persist)
TECC_PRIMITIVE(Specialize)
TECC_PRIMITIVE(Online)
TECC_PRIMITIVE(Skew)
TECC_PRIMITIVE(TakeTurns)
TECC_PRIMITIVE(Reuse)
TECC_PRIMITIVE(Reverse)
TECC_PRIMITIVE(Partition)
TECC_PRIMITIVE(Cluster)
TECC_PRIMITIVE(SplitReduction)
TECC_PRIMITIVE(Pad)
TECC_PRIMITIVE(Scan)
TECC_PRIMITIVE(CacheHint)
TECC_PRIMITIVE(ReverseInline)
TECC_PRIMITIVE(TileLoops)
TECC_PRIMITIVE(FuseKernels)
#undef TECC_PRIMITIVE

/// Applies one step; a refusal leaves the state as it was.
Check run(State& state, const Step& step);
/// Applies all; the refusal carries the step's place and number.
Result<State> replay(const loop::Program& naive, const Trace& trace);

/// Text (text.cpp): `i0, i1 = split(C.sum.i, 128)`; the grammar is in docs/schedules.md. Stage and axis names are those of the
/// naive program. E0330 .. E0339 with line and column.
Result<Trace> parse(const Source& source, const loop::Program& naive);
std::string print(const Trace& trace, const loop::Program& naive);
/// Structural, free of user names.
std::uint64_t hash(const Trace& trace);

}  // namespace tecc::schedule
