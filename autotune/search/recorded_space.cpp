#include "autotune/search/recorded_space.h"

#include <algorithm>
#include <limits>

namespace tecc::autotune {

RecordedSpace::RecordedSpace(std::vector<TimedPoint> entries, const std::string& first) {
  for (TimedPoint& e : entries) {
    if (by_hash_.count(e.point.program_hash)) continue;
    entries_.push_back(std::move(e));
    if (insert(entries_.size() - 1)) by_hash_[entries_.back().point.program_hash] = entries_.size() - 1;
    else entries_.pop_back();
  }
  if (const auto it = by_hash_.find(first); it != by_hash_.end()) first_ = it->second;
}

/// False where another point was made of the same choices, or rules of another version asked other questions.
bool RecordedSpace::insert(std::size_t entry) {
  const Genome& genome = entries_[entry].point.genome;
  const std::size_t before = questions_.size();
  std::size_t at = 0;
  for (const Choice& c : genome) {
    if (questions_[at].name.empty() && !questions_[at].entry) questions_[at].name = c.name;
    if (questions_[at].name != c.name) return false;
    auto& answers = questions_[at].answers;
    auto answer = std::find_if(answers.begin(), answers.end(), [&](const auto& a) { return a.first == c.value; });
    if (answer != answers.end()) {
      at = answer->second;
      continue;
    }
    const auto place = [&](std::int64_t v) { return std::find(c.options.begin(), c.options.end(), v) - c.options.begin(); };
    answer = std::find_if(answers.begin(), answers.end(), [&](const auto& a) { return place(a.first) > place(c.value); });
    answers.insert(answer, {c.value, questions_.size()});
    at = questions_.size();
    questions_.push_back({});
  }
  if (questions_[at].entry || !questions_[at].name.empty()) return false;
  invariant(genome.empty() || questions_.size() > before, "new choices end in a new place");
  questions_[at].entry = entry;
  return true;
}

Result<Point> RecordedSpace::make(Chooser choose) const {
  std::size_t at = 0;
  while (!questions_[at].entry) {
    const Question& q = questions_[at];
    invariant(!q.answers.empty(), "a recorded space with points");
    std::vector<std::int64_t> options;
    for (const auto& [option, next] : q.answers) options.push_back(option);
    const std::int64_t value = choose.choose(q.name, options, preferred_option(q.name).value_or(options[0]));
    at = std::find_if(q.answers.begin(), q.answers.end(), [&](const auto& a) { return a.first == value; })->second;
  }
  Point p = entries_[*questions_[at].entry].point;
  p.genome = choose.made();
  return p;
}

/// As the candidate that a search begins with has it: what the rules would prefer elsewhere nobody recorded.
std::optional<std::int64_t> RecordedSpace::preferred_option(const std::string& question) const {
  if (!first_) return std::nullopt;
  for (const Choice& c : entries_[*first_].point.genome)
    if (c.name == question) return c.value;
  return std::nullopt;
}

Result<Point> RecordedSpace::preferred() const {
  if (!first_) return refuse(Code::empty_space, "the record", "the first candidate", 0, "it was not measured");
  return entries_[*first_].point;
}

double RecordedSpace::best_us() const {
  double best = std::numeric_limits<double>::infinity();
  for (const TimedPoint& e : entries_)
    if (e.us) best = std::min(best, *e.us);
  return best;
}

}  // namespace tecc::autotune
