#include "autotune/record/alternatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "autotune/search/search.h"

namespace tecc::autotune {
namespace {

/// What a genome answers to the decision; nothing where it did not come to it.
const Choice* answer(const Genome& genome, const std::string& decision) {
  const auto found = std::find_if(genome.begin(), genome.end(), [&](const Choice& c) { return c.name == decision; });
  return found == genome.end() ? nullptr : &*found;
}

/// Why nobody measured the winner with another option: the rules or a limit of the device refuse it, or it makes no difference.
std::string why_untried(const Space& space, const Record& winner, const std::string& decision, std::int64_t option) {
  Genome wanted = winner.genome;
  for (Choice& c : wanted)
    if (c.name == decision) c.value = option;
  const auto point = space.make(Chooser(wanted));
  if (!point) return fmt::format("refused: {} {}", number(point.error().code), message(point.error()));
  return point->program_hash == winner.program_hash ? "the same program" : "";
}

}  // namespace

std::vector<Alternative> alternatives(const Record& winner, const std::vector<Database::Best>& ranked, const std::vector<Record>& failures, const Space* space) {
  const Genome& genome = winner.genome;
  std::vector<Alternative> out;
  for (const Choice& own : genome) {
    if (own.options.size() < 2) continue;
    Alternative a{own.name, own.value, {}, {}, {}};
    std::set<std::int64_t> tried{own.value};
    for (const Database::Best& b : ranked) {  // by time: the first of equally near ones is the fastest
      const Choice* theirs = answer(b.record.genome, own.name);
      if (!theirs || theirs->value == own.value) continue;
      tried.insert(theirs->value);
      const std::size_t further = apart(genome, b.record.genome) - 1;
      if (!a.other || further < a.other->further) a.other = {theirs->value, further, b.us, b.record.round > 0};
    }
    std::size_t nearest = 0;
    for (const Record& r : failures) {
      const Choice* theirs = answer(r.genome, own.name);
      if (!theirs || theirs->value == own.value) continue;
      tried.insert(theirs->value);
      const std::size_t further = apart(genome, r.genome) - 1;
      if (a.other || (a.failed && further >= nearest)) continue;
      a.failed = std::get<Failed>(r.outcome);
      nearest = further;
    }
    for (const std::int64_t option : own.options)
      if (!tried.count(option)) a.untried.push_back({option, space && !a.other ? why_untried(*space, winner, own.name, option) : ""});
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace tecc::autotune
