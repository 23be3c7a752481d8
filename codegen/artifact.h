#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "codegen/formula.h"
#include "ir/type.h"

// The launch contract: what an artifact says about itself in NAME.json. A foreign program that knows the contract needs
// nothing else of tecc. Formulas are kept as their text (codegen/formula.h); verify() parses every one of them.
namespace tecc {

inline constexpr int contract_version = 1;

struct ContractDim {
  std::string name;
  std::optional<std::int64_t> value;  // fixed when building; otherwise a runtime argument with the limits below
  std::int64_t min = 1;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::int64_t multiple_of = 1;
  bool operator==(const ContractDim&) const = default;
};

enum class Role : std::uint8_t { input, inout, output, constant, scalar, workspace };
std::string_view name(Role role);

struct ContractBuffer {
  std::string name;
  Role role = Role::input;
  std::optional<DType> dtype;               // none for a workspace
  std::vector<std::string> shape, strides;  // formulas, strides in elements; empty for scalars and workspaces
  std::int64_t align = 1;                   // bytes
  std::optional<std::string> may_alias;     // outputs: the input whose storage it may share
  // constant: where its bytes lie, relative to the JSON file
  std::optional<std::string> file, sha256;
  std::string offset = "0";                      // bytes into `file`
  std::string bytes;                             // formula: size of a constant or a workspace
  bool zero_before = false, zero_after = false;  // workspace
  bool operator==(const ContractBuffer&) const = default;
};

/// A pointer into a buffer.
struct BufferArg {
  std::string buffer;
  std::string offset_bytes = "0";
  bool operator==(const BufferArg&) const = default;
};

/// The arguments of cuTensorMapEncodeTiled, innermost dimension first; 128 bytes passed by value.
struct TensorMapArg {
  std::string buffer;
  std::string offset_bytes = "0";
  DType dtype = DType::f32;                      // tf32 is allowed here
  std::vector<std::string> dims, strides_bytes;  // formulas; one stride less than dims
  std::vector<std::int64_t> box, element_strides;
  std::string interleave = "none";    // none, 16B, 32B
  std::string swizzle = "none";       // none, 32B, 64B, 128B
  std::string l2_promotion = "none";  // none, 64B, 128B, 256B
  std::string oob_fill = "zero";      // zero, nan
  bool operator==(const TensorMapArg&) const = default;
};

/// The words of a tensor map as the driver's enumerations number them (CUtensorMapDataType and the rest).
struct TensorMapCodes {
  int type = 0, interleave = 0, swizzle = 0, l2_promotion = 0, oob_fill = 0;
};
TensorMapCodes codes(const TensorMapArg& map);

/// A value: a formula, the name of a scalar buffer, or a number.
struct ScalarArg {
  DType type = DType::i32;  // i32 i64 f32 f64
  std::variant<std::string, std::int64_t, double> value;
  bool operator==(const ScalarArg&) const = default;
};
using LaunchArg = std::variant<BufferArg, TensorMapArg, ScalarArg>;

struct CudaLaunch {
  std::string kernel;                                 // the symbol
  std::string image;                                  // cubin, relative to the JSON file
  std::optional<std::string> ptx;                     // the fallback of a forward-compatible variant
  std::array<std::string, 3> grid = {"1", "1", "1"};  // formulas
  std::array<std::int64_t, 3> block = {1, 1, 1}, cluster = {1, 1, 1};
  std::int64_t shared_bytes = 0;  // dynamic
  bool cooperative = false, programmatic_dependent = false;
  std::vector<LaunchArg> args;
  bool operator==(const CudaLaunch&) const = default;
};

/// int32_t symbol(void* const* buffers, const int64_t* dims, int64_t task), for task in 0..tasks. `buffers` has one
/// pointer for every buffer in contract order (a scalar's points to its value), `dims` one value for every dim in contract
/// order, fixed ones included. A scalar's value is in its own type, 8- and 16-bit floats as f32. 0 is success. Tasks may run in any order and at once.
struct CpuLaunch {
  std::string object, symbol;
  std::string tasks = "1";  // formula
  bool operator==(const CpuLaunch&) const = default;
};
using Launch = std::variant<CudaLaunch, CpuLaunch>;

struct CudaIsa {
  std::string arch;                 // as nvcc spells it: sm_80, sm_90a
  bool forward_compatible = false;  // newer chips may compile the PTX
  bool operator==(const CudaIsa&) const = default;
};
struct CpuIsa {
  std::string triple, features;
  bool operator==(const CpuIsa&) const = default;
};

struct Variant {
  /// What must hold beyond the target, for this variant to be used.
  struct When {
    std::vector<std::pair<std::string, std::int64_t>> multiple_of, min, max;  // of dims
    std::vector<std::pair<std::string, std::int64_t>> align;                  // of buffers, bytes
    bool operator==(const When&) const = default;
  };
  std::variant<CudaIsa, CpuIsa> target;
  When when;
  std::vector<Launch> once;      // run when bound, before the first launch
  std::vector<Launch> launches;  // run in order, on one stream
  bool operator==(const Variant&) const = default;
};

struct Numerics {
  std::string accumulate = "f32";
  double rtol = 0, atol = 0;
  bool deterministic = true, verified = false;
  bool operator==(const Numerics&) const = default;
};

struct Contract {
  std::string name;
  std::string tecc_version, toolkit;  // made_by; `toolkit` may be empty (CPU)
  std::vector<std::pair<std::string, DType>> types;
  std::vector<ContractDim> dims;
  std::vector<std::string> constraints;
  std::vector<ContractBuffer> buffers;  // in call order
  std::vector<Variant> variants;
  Numerics numerics;
  std::optional<std::string> expression, schedule, record;
  bool operator==(const Contract&) const = default;

