#include "autotune/model/prior.h"

#include <algorithm>
#include <cmath>

namespace tecc::autotune {
namespace {

constexpr double launch_us = 2;            // between two kernels of a stream
constexpr double l2_over_memory = 2.5;     // bandwidth of L2 in terms of memory's
constexpr double shared_bytes_a_clock = 128;
constexpr double function_cost = 8;        // exp, division, square root in terms of an addition
constexpr double issue_a_clock = 4;        // warp instructions an SM
constexpr double barrier_clocks = 40;
constexpr double spill_cost = 4;           // a value without a register is a round trip to memory
constexpr double schedulers = 4;           // of an SM, each with warps of its own
constexpr double bulk_over_memory = 3;     // bandwidth of bulk copies out of L2 in terms of memory's
constexpr double fill_clocks = 1500;       // until the first tile has come
constexpr double drain_clocks = 800;       // after the last product of a tile
constexpr double enough_warps = 16;        // an SM with so many hides most latencies; sums kept apart help as well
constexpr double most_apart = 4;           // up to as good as so many warps
constexpr double latency_clocks = 300;     // of a read from L2
constexpr double flight_bytes = 16384;     // an SM's share of bandwidth times latency (Little's law)

Estimate on_cuda(const KernelFacts& k, const codegen::Target& t) {
  const auto sms = static_cast<double>(std::max<std::int64_t>(t.sm_count, 1));
  const double lanes = static_cast<double>(t.f32_lanes_per_sm), clocks_a_us = std::max(t.f32_tflops, 0.1) * 1e6 / (sms * 2 * lanes);
  // Work of the busiest SM: whole blocks only.
  const double busiest = std::ceil(k.blocks / sms) / k.blocks;
  const double multiply_adds = k.float_operations - std::min(k.products, k.float_operations / 2);
  const double instructions = (multiply_adds + k.integer_operations + k.casts + k.selects + function_cost * k.functions + 1.5 * k.load_instructions) / 32;
  const double idle = std::max(1.0, schedulers / k.warps_per_sm) / k.lanes;  // schedulers without a warp, lanes without a thread
  const double issue = instructions * busiest * idle / issue_a_clock;
  const double shared = k.shared_bytes_moved * busiest / shared_bytes_a_clock;
  const double barriers = k.barriers * barrier_clocks * std::ceil(k.blocks / (sms * k.blocks_per_sm));
  const double hidden = std::min(1.0, k.warps_per_sm * std::min(std::sqrt(std::max(k.independent, 1.0)), most_apart) / enough_warps);
  const double spills = 1 + spill_cost * std::min(1.0, k.spilled / std::max(k.registers, 1.0));
  // One thread waits for each round of loads and issues an instruction a clock at best, in between unless the loads run ahead. Blocks of other
  // waves come after.
  const double fetching = k.rounds * latency_clocks, issuing = instructions * 32 / std::max(k.blocks * k.threads, 1.0);
  const double waiting_us = (k.slots >= 2 ? std::max(fetching, issuing) : fetching + issuing) * k.waves / clocks_a_us;
  // Matrix instructions: the slower of products and operands out of shared memory, and what a tile costs before and after them.
  const double tensor_rate = t.tensor_tflops * 1e6 / sms * 2 / std::max(k.element_bytes, 1.0) / clocks_a_us;  // operations a clock
  double tensor = 0;
  if (k.tensor_operations > 0) {
    const double tiles = std::ceil(k.blocks / sms), overlap = k.slots >= 4 ? 1 : k.slots >= 3 ? 1.04 : 1.2;
    const double at_once = k.roles > 0 ? 1 : std::min(k.blocks_per_sm, tiles);  // without roles blocks begin while their neighbours multiply
    tensor = std::max(k.tensor_operations / std::max(tensor_rate, 1.0), k.tensor_shared_bytes / shared_bytes_a_clock) * busiest * overlap +
             (drain_clocks * tiles + fill_clocks * (k.persistent != 0 ? 1 : tiles)) / at_once;
  }
  // Products run beside other instructions where the program sets them apart, or where another warpgroup, or warp of the scheduler, has some.
  const double others = std::max(issue, shared) * spills / (0.3 + 0.7 * hidden);
  const double beside = k.skewed > 0 ? 0.8 : k.roles == 0 ? 0.8 * std::clamp(k.warps_per_sm / schedulers - 1, 0.0, 1.0) : k.consumers > 1 ? 0.4 : 0;
  const double busy_us = (tensor + others - beside * std::min(tensor, others) + barriers) / clocks_a_us;

  const double bandwidth = std::max(t.memory_gbs, 1.0) * 1e3;  // bytes a us
  const double filled = std::min(1.0, k.blocks / sms);         // one SM alone cannot saturate memory
  const double moved = k.global_read_bytes + k.global_write_bytes;
  // What does not stay in L2 is fetched again.
  const double cached = k.footprint_bytes <= static_cast<double>(t.l2_bytes) ? 0.0 : 0.3;
  const double fetched = std::max(k.footprint_bytes, std::min(moved, k.footprint_bytes + cached * std::max(0.0, k.block_bytes - k.footprint_bytes)));
  const double cached_us = std::max(moved / (bandwidth * l2_over_memory), k.bulk_bytes / (bandwidth * bulk_over_memory));
  const double asynchronous = k.roles > 0 ? 1.0 : std::min(1.0, k.warps_per_sm * 32 * k.lanes * k.flight_bytes / flight_bytes);
  const double memory_us = std::max(fetched / bandwidth, cached_us) / (0.2 + 0.8 * filled) / (0.5 + 0.5 * asynchronous);
  const double peak_us = std::max(k.tensor_operations / std::max(tensor_rate * sms, 1.0), (k.float_operations + k.functions) / (2 * lanes * sms)) / clocks_a_us;
  return {tensor / clocks_a_us, issue / clocks_a_us, shared / clocks_a_us, memory_us,
          launch_us + std::max({busy_us, memory_us, waiting_us}) + 0.2 * std::min(std::max(busy_us, waiting_us), memory_us), launch_us + std::max(peak_us, k.footprint_bytes / bandwidth)};
}

Estimate on_cpu(const KernelFacts& k, const codegen::Target& t) {
  const auto cores = static_cast<double>(std::max<std::int64_t>(t.sm_count, 1));
  const double busiest = std::ceil(k.blocks / cores) / k.blocks;
  const double lanes = static_cast<double>(t.vector_bytes) / 4, speed = std::max(t.f32_tflops, 0.01) * 1e6 / cores;  // operations a us and core
  const double wasted = lanes / std::clamp(k.vector, 1.0, lanes);
  const double latency = 8 / std::clamp(k.independent / std::max(k.vector, 1.0), 1.0, 8.0);  // a chain of sums waits for itself
  const double operations = k.float_operations + k.integer_operations + k.casts + k.selects + function_cost * k.functions;
  const double compute = (operations + 2 * k.load_instructions) * busiest * wasted / speed * (0.5 + 0.5 * latency / 8);
  const double memory = k.footprint_bytes / (std::max(t.memory_gbs, 1.0) * 1e3);
  return {0, compute, 0, memory, 1 + std::max(compute, memory), 1 + std::max(k.float_operations / (speed * cores * lanes), memory)};
}

}  // namespace

Estimate estimate(const KernelFacts& k, const codegen::Target& t) {
  return t.kind == codegen::Target::Kind::cuda ? on_cuda(k, t) : on_cpu(k, t);
}

double prior_us(const std::vector<KernelFacts>& kernels) {
  double sum = 0;
  for (const KernelFacts& k : kernels) sum += k.estimate.us;
  return sum;
}

}  // namespace tecc::autotune
