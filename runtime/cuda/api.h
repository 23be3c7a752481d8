#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "ir/base/result.h"

// The CUDA driver as a table of functions found in libcuda.so.1 while running. Types and numbers are cuda.h's ABI, written
// down here because no CUDA header is needed to build tecc. Only runtime/cuda/ includes this.
namespace tecc::cuda {

using Handle = struct Opaque*;  // CUcontext, CUmodule, CUfunction, CUstream, CUevent
using Address = std::uint64_t;  // CUdeviceptr
struct Uuid {
  unsigned char bytes[16];
};

/// CUlaunchAttribute.
struct LaunchAttribute {
  int id = 0, padding = 0;
  union {
    unsigned words[16];
    void* alignment;
  } value = {};
};
/// CUlaunchConfig.
struct LaunchConfig {
  unsigned grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, shared_bytes = 0;
  Handle stream = nullptr;
  LaunchAttribute* attributes = nullptr;
  unsigned attribute_count = 0;
};
static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56);

/// CUtensorMap: a kernel takes it by value.
struct alignas(64) TensorMap {
  unsigned char bytes[128] = {};
};

enum : int {  // CUresult
  out_of_memory = 2,
  no_device = 100,
  image_of_other_arch = 209,
};
enum class Attribute : int {  // CUdevice_attribute
  threads_per_block = 1,
  shared_per_block = 8,
  warp_size = 10,
  registers_per_block = 12,
  clock_khz = 13,
  sm_count = 16,
  memory_clock_khz = 36,
  memory_bus_bits = 37,
  l2_bytes = 38,
  threads_per_sm = 39,
  capability_major = 75,
  capability_minor = 76,
  shared_per_sm = 81,
  registers_per_sm = 82,
  shared_per_block_optin = 97,
  blocks_per_sm = 106,
  reserved_shared_per_block = 111,
  cluster_launch = 120,
};
enum class FunctionAttribute : int {  // CUfunction_attribute
  static_shared_bytes = 1,
  local_bytes = 3,
  registers = 4,
  max_dynamic_shared_bytes = 8,
  non_portable_cluster = 14,
};
enum class LaunchAttributeId : int { cooperative = 2, cluster_dimension = 4, programmatic_stream_serialization = 6 };

// One row per driver function: member, symbol, parameters. `_v2` names are the 64-bit ABI that cuda.h's macros choose.
// clang-format off
#define TECC_CUDA_FUNCTIONS(F)                                                                                  \
  F(init,                "cuInit",                    (unsigned))                                               \
  F(driver_version,      "cuDriverGetVersion",        (int*))                                                   \
  F(error_name,          "cuGetErrorName",            (int, const char**))                                      \
  F(error_string,        "cuGetErrorString",          (int, const char**))                                      \
  F(device_count,        "cuDeviceGetCount",          (int*))                                                   \
  F(device_get,          "cuDeviceGet",               (int*, int))                                              \
  F(device_name,         "cuDeviceGetName",           (char*, int, int))                                        \
  F(device_uuid,         "cuDeviceGetUuid_v2",        (Uuid*, int))                                             \
  F(device_pci_bus_id,   "cuDeviceGetPCIBusId",       (char*, int, int))                                        \
  F(device_memory,       "cuDeviceTotalMem_v2",       (std::size_t*, int))                                      \
  F(device_attribute,    "cuDeviceGetAttribute",      (int*, int, int))                                         \
  F(primary_retain,      "cuDevicePrimaryCtxRetain",  (Handle*, int))                                           \
  F(context_set,         "cuCtxSetCurrent",           (Handle))                                                 \
  F(context_synchronize, "cuCtxSynchronize",          ())                                                       \
  F(memory_info,         "cuMemGetInfo_v2",           (std::size_t*, std::size_t*))                             \
  F(memory_alloc,        "cuMemAlloc_v2",             (Address*, std::size_t))                                  \
  F(memory_free,         "cuMemFree_v2",              (Address))                                                \
  F(copy_to_device,      "cuMemcpyHtoD_v2",           (Address, const void*, std::size_t))                      \
  F(copy_to_host,        "cuMemcpyDtoH_v2",           (void*, Address, std::size_t))                            \
  F(copy_on_device,      "cuMemcpyDtoDAsync_v2",      (Address, Address, std::size_t, Handle))                  \
  F(memory_set,          "cuMemsetD8_v2",             (Address, unsigned char, std::size_t))                    \
  F(memory_set_async,    "cuMemsetD8Async",           (Address, unsigned char, std::size_t, Handle))            \
  F(stream_create,       "cuStreamCreate",            (Handle*, unsigned))                                      \
  F(stream_destroy,      "cuStreamDestroy_v2",        (Handle))                                                 \
  F(stream_synchronize,  "cuStreamSynchronize",       (Handle))                                                 \
  F(event_create,        "cuEventCreate",             (Handle*, unsigned))                                      \
  F(event_destroy,       "cuEventDestroy_v2",         (Handle))                                                 \
  F(event_record,        "cuEventRecord",             (Handle, Handle))                                         \
  F(event_synchronize,   "cuEventSynchronize",        (Handle))                                                 \
  F(event_elapsed,       "cuEventElapsedTime",        (float*, Handle, Handle))                                 \
  F(module_load,         "cuModuleLoadData",          (Handle*, const void*))                                   \
  F(module_unload,       "cuModuleUnload",            (Handle))                                                 \
  F(module_function,     "cuModuleGetFunction",       (Handle*, Handle, const char*))                           \
  F(function_get,        "cuFuncGetAttribute",        (int*, int, Handle))                                      \
  F(function_set,        "cuFuncSetAttribute",        (Handle, int, int))                                       \
  F(launch,              "cuLaunchKernelEx",          (const LaunchConfig*, Handle, void**, void**))            \
  F(blocks_per_sm,       "cuOccupancyMaxActiveBlocksPerMultiprocessor", (int*, Handle, int, std::size_t))
// clang-format on

struct Api {
#define TECC_MEMBER(member, symbol, parameters) int(*member) parameters = nullptr;
  TECC_CUDA_FUNCTIONS(TECC_MEMBER)
#undef TECC_MEMBER
  /// Null in drivers before 12.0.
  int (*encode_tiled)(TensorMap*, int type, std::uint32_t rank, void* address, const std::uint64_t* dims,
                      const std::uint64_t* strides, const std::uint32_t* box, const std::uint32_t* element_strides,
                      int interleave, int swizzle, int l2_promotion, int oob_fill) = nullptr;
};

/// The table, opened and cuInit'ed at the first call; thread-safe. E0603 when there is no usable driver.
Result<const Api*> api();
/// E0605 with the driver's name and words for `result` unless it is 0. `what` continues "the CUDA driver refused ...".
Check check(int result, const std::string& what);

}  // namespace tecc::cuda
