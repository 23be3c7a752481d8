#include "compiler/memory/section_search.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

namespace tecc {
namespace {

/// Lists as one array and the place where each begins.
void flatten(const std::vector<std::vector<std::int32_t>>& lists, std::vector<std::int32_t>& items,
             std::vector<std::int32_t>& begins) {
  begins.assign(1, 0);
  for (const auto& list : lists) {
    items.insert(items.end(), list.begin(), list.end());
    begins.push_back(static_cast<std::int32_t>(items.size()));
  }
}

std::uint64_t scramble(std::uint64_t x) {  // splitmix64's finisher (Steele, Lea, Flood, OOPSLA 2014)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

void SectionSearch::Digest::add(std::int32_t buffer, std::int64_t offset) {
  const std::uint64_t x = scramble(static_cast<std::uint64_t>(offset) + 0x9e3779b97f4a7c15 * (buffer + 1));
  a += x;
  b += scramble(x + 0x9e3779b97f4a7c15);
}

SectionSearch::SectionSearch(const Sections& problem, std::int64_t capacity) : problem_(problem), capacity_(capacity) {
  const auto buffers = static_cast<std::int32_t>(problem.buffers.size());
  std::vector<std::vector<std::int32_t>> conflicts(problem.buffers.size()), members(problem.loads.size());
  crossing_.assign(problem.loads.size(), 0);
  for (std::int32_t a = 0; a < buffers; ++a) {
    const Sections::Buffer& x = problem.buffers[a];
    for (std::int32_t b = 0; b < buffers; ++b) {
      const Sections::Buffer& y = problem.buffers[b];
      if (a != b && x.first < y.last && y.first < x.last) conflicts[a].push_back(b);
    }
    for (std::int32_t s = x.first; s < x.last; ++s) {
      members[s].push_back(a);
      crossing_[s] += s + 1 < x.last;
    }
  }
  flatten(conflicts, conflicts_, conflicts_begin_);
  flatten(members, members_, members_begin_);
  lowest_.assign(problem.buffers.size(), 0);
  reach_ = lowest_;
  placed_.assign(problem.buffers.size(), 0);
  floors_.assign(problem.loads.size(), 0);
  unplaced_bytes_ = problem.loads;
  touched_.assign(problem.loads.size(), 0);
  offsets_ = lowest_;
  levels_.resize(problem.buffers.size() + 1);
}

SectionSearch::Outcome SectionSearch::run(const Ranking& ranking, Budget& budget) {
  ranking_ = ranking;
  budget_ = &budget;
  const Part whole{0, static_cast<std::int32_t>(problem_.loads.size())};
  std::vector<std::int32_t> all(problem_.buffers.size());
  std::iota(all.begin(), all.end(), 0);
  return problem_.peak <= capacity_ ? solve(whole, all, 0) : Outcome::none;
}

SectionSearch::Outcome SectionSearch::solve(Part part, std::span<const std::int32_t> unplaced, std::int64_t bottom) {
  struct Ranked {
    std::array<double, 4> key;
    std::int32_t buffer;
  };
  std::vector<Ranked> ranked;
  std::mt19937_64 random(ranking_.seed);
  for (const std::int32_t b : unplaced) {
    const Sections::Buffer& buffer = problem_.buffers[b];
    Ranked r{{}, b};
    for (std::size_t k = 0; k < ranking_.keys.size(); ++k) {
      const auto size = static_cast<double>(buffer.size), length = static_cast<double>(buffer.length);
      switch (ranking_.keys[k]) {
        case 'l':
          r.key[k] = -length;
          break;
        case 'a':
          r.key[k] = -size * length;
          break;
        case 's':
          r.key[k] = -size;
          break;
        case 'o':
          r.key[k] = -static_cast<double>(conflicts(b).size());
          break;
        default:
          r.key[k] = -static_cast<double>(
              *std::max_element(unplaced_bytes_.begin() + buffer.first, unplaced_bytes_.begin() + buffer.last));
      }
      // Many buffers share the load of the one peak; shaken, that key would drown the others.
      if (ranking_.shake > 0 && ranking_.keys[k] != 'p')
        r.key[k] *= 1 + ranking_.shake * static_cast<double>(random() >> 11) * 0x1p-53;
    }
    ranked.push_back(r);
  }
  std::ranges::sort(
      ranked, [](const Ranked& a, const Ranked& b) { return a.key != b.key ? a.key < b.key : a.buffer < b.buffer; });
  std::vector<Candidate> candidates;
  candidates.reserve(ranked.size());
  for (const Ranked& r : ranked) candidates.push_back({0, static_cast<std::int32_t>(candidates.size()), r.buffer});
  return descend(part, candidates, bottom, 0);
}

SectionSearch::Outcome SectionSearch::descend(Part part, std::span<const Candidate> before, std::int64_t bottom,
                                              std::int32_t rank) {
  const auto sooner = [](const Candidate& a, const Candidate& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.rank < b.rank;
  };
  // `before` is sorted and few of its offsets have risen: merge those in instead of sorting all again.
  std::vector<Candidate>& candidates = levels_[depth_];
  candidates.clear();
  risen_.clear();
  std::int64_t lowest_top = INT64_MAX;  // an unplaced buffer fits below it
  for (const Candidate& c : before) {
    if (placed_[c.buffer]) continue;
    const std::int64_t offset = lowest_[c.buffer];
    (offset == c.offset ? candidates : risen_).push_back({offset, c.rank, c.buffer});
    lowest_top = std::min(lowest_top, offset + problem_.buffers[c.buffer].size);
  }
  std::ranges::sort(risen_, sooner);
  const auto kept = static_cast<std::ptrdiff_t>(candidates.size());
  candidates.insert(candidates.end(), risen_.begin(), risen_.end());
  std::inplace_merge(candidates.begin(), candidates.begin() + kept, candidates.end(), sooner);
  if (candidates.empty()) return Outcome::found;
  // Blocked: passed over. It must rise first, by a buffer placed below it; until then its offset still tells what would
  // be a gap, so it is part of the state. Bottom and rank are not: no rule asks for more of them than who is blocked.
  const auto blocked = [&](const Candidate& c) { return c.offset < bottom || (c.offset == bottom && c.rank < rank); };
  Digest state;
  for (const Candidate& c : candidates) state.add(c.buffer, blocked(c) ? ~c.offset : c.offset);
  if (hopeless_.holds(state)) return Outcome::none;
  if (!blocked_fit(part, candidates, bottom, rank)) {
    hopeless_.insert(state);
    return Outcome::none;
  }
  // All that is unplaced in a section stands at or above the offset chosen next, the chosen buffer included.
  std::int64_t most_unplaced = 0;
  for (std::int32_t s = part.first; s < part.last; ++s) most_unplaced = std::max(most_unplaced, unplaced_bytes_[s]);
  ++depth_;
  Outcome outcome = Outcome::none;
  for (const Candidate& c : candidates) {
    if (blocked(c)) continue;
    if (c.offset >= lowest_top || c.offset > capacity_ - most_unplaced) break;
    if (!budget_->take()) {
      outcome = Outcome::out_of_nodes;
      break;
    }
    const std::size_t mark = changes_.size();
    const bool supports = place(c);
    if (fits_) outcome = split(part, candidates, c);
    unplace(c, mark);
    if (outcome == Outcome::found) offsets_[c.buffer] = c.offset;
    if (outcome != Outcome::none || !supports) break;
  }
  --depth_;
  if (outcome == Outcome::none) hopeless_.insert(state);
  return outcome;
}

bool SectionSearch::blocked_fit(Part part, std::span<const Candidate> candidates, std::int64_t bottom,
                                std::int32_t rank) {
  ++stamp_;
  bool any = false;  // blocked
  for (const Candidate& c : candidates) {
    const bool blocked = c.offset < bottom || (c.offset == bottom && c.rank < rank);
    reach_[c.buffer] = c.offset;
    if (!blocked) continue;
    any = true;
    std::int64_t reach = INT64_MAX;
    for (const std::int32_t other : conflicts(c.buffer))
      if (!placed_[other]) reach = std::min(reach, std::max(bottom, lowest_[other]) + problem_.buffers[other].size);
    const Sections::Buffer& buffer = problem_.buffers[c.buffer];
    if (reach == INT64_MAX || (reach = align_up(reach, buffer.alignment)) + buffer.size > capacity_) return false;
    reach_[c.buffer] = reach;
    for (std::int32_t s = buffer.first; s < buffer.last; ++s) touched_[s] = stamp_;
  }
  if (!any) return true;
  for (std::int32_t s = part.first; s < part.last; ++s) {
    if (touched_[s] != stamp_) continue;
    std::int64_t lowest = INT64_MAX;
    for (const std::int32_t b : members(s))
      if (!placed_[b]) lowest = std::min(lowest, reach_[b]);
    if (lowest + unplaced_bytes_[s] > capacity_) return false;
  }
  return true;
}

SectionSearch::Outcome SectionSearch::split(Part part, std::span<const Candidate> before, const Candidate& chosen) {
  const Sections::Buffer& buffer = problem_.buffers[chosen.buffer];
  std::vector<std::int32_t> cuts;  // sections that begin a part
  for (std::int32_t s = buffer.first; s + 1 < buffer.last; ++s)
    if (--crossing_[s] == 0) cuts.push_back(s + 1);
  Outcome outcome = Outcome::found;
  if (cuts.empty()) {
    outcome = descend(part, before, chosen.offset, chosen.rank);
  } else {
    cuts.push_back(part.last);
    std::int32_t first = part.first;
    for (const std::int32_t last : cuts) {
      std::vector<std::int32_t> unplaced;
      for (const Candidate& c : before) {
        const Sections::Buffer& b = problem_.buffers[c.buffer];
        if (!placed_[c.buffer] && b.first < last && first < b.last) unplaced.push_back(c.buffer);
      }
      // The offset of the last buffer stays the bottom; ranks start anew.
      if (!unplaced.empty()) outcome = solve({first, last}, unplaced, chosen.offset);
      if (outcome != Outcome::found) break;
      first = last;
    }
  }
  for (std::int32_t s = buffer.first; s + 1 < buffer.last; ++s) ++crossing_[s];
  return outcome;
}

bool SectionSearch::place(const Candidate& chosen) {
  const Sections::Buffer& buffer = problem_.buffers[chosen.buffer];
  const std::int64_t top = chosen.offset + buffer.size;
  placed_[chosen.buffer] = 1;
  for (std::int32_t s = buffer.first; s < buffer.last; ++s) {
    set(floors_[s], top);
    unplaced_bytes_[s] -= buffer.size;
  }
  bool supports = false;
  std::int32_t first = INT32_MAX, last = 0;  // sections with a buffer that rises
  ++stamp_;
  for (const std::int32_t other : conflicts(chosen.buffer)) {
    if (placed_[other]) continue;
    supports = true;
    if (lowest_[other] >= top) continue;
    const Sections::Buffer& o = problem_.buffers[other];
    set(lowest_[other], align_up(top, o.alignment));
    first = std::min(first, o.first);
    last = std::max(last, o.last);
    for (std::int32_t s = o.first; s < o.last; ++s) touched_[s] = stamp_;
  }
  fits_ = true;
  for (std::int32_t s = first; s < last && fits_; ++s) {
    if (touched_[s] != stamp_) continue;
    std::int64_t lowest = INT64_MAX;
    for (const std::int32_t b : members(s))
      if (!placed_[b]) lowest = std::min(lowest, lowest_[b]);
    if (floors_[s] < lowest) set(floors_[s], lowest);
    fits_ = floors_[s] + unplaced_bytes_[s] <= capacity_;
  }
  return supports;
}

void SectionSearch::unplace(const Candidate& chosen, std::size_t mark) {
  for (; changes_.size() > mark; changes_.pop_back()) *changes_.back().where = changes_.back().before;
  const Sections::Buffer& buffer = problem_.buffers[chosen.buffer];
  for (std::int32_t s = buffer.first; s < buffer.last; ++s) unplaced_bytes_[s] += buffer.size;
  placed_[chosen.buffer] = 0;
}

}  // namespace tecc
