#include "runtime/cuda/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "ir/base/errors.h"

namespace tecc::cuda {
namespace {

/// The primary context of a device, retained at the first call.
Result<Handle> primary_context(const Api& driver, int device, int ordinal) {
  static std::mutex mutex;
  static std::map<int, Handle> contexts;
  const std::lock_guard lock(mutex);
  if (const auto found = contexts.find(ordinal); found != contexts.end()) return found->second;
  Handle context = nullptr;
  TECC_CHECK(check(driver.primary_retain(&context, device), fmt::format("a context on device {}", ordinal)));
  contexts[ordinal] = context;
  return context;
}

/// The CUdevice of an ordinal. E0604.
Result<int> device_of(const Api& driver, int ordinal) {
  TECC_TRY(const int count, device_count());
  if (ordinal < 0 || ordinal >= count) return refuse(Code::no_device, ordinal, count);
  int device = 0;
  TECC_CHECK(check(driver.device_get(&device, ordinal), fmt::format("device {}", ordinal)));
  return device;
}

std::string uuid_text(const Uuid& u) {
  std::string out;
  for (int i = 0; i < 16; ++i)
    out += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u.bytes[i]);
  return out;
}

}  // namespace

std::string DeviceFacts::arch() const { return fmt::format("sm_{}{}", major, minor); }

Result<int> device_count() {
  TECC_TRY(const Api* driver, api());
  int count = 0;
  const int result = driver->device_count(&count);
  if (result == no_device) return 0;
  TECC_CHECK(check(result, "to count the devices"));
  return count;
}

Result<std::pair<int, int>> driver_version() {
  TECC_TRY(const Api* driver, api());
  int version = 0;
  TECC_CHECK(check(driver->driver_version(&version), "to say its version"));
  return std::pair(version / 1000, version % 1000 / 10);
}

Result<DeviceFacts> device_facts(int ordinal) {
  TECC_TRY(const Api* driver, api());
  TECC_TRY(const int device, device_of(*driver, ordinal));
  const auto get = [&](Attribute attribute) {  // an attribute that an old driver does not know stays 0
    int value = 0;
    return driver->device_attribute(&value, static_cast<int>(attribute), device) == 0 ? value : 0;
  };
  DeviceFacts f;
  f.ordinal = ordinal;
  char name[256] = {};
  TECC_CHECK(check(driver->device_name(name, sizeof name - 1, device), "the name of a device"));
  f.name = name;
  if (Uuid uuid; driver->device_uuid(&uuid, device) == 0) f.uuid = uuid_text(uuid);
  if (char id[32] = {}; driver->device_pci_bus_id(id, sizeof id - 1, device) == 0) f.pci_bus_id = id;
  if (std::size_t bytes = 0; driver->device_memory(&bytes, device) == 0)
    f.memory_bytes = static_cast<std::int64_t>(bytes);
  f.major = get(Attribute::capability_major);
  f.minor = get(Attribute::capability_minor);
  f.sm_count = get(Attribute::sm_count);
  f.threads_per_sm = get(Attribute::threads_per_sm);
  f.blocks_per_sm = get(Attribute::blocks_per_sm);
  f.registers_per_sm = get(Attribute::registers_per_sm);
  f.registers_per_block = get(Attribute::registers_per_block);
  f.threads_per_block = get(Attribute::threads_per_block);
  f.shared_per_sm = get(Attribute::shared_per_sm);
  f.shared_per_block = get(Attribute::shared_per_block);
  f.shared_per_block_optin = get(Attribute::shared_per_block_optin);
  f.reserved_shared_per_block = get(Attribute::reserved_shared_per_block);
  f.l2_bytes = get(Attribute::l2_bytes);
  f.clock_khz = get(Attribute::clock_khz);
  f.memory_clock_khz = get(Attribute::memory_clock_khz);
  f.memory_bus_bits = get(Attribute::memory_bus_bits);
  f.cluster_launch = get(Attribute::cluster_launch) != 0;
  return f;
}

Result<Device> Device::open(int ordinal) {
  TECC_TRY(const Api* driver, api());
  TECC_TRY(const int handle, device_of(*driver, ordinal));
  Device device;
  TECC_TRY(device.facts_, device_facts(ordinal));
  TECC_TRY(device.context_, primary_context(*driver, handle, ordinal));
  TECC_CHECK(device.use());
  return device;
}

