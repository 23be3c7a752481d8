#pragma once
#include <map>

#include "autotune/search/space.h"

namespace tecc::autotune {

/// A space of which some points were measured: those are its points, and nothing else. A question offers the options that lead to
/// one of them under the answers before it, so that a search draws, mutates and crosses as it does in the space itself and
/// never leaves the record. What it cannot show: the points that nobody recorded are missing around every point, so that a
/// mutation changes more decisions on its way than it would, and late decisions are often the only ones left.
class RecordedSpace final : public Space {
 public:
  /// Entries with a program or with choices that an earlier one has are left out. `first`: the program hash of the candidate that a
  /// search begins with; where it is not in the record, a search begins without one.
  RecordedSpace(std::vector<TimedPoint> entries, const std::string& first);

  Result<Point> make(Chooser choose) const override;
  Result<Point> preferred() const override;

  const std::vector<TimedPoint>& entries() const { return entries_; }
  const TimedPoint& entry(const Point& point) const { return entries_[by_hash_.at(point.program_hash)]; }
  double best_us() const;

 private:
  struct Question {
    std::string name;
    std::vector<std::pair<std::int64_t, std::size_t>> answers;  // in the rule's order: option, question that follows
    std::optional<std::size_t> entry;                            // no question: the point
  };
  bool insert(std::size_t entry);
  std::optional<std::int64_t> preferred_option(const std::string& question) const;

  std::vector<TimedPoint> entries_;
  std::map<std::string, std::size_t> by_hash_;
  std::vector<Question> questions_{1};
  std::optional<std::size_t> first_;
};

}  // namespace tecc::autotune
