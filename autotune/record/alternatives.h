#pragma once
#include "autotune/record/database.h"
#include "autotune/search/space.h"

namespace tecc::autotune {

/// A decision of a candidate, and what is recorded of taking it differently.
struct Alternative {
  std::string decision;
  std::int64_t taken = 0;
  /// The recorded candidate that differs in this decision and in the fewest others, of those the fastest.
  struct Other {
    std::int64_t option = 0;
    std::size_t further = 0;  // decisions in which the two differ besides, those that only one of them came to included
    double us = 0;
    bool finalist = false;    // so that its time was taken side by side with those of other finalists
  };
  std::optional<Other> other;            // none: no such candidate was measured
  std::optional<Failed> failed;          // then: the nearest that was tried and failed
  /// Options that no record has, in the rule's order.
  struct Untried {
    std::int64_t option = 0;
    std::string why;  // "refused: E0405 ...", "the same program"; empty: nobody tried, or there is an `other` that says more
  };
  std::vector<Untried> untried;
};

/// One for each decision of the winner that had more than one option, in its order. `ranked`: the candidates of the task
/// (Database::ranking); `failures`: records of those that failed. Where no other option was measured, the untried ones are asked of `space`,
/// with the winner's other choices: what refuses them is why; null where the space cannot be made again.
std::vector<Alternative> alternatives(const Record& winner, const std::vector<Database::Best>& ranked, const std::vector<Record>& failures, const Space* space);

}  // namespace tecc::autotune
