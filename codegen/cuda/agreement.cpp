#include "codegen/cuda/agreement.h"

#include <fmt/format.h>

#include "codegen/cuda/reference_text.h"

namespace tecc::codegen::cuda {
namespace {

constexpr int threads = 256, blocks = 1024;  // enough to ask for all that memory gives

// 0: elements, 1: their type, 2: an element as a double, 3: number of the output. Two passes: the largest difference is relative to the root mean square.
constexpr const char* floats = R"cuda(
extern "C" __global__ void sums_{3}(const {1}* got, const double* expected, double* difference) {{
  double squares = 0, norm = 0, finite = 0, wrong = 0;
  for (long long n = (long long)blockIdx.x * {4} + threadIdx.x; n < {0}ll; n += {5}ll) {{
    const double a = {2}, b = expected[n];
    if (isfinite(a) && isfinite(b)) squares += (a - b) * (a - b), norm += b * b, finite += 1;
    else if (!(a == b || (a != a && b != b))) wrong += 1;
  }}
  atomicAdd(difference, squares), atomicAdd(difference + 1, norm), atomicAdd(difference + 2, finite);
  if (wrong > 0) atomicAdd(difference + 3, wrong);
}}
extern "C" __global__ void largest_{3}(const {1}* got, const double* expected, double* difference) {{
  const double rms = difference[2] > 0 ? sqrt(difference[1] / difference[2]) : 0;
  double most = 0;
  for (long long n = (long long)blockIdx.x * {4} + threadIdx.x; n < {0}ll; n += {5}ll) {{
    const double a = {2}, b = expected[n];
    if (!isfinite(a) || !isfinite(b) || a == b) continue;
    const double off = fabs(a - b) / (fabs(b) + rms);
    if (off > most) most = off;
  }}
  if (most > 0) atomicMax((unsigned long long*)(difference + 4), (unsigned long long)__double_as_longlong(most));  // of what is positive the bits compare alike
}}
)cuda";
constexpr const char* integers = R"cuda(
extern "C" __global__ void sums_{3}(const {1}* got, const long long* expected, double* difference) {{
  double wrong = 0;
  for (long long n = (long long)blockIdx.x * {4} + threadIdx.x; n < {0}ll; n += {5}ll)
    if ((long long){2} != expected[n]) wrong += 1;
  if (wrong > 0) atomicAdd(difference + 3, wrong);
}}
)cuda";

}  // namespace

Agreement agreement(const std::vector<Output>& outputs, const std::string& arch) {
  Agreement out;
  out.source = reference_helpers();
  Contract& c = out.contract;
  c.name = "agreement";
  c.tecc_version = "0.1.0";
  Variant v;
  v.target = CudaIsa{arch, false};
  const auto buffer = [&](const std::string& name, Role role, DType type, std::int64_t count) {
    ContractBuffer b;
    b.name = name;
    b.role = role;
    b.dtype = type;
    b.align = bytes_of(type);
    b.shape = {std::to_string(count)};
    b.strides = {"1"};
    c.buffers.push_back(std::move(b));
  };
  for (std::size_t n = 0; n < outputs.size(); ++n) {
    const Output& o = outputs[n];
    const bool real = is_float(o.type);
    const std::string got = fmt::format("got_{}", n), expected = fmt::format("expected_{}", n), difference = fmt::format("difference_{}", n);
    buffer(got, Role::input, o.type, o.count);
    buffer(expected, Role::input, real ? DType::f64 : DType::i64, o.count);
    buffer(difference, Role::output, DType::f64, 5);
    out.source += fmt::format(fmt::runtime(real ? floats : integers), o.count, memory_text(o.type), real ? decoded_text("got[n]", o.type) : "got[n]", n, threads, std::int64_t{threads} * blocks);
    for (const char* kernel : {"sums", "largest"}) {
      if (!real && kernel == std::string("largest")) continue;
      CudaLaunch launch;
      launch.kernel = fmt::format("{}_{}", kernel, n);
      launch.image = "agreement.cubin";
      launch.grid[0] = std::to_string(blocks);
      launch.block[0] = threads;
      launch.args = {BufferArg{got, "0"}, BufferArg{expected, "0"}, BufferArg{difference, "0"}};
      v.launches.push_back(std::move(launch));
    }
  }
  c.variants.push_back(std::move(v));
  c.numerics.accumulate = "f64";
  return out;
}

}  // namespace tecc::codegen::cuda
