#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"float_operations", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.float_operations; }},
    {"products", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.products; }},
    {"integer_operations", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.integer_operations; }},
    {"functions", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.functions; }},
    {"casts", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.casts; }},
    {"selects", "operations", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.selects; }},
    {"operations_per_thread", "operations", 0, 1e12, Fold::largest, Scale::log, [](const K& k) { return (k.float_operations + k.functions) / (k.blocks * k.threads); }},
};
// clang-format on

}  // namespace

std::span<const Feature> arithmetic_features() { return rows; }

}  // namespace tecc::autotune
