#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"shared_per_block", "bytes", 0, 232448, Fold::largest, Scale::log, [](const K& k) { return k.shared_bytes; }},
    {"registers", "registers", 0, 255, Fold::largest, Scale::plain, [](const K& k) { return k.registers; }},
    {"values", "registers", 0, 1024, Fold::largest, Scale::plain, [](const K& k) { return k.values; }},
    {"spilled", "registers", 0, 1024, Fold::largest, Scale::log, [](const K& k) { return k.spilled; }},
    {"lanes", "share of a warp", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return k.lanes; }},
    {"register_pressure", "values/registers", 0, 8, Fold::largest, Scale::plain, [](const K& k) { return k.values / std::max(k.registers, 1.0); }},
    {"blocks_per_sm", "blocks", 1, 32, Fold::largest, Scale::plain, [](const K& k) { return k.blocks_per_sm; }},
    {"warps_per_sm", "warps", 0, 64, Fold::largest, Scale::plain, [](const K& k) { return k.warps_per_sm; }},
    {"waves", "waves", 1, 1e7, Fold::largest, Scale::log, [](const K& k) { return k.waves; }},
    {"last_wave", "share", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return k.last_wave; }},
};
// clang-format on

}  // namespace

std::span<const Feature> occupancy_features() { return rows; }

}  // namespace tecc::autotune
