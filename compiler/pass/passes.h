#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"
#include "ir/loop/cluster.h"
#include "ir/loop/program.h"
#include "ir/loop/verify.h"

/// Lowering: from a `scheduled` program (what steps leave) to what an emitter prints. A pipeline is a table of passes; each
/// pass is one file, named as its function and its log word.
namespace tecc::compiler {

/// What the machine offers; from a device's spec (targets/*.json) or from the device itself.
struct Limits {
  bool gpu = true;                        // bound loops run in parallel; false: in series, on a CPU
  std::int64_t threads_per_block = 1024;
  std::int64_t shared_bytes = 232448;     // a block
  std::int64_t registers = 255;           // a thread, 32 bit each
  std::string arch = "sm_90a";
  /// Names of the instructions that exist (instruction_names()), from a device file; without a list those that came with `arch`.
  std::optional<std::vector<std::string>> instructions;
  bool has(std::string_view instruction) const;
};

/// Tile statements get their instructions, the loops of a tile are cut into threads, registers and repetitions, the buffers they touch
/// get layouts: E0416 to E0420, E0422; E0462.
Result<loop::Program> choose_instructions(loop::Program p, const Limits& limits);
/// specialize: statements get their roles. E0423.
Result<loop::Program> assign_roles(loop::Program p, const Limits& limits);
/// skew: statements stand in the order in which they run, with their stages.
Result<loop::Program> skew_statements(loop::Program p, const Limits& limits);
/// Pipelines are carried out by what their producers and consumers ask for; events stand where slots change hands. E0421.
Result<loop::Program> realise_channels(loop::Program p, const Limits& limits);
/// Kernels after the first begin while the one before ends, where the device can do that.
Result<loop::Program> overlap_kernels(loop::Program p, const Limits& limits);
/// Every instruction that the program uses exists on the device: E0430. A table of who needs what; the program stays as it is.
Result<loop::Program> check_instructions(loop::Program p, const Limits& limits);
/// Events become operations on barriers and on groups of asynchronous work.
Result<loop::Program> lower_events(loop::Program p, const Limits& limits);

using PassFunction = Result<loop::Program> (*)(loop::Program, const Limits&);
struct Pass {
  std::string_view name;
  PassFunction function;
  loop::Level leaves;  // verified after it
};

/// Every reduction that initialises itself gets a block that stores the identity before its outermost reduction loop.
Result<loop::Program> decompose_reductions(loop::Program p, const Limits& limits);
/// scan: each thread scans its own elements, the threads' totals are scanned, then each adds what came before. E0446.
Result<loop::Program> scan_threads(loop::Program p, const Limits& limits);
/// cross_thread_reduce: partial results in registers, then a Combine statement. E0402 the loops bound to threads do not form
/// one run of thread numbers. On a CPU nothing is left to do.
Result<loop::Program> combine_threads(loop::Program p, const Limits& limits);
/// pipeline: the copies of the next iteration run ahead. E0403 the loop's digits do not line up; E0404 slots.
Result<loop::Program> pipeline_copies(loop::Program p, const Limits& limits);
/// Buffers that are not global get their smallest rectangular storage. E0401 a private buffer that other threads read;
/// E0405 shared memory, E0406 registers exceeded.
Result<loop::Program> place_buffers(loop::Program p, const Limits& limits);
/// The bytes of shared memory that a block of the kernel takes, barriers of channels included: what place_buffers compares with the device's
/// limit, emitters ask for, and a search may count on. Of a program as place_buffers leaves it.
std::int64_t shared_bytes(const loop::Program& p, loop::StmtId root);
/// The bytes that a shared buffer takes, all slots and copies.
std::int64_t shared_bytes(const loop::Program& p, const loop::Buffer& b);
/// True if the two take bytes of shared memory of which some are the same, without a step `reuse` that says so. Of one kernel.
bool share_bytes(const loop::Program& p, TensorId a, TensorId b);
/// The storage that place_buffers would give the buffer now.
Result<loop::Storage> storage_of(const loop::Program& p, TensorId buffer, bool gpu);
/// Guards that must be tested at run time become part of the blocks.
Result<loop::Program> insert_guards(loop::Program p, const Limits& limits);
/// __syncthreads where threads hand data to each other. E0407 a barrier would stand in divergent code.
Result<loop::Program> insert_barriers(loop::Program p, const Limits& limits);
/// The shape of each kernel: block loops outermost, E0408; threads within limits, E0409; reductions across threads covered,
/// E0410.
Result<loop::Program> check_groups(loop::Program p, const Limits& limits);

std::span<const Pass> gpu_pipeline();
std::span<const Pass> cpu_pipeline();
/// How long a step of building took, its verification included.
struct Spent {
  std::string step;
  double ms;
};
/// Runs a pipeline and the verifier after every pass (B0902); with `dump` not empty every stage is written to DIR/NN_name.ir. `spent`, if
/// given, gets a row a pass.
Result<loop::Program> lower(loop::Program p, const Limits& limits, const std::string& dump = {}, std::vector<Spent>* spent = nullptr);

/// A program as it stands after one of the passes, or `scheduled`: before them.
struct Stage {
  std::string after;
  loop::Program program;
};
/// A stage as --dump-ir writes it: a line that says after which pass, then the program.
std::string print(const Stage& stage);
/// Reads such a text; the program is verified as after that pass. E0432 without the line or of another pipeline, E01xx, E0433.
Result<Stage> parse_stage(const Source& source, const Limits& limits);
/// The passes behind the stage.
Result<loop::Program> lower_from(Stage stage, const Limits& limits, const std::string& dump = {}, std::vector<Spent>* spent = nullptr);
/// The stage in front of the first of `passes` that breaks the program (B0902) or throws: print() of it is what reproduces the bug.
/// nullopt if none does, or one refuses.
std::optional<Stage> before_bug(Stage stage, const Limits& limits, std::span<const Pass> passes);

/// The shared memory that threads meet in where shuffles do not reach (needs_scratch); one place where they do.
TensorId add_scratch(loop::Program& p, const std::string& name, const loop::Combine& combine, const Limits& limits);

// ---- questions about a kernel that passes and emitters share ----------------------------------------------------------
/// Loops bound to a group on the path to `s`, outermost first.
std::vector<loop::LoopId> bound_loops(const loop::Program& p, loop::StmtId s, loop::Group group);
/// The loops over blocks of a cluster for whose iterations a bulk load fetches the same: each block fetches a part of it for all (multicast).
std::vector<loop::RankLoop> sharers_of(const loop::Program& p, loop::BlockId b);
/// Those of the copies into a channel's slots, where there are any.
std::vector<std::vector<loop::RankLoop>> sharings_of(const loop::Program& p, const loop::Channel& c);
std::vector<loop::LoopId> thread_loops(const loop::Program& p, loop::StmtId s);
/// A thread's iteration of loop `l` is thread number / thread_weight(l) % extent.
std::int64_t thread_weight(const loop::Program& p, loop::LoopId l);
/// Each iteration of a loop bound to threads has the threads that the loops inside of it run through: E0462.
Check check_threads_fit(const loop::Program& p, loop::StmtId root);
/// The topmost such loop around or at `s`; nullopt if none.
std::optional<loop::LoopId> thread_nest(const loop::Program& p, loop::StmtId s);
/// How many threads the loops on the path to `s` span.
std::int64_t threads_at(const loop::Program& p, loop::StmtId s);
/// Threads of a block of the kernel: the largest nest.
std::int64_t threads_of(const loop::Program& p, loop::StmtId root);
/// A digit of a thread-bound loop as a digit of the thread number: (tid / div) % mod * stride.
struct ThreadDigit {
  std::int64_t div, mod, stride;
  auto operator<=>(const ThreadDigit&) const = default;
};
std::optional<ThreadDigit> thread_digit(const loop::Program& p, const loop::Digit& d);
/// True if the buffer has a place for several iterations of its slot loop, or passes through a channel.
bool rotates(const loop::Buffer& b);
/// How many copies of a shared buffer a block has, besides its slots: one for each iteration of Storage::owners.
std::int64_t copies_of(const loop::Program& p, const loop::Buffer& b);
/// True if the loop holds still for buffer storage (see loop::Storage).
bool holds_still(const loop::Program& p, const loop::Buffer& b, loop::LoopId l);

}  // namespace tecc::compiler
