#include "autotune/budget.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace tecc::autotune {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

/// Microseconds that the next batch should spare, a second that it takes.
double gain(const Standing& s) {
  const auto batches = static_cast<double>(s.best_us.size());
  const double best = s.best_us.back();
  if (best == never) return 0;  // batches that all failed: the others first
  constexpr std::size_t recent = 2;
  const double earlier = s.best_us.size() > recent ? s.best_us[s.best_us.size() - 1 - recent] : s.best_us.front();
  const double spared = earlier == never ? best : (earlier - best) / static_cast<double>(std::min(recent, s.best_us.size()));
  // Each batch that found nothing makes the next one less likely to.
  const auto first_best = std::find_if(s.best_us.begin(), s.best_us.end(), [&](double us) { return us == best; });
  const auto idle = static_cast<double>(s.best_us.end() - first_best);
  const double hoped = std::max(0.0, std::min(best / batches / idle, best - s.bound_us));
  constexpr double trust = 0.5;  // of what was seen, against what may come
  return (trust * spared + (1 - trust) * hoped) / std::max(s.seconds / batches, 1e-6);
}

}  // namespace

std::optional<std::size_t> next_search(std::span<const Standing> standings) {
  std::optional<std::size_t> out;
  double most = -1;
  for (std::size_t n = 0; n < standings.size(); ++n) {
    if (standings[n].done) continue;
    const double here = standings[n].best_us.empty() ? never : gain(standings[n]);
    if (here > most) most = here, out = n;
  }
  return out;
}

Result<std::vector<Tuned>> tune_all(std::span<const BudgetTask> tasks, const codegen::Target& target, Database& records, const TuneOptions& options,
                                    const std::function<void(std::size_t, const Progress&)>& progress, const std::function<bool()>& stop) {
  using Clock = std::chrono::steady_clock;
  const auto total = static_cast<int>(std::min<std::size_t>(tasks.size() * static_cast<std::size_t>(options.trials), std::numeric_limits<int>::max()));
  TuneOptions each = options;
  each.trials = total;  // one search may take what others leave
  std::vector<Tuning> searches;
  std::vector<Standing> standings(tasks.size());
  int used = 0;
  for (std::size_t n = 0; n < tasks.size(); ++n) {
    searches.emplace_back(tasks[n].workload, target, tasks[n].measurer, records, each, [&progress, n](const Progress& p) { progress(n, p); }, stop);
    TECC_CHECK(searches[n].begin());
    used += searches[n].progress().trials;
    standings[n].bound_us = searches[n].bound_us();
  }
  while (used < total) {
    const auto n = next_search(standings);
    if (!n) break;
    const Clock::time_point before = Clock::now();
    const int had = searches[*n].progress().trials;
    TECC_TRY(const bool more, searches[*n].step(total - used));
    const Progress& p = searches[*n].progress();
    used += p.trials - had;
    standings[*n].done = !more;
    if (!more) continue;
    standings[*n].seconds += std::chrono::duration<double>(Clock::now() - before).count();
    standings[*n].best_us.push_back(p.best_us.value_or(never));
  }
  std::vector<Tuned> out;
  for (Tuning& s : searches) {
    TECC_TRY(Tuned one, s.end());
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace tecc::autotune
