#include <algorithm>

#include "autotune/feature/feature.h"

namespace tecc::autotune {
namespace {

using K = KernelFacts;

double global_bytes(const K& k) { return k.global_read_bytes + k.global_write_bytes; }
double operations(const K& k) { return k.float_operations + k.functions; }
double per(double a, double b) { return b > 0 ? a / b : 0; }

// clang-format off
// name, unit, smallest, largest
constexpr Feature rows[] = {
    {"global_read_bytes", "bytes", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.global_read_bytes; }},
    {"global_write_bytes", "bytes", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.global_write_bytes; }},
    {"shared_bytes_moved", "bytes", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.shared_bytes_moved; }},
    {"footprint", "bytes", 0, 1e13, Fold::sum, Scale::log, [](const K& k) { return k.footprint_bytes; }},
    {"block_footprints", "bytes", 0, 1e15, Fold::sum, Scale::log, [](const K& k) { return k.block_bytes; }},
    {"reread", "times", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return per(k.block_bytes, k.footprint_bytes); }},
    {"reread_by_threads", "times", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return per(global_bytes(k), k.footprint_bytes); }},
    {"bytes_in_flight", "bytes of an SM", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return k.warps_per_sm * 32 * k.lanes * k.flight_bytes; }},
    {"rounds", "rounds", 0, 1e9, Fold::largest, Scale::log, [](const K& k) { return k.rounds; }},
    {"read_once", "share of the bytes read", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return per(k.read_once_bytes, k.global_read_bytes); }},
    {"write_once", "share of the bytes written", 0, 1, Fold::largest, Scale::plain, [](const K& k) { return per(k.write_once_bytes, k.global_write_bytes); }},
    {"intensity_global", "operations/byte", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return per(operations(k), global_bytes(k)); }},
    {"intensity_shared", "operations/byte", 0, 1e6, Fold::largest, Scale::log, [](const K& k) { return per(operations(k), k.shared_bytes_moved); }},
    {"loads_per_operation", "instructions/operation", 0, 1e3, Fold::largest, Scale::log, [](const K& k) { return per(k.load_instructions, operations(k)); }},
};
// clang-format on

}  // namespace

std::span<const Feature> traffic_features() { return rows; }

}  // namespace tecc::autotune
