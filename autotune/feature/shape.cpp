#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"blocks", "blocks", 1, 1e10, Fold::largest, Scale::log, [](const K& k) { return k.blocks; }},
    {"threads", "threads", 1, 1024, Fold::largest, Scale::plain, [](const K& k) { return k.threads; }},
    {"serial", "iterations", 0, 1e12, Fold::largest, Scale::log, [](const K& k) { return k.serial; }},
    {"unrolled", "statements", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return k.unrolled; }},
    {"vector", "elements", 1, 64, Fold::largest, Scale::plain, [](const K& k) { return k.vector; }},
    {"depth", "loops", 0, 64, Fold::largest, Scale::plain, [](const K& k) { return k.depth; }},
    {"statements", "statements", 0, 1e4, Fold::sum, Scale::log, [](const K& k) { return k.statements; }},
    {"guards", "conditions", 0, 1e4, Fold::sum, Scale::log, [](const K& k) { return k.guards; }},
    {"barriers", "barriers", 0, 1e9, Fold::largest, Scale::log, [](const K& k) { return k.barriers; }},
    {"combines", "reductions", 0, 1e9, Fold::largest, Scale::log, [](const K& k) { return k.combines; }},
    {"independent", "sums", 1, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.independent; }},
};
// clang-format on

}  // namespace

std::span<const Feature> shape_features() { return rows; }

}  // namespace tecc::autotune
