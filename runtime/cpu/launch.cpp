#include "runtime/cpu/launch.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "runtime/cpu/pool.h"

namespace tecc {
namespace {

/// Zeroed; null when there is no memory.
std::shared_ptr<unsigned char> aligned(std::int64_t align, std::int64_t bytes) {
  const std::size_t unit =
      static_cast<std::size_t>(std::max<std::int64_t>(align, 64));  // at least a cache line: tasks write side by side
  const std::size_t size = (static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)) + unit - 1) / unit * unit;
  void* data = std::aligned_alloc(unit, size);
  if (data) std::memset(data, 0, size);
  return {static_cast<unsigned char*>(data), [](unsigned char* p) { std::free(p); }};
}

}  // namespace

Check run_cpu(const std::string& symbol, CpuFunction function, void* const* buffers, const std::int64_t* dims,
              std::int64_t tasks) {
  std::atomic<std::int64_t> failed{-1};
  std::atomic<std::int32_t> code{0};
  run_tasks(tasks, [&](std::int64_t task) {
    if (code.load(std::memory_order_relaxed) != 0) return;  // the result is lost already
    const std::int32_t result = function(buffers, dims, task);
    std::int32_t none = 0;
    if (result != 0 && code.compare_exchange_strong(none, result)) failed = task;
  });
  if (code != 0) return refuse(Code::task_failed, symbol, failed.load(), code.load());
  return Ok{};
}

Result<CpuCall> CpuCall::bind(const Contract& c, const std::string& folder, const Binding& binding,
                              const Lookup& lookup) {
  Env given = binding.dims;
  given.emplace("sm_count", 1);  // formulas may read it; a CPU counts as one
  TECC_TRY(const Env env, bind_dims(c, given));
  TECC_CHECK(check_buffers(c, env, binding));

  CpuCall call;
  call.scalars_ = std::make_shared<std::vector<ScalarBits>>(c.buffers.size());
  std::vector<std::uint64_t> addresses;
  for (std::size_t i = 0; i < c.buffers.size(); ++i) {
    const ContractBuffer& b = c.buffers[i];
    if (b.role == Role::scalar) {
      (*call.scalars_)[i] = scalar_bits(*b.dtype, binding.scalars.find(b.name)->second);
      call.buffers_.push_back((*call.scalars_)[i].bytes);
    } else if (b.role == Role::workspace || b.role == Role::constant) {
      TECC_TRY(const std::int64_t bytes, evaluate(b.bytes, env));
      Room room{aligned(b.align, bytes), bytes, b.role == Role::workspace && b.zero_before && !b.zero_after};
      if (bytes < 0 || !room.data) return refuse(Code::out_of_memory, bytes, b.name);
      if (b.role == Role::constant) {
        TECC_TRY(const std::string content, constant_bytes(b, folder, env));
        std::memcpy(room.data.get(), content.data(), content.size());
      }
      call.buffers_.push_back(room.data.get());
      call.rooms_.push_back(std::move(room));
    } else {
      call.buffers_.push_back(reinterpret_cast<void*>(binding.buffers.find(b.name)->second.address));
    }
    addresses.push_back(reinterpret_cast<std::uint64_t>(call.buffers_.back()));
  }
  for (const ContractDim& d : c.dims) call.dims_.push_back(env.find(d.name)->second);

  TECC_TRY(const Variant* variant, select_variant(c, CpuTarget{}, env, addresses));
  for (const bool once : {true, false})
    for (const Launch& l : once ? variant->once : variant->launches) {
      const CpuLaunch& launch = std::get<CpuLaunch>(l);
      const CpuFunction function = lookup(launch);
      if (!function)
        return refuse(Code::contract_bad, c.name, fmt::format("'{}' has no symbol '{}'", launch.object, launch.symbol));
      TECC_TRY(const std::int64_t tasks, evaluate(launch.tasks, env));
      (once ? call.once_ : call.steps_).push_back({launch.symbol, function, tasks});
    }
  TECC_CHECK(call.run(call.once_));
  return call;
}

Check CpuCall::run() const {
  for (const Room& room : rooms_)
    if (room.clear) std::memset(room.data.get(), 0, static_cast<std::size_t>(room.bytes));
  return run(steps_);
}

Check CpuCall::run(const std::vector<Step>& steps) const {
  for (const Step& s : steps) TECC_CHECK(run_cpu(s.symbol, s.function, buffers_.data(), dims_.data(), s.tasks));
  return Ok{};
}

}  // namespace tecc
