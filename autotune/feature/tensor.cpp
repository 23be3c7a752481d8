#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"tensor_operations", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.tensor_operations; }},
    {"tensor_operations_per_block", "operations", 0, 1e15, Fold::largest, Scale::log, [](const K& k) { return k.tensor_operations / k.blocks; }},
    {"tensor_intensity", "operations per byte of shared memory", 0, 1e4, Fold::largest, Scale::plain, [](const K& k) { return k.tensor_operations / std::max(k.tensor_shared_bytes, 1.0); }},
    {"tensor_width", "columns", 0, 256, Fold::largest, Scale::plain, [](const K& k) { return k.tensor_width; }},
    {"bulk_bytes", "bytes", 0, 1e13, Fold::sum, Scale::log, [](const K& k) { return k.bulk_bytes; }},
    {"bulk_reread", "times", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return k.bulk_bytes / std::max(k.footprint_bytes, 1.0); }},
    {"beside_tensor", "operations per operation of the matrix unit", 0, 1e3, Fold::largest, Scale::log, [](const K& k) { return k.tensor_operations > 0 ? (k.float_operations + k.functions) / k.tensor_operations : 0; }},
    {"bulk_intensity", "operations per byte", 0, 1e4, Fold::largest, Scale::plain, [](const K& k) { return k.tensor_operations / std::max(k.bulk_bytes, 1.0); }},
    {"slots", "slots", 0, 16, Fold::largest, Scale::plain, [](const K& k) { return k.slots; }},
    {"cluster", "blocks", 1, 16, Fold::largest, Scale::plain, [](const K& k) { return k.cluster; }},
    {"band", "tiles", 0, 64, Fold::largest, Scale::log, [](const K& k) { return k.band; }},
    {"persistent", "yes or no", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return k.persistent; }},
    {"consumers", "warpgroups", 0, 8, Fold::largest, Scale::plain, [](const K& k) { return k.consumers; }},
    {"skewed", "iterations", 0, 8, Fold::largest, Scale::plain, [](const K& k) { return k.skewed; }},
    {"turns", "yes or no", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return k.turns; }},
    {"roles", "roles", 0, 8, Fold::largest, Scale::plain, [](const K& k) { return k.roles; }},
};
// clang-format on

}  // namespace

std::span<const Feature> tensor_features() { return rows; }

}  // namespace tecc::autotune
