#include "compiler/memory/squeaky_wheel.h"

#include <algorithm>
#include <random>

#include "compiler/memory/first_fit.h"

namespace tecc {

std::vector<std::int64_t> squeaky_wheel(const Sections& problem, std::vector<std::int32_t> order, Fit fit,
                                        std::int64_t wanted, std::uint64_t seed, Budget& budget) {
  constexpr int patience = 6;  // passes without a better height before going back to the best order
  // Passes without a better height before stopping: a second or so on large lists, where later ones gained under 1e-8.
  const int give_up = static_cast<int>(std::clamp<std::size_t>(600'000 / (order.size() + 1), 8, 60));
  constexpr double shake = 0.1;  // of the number of buffers: how far a place may move by chance after going back
  std::mt19937_64 random(seed);
  const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };  // the same on every platform
  std::vector<std::int64_t> best = first_fit(problem, order, fit);
  std::int64_t lowest = height(problem, best);
  std::vector<std::int64_t> offsets = best;
  std::vector<std::int32_t> best_order = order;
  std::vector<std::pair<double, std::int32_t>> places(order.size());
  for (int idle = 0; lowest > wanted && idle < give_up && budget.take(order.size()); ++idle) {
    const bool back = idle % patience == patience - 1;
    if (back) {
      order = best_order;
      offsets = best;
    }
    // Mostly short moves: the fourth power of a uniform number.
    const double u = unit(), reach = back ? static_cast<double>(order.size()) * shake * u * u * u * u : 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::int32_t b = order[i];
      const auto place = static_cast<double>(i);
      const bool squeaks = offsets[b] + problem.buffers[b].size > wanted;
      places[i] = {squeaks ? place * unit() : back ? place + reach * unit() : place, b};
    }
    std::ranges::stable_sort(places, {}, &std::pair<double, std::int32_t>::first);
    std::ranges::transform(places, order.begin(), &std::pair<double, std::int32_t>::second);
    offsets = first_fit(problem, order, fit);
    if (const std::int64_t now = height(problem, offsets); now < lowest) {
      lowest = now;
      best = offsets;
      best_order = order;
      idle = 0;
    }
  }
  return best;
}

}  // namespace tecc