  const ContractBuffer* find_buffer(std::string_view name) const;
  const ContractDim* find_dim(std::string_view name) const;
};

/// Deterministic: fixed field order, nothing of time, host or path. Ends with a newline.
std::string to_json(const Contract& contract);
/// E0610; `file` is for the message. Unknown fields are ignored (the schema may grow), another version is refused.
Result<Contract> parse_contract(std::string_view json, std::string_view file);
/// E0601, E0610.
Result<Contract> read_contract(const std::string& path);
/// E0610: names are unique, every formula parses and reads only dims and sm_count, arguments name buffers, ranks agree.
Check verify(const Contract& contract);

/// "1..65536 in steps of 8": what a runtime dim may be.
std::string range_text(const ContractDim& dim);
/// How many bytes from a buffer's address to the end of its last element, as a formula (0 where an extent is 0).
std::string size_formula(const Contract& contract, const ContractBuffer& buffer);

/// The values of all dims: fixed ones from the contract, runtime ones from `given`. E0615 outside the contract or missing,
/// E0616 for a constraint. `sm_count` is copied from `given` when there.
Result<Env> bind_dims(const Contract& contract, const Env& given);

/// What a variant is matched against.
struct CudaTarget {
  int major = 0, minor = 0;
};
struct CpuTarget {
  std::string triple;
};  // empty: any
using DeviceTarget = std::variant<CudaTarget, CpuTarget>;

/// How code for `arch` gets onto a device: as its cubin, by compiling its PTX, or not at all. 'a' architectures are exact,
/// 'f' ones and plain cubins run on the same major and a minor not lower.
enum class ImageFit : std::uint8_t { none, cubin, ptx };
ImageFit image_fit(const CudaIsa& isa, CudaTarget device);

/// An address per buffer in contract order; 0: not known, fits every alignment.
using Addresses = std::span<const std::uint64_t>;

/// The first variant that fits. E0607 when only the architecture is at fault, otherwise E0611 with each variant's reason.
Result<const Variant*> select_variant(const Contract& contract, const DeviceTarget& device, const Env& env,
                                      Addresses addresses);

}  // namespace tecc
