#include "autotune/search/enumerate.h"

#include <algorithm>

namespace tecc::autotune {

std::optional<std::int64_t> enumerate(const Space& space, const std::function<bool(Result<Point>)>& visit) {
  Genome genome;                                // the answers to give; later questions take the preferred one
  std::vector<std::vector<std::int64_t>> rest;  // for each of its choices: the options still to be tried
  for (std::int64_t count = 1;; ++count) {
    Genome asked;
    if (!visit(space.make(Chooser(genome, nullptr, &asked)))) return std::nullopt;
    for (std::size_t n = rest.size(); n < asked.size(); ++n) {
      rest.push_back(asked[n].options);
      std::erase(rest.back(), asked[n].value);
    }
    genome = std::move(asked);
    while (!rest.empty() && rest.back().empty()) rest.pop_back(), genome.pop_back();
    if (rest.empty()) return count;
    genome.back().value = rest.back().back();
    rest.back().pop_back();
  }
}

}  // namespace tecc::autotune
