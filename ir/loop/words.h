#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "ir/loop/program.h"

/// The words of the loop IR's text, in the order of the enumerations they stand for: print and parse share them.
namespace tecc::loop::words {

inline constexpr std::string_view starts[] = {"ordered", "dependent", "concurrent"};
inline constexpr std::string_view groups[] = {"none", "block", "cluster", "warpgroup", "warp", "thread"};
inline constexpr std::string_view kinds[] = {"serial", "parallel", "unrolled", "vectorized"};
inline constexpr std::string_view scopes[] = {"global", "shared", "register", "local"};
inline constexpr std::string_view iters[] = {"spatial", "reduce", "scan"};
inline constexpr std::string_view vias[] = {"plain", "vector", "cp_async", "bulk", "bulk_tensor", "ldmatrix", "stmatrix", "mma_sync", "wgmma"};
inline constexpr std::string_view hints[] = {"none", "evict_first", "evict_last"};
inline constexpr std::string_view hows[] = {"open", "registers", "mbarrier", "ahead", "bulk_store", "cp_async"};
inline constexpr std::string_view events[] = {"acquire", "commit", "wait", "release"};
inline constexpr std::string_view syncs[] = {"wait_full", "wait_empty", "expect", "arrive_full", "arrive_empty", "fence_async", "await_mma",
                                             "commit_bulk", "await_bulk_read", "await_bulk", "commit_copies", "await_copies", "await_turn", "pass_turn"};

template <std::size_t n, class E>
std::string_view of(const std::string_view (&table)[n], E value) {
  return table[static_cast<std::size_t>(value)];
}
template <class E, std::size_t n>
std::optional<E> find(const std::string_view (&table)[n], std::string_view word) {
  const auto* found = std::find(std::begin(table), std::end(table), word);
  return found == std::end(table) ? std::nullopt : std::optional(static_cast<E>(found - std::begin(table)));
}
/// "a, b or c", to say what would be legal.
template <std::size_t n>
std::string list(const std::string_view (&table)[n], std::size_t first = 0) {
  std::string out;
  for (std::size_t i = first; i < n; ++i) out += (i == first ? "" : i + 1 == n ? " or " : ", ") + std::string(table[i]);
  return out;
}

/// Operations on the barriers of a channel's slot; the others name no channel.
inline bool has_channel(Sync::Op op) { return op <= Sync::Op::arrive_empty; }
inline bool has_count(Sync::Op op) {
  return op == Sync::Op::expect || op == Sync::Op::await_mma || op == Sync::Op::await_bulk_read || op == Sync::Op::await_bulk || op == Sync::Op::await_copies ||
         op == Sync::Op::await_turn || op == Sync::Op::pass_turn;
}

}  // namespace tecc::loop::words
