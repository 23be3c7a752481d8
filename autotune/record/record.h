#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "autotune/record/conditions.h"
#include "autotune/search/choices.h"
#include "codegen/target.h"
#include "ir/base/errors.h"
#include "ir/base/median.h"

/// What is known about candidates that were tried. A failure has a reason and no time, so nothing can rank it.
namespace tecc::autotune {

/// How far a candidate came.
enum class Phase : std::uint8_t { lower, compile, load, run, timeout, died, wrong };
std::string_view name(Phase phase);
std::optional<Phase> parse_phase(std::string_view name);

struct Measured {
  std::vector<double> us;  // every repetition, in order
  Conditions conditions = {};
  bool operator==(const Measured&) const = default;
};
/// The refusal as a reader will want it years later: number and text, not a Code that another version may lack.
struct Failed {
  Phase phase = Phase::lower;
  std::string code;  // "E0405"
  std::string message;
  Conditions conditions = {};
  bool operator==(const Failed&) const = default;
};
Failed failed(Phase phase, const Refusal& why);
using Outcome = std::variant<Measured, Failed>;
const Conditions& conditions(const Outcome& outcome);
Conditions& conditions(Outcome& outcome);

struct Record {
  std::string workload;      // canonical hash of the bound expression
  std::string kernel, dims;  // for readers: "gemm", "M=64,N=64,K=64 T=bf16"
  std::string target;        // fingerprint()
  std::string device;        // for readers: "NVIDIA H100 80GB HBM3"
  std::string schedule;      // text; empty: the naive nest
  std::string trace_hash;    // 16 hex digits, names left out
  std::string program_hash;  // of the printed scheduled program: equal programs are one candidate
  Genome genome;
  Outcome outcome;
  int round = 0;  // 0: the search; 1: the finalists, timed side by side
  std::uint64_t seed = 0;
  std::string tool;        // version of tecc
  int features = 0;        // version of the features
  std::string expression;  // text of the kernel, which with `dims` makes the workload again; empty in older records
  std::string search;      // what proposed it: "random", "evolutionary", "prior"; empty: not known
  std::int64_t made = 0;   // seconds since 1970
  // The last three and the conditions of the outcome are not part of the identity.
  bool operator==(const Record&) const = default;
};

/// "cuda/sm_90a/132": what records of one machine have in common with builds for it elsewhere.
std::string fingerprint(const codegen::Target& target);
/// The part that all sizes of a chip share, "cuda/sm_90a/".
std::string fingerprint_family(const codegen::Target& target);

/// One line of JSON without a newline; parse_record() reads it back. E0506 with `file` and `line` for the message.
std::string json_line(const Record& record);
Result<Record> parse_record(const std::string& text, const std::string& file, std::int64_t line);
/// The lines of an export, empty ones left out. E0506.
Result<std::vector<Record>> parse_records(const std::string& text, const std::string& file);
/// Equal for records that say the same, whenever they were written: merging twice adds nothing.
std::string identity(const Record& record);
std::string genome_json(const Genome& genome);

}  // namespace tecc::autotune
