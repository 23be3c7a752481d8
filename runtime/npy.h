#pragma once
#include <string>
#include <string_view>

#include "runtime/tensor.h"

namespace tecc {

/// NumPy's .npy, versions 1 to 3: f2 f4 f8 i1 u1 i2 i4 i8 bool, little endian, C order. E0608 for anything else and for
/// damaged files; `name` is for the message. NEP 1, numpy/lib/format.py.
Result<HostTensor> parse_npy(std::string_view bytes, const std::string& name);
/// E0601, E0608.
Result<HostTensor> read_npy(const std::string& path);
/// The file as tensor `tensor` of the declared type and shape: a float file is converted to any declared float type, other
/// types must be the declared one (E0608). E0609 for another shape.
Result<HostTensor> read_npy_as(const std::string& path, const std::string& tensor, DType dtype,
                               const std::vector<std::int64_t>& shape);

/// Version 1, header padded to 64 bytes as numpy.save does. bf16, fp8 and tf32, which NumPy lacks, become f32.
std::string npy_bytes(const HostTensor& tensor);
/// E0602.
Check write_npy(const std::string& path, const HostTensor& tensor);

}  // namespace tecc
