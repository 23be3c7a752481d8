#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

// What trees find hard to put together from single counts, in terms of the kernel's own time so that operators compare.
// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"estimate", "us", 0, 1e9, Fold::sum, Scale::log, [](const K& k) { return k.estimate.us; }},
    {"estimate_over_least", "times", 1, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.estimate.us / k.estimate.least_us; }},
    {"tensor_share", "of the estimate", 0, 2, Fold::largest, Scale::plain, [](const K& k) { return k.estimate.tensor_us / k.estimate.us; }},
    {"issue_share", "of the estimate", 0, 2, Fold::largest, Scale::plain, [](const K& k) { return k.estimate.issue_us / k.estimate.us; }},
    {"shared_share", "of the estimate", 0, 2, Fold::largest, Scale::plain, [](const K& k) { return k.estimate.shared_us / k.estimate.us; }},
    {"tensor_over_least", "times", 0, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.estimate.tensor_us / k.estimate.least_us; }},
    {"issue_over_least", "times", 0, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.estimate.issue_us / k.estimate.least_us; }},
    {"shared_over_least", "times", 0, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.estimate.shared_us / k.estimate.least_us; }},
    {"memory_over_least", "times", 0, 1e4, Fold::largest, Scale::log, [](const K& k) { return k.estimate.memory_us / k.estimate.least_us; }},
    {"memory_share", "of the estimate", 0, 2, Fold::largest, Scale::plain, [](const K& k) { return k.estimate.memory_us / k.estimate.us; }},
};
// clang-format on

}  // namespace

std::span<const Feature> estimate_features() { return rows; }

}  // namespace tecc::autotune
