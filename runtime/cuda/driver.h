#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cuda/api.h"

// CUDA devices, memory, streams, events and modules as values that clean up after themselves. Everything needs the device's
// primary context to be current in the calling thread: Device::open and Device::use make it so. After a sticky error (an
// illegal address) every call fails with E0605 until the process ends.
namespace tecc::cuda {

struct DeviceFacts {
  int ordinal = 0;
  std::string name, uuid;  // uuid as nvidia-smi prints it, without "GPU-"
  std::string pci_bus_id;  // "0000:1b:00.0"
  int major = 0, minor = 0;
  int sm_count = 0, threads_per_sm = 0, blocks_per_sm = 0, registers_per_sm = 0, registers_per_block = 0,
      threads_per_block = 0;
  std::int64_t shared_per_sm = 0, shared_per_block = 0, shared_per_block_optin = 0,
               reserved_shared_per_block = 0;  // bytes
  std::int64_t l2_bytes = 0, memory_bytes = 0;
  int clock_khz = 0, memory_clock_khz = 0, memory_bus_bits = 0;  // 0 where the driver does not say
  bool cluster_launch = false;

  /// "sm_90": what nvcc calls the chip, without 'a'.
  std::string arch() const;
};

/// 0 where the driver sees no device. E0603.
Result<int> device_count();
/// E0603, E0604.
Result<DeviceFacts> device_facts(int ordinal);
/// {13, 0}. E0603.
Result<std::pair<int, int>> driver_version();

/// A device with its primary context. The context is retained once a process and never released: a value that outlives
/// its Device stays valid, and the driver frees everything at exit.
class Device {
 public:
  /// Also makes it current in this thread. E0603, E0604, E0605.
  static Result<Device> open(int ordinal = 0);
  /// Makes it current in the calling thread.
  Check use() const;
  /// Waits for all work; reports what failed in between.
  Check synchronize() const;
  Result<std::int64_t> free_bytes() const;
  const DeviceFacts& facts() const { return facts_; }

 private:
  Handle context_ = nullptr;
  DeviceFacts facts_;
};

/// What Memory, Stream, Event and Module have in common: one handle, moved and not copied, destroyed at the end.
template <class T, int (*const Api::*destroy)(T)> class Owned {
 public:
  Owned() = default;
  explicit Owned(T handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_ == T{}) return;
    if (const auto driver = api()) ((*driver)->*destroy)(handle_);
  }
  T get() const { return handle_; }

 private:
  T handle_{};
};

class Stream {
 public:
  Stream() = default;  // the default stream
  /// One that does not wait for the default stream.
  static Result<Stream> create();
  Check synchronize() const;
  Handle handle() const { return handle_.get(); }

 private:
  Owned<Handle, &Api::stream_destroy> handle_;
};

class Memory {
 public:
  Memory() = default;
  /// At least one byte, 256-byte aligned, not cleared. E0612 when the device is full; `what` is for the message.
  static Result<Memory> allocate(std::int64_t bytes, const std::string& what);
  Address address() const { return handle_.get(); }
  std::int64_t bytes() const { return bytes_; }

  // Offsets and sizes in bytes; they must lie inside. upload, download and fill return when the bytes are there,
  // but do not wait for work in other streams: synchronize those first.
  Check upload(const void* from, std::int64_t bytes, std::int64_t offset = 0) const;
  Check download(void* to, std::int64_t bytes, std::int64_t offset = 0) const;
  Check fill(unsigned char value) const;
  Check fill_async(unsigned char value, const Stream& stream) const;

 private:
  Owned<Address, &Api::memory_free> handle_;
  std::int64_t bytes_ = 0;
};

class Event {
 public:
  static Result<Event> create();
  Check record(const Stream& stream) const;
  Check synchronize() const;
  /// Microseconds from `start` to this; both recorded and done.
  Result<double> us_since(const Event& start) const;

 private:
  Owned<Handle, &Api::event_destroy> handle_;
};

struct Function {
  Handle handle = nullptr;
  std::string name;
  int registers = 0;  // a thread
  std::int64_t local_bytes = 0, static_shared_bytes = 0;

  /// Blocks of `threads` threads and `shared_bytes` dynamic bytes that one SM holds at a time.
  Result<int> blocks_per_sm(int threads, std::int64_t shared_bytes) const;
};

class Module {
 public:
  /// A cubin's bytes, or PTX text, which the driver compiles. E0605; `what` names the file.
  static Result<Module> load(const std::string& image, const std::string& what);
  /// Allows `shared_bytes` of dynamic shared memory, and clusters of over 8 blocks where `cluster_blocks` says so.
  Result<Function> function(const std::string& name, std::int64_t shared_bytes = 0,
                            std::int64_t cluster_blocks = 1) const;

 private:
  Owned<Handle, &Api::module_unload> handle_;
};

struct LaunchShape {
  std::array<std::uint32_t, 3> grid = {1, 1, 1}, block = {1, 1, 1}, cluster = {1, 1, 1};
  std::uint32_t shared_bytes = 0;  // dynamic
  bool cooperative = false, programmatic_dependent = false;
};
/// Enqueues a kernel. `parameters[i]` points to the bytes of parameter i, which are copied before this returns.
Check launch(const Function& function, const LaunchShape& shape, const Stream& stream, void** parameters);

struct TiledMap {  // cuTensorMapEncodeTiled, innermost dimension first; the numbers are those of cuda.h
  int type = 0, interleave = 0, swizzle = 0, l2_promotion = 0, oob_fill = 0;
  Address address = 0;
  std::vector<std::uint64_t> dims, strides_bytes;
  std::vector<std::uint32_t> box, element_strides;
};
Result<TensorMap> encode(const TiledMap& map, const std::string& what);

}  // namespace tecc::cuda
