#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "compiler/memory/budget.h"
#include "compiler/memory/sections.h"

namespace tecc {

/// Decides whether a problem fits below a capacity: depth-first search that places buffers from the bottom up. A
/// placement is canonical when no buffer can be moved down and its buffers are listed by (offset, rank); one of every
/// fitting set is, so only those are looked for. A branch is cut when
///   - a section cannot hold its floor and what is still unplaced in it (the floor rises with the last offset and with
///     the lowest possible offset of the section's unplaced buffers);
///   - a buffer would leave a gap below it that an unplaced one fits in;
///   - the buffer just tried conflicts with no unplaced one, so that its place cannot have been the mistake.
/// A state found hopeless is remembered, so that another order of the same steps does not search it again; neither this
/// nor the bound on blocked buffers is MiniMalloc's. When the unplaced buffers fall apart in time, the parts are solved
/// one by one.
/// Source: Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning", ASPLOS
/// 2023.
class SectionSearch {
 public:
  enum class Outcome : std::uint8_t { found, none, out_of_nodes };
  /// What decides between buffers that may stand at the same offset: 'l'ength, 'a'rea, largest un'p'laced load met,
  /// 's'ize, conflicts with 'o'thers, each falling, the first one deciding; at most four.
  struct Ranking {
    std::string_view keys;
    double shake = 0;  // every key but 'p' is multiplied by a random factor between 1 and 1 + shake
    std::uint64_t seed = 0;
  };

  SectionSearch(const Sections& problem, std::int64_t capacity);
  /// Takes a node from the budget for every offset it tries. `none` is a proof (up to equal 128-bit digests). May be
  /// called again, with the same or another ranking.
  Outcome run(const Ranking& ranking, Budget& budget);
  /// bytes; after Outcome::found
  const std::vector<std::int64_t>& offsets() const { return offsets_; }

 private:
  struct Candidate {
    std::int64_t offset;  // the lowest that the placed buffers leave
    std::int32_t rank, buffer;
  };
  struct Part {
    std::int32_t first, last;
  };  // sections, half-open
  struct Change {
    std::int64_t* where;
    std::int64_t before;
  };

  Outcome solve(Part part, std::span<const std::int32_t> unplaced, std::int64_t bottom);
  Outcome descend(Part part, std::span<const Candidate> before, std::int64_t bottom, std::int32_t rank);
  Outcome split(Part part, std::span<const Candidate> before, const Candidate& chosen);
  /// Whether the blocked candidates can still be lifted by one that stands below them, and their sections hold them
  /// then.
  bool blocked_fit(Part part, std::span<const Candidate> candidates, std::int64_t bottom, std::int32_t rank);
  bool place(const Candidate& chosen);  // whether an unplaced buffer conflicts with it; sets fits_
  void unplace(const Candidate& chosen, std::size_t mark);
  void set(std::int64_t& where, std::int64_t value) { changes_.push_back({&where, where}), where = value; }
  std::span<const std::int32_t> conflicts(std::int32_t b) const {
    return {conflicts_.data() + conflicts_begin_[b], conflicts_.data() + conflicts_begin_[b + 1]};
  }
  std::span<const std::int32_t> members(std::int32_t s) const {
    return {members_.data() + members_begin_[s], members_.data() + members_begin_[s + 1]};
  }

  /// 128 bits that stand for a set of unplaced buffers and their lowest offsets; the order of add() does not matter.
  struct Digest {
    std::uint64_t a = 0, b = 0;
    void add(std::int32_t buffer, std::int64_t offset);
  };
  /// Digests of states without a solution; a full slot is overwritten.
  class Digests {
   public:
    bool holds(const Digest& d) const { return slots_[d.a % slots].a == d.a && slots_[d.a % slots].b == d.b; }
    void insert(const Digest& d) { slots_[d.a % slots] = d; }
    void clear() { slots_.assign(slots, {}); }

   private:
    static constexpr std::size_t slots = 1 << 18;  // 4 MiB
    std::vector<Digest> slots_ = std::vector<Digest>(slots);
  };

  const Sections& problem_;
  const std::int64_t capacity_;
  Ranking ranking_;
  Budget* budget_ = nullptr;                               // of the run in progress
  std::vector<std::int32_t> conflicts_, conflicts_begin_;  // conflicts_[conflicts_begin_[b] ..]: of buffer b
  std::vector<std::int32_t> members_, members_begin_;      // members_[members_begin_[s] ..]: live in section s
  std::vector<std::int64_t> lowest_;                       // of a buffer: no placed conflicting buffer ends above it
  std::vector<std::int64_t> floors_, unplaced_bytes_;      // of a section
  std::vector<std::int32_t> crossing_;                     // unplaced buffers live in sections s and s + 1
  std::vector<char> placed_;
  std::vector<Change> changes_;         // to lowest_ and floors_, undone in reverse
  std::vector<std::uint64_t> touched_;  // of a section: the stamp of the last look at it
  std::uint64_t stamp_ = 0;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> reach_;             // of a buffer: no solution has it lower; within one visit only
  std::vector<std::vector<Candidate>> levels_;  // one list a depth, kept between visits
  std::size_t depth_ = 0;
  Digests hopeless_;
  std::vector<Candidate> risen_;  // used within one visit only
  bool fits_ = true;              // whether every section could still hold its unplaced bytes after place()
};

}  // namespace tecc
