#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "codegen/artifact.h"

// Pieces that the C header and its example have in common.
namespace tecc {

/// The parts of every header that do not depend on the contract: driver table, launch structures, checked arithmetic.
std::string_view c_prelude();

/// A name of the contract as a C parameter: keywords and the header's own parameter names get a '_' behind.
std::string c_name(const std::string& name);
/// The C type of a scalar buffer's parameter; 8- and 16-bit floats are passed as float.
std::string_view c_scalar_type(DType type);
/// A literal of int64_t.
std::string c_literal(std::int64_t value);
/// A formula as a C expression over the fields of `c` (d_M for dim M, sm_count), checked: overflow and division by zero
/// set `bad`. Fixed dims and what follows from them are folded. The formula must be one of a verified contract.
std::string c_expression(const Contract& contract, const std::string& formula);

/// The parameters of a generated function, in order: buffers (workspaces left out), runtime dims.
struct CParameter {
  std::string declaration, name;
};
std::vector<CParameter> c_buffer_parameters(const Contract& contract);
std::vector<CParameter> c_dim_parameters(const Contract& contract);

bool has_cuda(const Contract& contract);
bool has_cpu(const Contract& contract);
bool has_workspace(const Contract& contract);

}  // namespace tecc
