#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "compiler/memory/lifetime.h"

namespace tecc {

struct PlaceOptions {
  std::optional<std::int64_t> capacity;  // bytes; good enough at or below it. Without: only the lower bound is
  double seconds = 30;                   // wall-clock limit of the search; the heuristics before it always finish
  std::uint64_t nodes = 8'000'000;       // work limit of the search; reached before `seconds`, results repeat exactly
  std::uint64_t seed = 0;
};

struct Placement {
  std::vector<std::int64_t> offsets;  // bytes, in the order of the lifetimes
  std::int64_t height = 0;            // bytes; the largest offset + size
  bool optimal = false;               // no lower height exists: it is the lower bound, or the search ended
};

/// Gives every buffer an offset >= 0 so that no two that are live together share a byte (offset assignment, static or
/// dynamic storage allocation), and looks for a low height. Never fails; whoever has a capacity compares the height.
/// The same lifetimes, nodes and seed give the same placement unless `seconds` ran out.
Placement place(std::span<const Lifetime> lifetimes, const PlaceOptions& options = {});

}  // namespace tecc
