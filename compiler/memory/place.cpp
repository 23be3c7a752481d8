#include "compiler/memory/place.h"

#include <algorithm>
#include <array>

#include "compiler/memory/budget.h"
#include "compiler/memory/first_fit.h"
#include "compiler/memory/section_search.h"
#include "compiler/memory/sections.h"
#include "compiler/memory/squeaky_wheel.h"

namespace tecc {
namespace {

// The search keeps all pairs in conflict; beyond this it neither ends nor fits the caches.
constexpr std::size_t most_searched = 2000;  // buffers

/// The indices of the buffers in groups that never live together with one of another group. Buffers of no bytes are in
/// none: they may stand anywhere.
std::vector<std::vector<std::size_t>> groups_apart(const Sections& problem) {
  std::vector<std::size_t> by_start;
  for (std::size_t i = 0; i < problem.buffers.size(); ++i)
    if (problem.buffers[i].size > 0) by_start.push_back(i);
  std::ranges::stable_sort(by_start, {}, [&](std::size_t i) { return problem.buffers[i].first; });
  std::vector<std::vector<std::size_t>> groups;
  std::int32_t end = 0;
  for (const std::size_t i : by_start) {
    if (groups.empty() || problem.buffers[i].first >= end) groups.emplace_back();
    groups.back().push_back(i);
    end = std::max(end, problem.buffers[i].last);
  }
  for (auto& group : groups) std::ranges::sort(group);  // ties go by the order of the input
  return groups;
}

/// Lowers the height of one group as far as `wanted`.
class Improver {
 public:
  Improver(const Sections& problem, std::int64_t wanted, std::uint64_t seed, Budget& budget)
      : problem_(problem), wanted_(wanted), seed_(seed), budget_(budget) {}

  Placement run() {
    if (try_orders()) return best_;
    if (problem_.buffers.size() <= most_searched) {
      search();
    } else {
      keep(squeaky_wheel(problem_, best_order_, best_fit_, wanted_, seed_, budget_));
    }
    return best_;
  }

 private:
  /// Whether the height is good enough now.
  bool keep(std::vector<std::int64_t> offsets) {
    const std::int64_t now = height(problem_, offsets);
    if (best_.offsets.empty() || now < best_.height) best_ = {std::move(offsets), now, now == problem_.peak};
    return best_.height <= wanted_;
  }

  bool try_orders() {
    for (const Fit fit : {Fit::first, Fit::best})
      for (const BufferOrder& order : buffer_orders()) {
        std::vector<std::int32_t> sorted = order.sorted(problem_);
        const std::int64_t before = best_.offsets.empty() ? INT64_MAX : best_.height;
        const bool enough = keep(first_fit(problem_, sorted, fit));
        if (best_.height < before) {
          best_order_ = std::move(sorted);
          best_fit_ = fit;
        }
        if (enough) return true;
      }
    return false;
  }

  /// First the height that is wanted, with half of the budget; then ever smaller steps between what was refused and
  /// what was reached.
  void search() {
    std::int64_t low = wanted_;  // nothing below it is wanted, or known to fit
    bool proven = true;          // that nothing below `low` fits, as far as it is wanted
    std::uint64_t share = budget_.nodes() / 2;
    for (std::int64_t target = wanted_; low < best_.height && budget_.nodes() > 0;
         target = low + (best_.height - low) / 2) {
      const std::uint64_t held = budget_.hold_back_all_but(share);
      const SectionSearch::Outcome outcome = decide(target);
      budget_.give_back(held);
      share = budget_.nodes() / 4;
      if (share == 0) break;
      if (outcome == SectionSearch::Outcome::found) continue;
      low = target + 1;
      proven = proven && outcome == SectionSearch::Outcome::none;
    }
    if (proven && low >= best_.height && best_.height > wanted_) best_.optimal = true;
  }

  /// Rounds over several rankings: each visits few nodes first, and all again with twice as many.
  SectionSearch::Outcome decide(std::int64_t capacity) {
    constexpr std::array<std::string_view, 5> rankings = {"pla", "pal", "lap", "plo", "alp"};
    SectionSearch search(problem_, capacity);
    std::uint64_t round = 0;
    for (std::uint64_t nodes = 4 * problem_.buffers.size(); budget_.nodes() > 0; nodes *= 2, ++round)
      for (std::size_t r = 0; r <= rankings.size(); ++r) {
        SectionSearch::Ranking ranking{rankings[(r < rankings.size() ? r : round) % rankings.size()]};
        if (r == rankings.size()) ranking.shake = 0.2, ranking.seed = seed_ + round;
        const std::uint64_t held = budget_.hold_back_all_but(nodes);
        const SectionSearch::Outcome outcome = search.run(ranking, budget_);
        budget_.give_back(held);
        if (outcome == SectionSearch::Outcome::found) keep(search.offsets());
        if (outcome != SectionSearch::Outcome::out_of_nodes) return outcome;
      }
    return SectionSearch::Outcome::out_of_nodes;
  }

  const Sections& problem_;
  const std::int64_t wanted_;  // bytes
  const std::uint64_t seed_;
  Budget& budget_;
  Placement best_;
  std::vector<std::int32_t> best_order_;  // of the heuristics, with best_fit_
  Fit best_fit_ = Fit::first;
};

}  // namespace

Placement place(std::span<const Lifetime> lifetimes, const PlaceOptions& options) {
  const Sections whole = cut_sections(lifetimes);
  const std::int64_t wanted = std::max(whole.peak, options.capacity.value_or(0));
  Budget budget(options.nodes, options.seconds);
  Placement out{std::vector<std::int64_t>(lifetimes.size(), 0), 0, true};
  bool proven = false;  // a group that cannot be lower is the highest
  for (const std::vector<std::size_t>& group : groups_apart(whole)) {
    std::vector<Lifetime> alone;
    alone.reserve(group.size());
    for (const std::size_t i : group) alone.push_back(lifetimes[i]);
    const Placement part = Improver(cut_sections(alone), wanted, options.seed, budget).run();
    for (std::size_t i = 0; i < group.size(); ++i) out.offsets[group[i]] = part.offsets[i];
    if (part.height > out.height) proven = false;
    if (part.height >= out.height) proven = proven || part.optimal;
    out.height = std::max(out.height, part.height);
  }
  out.optimal = proven || out.height == whole.peak;
  return out;
}

}  // namespace tecc
