#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "codegen/artifact.h"

namespace tecc {

/// Memory that a caller hands to a kernel: on the device for CUDA, in the host for the CPU.
struct BoundBuffer {
  std::uint64_t address = 0;
  std::int64_t bytes = 0;
};
using ScalarValue = std::variant<std::int64_t, double>;

/// What one call needs: input, inout and output buffers, runtime dims and scalars, all by name. Workspaces and constants
/// are the launcher's.
struct Binding {
  std::map<std::string, BoundBuffer, std::less<>> buffers;
  Env dims;
  std::map<std::string, ScalarValue, std::less<>> scalars;
};

/// E0617: every buffer of the caller's is there, aligned, large enough and overlaps none that is written (unless the
/// contract lets it); every scalar is there. `env` is bind_dims()'s.
Check check_buffers(const Contract& contract, const Env& env, const Binding& binding);

/// A scalar argument as the kernel's parameter bytes, low bytes first. E0614 where it does not fit its type.
struct ScalarBits {
  alignas(8) unsigned char bytes[8] = {};
};
Result<ScalarBits> scalar_bits(const ScalarArg& arg, const Contract& contract, const Env& env, const Binding& binding);
/// The bytes of a constant, from its file in the contract's folder. E0601 when the file is gone or too short.
Result<std::string> constant_bytes(const ContractBuffer& buffer, const std::string& folder, const Env& env);
/// A scalar buffer's value as CPU code finds it: in its own type, 8- and 16-bit floats as f32.
ScalarBits scalar_bits(DType type, const ScalarValue& value);

}  // namespace tecc
