#include "autotune/record/alternatives.h"

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

}  // namespace

std::vector<Alternative> alternatives(const Genome& genome, const std::vector<Database::Best>& ranked, const std::vector<Record>& failures) {
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
    std::copy_if(own.options.begin(), own.options.end(), std::back_inserter(a.untried), [&](std::int64_t option) { return !tried.count(option); });
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace tecc::autotune