Check Device::use() const {
  TECC_TRY(const Api* driver, api());
  return check(driver->context_set(context_), fmt::format("the context of device {}", facts_.ordinal));
}

Check Device::synchronize() const {
  TECC_CHECK(use());
  TECC_TRY(const Api* driver, api());
  return check(driver->context_synchronize(), "to finish the work on the device");
}

Result<std::int64_t> Device::free_bytes() const {
  TECC_CHECK(use());
  TECC_TRY(const Api* driver, api());
  std::size_t free = 0, total = 0;
  TECC_CHECK(check(driver->memory_info(&free, &total), "to say how much memory is free"));
  return static_cast<std::int64_t>(free);
}

Result<Stream> Stream::create() {
  TECC_TRY(const Api* driver, api());
  constexpr unsigned non_blocking = 1;
  Handle handle = nullptr;
  TECC_CHECK(check(driver->stream_create(&handle, non_blocking), "a stream"));
  Stream out;
  out.handle_ = Owned<Handle, &Api::stream_destroy>(handle);
  return out;
}

Check Stream::synchronize() const {
  TECC_TRY(const Api* driver, api());
  return check(driver->stream_synchronize(handle()), "to finish the work of a stream");
}

Result<Memory> Memory::allocate(std::int64_t bytes, const std::string& what) {
  TECC_TRY(const Api* driver, api());
  if (bytes < 0) return refuse(Code::out_of_memory, bytes, what);
  Address address = 0;
  const int result = driver->memory_alloc(&address, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
  if (result == out_of_memory) return refuse(Code::out_of_memory, bytes, what);
  TECC_CHECK(check(result, fmt::format("{} bytes for '{}'", bytes, what)));
  Memory out;
  out.handle_ = Owned<Address, &Api::memory_free>(address);
  out.bytes_ = bytes;
  return out;
}

Check Memory::upload(const void* from, std::int64_t bytes, std::int64_t offset) const {
  invariant(bytes >= 0 && offset >= 0 && bytes <= bytes_ - offset, "an upload lies inside its memory");
  if (bytes == 0) return Ok{};
  TECC_TRY(const Api* driver, api());
  TECC_CHECK(
      check(driver->copy_to_device(address() + static_cast<Address>(offset), from, static_cast<std::size_t>(bytes)),
            "to copy to the device"));
  // from pageable memory the call may return when the bytes are staged, and non-blocking streams do not wait for the rest
  return check(driver->stream_synchronize(nullptr), "to copy to the device");
}

Check Memory::download(void* to, std::int64_t bytes, std::int64_t offset) const {
  invariant(bytes >= 0 && offset >= 0 && bytes <= bytes_ - offset, "a download lies inside its memory");
  if (bytes == 0) return Ok{};
  TECC_TRY(const Api* driver, api());
  return check(driver->copy_to_host(to, address() + static_cast<Address>(offset), static_cast<std::size_t>(bytes)),
               "to copy from the device");
}

Check Memory::fill(unsigned char value) const {
  if (bytes_ == 0) return Ok{};
  TECC_TRY(const Api* driver, api());
  TECC_CHECK(check(driver->memory_set(address(), value, static_cast<std::size_t>(bytes_)), "to fill memory"));
  // cuMemsetD8 may return before the device is done, and non-blocking streams do not wait for it
  return check(driver->stream_synchronize(nullptr), "to fill memory");
}

Check Memory::fill_async(unsigned char value, const Stream& stream) const {
  if (bytes_ == 0) return Ok{};
  TECC_TRY(const Api* driver, api());
  return check(driver->memory_set_async(address(), value, static_cast<std::size_t>(bytes_), stream.handle()),
               "to fill memory");
}

Result<Event> Event::create() {
  TECC_TRY(const Api* driver, api());
  Handle handle = nullptr;
  TECC_CHECK(check(driver->event_create(&handle, 0), "an event"));
  Event out;
  out.handle_ = Owned<Handle, &Api::event_destroy>(handle);
  return out;
}

Check Event::record(const Stream& stream) const {
  TECC_TRY(const Api* driver, api());
  return check(driver->event_record(handle_.get(), stream.handle()), "to record an event");
}

Check Event::synchronize() const {
  TECC_TRY(const Api* driver, api());
  return check(driver->event_synchronize(handle_.get()), "to wait for an event");
}

Result<double> Event::us_since(const Event& start) const {
  TECC_TRY(const Api* driver, api());
  float ms = 0;
  TECC_CHECK(check(driver->event_elapsed(&ms, start.handle_.get(), handle_.get()), "to time between events"));
  return static_cast<double>(ms) * 1000;
}

Result<Module> Module::load(const std::string& image, const std::string& what) {
  TECC_TRY(const Api* driver, api());
  Handle handle = nullptr;
  TECC_CHECK(check(driver->module_load(&handle, image.c_str()),
                   fmt::format("to load '{}'", what)));  // c_str: PTX ends with a 0
  Module out;
  out.handle_ = Owned<Handle, &Api::module_unload>(handle);
  return out;
}

Result<Function> Module::function(const std::string& name, std::int64_t shared_bytes,
                                  std::int64_t cluster_blocks) const {
  TECC_TRY(const Api* driver, api());
  Function f;
  f.name = name;
  TECC_CHECK(
      check(driver->module_function(&f.handle, handle_.get(), name.c_str()), fmt::format("to find kernel '{}'", name)));
  const auto set = [&](FunctionAttribute attribute, std::int64_t value, const char* what) {
    return check(driver->function_set(f.handle, static_cast<int>(attribute), static_cast<int>(value)),
                 fmt::format("{} for kernel '{}'", what, name));
  };
  if (shared_bytes > 0)
    TECC_CHECK(set(FunctionAttribute::max_dynamic_shared_bytes, shared_bytes,
                   fmt::format("{} bytes of shared memory", shared_bytes).c_str()));
  constexpr std::int64_t portable_cluster = 8;
  if (cluster_blocks > portable_cluster)
    TECC_CHECK(set(FunctionAttribute::non_portable_cluster, 1, "clusters of over 8 blocks"));
  const auto get = [&](FunctionAttribute attribute) {
    int value = 0;
    return driver->function_get(&value, static_cast<int>(attribute), f.handle) == 0 ? value : 0;
  };
  f.registers = get(FunctionAttribute::registers);
  f.local_bytes = get(FunctionAttribute::local_bytes);
  f.static_shared_bytes = get(FunctionAttribute::static_shared_bytes);
  return f;
}

Result<int> Function::blocks_per_sm(int threads, std::int64_t shared_bytes) const {
  TECC_TRY(const Api* driver, api());
  int blocks = 0;
  TECC_CHECK(check(driver->blocks_per_sm(&blocks, handle, threads, static_cast<std::size_t>(shared_bytes)),
                   fmt::format("the occupancy of kernel '{}'", name)));
  return blocks;
}

Check launch(const Function& function, const LaunchShape& shape, const Stream& stream, void** parameters) {
  TECC_TRY(const Api* driver, api());
  LaunchConfig config;
  std::array<LaunchAttribute, 3> attributes;
  std::copy(shape.grid.begin(), shape.grid.end(), config.grid);
  std::copy(shape.block.begin(), shape.block.end(), config.block);
  config.shared_bytes = shape.shared_bytes;
  config.stream = stream.handle();
  config.attributes = attributes.data();
  const auto add = [&](LaunchAttributeId id, const std::array<std::uint32_t, 3>& words) {
    LaunchAttribute& a = attributes[config.attribute_count++];
    a.id = static_cast<int>(id);
    std::copy(words.begin(), words.end(), a.value.words);
  };
  if (shape.cluster != std::array<std::uint32_t, 3>{1, 1, 1}) add(LaunchAttributeId::cluster_dimension, shape.cluster);
  if (shape.cooperative) add(LaunchAttributeId::cooperative, {1, 0, 0});
  if (shape.programmatic_dependent) add(LaunchAttributeId::programmatic_stream_serialization, {1, 0, 0});
  return check(driver->launch(&config, function.handle, parameters, nullptr),
               fmt::format("to launch kernel '{}'", function.name));
}

Result<TensorMap> encode(const TiledMap& m, const std::string& what) {
  TECC_TRY(const Api* driver, api());
  if (!driver->encode_tiled) return refuse(Code::driver_failed, "tensor maps", "it is older than CUDA 12.0");
  TensorMap out;
  const int result =
      driver->encode_tiled(&out, m.type, static_cast<std::uint32_t>(m.dims.size()), reinterpret_cast<void*>(m.address),
                           m.dims.data(), m.strides_bytes.data(), m.box.data(), m.element_strides.data(), m.interleave,
                           m.swizzle, m.l2_promotion, m.oob_fill);
  TECC_CHECK(check(result, fmt::format("the tensor map of '{}'", what)));
  return out;
}

}  // namespace tecc::cuda
