#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

using A = AccessFacts;
/// The worst access of a kind, weighted by nothing: one bad access is enough to be slow.
template <class F>
double worst(const K& k, loop::Scope scope, bool is_write, F f) {
  double out = 0;
  for (const A& a : k.accesses)
    if (a.scope == scope && a.is_write == is_write) out = std::max(out, f(a));
  return out;
}
/// Sectors touched over sectors needed: 1 is perfect.
double waste(const A& a) { return a.sectors / std::max(1.0, 32.0 * static_cast<double>(a.width * a.bytes) / 32); }
double stride(const A& a) { return static_cast<double>(a.lane_stride); }
double narrow(const A& a) { return 16.0 / static_cast<double>(a.width * a.bytes); }
double cycles(const A& a) { return a.sectors / std::max(1.0, static_cast<double>(a.width * a.bytes) / 4); }
constexpr auto global = loop::Scope::global, shared = loop::Scope::shared;

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"global_read_waste", "ratio", 0, 32, Fold::largest, Scale::plain, [](const K& k) { return worst(k, global, false, waste); }},
    {"global_write_waste", "ratio", 0, 32, Fold::largest, Scale::plain, [](const K& k) { return worst(k, global, true, waste); }},
    {"global_read_stride", "elements", 0, 1e9, Fold::largest, Scale::log, [](const K& k) { return worst(k, global, false, stride); }},
    {"global_write_stride", "elements", 0, 1e9, Fold::largest, Scale::log, [](const K& k) { return worst(k, global, true, stride); }},
    {"global_read_narrow", "16 bytes / bytes an instruction", 0, 16, Fold::largest, Scale::plain, [](const K& k) { return worst(k, global, false, narrow); }},
    {"global_write_narrow", "16 bytes / bytes an instruction", 0, 16, Fold::largest, Scale::plain, [](const K& k) { return worst(k, global, true, narrow); }},
    {"shared_read_conflicts", "ratio", 0, 32, Fold::largest, Scale::plain, [](const K& k) { return worst(k, shared, false, cycles); }},
    {"shared_write_conflicts", "ratio", 0, 32, Fold::largest, Scale::plain, [](const K& k) { return worst(k, shared, true, cycles); }},
    {"shared_read_narrow", "16 bytes / bytes an instruction", 0, 16, Fold::largest, Scale::plain, [](const K& k) { return worst(k, shared, false, narrow); }},
};
// clang-format on

}  // namespace

std::span<const Feature> access_features() { return rows; }

}  // namespace tecc::autotune
