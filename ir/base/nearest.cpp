#include "ir/base/nearest.h"

#include <fmt/format.h>

#include <algorithm>

namespace tecc {
namespace {

std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return {};  // quadratic in the length, and no one mistypes that
  const std::string* best = nullptr;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& c : candidates) {
    if (c.size() > 64 || (c.size() == 1 && word.size() == 1)) continue;  // one letter resembles any other
    if (const std::size_t n = edits(word, c); n < fewest) {
      fewest = n;
      best = &c;
    }
  }
  return best ? fmt::format("; did you mean '{}'?", *best) : std::string();
}

}  // namespace tecc
