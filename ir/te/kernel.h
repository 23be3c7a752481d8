#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/errors.h"
#include "ir/expr.h"

/// Tensor expressions: what to compute. Purely functional; the grammar and its meaning are in docs/language.md.
namespace tecc::te {

enum class VarKind : std::uint8_t { dim, integer, let, axis };

struct Variable {
  std::string name;
  VarKind kind;
  Expr value;  // let: its definition
  CallSite at;
};

struct Tensor {
  std::string name;
  TypeRef type;             // of a stage: set by bind()
  std::vector<Expr> shape;  // of a parameter: as written; of a stage: the extents of its axes
  bool by_value = false;    // a scalar parameter (no brackets)
  CallSite at;
};

struct Stage {
  TensorId tensor;
  std::vector<Axis> axes;
  Expr body;
  CallSite at;
};

/// A kernel as written (generic) or after bind() (see bind.h). Stages stand in order of definition, each before its uses.
struct Kernel {
  std::string name;
  std::vector<std::string> type_parameters;
  std::vector<Variable> variables;  // indexed by VarId
  std::vector<Tensor> tensors;      // indexed by TensorId
  std::vector<TensorId> inputs;     // parameters in order
  std::vector<VarId> dims;          // in order of introduction
  std::vector<VarId> integers;      // the names after `;`
  std::vector<Stage> stages;
  std::vector<TensorId> outputs;
  CallSite at;

  const Variable& operator[](VarId v) const { return variables[v.n]; }
  const Tensor& operator[](TensorId t) const { return tensors[t.n]; }
  const Stage* stage_of(TensorId t) const {
    for (const Stage& s : stages)
      if (s.tensor == t) return &s;
    return nullptr;
  }
};

/// `.te` text to kernels, in order of definition. E01xx with line and column.
Result<std::vector<Kernel>> parse(const Source& source);
/// The text that parses back to the same kernel.
std::string print(const Kernel& kernel);
Names names_of(const Kernel& kernel);

/// The value of a dim: fixed, or a runtime argument with its legal range.
struct DimRange {
  std::int64_t min = 1, max = 1, multiple_of = 1;
  bool fixed() const { return min == max; }
  bool operator==(const DimRange&) const = default;
};
struct Bindings {
  std::map<std::string, DimRange> dims;  // dims and integer parameters
  std::map<std::string, DType> types;
  std::map<std::string, std::int64_t> align = {};  // bytes that the caller promises of an input's or output's pointer; else 16
};
/// "M=4096,N=1..65536:8", "T=bf16" and "X=4"; E0201, E0202, E0209 for text that is not that.
Result<std::map<std::string, DimRange>> parse_dims(const std::string& text);
Result<std::map<std::string, DType>> parse_type_bindings(const std::string& text);
Result<std::map<std::string, std::int64_t>> parse_alignments(const std::string& text);

/// A kernel whose types are concrete, whose nodes are typed, whose lets, integers and fixed dims are folded into literals.
/// Runtime dims stay variables of kind dim with a range. Reductions may still stand anywhere in bodies.
struct Bound {
  Kernel kernel;
  Bindings bindings;
  std::map<VarId, DimRange> runtime;     // the dims that are arguments
  std::vector<std::string> constraints;  // formulas of runtime dims that must be 0: "N % 8"
  std::vector<std::string> warnings;     // unused stages
};
/// Checks everything that can be checked without running: names of dims and types, shapes, types of operands, reads in
/// bounds (for every allowed value of a runtime dim). E02xx.
Result<Bound> bind(const Kernel& kernel, const Bindings& bindings);

/// After lift(): every Reduce is the whole body of its stage. A stage that was nothing but a reduction is the reduction;
/// others get hidden stages named like `C.sum`, `C.sum2` over the axes they use. Means are sums divided by the extent, sums
/// and products of f16, bf16 and fp8 run in f32, prefix sums are scans, equal stages are one.
/// A stage that is no output and nothing but a reduction keeps only the axes it uses, and what remains to be done to its
/// elements (the division of a mean, the cast back of a widened sum, the shift of a scan) is done where they are read:
/// whether a reduction has a stage of its own makes no difference.
struct LiftedStage {
  TensorId tensor;
  std::vector<Axis> axes;          // spatial
  std::optional<Reducer> reducer;  // absent: elementwise
  std::vector<Axis> reduce_axes;   // for a scan: empty, its axis is axes.back()
  bool scan = false;               // running reduction along axes.back(): value[.., k] = value[.., k-1] (+) body
  Expr body;                       // free of Reduce
  bool hidden = false;
  CallSite at;
};
struct Lifted {
  Kernel
      kernel;  // tables of variables (dims first) and tensors (inputs first), numbered in order of use; `stages` is empty
  std::map<VarId, DimRange> runtime;
  Bindings bindings;
  std::vector<std::string> constraints;
  std::vector<LiftedStage> stages;  // in order of first use from the outputs, depth first; unused stages dropped

  const LiftedStage* stage_of(TensorId t) const {
    for (const LiftedStage& s : stages)
      if (s.tensor == t) return &s;
    return nullptr;
  }
};
Lifted lift(const Bound& bound);
/// For reading, close to the text form; the axis of a scan is the last of its stage: `Y[i: M, j: N]: f32 = sum scan(X[i, j])`.
std::string print(const Lifted& lifted);
/// What a reduction over nothing gives: sum 0, prod 1, max -inf or lowest, min highest, any false, all true, argmax -1.
Expr neutral(Reducer op, DType type);

/// Name-free, order-free canonical hash of the lifted expression and of the types (dims included only as structure; fixed
/// dims by value), and of alignments other than 16. Equal for renamed kernels and reordered independent stages. 64 hex digits (SHA-256).
std::string hash(const Lifted& lifted);

}  // namespace tecc::te
