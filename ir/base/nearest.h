#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tecc {

/// "; did you mean 'x'?" for the candidate nearest to a mistyped word (Levenshtein, at most a third of it changed), or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace tecc
